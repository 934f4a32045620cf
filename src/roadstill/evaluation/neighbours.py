"""Which pictures of two sets are neighbours in features: how far the sets overlap, and what was copied.

Features are float ``[n, d]``. Distances are computed a block of rows at a time: memory holds the features and about
64 MiB. Balls are closed: a picture on the edge lies within.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.selection.features import unit

IN_PRECISION, IN_DENSITY = 3, 5  # neighbours that reach a ball's edge, as in the papers
_MEMORY_MIB = 64


@dataclass(frozen=True)
class Overlap:
    """How far made pictures and real ones cover one another; None where a set is too small for its balls.

    A ball around a picture reaches its third nearest of the same set for precision and recall (Kynkaanniemi et al.
    2019), its fifth nearest for density and coverage (Naeem et al. 2020).

    Attributes:
        precision: share of the made pictures that lie in a real one's ball.
        recall: share of the real pictures that lie in a made one's ball.
        density: number of real balls around a made picture, divided by five; may exceed 1.
        coverage: share of the real pictures with a made one in their ball.
    """

    precision: float | None
    recall: float | None
    density: float | None
    coverage: float | None


def overlap(real: NDArray[Any], made: NDArray[Any]) -> Overlap:
    """The overlap of real features ``[n, d]`` and made ones ``[m, d]``."""
    third, fifth = _radii(real, IN_PRECISION), _radii(real, IN_DENSITY)
    of_made = _radii(made, IN_PRECISION)

    def around_made(distances: NDArray[Any], start: int) -> NDArray[Any]:
        inside = [distances <= radii for radii in (third, fifth)]
        return np.stack([inside[0].any(1), inside[1].sum(1)], 1)

    def around_real(distances: NDArray[Any], start: int) -> NDArray[Any]:
        covered = distances.min(1) <= fifth[start : start + len(distances)]
        return np.stack([(distances <= of_made).any(1), covered], 1)

    precise, dense = _reduced(made, real, around_made).mean(0)
    recalled, covered = _reduced(real, made, around_real).mean(0)
    return Overlap(
        precision=float(precise) if len(real) > IN_PRECISION else None,
        recall=float(recalled) if len(made) > IN_PRECISION else None,
        density=float(dense) / IN_DENSITY if len(real) > IN_DENSITY else None,
        coverage=float(covered) if len(real) > IN_DENSITY else None,
    )


def _radii(features: NDArray[Any], k: int) -> NDArray[Any]:
    """Distance ``[n]`` of each row to its k-th nearest other one; NaN, in which nothing lies, if there are too few."""
    if len(features) <= k:
        return np.full(len(features), np.nan)
    return _reduced(features, features, lambda distances, start: np.partition(distances, k, axis=1)[:, k])


def nearest(
    rows: NDArray[Any],
    among: NDArray[Any],
    *,
    centre: NDArray[Any],
    groups: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest of other pictures by cosine: its row ``[n]`` and its cosine distance, 0 to 2 (infinite if none).

    Cosines are taken around a centre, since features of most networks are all positive, so that without it any two
    pictures are nearly parallel.

    Args:
        rows: features ``[n, d]``.
        among: features ``[m, d]`` to search.
        centre: centre ``[d]``, such as the mean of the real features.
        groups: group of each row and of each of the others; those of a row's own group are left out.
    """

    def closest(distances: NDArray[Any], start: int) -> NDArray[Any]:
        if groups is not None:
            own = groups[0][start : start + len(distances), None] == groups[1]
            distances = np.where(own, np.inf, distances)
        return np.stack([distances.argmin(1), distances.min(1)], 1).astype(np.float64)

    found = _reduced(unit(rows - centre), unit(among - centre), closest)
    return found[:, 0].astype(np.int64), found[:, 1] ** 2 / 2  # of unit vectors: |a - b|^2 = 2 - 2 cos


def _reduced(
    rows: NDArray[Any], others: NDArray[Any], reduce: Callable[[NDArray[Any], int], NDArray[Any]]
) -> NDArray[Any]:
    """What a function makes of the distances of some rows to all others and the first row's place, put together."""
    from sklearn.metrics import pairwise_distances_chunked

    # scikit-learn computes distances of float32 in float64: those of equal pictures would else be far from 0.
    return np.concatenate(
        list(pairwise_distances_chunked(rows, others, reduce_func=reduce, working_memory=_MEMORY_MIB))
    )
