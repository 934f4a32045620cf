"""Numbers behind a set's pictures: of distilled sets, whose pixels lie between and beyond those of a PNG file.

``values.safetensors`` holds ``pictures``, float32 ``[n, 3, s, s]`` in the order of ``metadata.jsonl``, 0 black and 1
white, unclamped; ``targets`` ``[n, k]`` where labels are numbers; ``mean`` and ``matrix`` where agents are to see
whitened pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roadstill.errors import UserError
from roadstill.runs import digest_file
from roadstill.weights.tensors import open_tensors

FILE = "values.safetensors"
_REMEDY = "make the set again"


@dataclass(frozen=True)
class Values:
    """The numbers of some pictures.

    Attributes:
        path: file.
        digest: digest of it.
        size_px: side of a picture.
        rows: row of each picture in the file.
        patches: patches along a side of a picture that are pictures of their own; 1 for none.
        places: patch that each picture is, if it is one.
    """

    path: Path
    digest: str
    size_px: int
    rows: NDArray[np.int64]
    patches: int = 1
    places: NDArray[np.int64] | None = None

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        file = open_tensors(self.path, "the numbers of a distilled set")
        self.check()
        shape = file.shapes.get("pictures", ())
        if shape[1:] != (3, self.size_px, self.size_px) or (len(self.rows) and shape[0] <= self.rows.max()):
            raise UserError(f"{self.path} holds no pictures of {self.size_px} px for each row; {_REMEDY}")
        return file.tensors()

    def check(self) -> None:
        """Compares the file with its digest.

        Raises:
            UserError: a missing file, or another one than was written.
        """
        if not self.path.is_file():
            raise UserError(f"{self.path}: missing; {_REMEDY}")
        if digest_file(self.path) != self.digest:
            raise UserError(f"{self.path} is not what set.json was written with; {_REMEDY}")

    def pictures(self, indices: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """Pictures ``[len(indices), 3, s, s]``."""
        chosen = np.asarray(indices, np.int64)
        found = self._tensors["pictures"][torch.from_numpy(self.rows[chosen])]
        if self.places is None:
            return found
        grids = unfolded(found, self.patches).view(len(found), self.patches**2, *found.shape[1:])
        return grids[torch.arange(len(found)), torch.from_numpy(self.places[chosen])]

    def targets(self) -> NDArray[np.float32] | None:
        """Numbers that are the pictures' labels ``[n, k]``, if they are numbers."""
        found = self._tensors.get("targets")
        return None if found is None else found[torch.from_numpy(self.rows)].numpy()

    def whitening(self) -> tuple[Tensor, Tensor] | None:
        """Mean ``[d]`` and matrix ``[d, d]`` of whitened pixels.

        Raises:
            UserError: of other pictures.
        """
        mean, matrix = self._tensors.get("mean"), self._tensors.get("matrix")
        if mean is None or matrix is None:
            return None
        width = 3 * self.size_px**2
        if mean.shape != (width,) or matrix.shape != (width, width):
            raise UserError(f"{self.path} holds a whitening of other pictures; {_REMEDY}")
        return mean, matrix

    def subset(self, rows: Sequence[int]) -> "Values":
        """Those of some of the pictures."""
        chosen = np.asarray(rows, np.int64)
        places = None if self.places is None else self.places[chosen]
        return replace(self, rows=self.rows[chosen], places=places)

    def unfolded(self, patches: int) -> "Values":
        """Those of all patches, each a picture, in the order of `unfolded`."""
        each = patches**2
        places = np.tile(np.arange(each), len(self.rows))
        return replace(self, rows=np.repeat(self.rows, each), patches=patches, places=places)

    def kept(self) -> dict[str, Tensor]:
        """Tensors of a file of its own for these pictures."""
        rows = torch.from_numpy(self.rows)
        return {
            name: value[rows] if name in ("pictures", "targets") else value for name, value in self._tensors.items()
        }


def unfolded(pictures: Tensor, patches: int) -> Tensor:
    """Each picture's grid of patches as whole pictures, ``[n * patches^2, 3, s, s]`` (Kim et al. 2022, IDC).

    Patches follow each other row by row behind their picture; those of sides that do not divide differ by a pixel.

    Args:
        pictures: stored pictures ``[n, 3, s, s]``.
        patches: number along a side.
    """
    if patches == 1:
        return pictures
    side = pictures.shape[2]
    cuts = _cuts(side, patches)
    parts = [
        F.interpolate(pictures[:, :, top:bottom, left:right], (side, side), mode="bilinear")
        for top, bottom in cuts
        for left, right in cuts
    ]
    return torch.stack(parts, 1).flatten(0, 1)


def folded(pictures: Tensor, patches: int) -> Tensor:
    """The inverse of `unfolded` but for the loss of size, ``[n / patches^2, 3, s, s]``.

    Args:
        pictures: whole pictures ``[n, 3, s, s]``.
        patches: number along a side.
    """
    if patches == 1:
        return pictures
    sides = [end - start for start, end in _cuts(pictures.shape[2], patches)]
    grid = pictures.view(-1, patches**2, *pictures.shape[1:])
    lines = [
        torch.cat([
            F.interpolate(grid[:, row * patches + column], (sides[row], sides[column]), mode="bilinear", antialias=True)
            for column in range(patches)
        ], 3)
        for row in range(patches)
    ]  # fmt: skip
    return torch.cat(lines, 2)


def to_uint8(pictures: Tensor) -> NDArray[np.uint8]:
    """Pictures ``[n, 3, s, s]`` as uint8 ``[n, s, s, 3]``."""
    found: NDArray[np.uint8] = (
        (pictures.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    )
    return found


def _cuts(side: int, patches: int) -> list[tuple[int, int]]:
    """First and last pixel, this one left out, of each patch along a side."""
    return list(pairwise(side * index // patches for index in range(patches + 1)))
