import numpy as np
import pytest

from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.selection import Confident, select


@pytest.fixture
def greys(tmp_path):
    """Grey pictures: brightness 0..190 in steps of ten, classes in turn."""
    with ImageSetWriter(tmp_path / "set", ("dark", "light"), 8) as writer:
        for index in range(20):
            writer.add(np.full((8, 8, 3), index * 10, np.uint8), index % 2, {"index": index})
    return open_imageset(tmp_path / "set")


def brightness(pixels):
    light = pixels.mean((1, 2, 3)) / 255
    return np.stack([1 - light, light], 1)


def test_the_surest_of_each_class_in_order(greys):
    chosen = select(greys, Confident(brightness, teacher="brightness"), per_class=3, seed=0)
    assert [fact["index"] for fact in chosen.facts] == [0, 2, 4, 19, 17, 15]
    assert chosen.about["method"]["teacher"] == "brightness"


def test_ties_go_by_the_seed_alone(greys):
    blind = Confident(lambda pixels: np.full((len(pixels), 2), 0.5, np.float32))
    first, again, other = (select(greys, blind, per_class=5, seed=seed).files for seed in (0, 0, 1))
    assert first == again != other


def test_more_than_there_are_is_refused(greys):
    with pytest.raises(UserError, match="10"):
        select(greys, Confident(brightness), per_class=11, seed=0)
