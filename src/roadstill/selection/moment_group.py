"""The group of images whose moments are the class's: the selection half of D3HR (Zhao et al. 2025), in any features."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.selection.features import Features, own_and_known
from roadstill.selection.groups import blocks, draw_groups, group_means


@dataclass(frozen=True)
class MomentGroup:
    """Draws groups of images at random and keeps the one whose moments are nearest to the class's.

    A group's distance is the sum over mean, standard deviation and, half as heavy, skewness of the absolute difference
    to the class's, averaged over the features, which are standardised by the class first.

    Attributes:
        features: see `Features`.
        groups: how many are drawn; the first of equal ones wins.
        reference: set whose classes' moments count; the images themselves if not given.
        teacher: what the record says about the features' origin.
    """

    features: Features = field(repr=False)
    groups: int = 2000
    reference: ImageSet | None = field(default=None, repr=False)
    teacher: str = ""

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise UserError(f"groups is {self.groups}; at least 1 must be drawn")

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`."""
        own, known = own_and_known(self.features, images, rows, self.reference)
        varies = known.std(0) > 1e-9
        mean, std = known[:, varies].mean(0), known[:, varies].std(0)
        own, known = (own[:, varies] - mean) / std, (known[:, varies] - mean) / std
        members = draw_groups(len(rows), groups=self.groups, count=count, rng=rng)
        if not varies.any():
            return rows[members[0]]
        return rows[members[np.argmin(moment_distance(own, members, (known**3).mean(0)))]]


def moment_distance(
    own: NDArray[np.float64], members: NDArray[np.int64], skew: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance ``[g]`` of groups ``[g, count]`` of standardised rows ``[n, d]`` to mean 0, deviation 1, this skew.

    A group without spread in a feature has no skewness there; it counts as 0.
    """
    width = own.shape[1]
    powers = np.concatenate([own, own**2, own**3], axis=1)
    out = np.empty(len(members))
    for part in blocks(len(members), 3 * width):
        first, second, third = np.split(group_means(powers, members[part]), 3, axis=1)
        std = np.sqrt(np.maximum(second - first**2, 0.0))
        central = third - 3 * first * second + 2 * first**3
        # Below this the spread is rounding of the difference above.
        own_skew = np.divide(central, std**3, out=np.zeros_like(central), where=std > 1e-6)
        out[part] = (np.abs(first) + np.abs(std - 1) + 0.5 * np.abs(own_skew - skew)).mean(1)
    return out
