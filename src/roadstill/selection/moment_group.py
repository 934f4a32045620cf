"""The group of images with moments like the class's: the selection half of D3HR (arXiv 2505.18399), in any features."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.selection.features import Features, own_and_known
from roadstill.selection.groups import draw_groups, members_of


@dataclass(frozen=True)
class MomentGroup:
    """Draws groups of images at random and keeps the one whose moments are nearest to the class's.

    A group's distance is the sum of the absolute differences of mean, standard deviation and (with half the weight)
    skewness to the class's, averaged over the features, which are standardised by the class first.

    Attributes:
        features: feature network, see `Features`.
        groups: number of groups that are drawn; the first of equal ones wins.
        reference: set whose classes' moments count; the images themselves if not given.
        teacher: description of the features' origin in records.
    """

    features: Features = field(repr=False)
    groups: int = 2000
    reference: ImageSet | None = field(default=None, repr=False)
    teacher: str = ""

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise UserError(f"groups is {self.groups}; it must be at least 1")

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`."""
        own, known = own_and_known(self.features, images, rows, self.reference)
        members = draw_groups(len(rows), groups=self.groups, count=count, rng=rng)
        mean, std = known.mean(0, dtype=np.float64), known.std(0, dtype=np.float64)
        varies = std > 1e-6
        if not varies.any():
            return rows[members[0]]
        own, known = ((each[:, varies] - mean[varies]) / std[varies] for each in (own, known))
        skew = np.einsum("nd,nd,nd->d", known, known, known) / len(known)
        return rows[members[np.argmin(moment_distance(own, members, skew))]]


def moment_distance(
    own: NDArray[np.floating], members: NDArray[np.int64], skew: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance ``[g]`` of groups ``[g, count]`` of standardised rows ``[n, d]`` to mean 0, deviation 1, this skew.

    If a group has no spread in a feature, its skewness there counts as 0.
    """
    out = np.empty(len(members))
    for part, values in members_of(own, members):
        mean = values.mean(1)
        values -= mean[:, None]
        square = values * values
        std = np.sqrt(square.mean(1))
        square *= values
        own_skew = np.divide(square.mean(1), std**3, out=np.zeros_like(std), where=std > 1e-6)
        out[part] = (np.abs(mean) + np.abs(std - 1) + 0.5 * np.abs(own_skew - skew)).mean(1)
    return out
