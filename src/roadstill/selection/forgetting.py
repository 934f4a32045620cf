"""Forgetting events (Toneva et al. 2019): images that a network learns and loses again."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet
from roadstill.selection.base import lowest


@dataclass(frozen=True)
class Forgetting:
    """The images that turn most often from right to wrong while a teacher trains on them.

    The paper ranks images that are never right above all others; here they have turned zero times, since at few images
    per class they are the wrongly labelled ones.

    Attributes:
        forgetting: how often each image of a set was forgotten, int ``[n]``, such as `ForgettingCounts`.
        teacher: what the record says about it.
    """

    forgetting: Callable[[ImageSet], NDArray[np.int64]] = field(repr=False)
    teacher: str = ""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`; equal counts are put in a random order."""
        return lowest(rows, -self.forgetting(images)[rows], count=count, rng=rng)
