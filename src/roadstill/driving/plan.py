"""From decisions to plans: a speed profile limited in jerk, laid along a centerline (thesis Figure 3.1)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from roadstill.driving.poses import Floats, Pose, in_frame_of, wrapped
from roadstill.driving.vehicle import STEP_S
from roadstill.runs import Range, check_ranges

if TYPE_CHECKING:
    from roadstill.driving.centerline import Centerline

POSES, POSE_S = 8, 0.5
"""Number of a plan's poses and the time between two: NAVSIM's."""
EVERY = round(POSE_S / STEP_S)
"""Steps of the simulation from one pose to the next."""
TIMES_S = np.arange(POSES + 1, dtype=np.float64) * POSE_S
"""Times of a plan's poses, that of now before them, ``[9]``."""


@dataclass(frozen=True)
class Driver:
    """How decisions are carried out.

    Attributes:
        brake_mps2: deceleration of a brake, positive. NAVSIM takes 3 for comfortable, 4 only as it begins gently.
        throttle_mps2: acceleration on a free road at a stand; towards the speed limit it fades as in the intelligent
            driver model (Treiber et al. 2000).
        exponent: how late it fades.
        jerk_mps3: greatest change of acceleration in a second.
        limit_mps: greatest speed where the lane tells none.
        aside_m: way on which a car that is beside its line comes back to it but for a third.
    """

    brake_mps2: float = 2.0
    throttle_mps2: float = 1.5
    exponent: float = 10.0
    jerk_mps3: float = 4.0
    limit_mps: float = 15.0
    aside_m: float = 15.0

    def __post_init__(self) -> None:
        check_ranges(self, "", **dict.fromkeys(vars(self), Range(0, 1000, above=True)))

    def profile(
        self, wish: ArrayLike, speed_mps: ArrayLike, accel_mps2: ArrayLike, *, limit_mps: ArrayLike | None = None,
        horizon_s: float = POSES * POSE_S,
    ) -> tuple[Floats, Floats, Floats]:  # fmt: skip
        """What becomes of the cars' speeds when one decision is held.

        Args:
            wish: decisions ``[n]``: -1 brakes, 0 holds the speed, 1 accelerates; what lies between is in proportion.
            speed_mps: speeds now ``[n]``.
            accel_mps2: accelerations now ``[n]``.
            limit_mps: speed limits ``[n]``; without them ``Driver.limit_mps``.
            horizon_s: time ahead.

        Returns:
            Ways in m, speeds in m/s and accelerations in m/s2, each ``[n, t]`` every 0.1 s from now on.
        """
        wish, speed, accel = (np.asarray(each, np.float64) for each in (wish, speed_mps, accel_mps2))
        limit = np.broadcast_to(self.limit_mps if limit_mps is None else np.asarray(limit_mps, np.float64), wish.shape)
        way = np.zeros_like(speed)
        rows = [(way, speed, accel)]
        for _ in range(round(horizon_s / STEP_S)):
            free = self.throttle_mps2 * (1 - (speed / limit) ** self.exponent)
            wanted = np.where(wish < 0, wish * self.brake_mps2, np.minimum(wish * self.throttle_mps2, free))
            # Above the limit a hold slows down to it, but not harder than a brake.
            wanted = np.maximum(wanted, -self.brake_mps2)
            change = self.jerk_mps3 * STEP_S
            accel = np.clip(wanted, accel - change, accel + change)
            after = np.maximum(speed + STEP_S * accel, 0.0)
            way = way + STEP_S * (speed + after) / 2
            accel, speed = np.where(after == 0.0, 0.0, accel), after
            rows.append((way, speed, accel))
        ways, speeds, accels = (np.stack(values, axis=-1) for values in zip(*rows, strict=True))
        return ways, speeds, accels

    def along(self, line: "Centerline", pose: Pose, ways_m: Floats) -> Floats:
        """Poses ``[t, 3]`` of a car that goes these ways ``[t]`` on from a pose along a line, to which it comes back.

        The offset to the line fades by 1 / e on every ``aside_m``, and the heading is the line's, as is that of a car
        that has come back.
        """
        here = np.array(pose[:2])
        begin = float(line.project(here))
        foot = line.at(begin)
        aside = float((here[1] - foot[1]) * np.cos(foot[2]) - (here[0] - foot[0]) * np.sin(foot[2]))
        on = line.at(begin + ways_m)
        beyond = np.maximum(begin + ways_m - line.length_m, 0)  # straight on behind the end
        offset = aside * np.exp(-ways_m / self.aside_m)
        cos, sin = np.cos(on[:, 2]), np.sin(on[:, 2])
        return np.stack(
            [on[:, 0] + beyond * cos - offset * sin, on[:, 1] + beyond * sin + offset * cos, on[:, 2]], axis=-1
        )

    def plan(
        self, wish: float, line: "Centerline", pose: Pose, *, speed_mps: float, accel_mps2: float,
        limit_mps: float | None = None,
    ) -> Floats:  # fmt: skip
        """NAVSIM's poses ``[8, 3]`` every 0.5 s as the car sees them: x ahead and y to the left in m, yaw in rad."""
        poses = self.laid(wish, line, pose, speed_mps=speed_mps, accel_mps2=accel_mps2, limit_mps=limit_mps)
        return in_frame_of(poses[1:], pose)

    def laid(
        self, wish: float, line: "Centerline", pose: Pose, *, speed_mps: float, accel_mps2: float,
        limit_mps: float | None = None,
    ) -> Floats:  # fmt: skip
        """A plan's poses on the map at `TIMES_S`, ``[9, 3]``: it begins where the car is, also if that is off the line.

        Args:
            wish: decision, as for `profile`.
            line: line to drive along.
            pose: where the car is.
            speed_mps: its speed.
            accel_mps2: its acceleration.
            limit_mps: speed limit; without it ``Driver.limit_mps``.
        """
        limits = None if limit_mps is None else [limit_mps]
        ways, _, _ = self.profile([wish], [speed_mps], [accel_mps2], limit_mps=limits)
        poses = self.along(line, pose, ways[0, ::EVERY])
        poses[0] = pose
        return poses


IN_TRAFFIC = Driver(brake_mps2=3.5, jerk_mps3=6.0)
"""Brakes as hard and as fast as the built-in world's own drivers have to, who see and decide more often."""


def filled(poses: Floats, times_s: Floats, step_s: float = STEP_S) -> Floats:
    """Poses ``[..., t, 3]`` at times ``[t]`` as poses every ``step_s`` from first to last, on straight ways between."""
    wanted = np.arange(round((times_s[-1] - times_s[0]) / step_s) + 1) * step_s + times_s[0]
    after = np.clip(np.searchsorted(times_s, wanted, side="right"), 1, len(times_s) - 1)
    share = ((wanted - times_s[after - 1]) / (times_s[after] - times_s[after - 1]))[:, None]
    before, behind = poses[..., after - 1, :], poses[..., after, :]
    change = behind - before
    change[..., 2] = wrapped(change[..., 2])
    found = before + share * change
    found[..., 2] = wrapped(found[..., 2])
    return found
