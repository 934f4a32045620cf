"""Images that a teacher is surest about: the selection half of CaO2 (Wang et al. 2025), real or generated."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet
from roadstill.selection.base import lowest
from roadstill.selection.uncertainty import Predict, probabilities


@dataclass(frozen=True)
class Confident:
    """The images to whose own class the teacher gives the highest probability.

    At few images per class the surest ones teach most; with many, they are too alike (method 8.7). The teacher must
    have seen nothing but the train part.

    Attributes:
        predict: see `Predict`.
        teacher: what the record says about it.
    """

    predict: Predict = field(repr=False)
    teacher: str = ""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`; equal probabilities are put in a random order."""
        found = probabilities(self.predict, images, rows)
        return lowest(rows, -found[np.arange(len(rows)), images.labels[rows]], count=count, rng=rng)
