"""Herding (Welling 2009; for exemplars Rebuffi et al. 2017, iCaRL): a set whose mean is the class's mean."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet
from roadstill.selection.features import Features, own_and_known


@dataclass(frozen=True)
class Herding:
    """Adds, one by one, the image that keeps the mean of the chosen features nearest to the class's mean.

    Nothing is random; the earlier of equal images is taken.

    Attributes:
        features: feature network, see `Features`; distances are Euclidean.
        reference: set whose class means count; the images themselves if not given.
        teacher: description of the features' origin in records.
    """

    features: Features = field(repr=False)
    reference: ImageSet | None = field(default=None, repr=False)
    teacher: str = ""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`; O(n d) per image."""
        own, known = own_and_known(self.features, images, rows, self.reference)
        own = own - known.mean(0, dtype=np.float64).astype(np.float32)
        # Around the class's mean, |sum of chosen + x|^2 is minimised; |sum of chosen|^2 is the same for all x.
        cost = np.einsum("nd,nd->n", own, own).astype(np.float64)
        picked = np.empty(count, np.int64)
        for step in range(count):
            picked[step] = best = int(np.argmin(cost))
            cost += 2 * (own @ own[best]).astype(np.float64)
            cost[best] = np.inf
        return rows[picked]
