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
        return rows[spread(np.unique(names, return_inverse=True)[1], count, rng)]


def spread(group: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most ``count`` places, as many of each group as they suffice, uniform inside a group.

    Args:
        group: group of each place, 0 to the last, ``[n]``.
        count: number of places.
        rng: source of chance.
    """
    sizes = np.bincount(group)
    # Turn: a place's number in its group, when all places are in a random order.
    order = rng.permutation(len(group))
    by_group = order[np.argsort(group[order], kind="stable")]
    turn = np.empty(len(group), np.int64)
    turn[by_group] = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # All first turns before all second ones; which groups get the last, uneven turn is random.
    rank = rng.permutation(len(sizes))[group]
    return np.lexsort((rank, turn))[:count]
