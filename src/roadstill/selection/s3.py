"""S3: groups whose centres lie near their own class and far from the others (from IMS3, CVPR 2026)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.selection.features import Features, own_and_known, unit
from roadstill.selection.groups import draw_groups, members_of

_SMALLEST = 1e-12  # lower bound of 1 - cosine, whose logarithm is taken


@dataclass(frozen=True)
class S3:
    """Draws groups of each class at random and chooses one per class, class by class.

    The chosen group of class i has the smallest ``near * log(1 - cos(c, r_i)) - far / (k - 1) * sum_j log(1 - cos(c,
    c_j))``: c is its mean, r_i the class's mean, c_j the mean of class j's chosen group, or r_j for a later class.

    Attributes:
        features: feature network, see `Features`.
        groups: number of groups that are drawn per class; the first of equal ones wins.
        near: weight of the own class.
        far: weight of the others.
        reference: set whose classes' means are r; the images themselves if not given.
        teacher: description of the features' origin in records.
    """

    features: Features = field(repr=False)
    groups: int = 1000
    near: float = 1.0
    far: float = 1.0
    reference: ImageSet | None = field(default=None, repr=False)
    teacher: str = ""

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise UserError(f"groups is {self.groups}; it must be at least 1")

    def choose_all(
        self,
        images: ImageSet,
        rows: Sequence[NDArray[np.int64]],
        *,
        count: int,
        rngs: Sequence[np.random.Generator],
    ) -> list[NDArray[np.int64]]:
        """See `JointSelector`."""
        pairs = [own_and_known(self.features, images, its, self.reference) for its in rows]
        centres = unit(np.stack([known.mean(0, dtype=np.float64) for _, known in pairs]))
        real, chosen = centres.copy(), []
        for label, ((own, _), its, rng) in enumerate(zip(pairs, rows, rngs, strict=True)):
            members = draw_groups(len(its), groups=self.groups, count=count, rng=rng)
            means = unit(np.concatenate([part.mean(1) for _, part in members_of(own, members)]))
            others = np.delete(centres, label, axis=0)
            cost = self.near * log_gap(means @ real[label])
            if len(others):
                cost = cost - self.far * log_gap(means @ others.T).mean(1)
            best = int(np.argmin(cost))
            centres[label] = means[best]
            chosen.append(its[members[best]])
        return chosen


def log_gap(cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of one minus a cosine, finite also at 1."""
    found: NDArray[np.float64] = np.log(np.maximum(1 - cosine, _SMALLEST))
    return found
