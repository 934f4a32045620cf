"""Images that represent the clusters of their class: k-means medoids of real or generated images."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet
from roadstill.selection.features import Features, own_and_known


@dataclass(frozen=True)
class Medoids:
    """One image per cluster: k-means with as many clusters as images requested, nearest image to each centre.

    The clusters are those of ``reference`` (real frames, say, when the images are generated candidates), so that the
    picked images cover what the reference shows and not what is frequent among the candidates. With classifier
    features this is the k-means line of method 8.5 and 8.17.

    Attributes:
        features: feature network, see `Features`.
        reference: set whose clusters count; the images themselves if not given.
        teacher: description of the features' origin in records.
    """

    features: Features = field(repr=False)
    reference: ImageSet | None = field(default=None, repr=False)
    teacher: str = ""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`; the seed decides the start of k-means."""
        from scipy.optimize import linear_sum_assignment
        from sklearn.cluster import KMeans

        pair = own_and_known(self.features, images, rows, self.reference)
        own, known = (each.astype(np.float64) for each in pair)
        clusters = min(count, len(np.unique(known, axis=0)))
        found = KMeans(clusters, n_init=4, random_state=int(rng.integers(2**31))).fit(known)
        distances = found.transform(own)[:, np.arange(count) % clusters].T ** 2
        # Each centre gets a different image, with the smallest sum of squared distances.
        return rows[linear_sum_assignment(distances)[1]]
