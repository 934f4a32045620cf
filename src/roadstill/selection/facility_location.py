"""Facility location by lazy greedy (Minoux 1978; for data summaries Mirzasoleiman et al. 2013)."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet
from roadstill.selection.features import Features, own_and_known, unit

_BLOCK = 256  # candidates whose gains are computed at once


@dataclass(frozen=True)
class FacilityLocation:
    """Adds, one by one, the image that most raises the class's summed similarity to the nearest chosen image.

    Similarity is (1 + cosine) / 2, never negative, so that greedy reaches 1 - 1/e of the best possible sum. Nothing
    is random; the earlier of equal images is taken.

    Attributes:
        features: feature network, see `Features`.
        reference: set whose class is to be covered; the images themselves if not given.
        teacher: description of the features' origin in records.
    """

    features: Features = field(repr=False)
    reference: ImageSet | None = field(default=None, repr=False)
    teacher: str = ""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`; memory holds the features and one block of similarities."""
        own, known = (unit(each) for each in own_and_known(self.features, images, rows, self.reference))
        # For an empty set the gain is the sum of similarities, which needs no matrix of them.
        gain = (len(known) + own @ known.sum(0, dtype=np.float64)) / 2
        covered = np.zeros(len(known), np.float32)
        picked = np.empty(count, np.int64)
        for step in range(count):
            if step:
                _renew(gain, own, known, covered)
            picked[step] = best = int(np.argmax(gain))
            covered = np.maximum(covered, _similarity(known, own[best : best + 1])[:, 0])
            gain[best] = -np.inf
        return rows[picked]


def _similarity(known: NDArray[np.float32], part: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = known @ part.T
    found += 1
    found *= 0.5
    return found


def _renew(
    gain: NDArray[np.float64],
    own: NDArray[np.float32],
    known: NDArray[np.float32],
    covered: NDArray[np.float32],
) -> None:
    """Updates the gains that could be the largest; an old gain is an upper bound of the new one.

    Afterwards the largest gain is exact, and no outdated one equals it.
    """
    order = np.argsort(-gain, kind="stable")
    top = -np.inf
    for start in range(0, len(order), _BLOCK):
        part = order[start : start + _BLOCK]
        if gain[part[0]] < top or gain[part[0]] == -np.inf:
            break
        part = part[gain[part] > -np.inf]
        more = _similarity(known, own[part])
        more -= covered[:, None]
        gain[part] = np.maximum(more, 0, out=more).sum(0)
        top = max(top, float(gain[part].max()))
