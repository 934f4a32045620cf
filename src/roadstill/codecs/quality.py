"""What a codec costs: errors by region, a perceptual distance, and the pattern of blocks in pictures."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roadstill.codecs.base import Codec, from_pixels, to_pixels
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.runs import holding, require_own

MEASURED_BLOCKS = (0, 2, 4, 10, 15)  # of EfficientNet-Lite0: the last ones at the strides 2, 4, 8, 16 and 32
_NEAR = (-3, -2, 2, 3)  # neighbouring frequencies; the window's main lobe takes those at -1 and 1
_BATCH = 16


@dataclass
class Errors:
    """Errors of reconstructed pictures, summed up as they come.

    Attributes:
        squares: sum of squared errors by region, of pictures in [-1, 1].
        values: number of values (three for a pixel) by region.
        distances: perceptual distance of each picture.
    """

    squares: dict[str, float] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)
    distances: list[float] = field(default_factory=list)

    def add(self, pictures: Tensor, pixels: Tensor, masks: Mapping[str, Tensor]) -> None:
        """Adds pictures ``[b, 3, s, s]`` in [-1, 1] beside the true ones, with masks ``[b, s, s]`` of regions."""
        error = (pictures - pixels).square().double()
        for name, mask in {"all": torch.ones_like(error[:, 0], dtype=torch.bool), **masks}.items():
            self.squares[name] = self.squares.get(name, 0.0) + float((error.sum(1) * mask).sum())
            self.values[name] = self.values.get(name, 0) + 3 * int(mask.sum())

    def psnr_db(self) -> dict[str, float]:
        """Peak signal-to-noise ratio by region, in decibel, over all its pixels; regions without a pixel are absent."""
        return {
            name: 10 * math.log10(4 * count / max(self.squares[name], 1e-12 * count))
            for name, count in self.values.items()
            if count
        }


def perceptual_distance(
    features: Callable[[Tensor], list[Tensor]], pictures: Tensor, others: Tensor
) -> NDArray[np.float64]:
    """Distance of pictures ``[b, 3, s, s]`` in [-1, 1] from others, ``[b]``.

    Features are scaled to unit length at every place; the squared length of their difference is averaged over the
    places of a stage, then over the stages (LPIPS of Zhang et al. 2018, without its learned weights).

    Args:
        features: makes a list of stages ``[b, c, h, w]``, such as `imagenet_features` with `MEASURED_BLOCKS`.
        pictures: pictures.
        others: those that they are compared with.
    """
    stages = zip(features(pictures), features(others), strict=True)
    each = [(F.normalize(one, eps=1e-6) - F.normalize(other, eps=1e-6)).square().sum(1) for one, other in stages]
    return torch.stack([stage.mean((1, 2)) for stage in each]).mean(0).double().numpy()


def block_ratios(pixels: NDArray[np.uint8], period_px: int = 8) -> dict[float, float]:
    """How much a pattern of a period stands out of the spectrum of pictures; 1 is not at all.

    Energies along rows and along columns, of grey pictures minus their mean behind a Hann window, are averaged over
    lines and pictures. A ratio is the energy at a frequency over the mean of four neighbours', all times the frequency
    squared, since spectra of natural pictures fall so (Field 1987). The larger one of rows and columns counts.

    Args:
        pixels: pictures ``[n, s, s, 3]``.
        period_px: side of a block.

    Returns:
        Ratio by period: the block's own, and its parts (a half, a third, ...) above two pixels, which sharp edges of
        blocks have as well.

    Raises:
        UserError: no picture, or a side that is no multiple of the period, or less than eight of it.
    """
    side = pixels.shape[1]
    if not len(pixels) or side % period_px or side < 8 * period_px:
        raise UserError(
            f"{len(pixels)} pictures of {side} px: the pattern of {period_px} px needs pictures of a multiple of it, "
            f"of at least {8 * period_px} px"
        )
    energy = np.zeros((2, side // 2 + 1))
    for picture in pixels:
        grey = picture.astype(np.float64).mean(2)
        grey -= grey.mean()
        for axis, lines in enumerate((grey, grey.T)):
            energy[axis] += (np.abs(np.fft.rfft(lines * np.hanning(side + 1)[:-1])) ** 2).mean(0)
    flat = energy * np.arange(side // 2 + 1) ** 2
    ratios = {}
    for part in range(1, (period_px + 1) // 2):
        place = side * part // period_px
        near = [place + step for step in _NEAR if place + step <= side // 2]
        ratios[period_px / part] = float((flat[:, place] / flat[:, near].mean(1)).max())
    return ratios


def border_ratio(pixels: NDArray[np.uint8], period_px: int = 8) -> float:
    """How much stronger neighbouring pixels differ across the borders of blocks than beside them; 1 is no stronger.

    Squared differences of grey pictures ``[n, s, s, 3]`` are averaged over pictures and along a border, and compared
    with the mean of the three lines on either side. The median border counts, of rows or columns, whichever is larger.
    Blocks of random colours show here and not in `block_ratios`: at their own period they have no energy at all.
    """
    levels = pixels.astype(np.float32).mean(3)
    ratios = []
    for lines in (levels, levels.transpose(0, 2, 1)):
        steps = np.square(np.diff(lines, axis=2)).mean((0, 1)) + 1e-6
        borders = np.arange(period_px - 1, len(steps) - 3, period_px)
        beside = np.mean([steps[borders + away] for away in (-3, -2, -1, 1, 2, 3)], axis=0)
        ratios.append(float(np.median(steps[borders] / beside)))
    return max(ratios)


@torch.no_grad()
def reconstructed(codec: Codec, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures ``[n, s, s, 3]`` after encoding and decoding."""
    parts = [
        to_pixels(codec.decode(codec.encode(from_pixels(part).to(codec.device)).mean)).cpu()
        for part in torch.from_numpy(pixels).split(_BATCH)
    ]
    return torch.cat(parts).numpy()


@holding()
def reconstruct_imageset(images: ImageSet, codec: Codec, out: Path) -> ImageSet:
    """Writes the set with every picture encoded and decoded: what an agent sees of it through the codec."""
    require_own(out, "set.json")
    with ImageSetWriter(out, images.class_names, images.size_px) as writer:
        for rows, pixels in images.batches(_BATCH):
            for row, picture in zip(rows, reconstructed(codec, pixels), strict=True):
                writer.add(picture, int(images.labels[row]), images.facts[row])
        writer.about.update({**images.about, "reconstructed": codec.digest, "from": images.digest})
    return open_imageset(out)
