"""Forgetting events (Toneva et al. 2019): images that a network learns and forgets again."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet
from roadstill.selection.base import lowest


@dataclass(frozen=True)
class Forgetting:
    """The images that turn most often from right to wrong while a teacher trains on them.

    The paper ranks images that are never right above all others; here they count as zero turns, since with few images
    per class they are the wrongly labelled ones.

    Attributes:
        forgetting: function from a set to how often each image was forgotten, int ``[n]``, such as `ForgettingCounts`.
        teacher: description of the teacher in records.
    """

    forgetting: Callable[[ImageSet], NDArray[np.int64]] = field(repr=False)
    teacher: str = ""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`; equal counts are in random order."""
        return lowest(rows, -self.forgetting(images)[rows], count=count, rng=rng)
