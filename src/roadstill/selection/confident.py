"""Images that a teacher is surest about: the selection half of CaO2 (Wang et al. 2025), real or generated."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet

_BATCH = 64


@dataclass(frozen=True)
class Confident:
    """The images to whose own class the teacher gives the highest probability.

    At few images per class the surest ones teach most; with many, they are too alike (method 8.7). The teacher must
    have seen nothing but the train part.

    Attributes:
        predict: probabilities ``[n, k]`` of pictures uint8 ``[n, s, s, 3]``, such as `Agent.predict`.
        teacher: what the record says about it.
    """

    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]] = field(repr=False)
    teacher: str = ""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`; equal probabilities are put in a random order."""
        sure = np.concatenate(
            [
                self.predict(images.pixels(part))[np.arange(len(part)), images.labels[part]]
                for part in np.array_split(rows, -(-len(rows) // _BATCH))
            ]
        )
        return rows[np.lexsort((rng.random(len(rows)), -sure))[:count]]
