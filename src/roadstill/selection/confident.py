"""Images that a teacher is surest about: the selection half of CaO2 (Wang et al. 2025), real or generated."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.selection.uncertainty import LowestScore, Predict, own_class


@dataclass(frozen=True)
class Confident(LowestScore):
    """The images to whose own class the teacher gives the highest probability.

    At few images per class the surest ones teach most; with many, they are too alike (method 8.7). The teacher must
    have seen nothing but the train part.

    Attributes:
        predict: see `Predict`.
        teacher: what the record says about it.
    """

    predict: Predict = field(repr=False)
    teacher: str = ""

    def score(self, found: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `LowestScore`."""
        return -own_class(found, labels)
