"""Augmentation of a batch of pictures before an agent trains on it; a function of seed and step alone.

Pictures are normalised already, so that 0, which fills crops and cutouts, is their mean (except with
``normalise: unit``, where it is black). Every picture has its own random numbers, unless they are ``shared``.
"""

import math
from typing import NamedTuple, Protocol

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

# Zhao and Bilen 2021, "Dataset condensation with differentiable Siamese augmentation", section 4 and its appendix.
_BRIGHTNESS, _SATURATION, _CONTRAST = 1.0, 2.0, 0.5
_CROP, _CUTOUT, _FLIP, _SCALE, _ROTATE_DEGREES = 0.125, 0.5, 0.5, 1.2, 15.0


class Mixed(NamedTuple):
    """A batch after CutMix.

    Attributes:
        pictures: mixed pictures ``[b, 3, s, s]``.
        partner: index in the batch of the picture that each one's patch comes from, ``[b]``.
        share: share of the pixels that remain the picture's own.
    """

    pictures: Tensor
    partner: Tensor
    share: float


def draws(seed: int) -> Generator:
    """Random stream of one step."""
    return torch.Generator().manual_seed(seed)


def dsa(pictures: Tensor, generator: Generator, *, cuts: bool = True) -> Tensor:
    """One of six changes, drawn for the whole batch, as Zhao and Bilen train on distilled sets.

    Args:
        pictures: batch ``[b, 3, s, s]``.
        generator: source of all random numbers.
        cuts: whether the cutout is one of them.
    """
    changes = _DSA if cuts else tuple(change for change in _DSA if change is not cutout)
    return changes[int(torch.randint(len(changes), (), generator=generator))](pictures, generator)


def siamese(pictures: Tensor, seed: int, *, mirrors: bool = True) -> Tensor:
    """One of six changes, the same for all pictures and for every batch of this seed, whatever its size.

    A batch of real and one of synthetic pictures that are changed alike can be matched (Zhao and Bilen 2021); the
    result is differentiable with respect to the pictures.

    Args:
        pictures: batch ``[b, 3, s, s]``.
        seed: seed of the step.
        mirrors: whether pictures may be mirrored, which is wrong for labels such as a turn to the left.
    """
    generator = draws(seed)
    changes = [change for change in _DSA if mirrors or change is not flip]
    return changes[int(torch.randint(len(changes), (), generator=generator))](pictures, generator, shared=True)


def flip_crop(pictures: Tensor, generator: Generator) -> Tensor:
    """A flip in half of the cases, and a shift by up to an eighth of the side, filled with 0."""
    return crop(flip(pictures, generator), generator)


def cutmix(pictures: Tensor, generator: Generator, probability: float = 1.0) -> Mixed | None:
    """A patch of another picture of the batch in each picture, the same place in all (Yun et al. 2019, CutMix).

    The patch's share of the area is uniform, as Beta(1, 1) is, and its centre lies anywhere; what lies outside is cut
    off, and the share is computed again. Returns None in the steps that are not mixed.

    Args:
        pictures: batch ``[b, 3, s, s]``.
        generator: source of all random numbers.
        probability: probability that a step is mixed.
    """
    mixes, area, row, column = torch.rand(4, generator=generator).tolist()
    partner = torch.randperm(len(pictures), generator=generator)
    if mixes >= probability:
        return None
    side = pictures.shape[2]
    half = side * math.sqrt(area) / 2
    top, bottom = (round(min(max(row * side + sign * half, 0), side)) for sign in (-1, 1))
    left, right = (round(min(max(column * side + sign * half, 0), side)) for sign in (-1, 1))
    mixed = pictures.clone()
    mixed[:, :, top:bottom, left:right] = pictures[partner][:, :, top:bottom, left:right]
    return Mixed(mixed, partner, 1 - (bottom - top) * (right - left) / side**2)


