"""Images that a teacher is most certain about: the selection half of CaO2 (Wang et al. 2025), real or generated."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.selection.uncertainty import LowestScore, Predict, own_class


@dataclass(frozen=True)
class Confident(LowestScore):
    """The images to whose own class the teacher gives the highest probability.

    With few images per class the most certain ones teach most; with many, they are too similar (method 8.7). The
    teacher must have been trained on the train part alone.

    Attributes:
        predict: teacher's probabilities, see `Predict`.
        teacher: description of the teacher in records.
    """

    predict: Predict = field(repr=False)
    teacher: str = ""

    def score(self, found: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `LowestScore`."""
        return -own_class(found, labels)
