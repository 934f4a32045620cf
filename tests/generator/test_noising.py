"""Thesis figure 3.5: tiles and signal-to-noise ratios of three schedules."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from roadstill.codecs import PixelCodec
from roadstill.generator.noising import TIMES, draw_noising
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.schedules import linear, spoon_cosine


@pytest.fixture
def images(tmp_path):
    with ImageSetWriter(tmp_path / "set", ("not_brake", "brake"), 16) as writer:
        for value, accel_mps2 in ((40, 2.0), (200, -4.0), (90, -1.0)):
            writer.add(np.full((16, 16, 3), value, np.uint8), int(accel_mps2 < 0), {"accel_mps2": accel_mps2})
    return open_imageset(tmp_path / "set")


def test_tiles_begin_with_the_hardest_braking_picture_and_get_noisier(images, tmp_path):
    draw_noising(images, PixelCodec(), tmp_path / "out")
    rows = {row["schedule"]: row for row in json.loads((tmp_path / "out" / "noising.json").read_text())["rows"]}
    assert list(rows) == ["linear", "spoon2", "spoon6"]
    for name, row in rows.items():
        picture = np.asarray(Image.open(tmp_path / "out" / f"noising_{name}.png"))
        assert picture.shape == (16, 16 * len(TIMES), 3)
        tiles = np.split(picture.astype(int), len(TIMES), axis=1)
        assert np.abs(tiles[0] - 200).max() <= 1
        spread = [tile.std() for tile in tiles]
        assert spread == sorted(spread)
        assert row["t"] == list(TIMES)
        assert row["snr_db"] == sorted(row["snr_db"], reverse=True)
    for name, betas in (("linear", linear()), ("spoon6", spoon_cosine(6))):
        signal = torch.cumprod(1 - betas, 0)[200].item()
        assert rows[name]["abar"][-1] == pytest.approx(signal)
        assert rows[name]["snr_db"][-1] == pytest.approx(10 * np.log10(signal / (1 - signal)))


def test_the_noise_is_the_seeds(images, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        draw_noising(images, PixelCodec(), tmp_path / name, times=(0, 50), seed=seed)
    first, again, other = ((tmp_path / name / "noising_linear.png").read_bytes() for name in "abc")
    assert first == again != other
