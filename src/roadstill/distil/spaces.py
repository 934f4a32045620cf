"""What pictures are to a network: pixels in [0, 1], normalised by a mean and a deviation, or whitened (ZCA)."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from roadstill.errors import UserError
from roadstill.runs import digest_of

_MOST_PX = 64  # a matrix of 64 px pictures has 151 million numbers


@dataclass(frozen=True)
class Whitening:
    """Decorrelated pixels: ``(x - mean) @ matrix`` of flattened pictures in [0, 1].

    Attributes:
        mean: mean picture, ``[d]``.
        matrix: symmetric matrix ``[d, d]``.
    """

    mean: Tensor
    matrix: Tensor

    @property
    def side_px(self) -> int:
        """Side of its pictures."""
        return round((len(self.mean) / 3) ** 0.5)

    def enter(self, pictures: Tensor) -> Tensor:
        """Whitened pictures of pictures ``[n, 3, s, s]``."""
        return ((pictures.flatten(1) - self.mean) @ self.matrix).view_as(pictures)

    def leave(self, whitened: Tensor) -> Tensor:
        """The pictures ``[n, 3, s, s]`` whose whitening this is."""
        found = torch.linalg.solve(self.matrix.double(), whitened.flatten(1).double().T).T
        return (found + self.mean.double()).to(whitened.dtype).view_as(whitened)


def whitening_of(pictures: Iterable[Tensor], *, regularisation: float = 0.1, relative: bool = False) -> Whitening:
    """The whitening of a training set, computed batch by batch in double precision.

    Args:
        pictures: batches of pictures in [0, 1], ``[b, 3, s, s]``.
        regularisation: what is added to each eigenvalue of the covariance.
        relative: whether that is a share of the mean eigenvalue, as KIP and FRePo have it, and not a number (MTT).

    Raises:
        UserError: pictures whose matrix would be too large.
    """
    count, total, squares = 0, torch.zeros(0), torch.zeros(0)
    for part in pictures:
        if not count:
            _check_side(part.shape[2])
            width = part[0].numel()
            total, squares = torch.zeros(width).double(), torch.zeros(width, width).double()
        rows = part.flatten(1).double()
        count, total, squares = count + len(rows), total + rows.sum(0), squares + rows.T @ rows
    mean = total / count
    covariance = (squares - count * torch.outer(mean, mean)) / max(count - 1, 1)
    if relative:
        regularisation *= float(covariance.diagonal().mean())
    values, vectors = torch.linalg.eigh(covariance)
    matrix = (vectors / (values.clamp_min(0) + regularisation).sqrt()) @ vectors.T
    return Whitening(mean.float(), matrix.float())


def _check_side(side_px: int) -> None:
    if side_px > _MOST_PX:
        raise UserError(f"whitening of {side_px} px pictures needs a matrix of {3 * side_px**2:,} rows; take pictures "
                        f"of at most {_MOST_PX} px, or no whitening")  # fmt: skip


@dataclass(frozen=True)
class Space:
    """What networks take for a picture.

    Attributes:
        mean: value per channel that is subtracted from pixels in [0, 1].
        std: value per channel that they are then divided by.
        whitening: takes the place of both, if there is one.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    whitening: Whitening | None = None

    def enter(self, pictures: Tensor) -> Tensor:
        """What networks take, ``[n, 3, s, s]``, for pictures in [0, 1]; differentiable."""
        if self.whitening is not None:
            found = self.whitening.enter(pictures)
        else:
            mean, std = self._values(pictures)
            found = (pictures - mean) / std
        return found.contiguous(memory_format=torch.channels_last)

    def leave(self, prepared: Tensor) -> Tensor:
        """The inverse of `enter`; pixels may lie outside of [0, 1]."""
        if self.whitening is not None:
            return self.whitening.leave(prepared)
        mean, std = self._values(prepared)
        return prepared * std + mean

    @property
    def digest(self) -> str:
        """Equal for spaces that are the same but for rounding."""
        white = None if self.whitening is None else [round(float(each), 3) for each in self.whitening.matrix.diagonal()]
        return digest_of([list(self.mean), list(self.std), white])

    def _values(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(each, device=like.device).view(1, 3, 1, 1) for each in (self.mean, self.std))
        return mean, std
