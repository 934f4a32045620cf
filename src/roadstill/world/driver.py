"""The ego's driver: an intelligent driver model that sees late, reacts late, anticipates, and is never quite smooth."""

import math
import random
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from roadstill.world.traffic import DT_S, HARDEST_BRAKING_MPS2

FRONT_M = 4.05
"""Distance from the rear axle to the front bumper."""

REAR_M = 1.13
"""Distance from the rear axle to the rear bumper."""

# What the driver wants.
_GENTLY_MPS2 = -0.5  # a road faster than it likes is no reason to brake harder
_WARY_MPS2 = 0.45  # most acceleration while something may happen
_BRAKES_MPS2 = -0.5  # what counts as braking for a hazard
_FOOT_LIFTED_MPS2 = -0.6  # deceleration without the brake

# Before a fixed place it waits, then brakes evenly.
_STANDING_MPS = 0.5  # what is slower counts as standing
BRAKING_MPS2 = -0.8
"""Acceleration by which one can tell that it has begun to brake."""

_WORTH_IT_MPS2 = 1.15  # needed deceleration at which it begins to brake
_GOES_ON_MPS2 = 0.5  # needed deceleration down to which it goes on braking
_CORNER_BRAKING_MPS2 = 2.9  # most for what is only to be passed slowly
_FIXED_MARGIN = 1.04  # it brakes a little harder than needed, and so stops a little early
_LEAD_MARGIN = 1.15  # the same behind a vehicle

_LEAVING_HEADWAY = 1.8  # times its headway, behind what pulls away
_LEAST_ROOM_M = 0.05  # keeps the needed deceleration finite
_LEAST_GAP_M = 0.5  # keeps the driver model finite

# The foot is never still: noise that forgets itself, and a limit to how fast the acceleration changes.
_NOISE_S = 1.2
_NOISE_MPS2 = 0.045  # standard deviation of what a tick adds
_BRAKE_JERK_MPS3 = 6.0
_JERK_MPS3 = 3.0


class Hazard(NamedTuple):
    """Something ahead that limits the speed.

    Attributes:
        s_m: arc length of its near end.
        speed_mps: speed of it, or at which to pass it.
        cause: reason why it is there.
        keep_m: least gap to keep.
        fixed: whether it is a place on the road, not a vehicle.
        leaving: whether it is a vehicle that pulls away.
    """

    s_m: float
    speed_mps: float
    cause: str
    keep_m: float
    fixed: bool = False
    leaving: bool = False