def colour(pictures: Tensor, generator: Generator, *, shared: bool = False) -> Tensor:
    """Random changes of brightness, saturation and contrast."""
    bright, satur, contr = (_uniform(pictures, generator, shared) for _ in range(3))
    pictures = pictures + (bright - 0.5) * _BRIGHTNESS
    grey = pictures.mean(1, keepdim=True)
    pictures = (pictures - grey) * (satur * _SATURATION) + grey
    middle = pictures.mean((1, 2, 3), keepdim=True)
    return (pictures - middle) * (contr + _CONTRAST) + middle


def crop(pictures: Tensor, generator: Generator, *, shared: bool = False) -> Tensor:
    """A shift by whole pixels, up to an eighth of the side in each direction, filled with 0."""
    size = len(pictures), pictures.shape[2]
    most = int(size[1] * _CROP + 0.5)
    down, right = torch.randint(0, 2 * most + 1, (2, _number(pictures, shared), 1), generator=generator)
    rows, columns = torch.arange(size[1]) + down, torch.arange(size[1]) + right
    padded = F.pad(pictures, (most, most, most, most))
    return padded[torch.arange(size[0])[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(pictures: Tensor, generator: Generator, *, shared: bool = False) -> Tensor:
    """Sets a square of half the side to 0; its centre lies anywhere, so part of it may lie outside."""
    side = pictures.shape[2]
    length = int(side * _CUTOUT + 0.5)
    middle = torch.randint(0, side + 1 - length % 2, (2, _number(pictures, shared), 1), generator=generator)
    places = torch.arange(side)
    rows, columns = ((places >= at - length // 2) & (places < at - length // 2 + length) for at in middle)
    hole = rows[:, :, None] & columns[:, None, :]
    return pictures.masked_fill(hole[:, None].to(pictures.device), 0)


def flip(pictures: Tensor, generator: Generator, *, shared: bool = False) -> Tensor:
    """Mirrors left and right in half of the cases."""
    return torch.where(_uniform(pictures, generator, shared) < _FLIP, pictures.flip(3), pictures)


def scale(pictures: Tensor, generator: Generator, *, shared: bool = False) -> Tensor:
    """Scales width and height by separate factors between 1/1.2 and 1.2."""
    low = 1 / _SCALE
    wide, high = (torch.rand(2, _number(pictures, shared), generator=generator) * (_SCALE - low) + low).unbind()
    zero = torch.zeros_like(wide)
    return _warp(pictures, torch.stack([wide, zero, zero, zero, high, zero], 1))


def rotate(pictures: Tensor, generator: Generator, *, shared: bool = False) -> Tensor:
    """Rotates by up to 15 degrees."""
    angle = (torch.rand(_number(pictures, shared), generator=generator) - 0.5) * 2 * math.radians(_ROTATE_DEGREES)
    zero = torch.zeros_like(angle)
    return _warp(pictures, torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero], 1))


class _Change(Protocol):
    """A change of a batch; ``shared`` changes all its pictures alike."""

    def __call__(self, pictures: Tensor, generator: Generator, *, shared: bool = False) -> Tensor: ...


_DSA: tuple[_Change, ...] = (colour, crop, cutout, flip, scale, rotate)


def _warp(pictures: Tensor, matrices: Tensor) -> Tensor:
    """Transforms each picture by its 2 x 3 matrix ``[b, 6]``, or all by one ``[1, 6]``, filled with 0."""
    matrices = matrices.view(-1, 2, 3).expand(len(pictures), 2, 3).to(pictures.device)
    grid = F.affine_grid(matrices, list(pictures.shape), align_corners=True)
    return F.grid_sample(pictures, grid, align_corners=True)


def _uniform(pictures: Tensor, generator: Generator, shared: bool) -> Tensor:
    """One number in [0, 1) for each picture, ``[b, 1, 1, 1]``, or one for all, ``[1, 1, 1, 1]``."""
    return torch.rand(_number(pictures, shared), 1, 1, 1, generator=generator).to(pictures.device)


def _number(pictures: Tensor, shared: bool) -> int:
    """Number of pictures that draw numbers of their own."""
    return 1 if shared else len(pictures)
