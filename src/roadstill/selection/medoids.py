"""Images that stand for the clusters of their class: k-means medoids, of real or of generated images."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet
from roadstill.selection.features import Features, own_and_known


@dataclass(frozen=True)
class Medoids:
    """One image per cluster: k-means with as many clusters as images are asked for, nearest image to each centre.

    The clusters are those of ``reference`` (real frames, say, when the images are generated candidates), so that the
    picked images cover what the reference shows and not what the candidates are rich in. In classifier features this
    is the k-means line of method 8.5 and 8.17.

    Attributes:
        features: see `Features`.
        reference: set whose clusters count; the images themselves if not given.
        teacher: what the record says about the features' origin.
    """

    features: Features = field(repr=False)
    reference: ImageSet | None = field(default=None, repr=False)
    teacher: str = ""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`; the start of k-means is what the seed decides."""
        from scipy.optimize import linear_sum_assignment
        from sklearn.cluster import KMeans

        pair = own_and_known(self.features, images, rows, self.reference)
        own, known = (each.astype(np.float64) for each in pair)
        clusters = min(count, len(np.unique(known, axis=0)))
        found = KMeans(clusters, n_init=4, random_state=int(rng.integers(2**31))).fit(known)
        distances = found.transform(own)[:, np.arange(count) % clusters].T ** 2
        # Each centre its own image: together as near as can be.
        return rows[linear_sum_assignment(distances)[1]]
