"""A small ConvNet from scratch, as distillation papers use it: a cheap second opinion that needs no weights."""

from itertools import pairwise
from pathlib import Path

from torch import nn

from roadstill.agents.staged import StagedNetwork
from roadstill.errors import UserError


def convnet(
    num_classes: int, weights: Path | None, *, trained: bool, widths: tuple[int, ...] = (32, 64, 128, 128)
) -> StagedNetwork:
    """One stage per width: convolution 3 x 3, BatchNorm, ReLU, pooling by two; then the mean over places.

    Raises:
        UserError: weights were given.
    """
    if weights is not None:
        raise UserError(f"the agent network convnet starts from random weights; leave out weights ({weights})")
    stages = [
        nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)
        )
        for before, after in pairwise((3, *widths))
    ]
    return StagedNetwork(
        [*stages, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())],
        features=widths[-1],
        num_classes=num_classes,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        origin="random weights",
        pretrained=False,
    )
