"""The choice among states of a refinement: by the worst network, on dev, never on the test part."""

import numpy as np
import pytest
import torch

from roadstill.distil.seeing import Choice
from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset


class Sees:
    """A network whose features are one colour of a picture, and whose real images are as dev."""

    def __init__(self, channel):
        self.channel = channel

    def features_of(self, images, rows):
        self.known = self.in_batches(torch.from_numpy(images.pixels(rows)), 1)
        return self.known

    def in_batches(self, pixels, batch_size):
        return pixels.float().mean((1, 2))[:, [self.channel]]


def painted(colours):
    """Pictures ``[n, 8, 8, 3]`` of one colour each."""
    return np.broadcast_to(np.array(colours, np.uint8)[:, None, None], (len(colours), 8, 8, 3)).copy()


def stored(folder, colours, about=None):
    with ImageSetWriter(folder, ("a", "b"), 8) as writer:
        for index, picture in enumerate(painted(colours)):
            writer.add(picture, index % 2, {})
        writer.about.update(about or {})
    return open_imageset(folder)


# Class b has more of red, and more of green.
DEV = [(50 + index, 60 + index, 0) if index % 2 == 0 else (150 + index, 160 + index, 0) for index in range(20)]
RIGHT, WRONG = (50, 150), (150, 50)


def state(red, green):
    return torch.from_numpy(painted([(r, g, 0) for r, g in zip(red, green, strict=True)]))


def chosen(dev, images, networks):
    targets = torch.nn.functional.one_hot(torch.from_numpy(images.labels), 2)
    return Choice(dev, targets, torch.from_numpy(images.pixels()), networks, limit=4096, ridge=0.1)


def test_the_worst_network_chooses(tmp_path):
    dev = stored(tmp_path / "dev", DEV)
    images = stored(tmp_path / "few", [(50, 150, 0), (150, 50, 0)])  # right for red, wrong for green
    choice = chosen(dev, images, {"red": Sees(0), "green": Sees(1)})
    assert choice.looks == [(0, {"red": 1.0, "green": 0.0})]
    choice.look(1, state((220, 250), RIGHT))  # all dev is class a for red: the mean gains less than the worst
    assert choice.step == 1
    choice.look(2, state(RIGHT, RIGHT))
    choice.look(3, state(RIGHT, RIGHT))  # no better: the first of equals stays
    choice.look(4, state(WRONG, RIGHT))
    assert choice.step == 2
    assert torch.equal(choice.pictures, state(RIGHT, RIGHT))
    found = choice.record()
    assert found["step"] == 2
    assert [min(each["balanced_accuracy"].values()) for each in found["from"]] == [0, 0.5, 1, 1, 0]


def test_the_test_part_and_other_classes_choose_nothing(tmp_path):
    images = stored(tmp_path / "few", DEV[:2])
    with pytest.raises(UserError, match="is the test part, which chooses nothing; give the dev part"):
        chosen(stored(tmp_path / "test", DEV, {"split": "test"}), images, {"red": Sees(0)})
    one_class = stored(tmp_path / "half", DEV).subset(np.arange(0, 20, 2))
    with pytest.raises(UserError, match="a class has no image"):
        chosen(one_class, images, {"red": Sees(0)})
