"""What each selector tries to make small, as a number of a choice: so that two choices can be held against each other.

Selectors that draw at random, rank each image alone, or train while they choose have no such number.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet
from roadstill.selection.dynamics import Dynamics, motion
from roadstill.selection.facility_location import FacilityLocation
from roadstill.selection.features import features_of, own_and_known, unit
from roadstill.selection.herding import Herding
from roadstill.selection.k_center import KCenter
from roadstill.selection.medoids import Medoids
from roadstill.selection.minimax import Minimax
from roadstill.selection.moment_group import MomentGroup, moment_distance
from roadstill.selection.s3 import S3, log_gap

Cost: TypeAlias = Callable[[NDArray[np.int64]], float]
"""The cost of a choice, given as places in the candidates of one class; lower is better."""


def cost_of(
    method: object,
    images: ImageSet,
    rows: NDArray[np.int64],
    others: list[NDArray[np.int64]],
    rng: np.random.Generator,
) -> Cost | None:
    """The cost by which a selector chooses among the candidates of a class; None if it has none.

    Args:
        method: selector, with its features.
        images: set of the candidates.
        rows: candidates of the class, ascending.
        others: candidates of the other classes.
        rng: generator in the state in which the selector got it.
    """
    if isinstance(method, S3):
        return _s3(method, images, rows, others)
    if isinstance(method, Minimax):
        return _minimax(method, images, rows, rng)
    make: Callable[[Any, ImageSet, NDArray[np.int64]], Cost] | None = _COSTS.get(type(method))
    return None if make is None else make(method, images, rows)


def _herding(method: Herding, images: ImageSet, rows: NDArray[np.int64]) -> Cost:
    """Squared distance of the mean of the chosen to the class's mean."""
    own, known = own_and_known(method.features, images, rows, method.reference)
    around = own - known.mean(0, dtype=np.float64)
    return lambda chosen: float(np.square(around[chosen].mean(0)).sum())


def _k_center(method: KCenter, images: ImageSet, rows: NDArray[np.int64]) -> Cost:
    """Largest distance of a candidate to the nearest chosen one."""
    own = features_of(method.features, images, rows).astype(np.float64)
    far = _columns(lambda place: np.linalg.norm(own - own[place], axis=1))
    return lambda chosen: float(_nearest(far, chosen).max())


def _medoids(method: Medoids, images: ImageSet, rows: NDArray[np.int64]) -> Cost:
    """Mean squared distance of the class's images to the nearest chosen one."""
    own, known = (each.astype(np.float64) for each in own_and_known(method.features, images, rows, method.reference))
    far = _columns(lambda place: np.square(known - own[place]).sum(1))
    return lambda chosen: float(_nearest(far, chosen).mean())


def _facility_location(method: FacilityLocation, images: ImageSet, rows: NDArray[np.int64]) -> Cost:
    """One minus the mean similarity of the class's images to the nearest chosen one."""
    own, known = (unit(each) for each in own_and_known(method.features, images, rows, method.reference))
    far = _columns(lambda place: (1 - known @ own[place]) / 2)
    return lambda chosen: float(_nearest(far, chosen).mean(dtype=np.float64))


def _dynamics(method: Dynamics, images: ImageSet, rows: NDArray[np.int64]) -> Cost:
    """Mean squared distance of the candidates' motion to that of the nearest chosen one."""
    facts, _ = motion(images, rows)
    far = _columns(lambda place: np.square(facts - facts[place]).sum(1))
    return lambda chosen: float(_nearest(far, chosen).mean(dtype=np.float64))


def _moment_group(method: MomentGroup, images: ImageSet, rows: NDArray[np.int64]) -> Cost:
    """Distance of the chosen group's moments to the class's."""
    own, known = own_and_known(method.features, images, rows, method.reference)
    mean, std = known.mean(0, dtype=np.float64), known.std(0, dtype=np.float64)
    varies = std > 1e-6
    if not varies.any():
        return lambda chosen: 0.0
    own, known = ((each[:, varies] - mean[varies]) / std[varies] for each in (own, known))
    skew = np.einsum("nd,nd,nd->d", known, known, known) / len(known)
    return lambda chosen: float(moment_distance(own, chosen[None], skew)[0])


def _minimax(method: Minimax, images: ImageSet, rows: NDArray[np.int64], rng: np.random.Generator) -> Cost:
    """Minus the mean representativeness of the chosen, plus their mean similarity to the nearest of each other."""
    own, known = (unit(each) for each in own_and_known(method.features, images, rows, method.reference))
    memory = known[rng.permutation(len(known))[: method.memory_size]]
    worth = method.representativeness * (own @ memory.T).min(1)

    def cost(chosen: NDArray[np.int64]) -> float:
        alike = own[chosen] @ own[chosen].T
        np.fill_diagonal(alike, -1.0)
        return float(method.diversity * alike.max(1).mean() - worth[chosen].mean())

    return cost


def _s3(method: S3, images: ImageSet, rows: NDArray[np.int64], others: list[NDArray[np.int64]]) -> Cost:
    """The score of S3 with the other classes' means in place of their chosen groups', which may change, too."""
    own, known = own_and_known(method.features, images, rows, method.reference)
    centre = unit(known.mean(0, dtype=np.float64)[None])[0]
    theirs = [own_and_known(method.features, images, its, method.reference)[1].mean(0, dtype=np.float64)
              for its in others]  # fmt: skip
    away = unit(np.stack(theirs)) if theirs else None

    def cost(chosen: NDArray[np.int64]) -> float:
        mean = unit(own[chosen].mean(0, dtype=np.float64)[None])[0]
        near = method.near * float(log_gap(mean @ centre))
        return near if away is None else near - method.far * float(log_gap(away @ mean).mean())

    return cost


def _columns(make: Callable[[int], NDArray[Any]]) -> Callable[[int], NDArray[Any]]:
    """Columns of a matrix that is too large to be held, each computed when it is first asked for."""
    kept: dict[int, NDArray[Any]] = {}

    def column(place: int) -> NDArray[Any]:
        if place not in kept:
            kept[place] = make(place)
        return kept[place]

    return column


def _nearest(column: Callable[[int], NDArray[Any]], chosen: NDArray[np.int64]) -> NDArray[Any]:
    found = column(int(chosen[0])).copy()
    for place in chosen[1:]:
        np.minimum(found, column(int(place)), out=found)
    return found


_COSTS: dict[type, Callable[..., Cost]] = {
    Herding: _herding,
    KCenter: _k_center,
    Medoids: _medoids,
    FacilityLocation: _facility_location,
    Dynamics: _dynamics,
    MomentGroup: _moment_group,
}
