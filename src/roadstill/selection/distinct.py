"""Removes near-duplicates before any selector chooses; frames of one drive are often nearly the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.selection.base import Method, choose_each
from roadstill.selection.features import Features, features_of, unit

_BLOCK = 512
THRESHOLD = 0.9  # keeps most neighbouring frames of the built-in world, which are half a second apart


@dataclass(frozen=True)
class Distinct:
    """Leaves out every image whose cosine to an earlier kept one of its class is above a threshold, then delegates.

    Cosines are taken around the class's mean: features of most networks are all positive, so that without this any two
    images are nearly parallel, and how nearly depends on the network.

    Attributes:
        method: selector among the rest.
        features: feature network, see `Features`.
        threshold: cosine above which two images are near-duplicates.
        teacher: description of the features' origin in records.
    """

    method: Method
    features: Features = field(repr=False)
    threshold: float = THRESHOLD
    teacher: str = ""

    def choose_all(
        self,
        images: ImageSet,
        rows: Sequence[NDArray[np.int64]],
        *,
        count: int,
        rngs: Sequence[np.random.Generator],
    ) -> list[NDArray[np.int64]]:
        """See `JointSelector`.

        Raises:
            UserError: fewer than ``count`` images of a class are left.
        """
        kept = [its[distinct(around_mean(features_of(self.features, images, its)), self.threshold)] for its in rows]
        for its, left in zip(rows, kept, strict=True):
            if len(left) < count:
                raise UserError(
                    f"{images.root}: of {len(its)} images of a class {len(left)} are left without near-duplicates, but "
                    f"{count} were requested; raise the threshold of {self.threshold:g} or lower per_class"
                )
        return choose_each(self.method, images, kept, count=count, rngs=rngs)


def around_mean(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features ``[n, d + 1]`` around their mean; the last one is tiny, so that images at the mean are parallel too."""
    features = np.asarray(features, np.float32)
    around = features - features.mean(0, dtype=np.float64).astype(np.float32)
    tiny = 1e-6 * max(float(np.abs(features).max()), 1e-20)
    return np.pad(around, ((0, 0), (0, 1)), constant_values=tiny)


def distinct(features: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Rows of ``[n, d]``, ascending, none of which has a cosine above the threshold to an earlier one of them.

    Memory holds the features and a block of ``512 x n`` cosines.
    """
    rows = unit(np.asarray(features, np.float32))
    kept, count = np.empty_like(rows), 0
    found = []
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        free = np.ones(len(block), np.bool_)
        if count:
            free = (block @ kept[:count].T).max(1) <= threshold
        close = block @ block.T > threshold
        for place in range(len(block)):  # within a block each kept row removes those after it
            if free[place]:
                free[place + 1 :] &= ~close[place, place + 1 :]
        kept[count : count + free.sum()] = block[free]
        count += int(free.sum())
        found.append(start + np.flatnonzero(free))
    return np.concatenate(found)
