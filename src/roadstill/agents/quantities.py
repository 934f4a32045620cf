"""What an agent may predict besides a class: numbers of the vehicle's own motion, from which classes follow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet

SOFT_VALUE = "soft_value"
"""Fact that `soften` stores with pictures that have no such number of their own: what a teacher says."""
_SPREAD_MPS2 = 0.25  # of the logistic distribution around a predicted acceleration


@dataclass(frozen=True)
class Quantity:
    """Numbers that an agent learns by regression.

    Attributes:
        name: value of ``AgentConfig.target``.
        fact: fact of a picture that holds them.
        scale: size that counts as one in the loss, for each number.
        unit: unit of the errors that are told.
    """

    name: str
    fact: str
    scale: tuple[float, ...]
    unit: str

    def of(self, images: ImageSet) -> NDArray[np.float32]:
        """The numbers of every picture, ``[n, d]``; of those without, what a teacher said.

        Raises:
            UserError: a picture without them, or other than so many finite numbers.
        """
        found = np.empty((len(images), len(self.scale)), np.float32)
        for row, facts in enumerate(images.facts):
            value = facts.get(self.fact)
            value = facts.get(SOFT_VALUE) if value is None else value
            if value is None:
                raise UserError(
                    f"{images.root}, {images.files[row]}: it has no {self.fact}, which target {self.name} learns; take "
                    "frames of an index, or let a teacher of this target say it (roadstill.agents.soften)"
                )
            numbers = np.atleast_1d(np.asarray(value, np.float64))
            if numbers.shape != (len(self.scale),) or not np.isfinite(numbers).all():
                raise UserError(
                    f"{images.root}, {images.files[row]}: its {self.fact} is not {len(self.scale)} finite number"
                    f"{'s' * (len(self.scale) > 1)}"
                )
            found[row] = numbers
        return found

    def accel_mps2(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """The accelerations ``[n]`` that numbers ``[n, d]`` mean."""
        if self.name == "accel":
            return values[:, 0].astype(np.float64)
        hops = np.diff(values.reshape(len(values), -1, 3)[..., :2], axis=1, prepend=0.0)
        ways = np.hypot(hops[..., 0], hops[..., 1]).cumsum(axis=1)
        return np.asarray(ways @ _ACCEL_OF_WAYS)

    def misses(self, values: NDArray[np.float32], true: NDArray[np.float32]) -> NDArray[np.float32]:
        """By how much numbers ``[n, d]`` miss others: differences, of poses the distances in m, ``[n, 8]``."""
        away = values - true
        if self.name == "accel":
            return away
        apart = away.reshape(len(away), -1, 3)
        return np.hypot(apart[..., 0], apart[..., 1])


_TIMES_S = np.arange(1, 9) * 0.5
# From ways after these times to the acceleration, by least squares: way = speed t + accel t^2 / 2.
_ACCEL_OF_WAYS = np.linalg.pinv(np.stack([_TIMES_S, _TIMES_S**2 / 2], 1))[1]
QUANTITIES: dict[str, Quantity] = {
    "accel": Quantity("accel", "accel_mps2", (2.0,), "m/s2"),
    # What counts as one grows with the time: 3 m along, 1 m aside and 0.2 rad in a second.
    "poses": Quantity("poses", "future", tuple((_TIMES_S[:, None] * (3.0, 1.0, 0.2)).ravel().tolist()), "m"),
}


def chances_of(accel_mps2: ArrayLike, edges_mps2: Sequence[float]) -> NDArray[np.float32]:
    """Probabilities ``[n, k]`` of classes of acceleration, from high to low, given predictions ``[n]``.

    The true acceleration is taken as logistic around the predicted one; with two classes the more probable one is that
    of the prediction itself.

    Args:
        accel_mps2: predicted accelerations.
        edges_mps2: ends of the classes, k - 1 from low to high.
    """
    accel, edges = np.asarray(accel_mps2, np.float64)[:, None], np.asarray(edges_mps2, np.float64)[None]
    below = 1 / (1 + np.exp(np.clip((accel - edges) / _SPREAD_MPS2, -60, 60)))
    whole = np.concatenate([np.zeros_like(accel), below, np.ones_like(accel)], axis=1)
    return np.diff(whole, axis=1)[:, ::-1].astype(np.float32)


def edges_of(images: ImageSet) -> tuple[float, ...]:
    """Ends of the classes of a set whose classes are of acceleration.

    Raises:
        UserError: they are of something else, or the set does not tell.
    """
    edges = images.about.get("edges_mps2")
    rule = str(images.about.get("labels", ""))
    if edges is None and rule.startswith("accel_mps2 < "):
        edges = [rule.removeprefix("accel_mps2 < ")]
    try:
        found = tuple(float(edge) for edge in edges or ())
    except (TypeError, ValueError):
        found = ()
    if len(found) != images.num_classes - 1 or list(found) != sorted(found) or not np.isfinite(found).all():
        raise UserError(
            f"{images.root}: it does not tell at which accelerations its classes end, so numbers cannot be judged by "
            "them; prepare it from an index"
        )
    return found


@dataclass(frozen=True)
class Reading:
    """How the outputs of a network are read.

    Attributes:
        quantity: what they are in units of its scale; None for logits of classes.
        edges_mps2: ends of the classes that follow from a quantity.
    """

    quantity: Quantity | None = None
    edges_mps2: tuple[float, ...] = ()

    @classmethod
    def of(cls, target: str, edges_mps2: Sequence[float]) -> "Reading":
        """The reading of a target."""
        return cls() if target == "class" else cls(QUANTITIES[target], tuple(edges_mps2))

    def width(self, num_classes: int) -> int:
        """Number of outputs."""
        return num_classes if self.quantity is None else len(self.quantity.scale)

    def values(self, outputs: Tensor) -> NDArray[np.float32]:
        """The quantity ``[n, d]`` from outputs ``[n, d]``."""
        assert self.quantity is not None
        return np.asarray(outputs.float().cpu().numpy() * np.array(self.quantity.scale, np.float32))

    def chances(self, outputs: Tensor) -> NDArray[np.float32]:
        """Probabilities ``[n, k]`` of the classes."""
        if self.quantity is None:
            return np.asarray(outputs.softmax(1).cpu().numpy())
        return chances_of(self.quantity.accel_mps2(self.values(outputs)), self.edges_mps2)


def reading_of(target: str, images: ImageSet) -> Reading:
    """How outputs of agents that learn from a set are read.

    Raises:
        UserError: see `edges_of`.
    """
    return Reading() if target == "class" else Reading.of(target, edges_of(images))
