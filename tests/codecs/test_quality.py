"""What a codec costs: known errors, patterns of blocks that can be seen, pictures that are left alone."""

import numpy as np
import pytest
import torch

from roadstill.codecs import PixelCodec, from_pixels
from roadstill.codecs.quality import (
    MEASURED_BLOCKS,
    Errors,
    block_ratios,
    border_ratio,
    perceptual_distance,
    reconstruct_imageset,
)
from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset


def streets(count=12, side=128, seed=0):
    """Pictures with a spectrum that falls as that of natural ones, uint8 ``[n, s, s, 3]``."""
    frequencies = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    spectra = np.fft.fft2(np.random.default_rng(seed).normal(size=(count, 1, side, side))) / np.maximum(
        frequencies, 1 / side
    )
    levels = np.fft.ifft2(spectra).real
    levels = 128 + 40 * levels / levels.std()
    return np.broadcast_to(levels.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1), (count, side, side, 3)).copy()


def with_grid(pixels, strength=40):
    """The same with every eighth column and row a little brighter."""
    lines = pixels.astype(int)
    lines[:, ::8] += strength
    lines[:, :, ::8] += strength
    return lines.clip(0, 255).astype(np.uint8)


def with_blocks(pixels, strength=20):
    """The same with another brightness in every block."""
    count, side = pixels.shape[:2]
    blocks = np.random.default_rng(1).normal(0, strength, (count, side // 8, side // 8, 1))
    return (pixels + blocks.repeat(8, 1).repeat(8, 2)).clip(0, 255).astype(np.uint8)


def test_psnr_is_told_by_region():
    pixels, pictures = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    pictures[..., 0] = 0.2
    left = torch.zeros(1, 4, 4, dtype=torch.bool)
    left[..., 0] = True
    errors = Errors()
    for _ in range(2):
        errors.add(pictures, pixels, {"left": left, "none": torch.zeros_like(left)})
    found = errors.psnr_db()
    assert found == pytest.approx({"left": 20.0, "all": 20.0 + 10 * np.log10(4)}, abs=1e-4)


def test_a_grid_stands_out_of_the_spectrum_and_a_street_does_not():
    plain, grid = block_ratios(streets()), block_ratios(with_grid(streets()))
    assert list(plain) == [8, 4, pytest.approx(8 / 3)]
    assert all(0.8 < ratio < 1.2 for ratio in plain.values())
    assert all(ratio > 1.4 for ratio in grid.values())


def test_blocks_of_random_brightness_show_at_their_borders_only():
    assert 0.85 < border_ratio(streets()) < 1.15
    assert border_ratio(with_blocks(streets())) > 1.4
    assert border_ratio(with_blocks(streets()).transpose(0, 2, 1, 3)) > 1.4
    assert block_ratios(with_blocks(streets()))[8] < 1.2


@pytest.mark.parametrize(("count", "side"), [(0, 128), (1, 100), (1, 32)])
def test_pictures_without_room_for_the_pattern_are_refused(count, side):
    with pytest.raises(UserError, match="needs pictures of a multiple of it, of at least 64 px"):
        block_ratios(np.zeros((count, side, side, 3), np.uint8))


def test_the_distance_is_zero_for_equal_pictures_and_grows_with_blur():
    def features(pictures):
        return [pictures, torch.nn.functional.avg_pool2d(pictures, 2)]

    pixels = from_pixels(torch.from_numpy(streets(2, 64)))
    pixels[:, 0] += 0.3
    distances = [
        perceptual_distance(features, torch.nn.functional.avg_pool2d(pixels, size, 1, size // 2), pixels)
        for size in (1, 3, 9)
    ]
    assert distances[0] == pytest.approx([0, 0], abs=1e-9)
    assert (distances[1] > 0).all()
    assert (distances[2] > distances[1]).all()


def test_the_measured_stages_have_the_strides_2_to_32():
    pytest.importorskip("efficientnet_lite_pytorch")
    from roadstill.codecs.losses import imagenet_features

    found = imagenet_features(MEASURED_BLOCKS)(torch.zeros(1, 3, 64, 64))
    assert [level.shape[-1] for level in found] == [32, 16, 8, 4, 2]


def test_a_reconstructed_set_keeps_labels_facts_and_order(tmp_path):
    with ImageSetWriter(tmp_path / "real", ("a", "b"), 16) as writer:
        for row, picture in enumerate(streets(5, 16)):
            writer.add(picture, row % 2, {"log": f"log{row}"})
        writer.about["split"] = "dev"
    real = open_imageset(tmp_path / "real")
    made = reconstruct_imageset(real, PixelCodec(), tmp_path / "made")
    assert made.labels.tolist() == real.labels.tolist()
    assert made.column("log") == real.column("log")
    assert np.array_equal(made.pixels(), real.pixels())
    assert (made.about["split"], made.about["from"]) == ("dev", real.digest)
