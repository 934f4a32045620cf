"""Files of ``torch.save`` in which authors publish distilled sets: tensors of checked type, shape and size.

Forms differ: pictures and labels as a pair (IDC), several pairs under ``data`` (DC, DSA, DM), or pictures, labels and
learning rate in files of their own (MTT, TESLA, DATM). Nothing in them is run.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from roadstill.errors import UserError
from roadstill.weights.torch_file import read_torch_file

SUFFIXES = frozenset({".pt", ".pth"})
OWN = "roadstill"
"""Key, beside ``data``, of what a set that was shared tells besides: see `roadstill.distil.published`."""
MOST_BYTES = 4 * 2**30
"""A larger file is neither read nor written: its tensors lie in memory several times over."""
MOST_PICTURES = 2**20
MOST_CLASSES = 10_000  # as many as a set may have
MOST_PX = 4096
MOST_PROBABILITIES = 2**26
"""Of all pictures together; a set's record holds them as text, and 50,000 pictures of 1,000 classes have fewer."""
_CLOSE = 1e-3  # of sums of probabilities, as agents take them


@dataclass(frozen=True)
class PtFile:
    """What such a file holds.

    Attributes:
        pictures: float32 ``[n, 3, s, s]``, finite, in whatever scale.
        labels: labels as they lie beside them, not yet checked; None where they lie elsewhere.
        own: what stands under `OWN`, not yet checked; None in files of others.
    """

    pictures: Tensor
    labels: Any
    own: Any


def read_pt(path: Path, which: int | None = None) -> PtFile:
    """Reads a file of pictures, with or without labels.

    Args:
        path: file.
        which: number of the set in a file of several; the last one by default.

    Raises:
        UserError: another kind of file, one that is too large, or pictures of another type or shape, or not finite.
    """
    found = read_torch_file(path, MOST_BYTES)
    is_table = isinstance(found, Mapping)
    sets = found["data"] if is_table and isinstance(found.get("data"), (list, tuple)) else [found]
    number = len(sets) - 1 if which is None else which
    if not 0 <= number < len(sets):
        raise UserError(f"{path} holds {len(sets)} sets; there is no number {number}, counted from 0")
    one = sets[number]
    pictures, labels = one if isinstance(one, (list, tuple)) and len(one) == 2 else (one, None)
    return PtFile(_pictures(pictures, path), labels, found.get(OWN) if is_table else None)


def _pictures(found: Any, path: Path) -> Tensor:
    if not isinstance(found, Tensor) or found.ndim != 4 or found.shape[1] != 3 or not len(found):
        shape = f" but a tensor of shape {list(found.shape)}" if isinstance(found, Tensor) else ""
        raise UserError(f"{path} holds no pictures [n, 3, s, s], alone, with labels, or under 'data'{shape}")
    count, _, height, width = found.shape
    if height != width or not 1 <= height <= MOST_PX or count > MOST_PICTURES:
        raise UserError(
            f"{path} holds {count:,} pictures of {width} x {height} pixels; read are at most {MOST_PICTURES:,}, square "
            f"and of up to {MOST_PX:,} pixels a side"
        )
    if not found.is_floating_point():
        raise UserError(f"{path} holds pixels of type {_named(found)}, which should be floating-point numbers")
    pictures = found.detach().float()
    if not bool(pictures.isfinite().all()):
        raise UserError(f"{path} holds pixels that are not finite; get the file again, or ask its authors")
    return pictures


def classes_of(found: Any, count: int, path: Path) -> tuple[Tensor, Tensor | None]:
    """Classes int64 ``[n]``, and probabilities float32 ``[n, k]`` where labels were learnt, as such or as logits.

    Args:
        found: labels as a file holds them.
        count: number of pictures n.
        path: that file, for messages.

    Raises:
        UserError: labels of another type or shape, or not finite; numbers for kernel regression.
    """
    if not isinstance(found, Tensor) or found.ndim not in (1, 2) or len(found) != count:
        raise UserError(f"{path} holds no label for each of {count:,} pictures; name the file that does as pt.labels")
    if found.is_floating_point() != (found.ndim == 2) or found.dtype == torch.bool:
        raise UserError(
            f"{path} holds labels {list(found.shape)} of type {_named(found)}; they should be whole numbers [n], or "
            "floating-point numbers [n, k]"
        )
    if found.ndim == 1:
        low, high = int(found.min()), int(found.max())
        if low < 0 or high >= MOST_CLASSES:
            raise UserError(f"{path} holds labels from {low} to {high}; they should lie in 0..{MOST_CLASSES - 1}")
        return found.long(), None
    if not 2 <= found.shape[1] <= MOST_CLASSES or found.numel() > MOST_PROBABILITIES:
        raise UserError(
            f"{path} holds labels of {count:,} x {found.shape[1]:,} numbers; read are 2 to {MOST_CLASSES:,} classes, "
            f"and at most {MOST_PROBABILITIES:,} numbers"
        )
    soft = found.detach().float()
    if not bool(soft.isfinite().all()):
        raise UserError(f"{path} holds labels that are not finite; get the file again, or ask its authors")
    sums = soft.double().sum(1)
    if bool((sums.abs() < _CLOSE).all()):
        raise UserError(
            f"{path} holds labels that sum to 0, which are numbers for kernel regression, neither logits nor "
            "probabilities; give their classes as pt.labels"
        )
    if bool((soft >= 0).all()) and bool(((sums - 1).abs() < _CLOSE).all()):
        return soft.argmax(1), soft
    return soft.argmax(1), soft.softmax(1)


def read_rate(path: Path) -> float:
    """The learning rate in a file of its own, a number or a tensor of one.

    Raises:
        UserError: anything else, or a rate that is not finite and above 0.
    """
    found = read_torch_file(path, MOST_BYTES)
    found = found.item() if isinstance(found, Tensor) and found.numel() == 1 else found
    if type(found) not in (int, float) or not (math.isfinite(found) and found > 0):
        raise UserError(f"{path} holds no learning rate, a number above 0; give it as pt.learning_rate")
    return float(found)


def _named(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
