"""What pictures are compared in to find copies: features of networks, and pixels after alignment.

A copy may be mirrored, shifted, cropped or of another brightness. Such changes are tried on the pictures that are asked
about, which are few, never on the real frames, which may be millions.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from roadstill.agents import Agent
from roadstill.selection.features import unit

PIXELS = "pixels"
_SIDES = (32, 28)  # cells along a whole picture, and along one that shows seven eighths of a frame's side
_WINDOW = 24  # cells along the middle of a frame, three quarters of it, that must be in a copy
_SHIFT = 3  # cells by which that window is moved at most, a tenth of the picture


class View(ABC):
    """A way to compare pictures: by the angle between features of a real frame and those of a picture's variants.

    Attributes:
        name: name in tables and records.
    """

    name: str

    @abstractmethod
    def frames(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features ``[n, d]`` of real frames ``[n, s, s, 3]``."""

    @abstractmethod
    def kept(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What is kept of pictures ``[n, s, s, 3]`` that are asked about, ``[n, ...]``."""

    @abstractmethod
    def variants(self, kept: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features ``[n, v, d]`` of all variants of these pictures."""


class NetworkView(View):
    """Features of a network: of a picture and of its mirror image.

    Args:
        name: name in tables and records.
        agent: agent or network whose features are taken.
    """

    def __init__(self, name: str, agent: Agent) -> None:
        self.name, self.agent = name, agent

    def frames(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `View.frames`."""
        return self.agent.pixel_features(pixels)

    def kept(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `View.kept`: features of both, ``[n, 2, d]``."""
        return np.stack([self.frames(pixels), self.frames(pixels[:, :, ::-1])], 1)

    def variants(self, kept: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `View.variants`."""
        return kept


class PixelView(View):
    """Pixels, aligned: shifts by a tenth, a crop to seven eighths, a mirror, brightness, contrast and tint are undone.

    The middle three quarters of a frame are averaged to 12 x 12 cells, each colour's mean is taken off, and the rest is
    scaled to length one: the cosine of two such windows is their normalised cross-correlation. Of a picture that is
    asked about, 148 such windows are cut.
    """

    name = PIXELS

    def frames(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `View.frames`: ``d`` is 432."""
        start = (_SIDES[0] - _WINDOW) // 2
        return _window(_paired(_shrunk(pixels, _SIDES[0])), start, start)

    def kept(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `View.kept`: both sizes, ``[n, 5424]``."""
        return np.concatenate([_shrunk(pixels, side).reshape(len(pixels), -1) for side in _SIDES], 1)

    def variants(self, kept: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `View.variants`."""
        found, start = [], 0
        for side in _SIDES:
            end = start + 3 * side**2
            whole = kept[:, start:end].reshape(-1, side, side, 3)
            start, middle = end, (side - _WINDOW) // 2
            reach = range(max(0, middle - _SHIFT), min(side - _WINDOW, middle + _SHIFT) + 1)
            for pairs in (_paired(whole), _paired(whole[:, :, ::-1])):
                found += [_window(pairs, top, left) for top in reach for left in reach]
        return np.stack(found, 1)


def _shrunk(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Averages of pictures ``[n, s, s, 3]`` over cells, ``[n, side, side, 3]``."""
    small = np.empty((len(pixels), side, side, 3), np.float32)
    for row, picture in enumerate(pixels):
        small[row] = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX))
    return small


def _paired(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Averages of each cell with its neighbours to the right and below, ``[n, side - 1, side - 1, 3]``."""
    below = cells[:, :-1] + cells[:, 1:]
    return (below[:, :, :-1] + below[:, :, 1:]) / np.float32(4)


def _window(pairs: NDArray[np.float32], top: int, left: int) -> NDArray[np.float32]:
    """Every second average from there on, without each colour's mean, of length one: ``[n, 432]``."""
    part = pairs[:, top : top + _WINDOW : 2, left : left + _WINDOW : 2].reshape(len(pairs), -1, 3)
    return unit((part - part.mean(1, keepdims=True)).reshape(len(part), -1))
