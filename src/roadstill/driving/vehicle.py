"""A car that follows poses: an LQR tracker and a kinematic bicycle, many cars at once.

Constants are those by which NAVSIM simulates (nuPlan's Pacifica, its tracker and its motion model), so that a plan is
driven here as it is there.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from roadstill.driving.boxes import box_corners
from roadstill.driving.poses import Floats, wrapped

WIDTH_M = 2.297
AHEAD_M, BEHIND_M = 4.049, 1.127  # from the rear axle to the ends
MIDDLE_M = (AHEAD_M - BEHIND_M) / 2  # of the car, ahead of the rear axle
WHEELBASE_M = 3.089
STEP_S = 0.1

_LOOKAHEAD = 10  # steps
_SPEED_WEIGHT = 10.0
_SIDE_WEIGHTS = (1.0, 10.0)  # of the lateral error in m and of that of the heading in rad
_EFFORT_WEIGHT = 1.0  # of acceleration, of steering rate
_STOPPED_MPS, _STOP_GAIN = 0.2, 0.5
_JERK_PENALTY, _BEND_RATE_PENALTY, _BEND_PENALTY = 1e-4, 1e-2, 1e-10
_ACCEL_LAG_S, _STEER_LAG_S = 0.2, 0.05
_MOST_STEER_RAD = np.pi / 3


class Motion(NamedTuple):
    """How cars move; arrays of one shape, such as ``[n]`` at a time or ``[n, t]`` over times."""

    x_m: Floats
    y_m: Floats
    yaw_rad: Floats
    speed_mps: Floats
    accel_mps2: Floats
    steer_rad: Floats

    @property
    def poses(self) -> Floats:
        """Poses of the rear axles ``[..., 3]``."""
        return np.stack([self.x_m, self.y_m, self.yaw_rad], axis=-1)

    @property
    def yaw_rate_radps(self) -> Floats:
        """Turning rates."""
        return self.speed_mps * np.tan(self.steer_rad) / WHEELBASE_M


def corners(poses: Floats) -> Floats:
    """Corners ``[..., 4, 2]`` of cars whose rear axles have these poses ``[..., 3]``, counter-clockwise."""
    x, y, yaw = np.moveaxis(poses, -1, 0)
    size = (np.full_like(x, AHEAD_M + BEHIND_M), np.full_like(x, WIDTH_M))
    return box_corners(np.stack([x + MIDDLE_M * np.cos(yaw), y + MIDDLE_M * np.sin(yaw), *size, yaw], axis=-1))


def follow(plans: Floats, start: Motion, *, steps: int | None = None) -> Motion:
    """Drives along plans.

    Args:
        plans: poses ``[n, t, 3]`` of rear axles every 0.1 s, the first ones now; t at least 4.
        start: how the cars move now, arrays ``[n]``.
        steps: steps to drive; by default to the end of the plans.

    Returns:
        How they move at the times of the plans, arrays ``[n, t]``, or ``[n, steps + 1]``.
    """
    speeds, bends = reference(plans)
    motion = [start]
    for step in range(plans.shape[1] - 1 if steps is None else steps):
        accel, steer_rate = _commands(plans[:, step], speeds, bends, step, motion[-1])
        motion.append(moved(motion[-1], accel, steer_rate))
    return Motion(*(np.stack(values, axis=1) for values in zip(*motion, strict=True)))


def moved(motion: Motion, accel_mps2: Floats, steer_rate_radps: Floats, step_s: float = STEP_S) -> Motion:
    """One step of the kinematic bicycle, Euler's rule; the car's answer to either command lags behind."""
    accel = motion.accel_mps2 + step_s / (step_s + _ACCEL_LAG_S) * (accel_mps2 - motion.accel_mps2)
    steer = motion.steer_rad + step_s / (step_s + _STEER_LAG_S) * step_s * steer_rate_radps
    return Motion(
        motion.x_m + step_s * motion.speed_mps * np.cos(motion.yaw_rad),
        motion.y_m + step_s * motion.speed_mps * np.sin(motion.yaw_rad),
        wrapped(motion.yaw_rad + step_s * motion.yaw_rate_radps),
        motion.speed_mps + step_s * accel,
        accel,
        np.clip(steer, -_MOST_STEER_RAD, _MOST_STEER_RAD),
    )


def reference(plans: Floats) -> tuple[Floats, Floats]:
    """Speeds in m/s and curvatures in 1/m of plans ``[n, t, 3]``, each ``[n, t - 1]``.

    Fits by least squares: of speed and acceleration to the way between poses, with a penalty on acceleration, and of
    curvature and its rate to the change of heading, with a penalty on the rate.
    """
    steps = np.diff(plans, axis=1)
    along = steps[..., 0] * np.cos(plans[:, :-1, 2]) + steps[..., 1] * np.sin(plans[:, :-1, 2])
    fit, sums = _fits(along.shape[1])
    speeds = along @ fit.T
    design = speeds[..., None] * sums
    penalty = np.diag([_BEND_PENALTY, *[_BEND_RATE_PENALTY] * (along.shape[1] - 1)])
    transposed = design.transpose(0, 2, 1)
    rates = np.linalg.solve(transposed @ design + penalty, transposed @ wrapped(steps[..., 2:]))
    return speeds, (rates[..., 0] @ sums.T) / STEP_S


@lru_cache(maxsize=8)
def _fits(count: int) -> tuple[Floats, Floats]:
    """Two matrices ``[count, count]``: from ways to fitted speeds; from a first value and its rates to way or angle.

    Ways along the heading are as good as both coordinates: of these the heading's unit vectors make the same normal
    equations for every plan, which is why one matrix serves all.
    """
    sums = np.tril(np.full((count, count), STEP_S**2))
    sums[:, 0] = STEP_S
    # What nuPlan calls the penalty on jerk: its matrix of differences has lost its upper diagonal but for one place, so
    # that accelerations are held small, and only the last two close to each other.
    jerks = -np.eye(count)[1:-1]
    jerks[-1, -1] = 1
    speeds_of = np.linalg.solve(sums.T @ sums + _JERK_PENALTY * jerks.T @ jerks, sums.T)
    return sums @ speeds_of / STEP_S, sums


def _commands(pose: Floats, speeds: Floats, bends: Floats, step: int, now: Motion) -> tuple[Floats, Floats]:
    """Accelerations in m/s2 and steering rates in rad/s ``[n]`` that track plans from a step on."""
    last = speeds.shape[1] - 1
    ahead = min(step + _LOOKAHEAD, last)
    wanted = speeds[:, ahead]
    horizon_s = _LOOKAHEAD * STEP_S
    gain = horizon_s * _SPEED_WEIGHT / (horizon_s**2 * _SPEED_WEIGHT + _EFFORT_WEIGHT)
    stopped = (wanted <= _STOPPED_MPS) & (now.speed_mps <= _STOPPED_MPS)
    accel = np.where(stopped, _STOP_GAIN, gain) * (wanted - now.speed_mps)

    cos, sin = np.cos(pose[:, 2]), np.sin(pose[:, 2])
    side = (now.y_m - pose[:, 1]) * cos - (now.x_m - pose[:, 0]) * sin
    turned, steer = wrapped(now.yaw_rad - pose[:, 2]), now.steer_rad
    side_by, turned_by, steer_by = (np.zeros_like(side) for _ in range(3))  # what a steering rate of one changes
    for count in range(_LOOKAHEAD):
        # Beyond the last step of the plan its curvature stays.
        bend = bends[:, min(step + count, ahead)]
        way = STEP_S * (now.speed_mps + count * STEP_S * accel)
        side, turned = side + way * turned, turned + way * (steer / WHEELBASE_M - bend)
        side_by, turned_by, steer_by = (
            side_by + way * turned_by,
            turned_by + way * steer_by / WHEELBASE_M,
            steer_by + STEP_S,
        )
    weighed = _SIDE_WEIGHTS[0] * side_by * side + _SIDE_WEIGHTS[1] * turned_by * wrapped(turned)
    effort = _SIDE_WEIGHTS[0] * side_by**2 + _SIDE_WEIGHTS[1] * turned_by**2 + _EFFORT_WEIGHT
    return accel, np.where(stopped, 0.0, -weighed / effort)
