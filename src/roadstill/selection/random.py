"""Random frames: the baseline of every method."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet


@dataclass(frozen=True)
class Random:
    """Draws uniformly without replacement, equal number per class, anew for every seed."""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`."""
        return rng.choice(rows, count, replace=False)
