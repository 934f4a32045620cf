"""The paired difference of two arms with its uncertainty: logs (or drives) and seeds are both resampled."""

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_CHUNK = 500


@dataclass(frozen=True)
class Difference:
    """Balanced accuracy of an arm minus that of the baseline.

    Attributes:
        value: difference over all clusters and units.
        per_unit: difference of each seed (or set), ``[u]``.
        cluster_part: change of the value in each draw of clusters, without the joint noise, ``[b]``.
        unit_part: change of the value in each draw of units, ``[b]``.
        num_clusters: number of clusters that are drawn from.
        most: greatest size that a difference can have.
    """

    value: float
    per_unit: NDArray[np.float64]
    cluster_part: NDArray[np.float64]
    unit_part: NDArray[np.float64]
    num_clusters: int
    most: float = 1.0

    def interval(self, alpha: float = 0.05) -> tuple[float, float]:
        """Percentile interval of level ``1 - alpha``, both parts widened for their small numbers."""
        moved = (
            widening(self.num_clusters, alpha) * self.cluster_part
            + widening(len(self.per_unit), alpha) * self.unit_part
        )
        # With very few logs the widened draws leave the range that a difference of accuracies can have.
        low, high = np.quantile(self.value + moved, (alpha / 2, 1 - alpha / 2)).clip(-self.most, self.most)
        return float(low), float(high)

    def p_value(self) -> float:
        """The smallest alpha whose interval excludes zero, not below what the number of draws can resolve."""
        low, high = math.log(2 / (len(self.unit_part) + 1)), 0.0
        if self._differs(math.exp(low)):
            return math.exp(low)
        for _ in range(24):
            middle = (low + high) / 2
            low, high = (low, middle) if self._differs(math.exp(middle)) else (middle, high)
        return math.exp(high)

    def _differs(self, alpha: float) -> bool:
        low, high = self.interval(alpha)
        return low > 0 or high < 0


def paired_difference(
    gained: NDArray[np.float64], counts: NDArray[np.int64], *, draws: int, rng: np.random.Generator, most: float = 1.0
) -> Difference:
    """Bootstraps a difference of balanced accuracies.

    Args:
        gained: number ``[u, c, k]`` of images of class k in cluster c that the arm has right minus those that the
            baseline has right, in pair (or unit) u.
        counts: number ``[c, k]`` of images of class k in cluster c.
        draws: number of bootstrap draws.
        rng: source of the draws.
        most: greatest size that a difference can have.
    """
    units, clusters, classes = gained.shape
    table = gained.transpose(1, 0, 2).reshape(clusters, units * classes)
    per_unit = _balanced(table.sum(0).reshape(1, units, classes), counts.sum(0, keepdims=True))[0]
    value = float(per_unit.mean())
    cluster_part, unit_part = np.empty(draws), np.empty(draws)
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        drawn = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size).astype(np.float64)
        moved = _balanced((drawn @ table).reshape(size, units, classes), drawn @ counts)
        share = rng.multinomial(units, np.full(units, 1 / units), size) / units
        cluster_part[start : start + size] = moved.mean(1) - value
        # Over the whole test set: drawing units inside drawn clusters would count their joint noise a third time.
        unit_part[start : start + size] = share @ per_unit - value
    return Difference(value, per_unit, cluster_part * _own_share(gained, counts), unit_part, clusters, most)


def _own_share(gained: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Share of the cluster part's spread (as a factor) that is not the joint noise of clusters and units.

    A fresh draw of units already carries that noise, and counting it twice would widen every interval. It is taken
    out as in an analysis of variance with two crossed random effects: what a cluster does in all units remains.
    """
    units, clusters = gained.shape[:2]
    totals = counts.sum(0)
    rates = gained.sum(1) / totals
    pull = ((gained - rates[:, None, :] * counts) / totals).mean(2) * clusters
    both = float(pull.mean(0).var(ddof=1))
    joint = float((pull - pull.mean(0)).var(axis=0).sum() / ((units - 1) * clusters))
    return math.sqrt(max(0.0, 1 - joint / both)) if both > 0 else 0.0


def _balanced(gained: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the classes that are present: gained ``[b, u, k]`` over counts ``[b, k]`` -> ``[b, u]``."""
    present = counts > 0
    rates = gained / np.where(present, counts, 1)[:, None, :]
    return rates.sum(2) / present.sum(1)[:, None]


def widening(num: int, alpha: float) -> float:
    """The factor by which a bootstrap over ``num`` units is too narrow: sqrt(n / (n - 1)) * t(n - 1) / z.

    The first factor corrects the bootstrap's variance, the second accounts for its being estimated (Hesterberg 2015,
    "What teachers should know about the bootstrap", applies both to the percentile interval).
    """
    return math.sqrt(num / (num - 1)) * t_quantile(1 - alpha / 2, num - 1) / NormalDist().inv_cdf(1 - alpha / 2)


@lru_cache(maxsize=4096)
def t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t for a probability above one half.

    With x = tan(angle) * sqrt(freedom) the density becomes cos(angle)^(freedom - 1), which is integrated on a grid.
    """
    if freedom > 300:
        normal = NormalDist().inv_cdf(probability)
        return normal + (normal**3 + normal) / (4 * freedom)
    angles = np.linspace(0, math.pi / 2, 20_001)
    density = np.cos(angles) ** (freedom - 1)
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    angle = float(np.interp((probability - 0.5) * 2, mass / mass[-1], angles))
    return math.tan(min(angle, angles[-2])) * math.sqrt(freedom)
