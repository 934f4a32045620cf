"""Crops that a teacher finds typical, whole and stitched."""

import numpy as np
import pytest
from toys import greys

from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.selection import Rded, pick, rded
from roadstill.selection.rded import random_boxes


def brightness(pixels):
    """The lighter a picture, the surer is class 1."""
    light = pixels.mean((1, 2, 3)) / 255
    return np.stack([1 - light, light], 1).astype(np.float32)


@pytest.fixture
def images(tmp_path):
    return greys(tmp_path / "set", [10, 20, 30, 40, 50, 210, 220, 230, 240, 250], [0] * 5 + [1] * 5)


def test_the_lowest_losses_win_in_order(images, tmp_path):
    made = rded(images, brightness, per_class=3, seed=0, out=tmp_path / "out")
    assert made.counts() == {"class0": 3, "class1": 3}
    assert [int(picture.mean()) for picture in made.pixels()] == [10, 20, 30, 250, 240, 230]
    assert made.column("token") == ["t10", "t20", "t30", "t250", "t240", "t230"]
    assert made.about["method"] == {"type": "Rded", "factor": 1, "crops": 5, "pool": 300, "teacher": ""}
    assert made.about["selected_from"] == images.digest
    crop = made.facts[0]["crops"][0]
    assert crop["source"] == images.files[0]
    assert crop["loss"] == pytest.approx(-np.log(1 - 10 / 255), abs=1e-5)


def test_four_half_size_crops_stand_side_by_side(images, tmp_path):
    made = rded(images, brightness, per_class=1, seed=0, out=tmp_path / "out", factor=2)
    picture = made.pixels([0])[0][:, :, 0]
    assert [picture[:4, :4].mean(), picture[:4, 4:].mean(), picture[4:, :4].mean(), picture[4:, 4:].mean()] == [
        10, 20, 30, 40,
    ]  # fmt: skip
    assert len(made.facts[0]["crops"]) == 4


def test_the_best_crop_of_a_picture_is_found(tmp_path):
    half = np.zeros((64, 64, 3), np.uint8)
    half[:, 32:] = 255  # class 1 is light: its crops lie on the right
    with ImageSetWriter(tmp_path / "set", ("dark", "light"), 64) as writer:
        writer.add(half, 0, {})
        writer.add(half, 1, {})
    made = Rded(brightness, crops=50).make(open_imageset(tmp_path / "set"), per_class=1, seed=0, out=tmp_path / "out")
    dark, light = (fact["crops"][0]["box_px"] for fact in made.facts)
    assert dark[0] + dark[2] <= 34
    assert light[0] >= 30


def test_boxes_lie_inside_and_have_the_area():
    boxes = random_boxes(500, 4, 64, np.random.default_rng(0))
    left, top, side = np.moveaxis(boxes, -1, 0)
    assert left.min() >= 0
    assert top.min() >= 0
    assert (left + side).max() <= 64
    assert (top + side).max() <= 64
    share = (side / 64) ** 2
    assert 0.07 < share.min() < 0.12
    assert 0.95 < share.max() <= 1
    assert 0.5 < share.mean() < 0.58  # uniform: 0.54


def test_the_seed_decides(tmp_path):
    rng = np.random.default_rng(0)
    with ImageSetWriter(tmp_path / "set", ("dark", "light"), 16) as writer:
        for row in range(12):
            writer.add(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8), row % 2, {})
    images = open_imageset(tmp_path / "set")
    digests = [
        pick(images, Rded(brightness), per_class=2, seed=seed, out=tmp_path / str(place)).digest
        for place, seed in enumerate((0, 0, 1))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_too_few_candidates_and_odd_sizes_are_the_users_to_mend(images, tmp_path):
    with pytest.raises(UserError, match="2 images of 4 crops per class need 8 candidates, but class 'class0' has 5"):
        rded(images, brightness, per_class=2, seed=0, out=tmp_path / "out", factor=2)
    assert (
        len(Rded(brightness, pool=2).make(images, per_class=3, seed=0, out=tmp_path / "pool")) == 6
    )  # as many as needed
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="factor 3 must be 1 or 2"):
        Rded(brightness, factor=3)
    odd = greys(tmp_path / "odd", [1, 2], [0, 1], size_px=9)
    with pytest.raises(UserError, match="9 px cannot be halved"):
        rded(odd, brightness, per_class=1, seed=0, out=tmp_path / "out", factor=2)
