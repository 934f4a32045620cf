"""What a small set costs to store: the budget in bytes, beside images per class and optimiser steps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.runs import require_file

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class SetBytes:
    """Bytes that are needed to train on a set.

    Attributes:
        pictures: bytes of the files as they are stored.
        soft_labels: 4 bytes per image and class.
        weights: 4 bytes per image, if images have weights.
        teacher: bytes of the teacher's file, if training uses it.
    """

    pictures: int
    soft_labels: int = 0
    weights: int = 0
    teacher: int = 0

    @property
    def total(self) -> int:
        """Sum of all parts."""
        return self.pictures + self.soft_labels + self.weights + self.teacher


def set_bytes(images: ImageSet, labels: Literal["hard", "soft"] = "hard", *, teacher: Path | None = None) -> SetBytes:
    """Counts a set's bytes. Stored soft labels can take many times the bytes of the pictures, so they are included.

    Classes themselves are not counted: they are the names of the folders.

    Args:
        images: any set; the facts ``weight`` and, for soft labels, ``soft_label`` are counted as float32.
        labels: kind of labels that an agent learns.
        teacher: file of a teacher's weights that training needs, because it relabels in every step.

    Raises:
        UserError: a missing file, or soft labels that are neither stored with the images nor come from a teacher.
    """
    files = [require_file(images.root / name, "a picture of the set") for name in images.files]
    stored = sum(fact.get("soft_label") is not None for fact in images.facts) if labels == "soft" else 0
    if labels == "soft" and teacher is None and stored < len(images):
        raise UserError(f"{images.root}: not every image has soft labels; soften the set or name the teacher")
    return SetBytes(
        pictures=sum(file.stat().st_size for file in files),
        soft_labels=_FLOAT_BYTES * images.num_classes * stored,
        weights=_FLOAT_BYTES * sum(fact.get("weight") is not None for fact in images.facts),
        teacher=require_file(teacher, "a teacher's weights").stat().st_size if teacher else 0,
    )
