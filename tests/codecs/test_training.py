"""Codec training: it learns, resumes to the bit, and keeps red lamps in sight."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from roadstill.codecs import CodecConfig, SmallCodec, from_pixels, load_codec, psnr_db, to_pixels
from roadstill.codecs import training as loop
from roadstill.codecs.config import CodecTraining
from roadstill.codecs.losses import detail, edge_error, imagenet_features, lampness, loss_terms, redness
from roadstill.codecs.quality import border_ratio
from roadstill.codecs.starts import initialise, lapped_basis, start_linear
from roadstill.codecs.training import pretrain_codec
from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.runs import read_metrics

TINY = CodecConfig(latent_channels=4, width=12, encoder_blocks=(1, 1), decoder_blocks=(1, 1))


@pytest.fixture
def images(tmp_path):
    """Two flat halves in random colours: simple enough to learn in seconds."""
    rng = np.random.default_rng(0)
    with ImageSetWriter(tmp_path / "images", ("a", "b"), 16) as writer:
        for index in range(24):
            picture = np.empty((16, 16, 3), np.uint8)
            picture[:8], picture[8:] = rng.integers(0, 256, (2, 3), dtype=np.uint8)
            writer.add(picture, index % 2, {"log": "log"})
    return open_imageset(tmp_path / "images")


class Killed(Exception):
    pass


def test_a_killed_training_equals_an_unbroken_one_bit_for_bit(images, tmp_path, monkeypatch):
    config = CodecTraining(codec=TINY, steps=8, batch_size=4, held_out=4, save_every=4, log_every=2)
    whole = pretrain_codec(images, tmp_path / "whole", config, 1)
    batch = loop._batch

    def bomb(images, rows, config, seed, step):
        if step == 6:
            raise Killed
        return batch(images, rows, config, seed, step)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_batch", bomb)
        with pytest.raises(Killed):
            pretrain_codec(images, tmp_path / "broken", config, 1)
    load_codec(tmp_path / "broken" / "codec.safetensors")  # what was saved on the way can be used
    torch.manual_seed(99)
    broken = pretrain_codec(images, tmp_path / "broken", config, 1)
    assert whole.read_bytes() == broken.read_bytes()
    states = [load_file(tmp_path / name / "state.safetensors") for name in ("whole", "broken")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert [row["step"] for row in read_metrics(tmp_path / "broken" / "metrics.jsonl")] == [2, 4, 6, 8]
    with pytest.raises(UserError, match="other settings"):
        pretrain_codec(images, tmp_path / "broken", config, 2)


def test_it_learns_and_its_latents_have_unit_variance_on_average(images, tmp_path):
    config = CodecTraining(codec=TINY, steps=150, batch_size=8, held_out=4, warmup_steps=10)
    codec = load_codec(pretrain_codec(images, tmp_path / "codec", config, 0))
    pixels = from_pixels(torch.from_numpy(images.pixels()))
    latents = codec.encode(pixels).mean
    grey = psnr_db(pixels, pixels.mean().expand_as(pixels))
    assert psnr_db(codec.decode(latents), pixels) > grey + 4
    # One standard deviation for all channels: their variances are one on average.
    assert latents.var((0, 2, 3)).mean().item() == pytest.approx(1.0, abs=0.3)
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=0.15, rtol=0)
    assert read_metrics(tmp_path / "codec" / "metrics.jsonl")[-1]["psnr_db"] > grey


def test_too_few_or_odd_sized_images_are_refused(images, tmp_path):
    with pytest.raises(UserError, match="too few"):
        pretrain_codec(images, tmp_path / "a", CodecTraining(codec=TINY, held_out=24), 0)
    deep = CodecConfig(width=8, encoder_blocks=(1,) * 5, decoder_blocks=(1,) * 5)
    with pytest.raises(UserError, match="multiple of 32"):
        pretrain_codec(images, tmp_path / "b", CodecTraining(codec=deep, held_out=4), 0)


def test_parts_of_pictures_lie_anywhere_and_are_drawn_by_seed_and_step(images):
    config, rows = CodecTraining(codec=TINY, batch_size=24, crop_px=8, flip=False), np.arange(24)
    chosen, parts = loop._batch(images, rows, config, 0, 0)
    assert parts.shape == (24, 3, 8, 8)
    assert torch.equal(parts, loop._batch(images, rows, config, 0, 0)[1])
    assert not torch.equal(parts, loop._batch(images, rows, config, 0, 1)[1])
    # The border between the halves of a picture, at row 8, is anywhere in the parts.
    whole = from_pixels(torch.from_numpy(images.pixels(chosen)))
    above = {
        int((part[:, :, :1] == picture[:, :1, :1]).all(0).sum()) for part, picture in zip(parts, whole, strict=True)
    }
    assert len(above) > 4


def test_parts_must_fit_the_pictures_and_the_codec(images, tmp_path):
    for crop_px, message in ((32, "crop_px 32 is larger than the pictures of .*, 16 px"), (10, "multiple of 4")):
        with pytest.raises(UserError, match=message):
            pretrain_codec(images, tmp_path / "codec", CodecTraining(codec=TINY, held_out=4, crop_px=crop_px), 0)


def test_redness_sees_lamps_and_nothing_else():
    colours = torch.tensor([[255, 0, 0], [255, 255, 255], [0, 0, 0], [0, 255, 0], [200, 100, 50]], dtype=torch.uint8)
    found = redness(from_pixels(colours.view(1, 1, 5, 3))).flatten().tolist()
    assert found == pytest.approx([1.0, 0.0, 0.0, 0.0, 100 / 255], abs=1e-6)


def test_lampness_sees_lit_lamps_of_all_colours_and_no_leaves():
    lit = [[255, 0, 0], [0, 255, 0], [255, 200, 0]]
    other = [[255, 255, 255], [60, 0, 0], [60, 90, 50], [120, 160, 220]]
    found = lampness(from_pixels(torch.tensor(lit + other, dtype=torch.uint8).view(1, 1, 7, 3))).flatten()
    assert (found[:3] > 0.7).all()
    assert (found[3:] < 0.15).all()


def test_detail_is_what_differs_from_its_surroundings():
    pixels = torch.zeros(1, 3, 32, 32)
    pixels[..., 16:] = 0.5
    pixels[..., 8, 4] = 1.0
    found = detail(pixels)[0, 0]
    assert found.argmax() == 8 * 32 + 4
    assert found[24, 28] == 0


def test_weights_of_lamps_and_details_count(images):
    torch.manual_seed(0)
    codec, pixels = SmallCodec(TINY), from_pixels(torch.from_numpy(images.pixels([0, 1])))
    config = CodecTraining(codec=TINY, bf16=False)

    def pixel_term(config):
        return float(loss_terms(codec, pixels, config, None, torch.Generator().manual_seed(0))["pixel"].detach())

    plain = pixel_term(config)
    assert pixel_term(replace(config, lamps=5.0)) > plain < pixel_term(replace(config, detail=5.0))


@pytest.fixture
def soft(tmp_path):
    """Pictures without edges."""
    rng = np.random.default_rng(0)
    with ImageSetWriter(tmp_path / "soft", ("a",), 64) as writer:
        for _ in range(8):
            writer.add(np.asarray(Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize((64, 64))), 0, {})
    return open_imageset(tmp_path / "soft")


def started(images, linear):
    codec = SmallCodec(CodecConfig(latent_channels=16, width=12, linear=linear)).requires_grad_(False)
    initialise(codec)
    start_linear(codec, images, np.arange(8))
    return codec


def test_overlapping_patches_are_orthonormal_and_so_are_their_neighbours():
    for side in (2, 8):
        basis = lapped_basis(side)
        torch.testing.assert_close(basis.T @ basis, torch.eye(side).double())
        torch.testing.assert_close(basis[side:].T @ basis[:side], torch.zeros(side, side).double())


def test_overlapping_patches_start_better_than_blocks(soft):
    pixels = from_pixels(torch.from_numpy(soft.pixels()))
    psnr = {}
    for linear in ("blocks", "lapped"):
        codec = started(soft, linear)
        psnr[linear] = psnr_db(codec.decode_raw(codec.encode_raw(pixels)), pixels)
    assert psnr["lapped"] > psnr["blocks"] + 0.3


def test_moved_latents_make_no_edges_of_blocks_where_patches_overlap(soft):
    jumps = {}
    for linear in ("blocks", "lapped"):
        codec = started(soft, linear)
        moved = torch.randn(16, 16, 8, 8, generator=torch.Generator().manual_seed(0))
        jumps[linear] = border_ratio(to_pixels(codec.decode_raw(moved)).numpy())
    assert jumps["blocks"] > 5
    assert jumps["lapped"] < 2.5


def test_a_shift_in_brightness_is_no_edge_error_but_a_blur_is():
    picture = torch.zeros(1, 3, 16, 16)
    picture[..., 8:] = 1.0
    assert edge_error(picture + 0.3, picture) == pytest.approx(0.0, abs=1e-6)
    blurred = torch.nn.functional.avg_pool2d(picture, 5, 1, 2)
    assert edge_error(blurred, picture) > 0.01


def test_the_perceptual_term_is_zero_for_equal_pictures_and_has_a_gradient():
    pytest.importorskip("efficientnet_lite_pytorch")
    features = imagenet_features()
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    wanted = features(pixels)
    assert [tuple(level.shape[1:]) for level in wanted] == [(16, 16, 16), (24, 8, 8), (40, 4, 4)]
    shifted = (pixels * 0.5).requires_grad_()
    distance = sum((a - b).abs().mean() for a, b in zip(features(shifted), wanted, strict=True))
    distance.backward()
    assert distance > 0.01
    assert shifted.grad.abs().sum() > 0


def test_a_loss_that_is_not_finite_stops_the_training_and_keeps_what_was_saved(images, tmp_path):
    config = CodecTraining(codec=TINY, steps=8, batch_size=4, held_out=4, save_every=1, learning_rate=1e30)
    with pytest.raises(UserError, match=r"not finite|beyond half precision"):
        pretrain_codec(images, tmp_path / "codec", config, 0)
    assert not (tmp_path / "codec" / "stage.json").exists()
    for saved in (tmp_path / "codec").glob("*.safetensors"):
        assert all(tensor.isfinite().all() for tensor in load_file(saved).values())