class Driver:
    """Longitudinal behaviour; all parameters are drawn once per log.

    Args:
        rng: source of everything random.
        speed_mps: speed at the beginning.

    Attributes:
        speed_mps: speed now.
        accel_mps2: acceleration of the last tick.
        delay_s: time from seeing to reacting.
        cause: what it last braked for.
        since_braking_s: time since it last braked for something.
    """

    def __init__(self, rng: random.Random, speed_mps: float) -> None:
        self.rng = rng
        self.speed_mps, self.accel_mps2 = speed_mps, rng.uniform(-0.5, 0.8)
        self.max_accel_mps2, self.comfort_mps2 = rng.uniform(1.7, 2.3), rng.uniform(1.8, 2.3)
        self.headway_s = rng.uniform(0.9, 1.4)
        delay_ticks = rng.choice((3, 4, 5))
        self.delay_s = delay_ticks * DT_S
        self.seen: deque[tuple[tuple[Hazard, ...], bool]] = deque(maxlen=delay_ticks + 1)
        self.noise_mps2, self.cause, self.since_braking_s = 0.0, "open_road", 99.0

    def tick(self, s_m: float, hazards: Sequence[Hazard], wary: bool, cruise_mps: float) -> float:
        """Drives for one tick; speed and place follow exactly from ``accel_mps2``.

        Args:
            s_m: arc length of the rear axle.
            hazards: everything ahead that can be seen now; it is acted on after the driver's delay.
            wary: whether something may happen, by what can be seen now.
            cruise_mps: speed for a free road.

        Returns:
            The metres driven.
        """
        wish_mps2 = self.wish(s_m, hazards, wary, cruise_mps)
        self.noise_mps2 += -self.noise_mps2 * DT_S / _NOISE_S + self.rng.gauss(0.0, _NOISE_MPS2)
        wish_mps2 = max(wish_mps2 + self.noise_mps2, -HARDEST_BRAKING_MPS2)
        at_the_brake = wish_mps2 < self.accel_mps2 or self.accel_mps2 < 0
        most_mps2 = (_BRAKE_JERK_MPS3 if at_the_brake else _JERK_MPS3) * DT_S
        accel_mps2 = self.accel_mps2 + max(-most_mps2, min(most_mps2, wish_mps2 - self.accel_mps2))
        before_mps = self.speed_mps
        self.speed_mps = max(0.0, before_mps + accel_mps2 * DT_S)
        self.accel_mps2 = (self.speed_mps - before_mps) / DT_S
        return (before_mps + self.speed_mps) / 2 * DT_S

    def wish(self, s_m: float, hazards: Sequence[Hazard], wary: bool, cruise_mps: float) -> float:
        """The acceleration in m/s2 that it wants, by what it has seen its delay ago; arguments as `tick`.

        Notes what it brakes for.
        """
        self.seen.append((tuple(hazards), wary))
        hazards, wary = self.seen[0]
        wish_mps2 = self.max_accel_mps2 * (1.0 - min(2.0, self.speed_mps / cruise_mps) ** 4)
        wish_mps2 = max(wish_mps2, _GENTLY_MPS2)
        if wary:
            wish_mps2 = min(wish_mps2, _WARY_MPS2)
        cause = ""
        for hazard in hazards:
            gap_m = hazard.s_m + hazard.speed_mps * self.delay_s - s_m - FRONT_M
            limit_mps2 = self._towards(gap_m, hazard, cruise_mps)
            if limit_mps2 < wish_mps2:
                wish_mps2, cause = limit_mps2, hazard.cause
        if cause and wish_mps2 < _BRAKES_MPS2:
            self.cause, self.since_braking_s = cause, 0.0
        else:
            self.since_braking_s += DT_S
        return wish_mps2

    def _towards(self, gap_m: float, hazard: Hazard, cruise_mps: float) -> float:
        """The greatest acceleration that a hazard allows."""
        closing_mps = self.speed_mps - hazard.speed_mps
        room_m = max(gap_m - hazard.keep_m, _LEAST_ROOM_M)
        if hazard.fixed:  # a place that is to be passed at a speed; a vehicle goes on while the ego closes up
            need_mps2 = max(0.0, self.speed_mps**2 - hazard.speed_mps**2) / (2 * room_m)
        else:
            need_mps2 = max(0.0, closing_mps) ** 2 / (2 * room_m)
        if hazard.speed_mps < _STANDING_MPS or hazard.fixed:
            return self._towards_place(room_m, need_mps2, hazard)
        headway = _LEAVING_HEADWAY if hazard.leaving else 1.0
        wanted_m = hazard.keep_m + self.speed_mps * self.headway_s * headway
        wanted_m += self.speed_mps * closing_mps / (2 * math.sqrt(self.max_accel_mps2 * self.comfort_mps2))
        free = (self.speed_mps / max(cruise_mps, 1.0)) ** 4
        near = (max(wanted_m, 0.0) / max(gap_m, _LEAST_GAP_M)) ** 2
        follow_mps2 = self.max_accel_mps2 * (1.0 - free - near)
        if hazard.leaving and need_mps2 < 2.0:
            return max(follow_mps2, _FOOT_LIFTED_MPS2)
        return max(follow_mps2, -max(-_FOOT_LIFTED_MPS2, need_mps2 * _LEAD_MARGIN))  # no hard braking before its time

    def _towards_place(self, room_m: float, need_mps2: float, hazard: Hazard) -> float:
        """Before something that stands: constant deceleration, once it is worth it."""
        stands = hazard.speed_mps < _STANDING_MPS
        if stands and self.speed_mps < 0.4 and room_m < 2.0:
            return -2.0  # it is there: holds the brake
        if hazard.speed_mps > _STANDING_MPS:
            need_mps2 = min(need_mps2, _CORNER_BRAKING_MPS2)
        brakes = self.accel_mps2 < BRAKING_MPS2
        if need_mps2 > _WORTH_IT_MPS2 or (brakes and need_mps2 > _GOES_ON_MPS2):
            return -need_mps2 * _FIXED_MARGIN
        return min(_WARY_MPS2, room_m * 0.2 - 0.6)  # rolls up to it: foot lifted when close, 0.2 m/s^2 more per metre
