"""In which frame the velocities of a log are: compared with where the vehicle went, by the log's own poses."""

import numbers
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

MOVING_MPS = 2.0
_LEAST_ROWS = 5
_NEAR = 0.2  # of the speed
_STEP_S = (0.2, 3.0)  # between the two poses around a frame


def frame_of_velocities(
    entries: Sequence[Any], time_us: NDArray[np.int64], velocity_mps: NDArray[np.float64]
) -> Literal["ego", "map"] | None:
    """``ego`` if the velocities are along and across the vehicle, ``map`` if along the map's axes, None if unclear.

    Args:
        entries: frames of a log, unchecked.
        time_us: their times, ``[n]``.
        velocity_mps: their velocities, ``[n, 2]``.
    """
    for poses in (_from_quaternions(entries), _from_matrices(entries)):
        if poses is not None and (found := _compared(poses, time_us, velocity_mps)) is not None:
            return found
    return None


def poses_of(entries: Sequence[Any]) -> NDArray[np.float64] | None:
    """X and y in m and yaw in rad of all frames of a log, ``[n, 3]``; None unless each has them."""
    poses = _from_quaternions(entries)
    return _from_matrices(entries) if poses is None else poses


def _compared(
    poses: NDArray[np.float64], time_us: NDArray[np.int64], velocity_mps: NDArray[np.float64]
) -> Literal["ego", "map"] | None:
    x, y, yaw = poses.T
    step_s = (time_us[2:] - time_us[:-2]) * 1e-6
    speed = np.hypot(*velocity_mps.T)[1:-1]
    rows = (speed > MOVING_MPS) & (step_s > _STEP_S[0]) & (step_s < _STEP_S[1])
    if rows.sum() < _LEAST_ROWS:
        return None
    went = (np.array([x[2:] - x[:-2], y[2:] - y[:-2]]) / np.where(rows, step_s, 1)).T[rows]
    speed, told, yaw = speed[rows], velocity_mps[1:-1][rows], yaw[1:-1][rows]
    if np.median(np.abs(np.hypot(*went.T) - speed) / speed) > _NEAR:
        return None  # the poses are of something else
    c, s = np.cos(yaw), np.sin(yaw)
    along = np.stack([c * went[:, 0] + s * went[:, 1], c * went[:, 1] - s * went[:, 0]], 1)
    if np.median(np.hypot(*(told - along).T) / speed) < _NEAR:
        return "ego"
    return "map" if np.median(np.hypot(*(told - went).T) / speed) < _NEAR else None


def _from_quaternions(entries: Sequence[Any]) -> NDArray[np.float64] | None:
    """x, y and yaw ``[n, 3]`` from translations and quaternions (w, x, y, z); None unless all are there."""
    places, turns = (_stacked(entries, f"ego2global_{name}", (n,)) for name, n in (("translation", 3), ("rotation", 4)))
    if places is None or turns is None:
        return None
    w, x, y, z = turns.T
    yaw = np.arctan2(2 * (w * z + x * y), w * w + x * x - y * y - z * z)
    return np.stack([places[:, 0], places[:, 1], yaw], 1)


def _from_matrices(entries: Sequence[Any]) -> NDArray[np.float64] | None:
    """The same from 4 x 4 matrices."""
    found = _stacked(entries, "ego2global", (4, 4))
    if found is None:
        return None
    return np.stack([found[:, 0, 3], found[:, 1, 3], np.arctan2(found[:, 1, 0], found[:, 0, 0])], 1)


def _stacked(entries: Sequence[Any], key: str, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """One array of all entries' values, ``[n, *shape]``; None unless each is of that shape and finite."""
    values = [entry.get(key) if isinstance(entry, dict) else None for entry in entries]
    if not values or not all(_fits(value, shape) for value in values):
        return None
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.shape[1:] == shape and (np.abs(found) < 1e9).all() else None


def _fits(value: Any, shape: tuple[int, ...]) -> bool:
    if isinstance(value, np.ndarray):
        return value.shape == shape and value.dtype.kind in "fiu"
    return isinstance(value, (list, tuple)) and len(value) == shape[0] and all(_flat(part, shape[1:]) for part in value)


def _flat(value: Any, shape: tuple[int, ...]) -> bool:
    return _fits(value, shape) if shape else isinstance(value, numbers.Real) and not isinstance(value, bool)
