"""Random frames spread evenly over drives: a sensible baseline, as neighbouring frames are near-duplicates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet


@dataclass(frozen=True)
class PerDriveRandom:
    """The same number of images from each drive, as far as they suffice; uniform inside a drive.

    Attributes:
        by: fact that names the group, "drive" or "log".
    """

    by: str = "drive"

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`.

        Raises:
            UserError: the images do not have the fact.
        """
        names = np.asarray([str(name) for name in images.column(self.by)])[rows]
        _, group, sizes = np.unique(names, return_inverse=True, return_counts=True)
        # Turn: an image's place in its group, when all images are in a random order.
        order = rng.permutation(len(rows))
        by_group = order[np.argsort(group[order], kind="stable")]
        turn = np.empty(len(rows), np.int64)
        turn[by_group] = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        # All first turns before all second ones; which groups get the last, uneven turn is random.
        rank = rng.permutation(len(sizes))[group]
        return rows[np.lexsort((rank, turn))[:count]]
