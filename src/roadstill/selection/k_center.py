"""k-center by farthest-first traversal (Gonzalez 1985; for learning Sener and Savarese 2018)."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet
from roadstill.selection.features import Features, features_of


@dataclass(frozen=True)
class KCenter:
    """Begins nearest to the class's mean, then adds the image that is farthest from all chosen ones.

    With few images per class it collects outliers; remove broken and rare images first. Nothing is random; the earlier
    of equal images is taken.

    Attributes:
        features: feature network, see `Features`; distances are Euclidean.
        teacher: description of the features' origin in records.
    """

    features: Features = field(repr=False)
    teacher: str = ""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`; O(n d) per image."""
        own = features_of(self.features, images, rows)
        own = own - own.mean(0, dtype=np.float64).astype(np.float32)
        square = np.einsum("nd,nd->n", own, own)
        picked = np.empty(count, np.int64)
        picked[0] = np.argmin(square)
        gap = np.full(len(rows), np.inf, np.float32)  # squared distance to the nearest chosen image
        for step in range(1, count):
            last = picked[step - 1]
            gap = np.minimum(gap, np.maximum(square + square[last] - 2 * (own @ own[last]), 0.0))
            gap[picked[:step]] = -1.0
            picked[step] = np.argmax(gap)
        return rows[picked]
