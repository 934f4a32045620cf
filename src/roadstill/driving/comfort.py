"""Is a drive comfortable? NAVSIM's bounds on smoothed accelerations, jerks and turning rates."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from roadstill.driving.poses import Floats
from roadstill.driving.vehicle import MIDDLE_M, STEP_S, Motion

BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "longitudinal_mps2": (-4.05, 2.40),
        "jerk_mps3": (-8.37, 8.37),
        "longitudinal_jerk_mps3": (-4.13, 4.13),
        "yaw_accel_radps2": (-1.93, 1.93),
        "yaw_rate_radps": (-0.95, 0.95),
    }
)
"""Between these, without the ends, a drive is comfortable."""
LATERAL_MPS2 = 4.89
"""NAVSIM's bound on lateral acceleration, which only logs have: in its simulation a car never has any."""
LIKE_BEFORE: Mapping[str, float] = MappingProxyType(
    {"accel_mps2": 0.7, "jerk_mps3": 0.5, "yaw_rate_radps": 0.1, "yaw_accel_radps2": 0.1}
)
"""Root mean squares up to which two plans of one car, made one after the other, are alike."""
_DIGITS = 8  # to which NAVSIM rounds
_ACCEL, _JERK, _TURN = 8, 15, 5  # steps of each window


def comfort(motion: Motion, lateral_mps2: Floats | None = None, *, v1: bool = False) -> dict[str, NDArray[np.bool_]]:
    """Whether each bound of `BOUNDS` holds at all times.

    Args:
        motion: how cars move every 0.1 s, arrays ``[n, t]``, t at least 4.
        lateral_mps2: their lateral accelerations ``[n, t]``, which `LATERAL_MPS2` bounds then.
        v1: whether to smooth as NAVSIM v1: accelerations of the rear axle, and one polynomial for the whole time.

    Returns:
        ``[n]`` by name of the bound.
    """
    window, jerk = (motion.x_m.shape[-1],) * 2 if v1 else (_ACCEL, _JERK)
    accel = np.abs(motion.accel_mps2) if lateral_mps2 is None else np.hypot(motion.accel_mps2, lateral_mps2)
    longitudinal = motion.accel_mps2 if v1 else _middle_accel(motion)
    jerks = _smooth(_smooth(np.stack([accel, longitudinal]), _ACCEL), jerk, rate=1)
    yaw = np.unwrap(motion.yaw_rad, axis=-1)
    values = [
        _smooth(longitudinal, window),
        *jerks,
        _smooth(yaw, _TURN, rate=2, order=3),
        _smooth(yaw, _TURN, rate=1),
    ]
    bounds = dict(BOUNDS)
    if lateral_mps2 is not None:
        values.append(_smooth(lateral_mps2, window))
        bounds["lateral_mps2"] = (-LATERAL_MPS2, LATERAL_MPS2)
    low, high = np.array(list(bounds.values())).T[..., None, None]
    found = np.stack(values)
    return dict(zip(bounds, ((low < found) & (found < high)).all(-1), strict=True))


def alike(one: Motion, other: Motion) -> NDArray[np.bool_]:
    """Whether drives ``[n, t]`` after two plans, made one after the other, feel alike ``[n]``; see `LIKE_BEFORE`."""
    pairs = [_felt(one), _felt(other)]
    differences = {name: np.sqrt(np.mean((pairs[0][name] - pairs[1][name]) ** 2, axis=-1)) for name in LIKE_BEFORE}
    return np.logical_and.reduce([differences[name] <= most for name, most in LIKE_BEFORE.items()])


def _felt(motion: Motion) -> dict[str, Floats]:
    accel = _smooth(np.abs(motion.accel_mps2), _ACCEL)
    yaw = np.unwrap(motion.yaw_rad, axis=-1)
    return {
        "accel_mps2": accel,
        "jerk_mps3": _smooth(accel, _JERK, rate=1),
        "yaw_rate_radps": _smooth(yaw, _TURN, rate=1),
        "yaw_accel_radps2": _smooth(yaw, _TURN, rate=2),
    }


def _middle_accel(motion: Motion) -> Floats:
    """Longitudinal accelerations of the cars' middles as nuPlan has them.

    To the rear axle's it adds the turn's whole effect, centripetal and angular, with the sign of a place ahead.
    """
    turn = motion.yaw_rate_radps
    change = np.diff(turn, axis=-1, prepend=turn[..., :1]) / STEP_S
    return motion.accel_mps2 + MIDDLE_M * (turn**2 + change)


def _smooth(values: Floats, window: int, *, rate: int = 0, order: int = 2) -> Floats:
    """Values ``[..., t]``, or their derivative of an order, by a polynomial in a window (Savitzky and Golay 1964)."""
    return np.round(values @ _smoother(values.shape[-1], window, rate, order), _DIGITS)


@lru_cache(maxsize=64)
def _smoother(count: int, window: int, rate: int, order: int) -> Floats:
    """The filter as a matrix ``[t, t]``: it is linear, and to find its ends anew for every drive takes milliseconds."""
    from scipy.signal import savgol_filter

    most = min(window, count)
    found = savgol_filter(np.eye(count), window_length=most, polyorder=order, deriv=rate, delta=STEP_S)
    return np.asarray(found, np.float64)
