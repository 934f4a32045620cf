"""The ego's driver: an intelligent driver model that sees late, reacts late, anticipates, and is never quite smooth."""

import math
import random
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from roadstill.world.traffic import DT_S

FRONT_M = 4.05  # from the rear axle to the front bumper


class Hazard(NamedTuple):
    """Something ahead that limits the speed.

    Attributes:
        s_m: arc length of it.
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
    """Longitudinal behaviour. All parameters are drawn once per log."""

    def __init__(self, rng: random.Random, speed_mps: float) -> None:
        self.rng = rng
        self.v, self.accel = speed_mps, rng.uniform(-0.5, 0.8)
        self.acc, self.comfort = rng.uniform(1.7, 2.3), rng.uniform(1.8, 2.3)
        self.headway_s = rng.uniform(0.9, 1.4)
        ticks = rng.choice((3, 4, 5))
        self.delay_s = ticks * DT_S
        self.seen: deque[tuple[tuple[Hazard, ...], bool]] = deque(maxlen=ticks + 1)
        self.noise, self.cause, self.lifted_s = 0.0, "open_road", 99.0

    def tick(self, s_m: float, hazards: Sequence[Hazard], wary: bool, cruise_mps: float) -> float:
        """One tick with what is to be seen now; returns the metres driven.

        ``accel`` is then the acceleration of this tick: speed and place follow from it exactly.
        """
        self.seen.append((tuple(hazards), wary))
        believed, cautious = self.seen[0]
        v = self.v
        wish = self.acc * (1.0 - min(2.0, v / cruise_mps) ** 4)
        wish = max(wish, -0.5)  # a faster road than he likes is no reason to brake hard
        if cautious:
            wish = min(wish, 0.45)
        why = ""
        for hazard in believed:
            gap = hazard.s_m + hazard.speed_mps * self.delay_s - s_m - FRONT_M
            value = self._towards(v, gap, hazard, cruise_mps)
            if value < wish:
                wish, why = value, hazard.cause
        if why and wish < -0.5:
            self.cause, self.lifted_s = why, 0.0
        else:
            self.lifted_s += DT_S
        self.noise += -self.noise * DT_S / 1.2 + self.rng.gauss(0.0, 0.045)
        wish = max(wish + self.noise, -6.0)
        jerk = 6.0 if wish < self.accel or self.accel < 0 else 3.0
        accel = self.accel + max(-jerk * DT_S, min(jerk * DT_S, wish - self.accel))
        new = max(0.0, v + accel * DT_S)
        self.accel = (new - v) / DT_S
        self.v = new
        return (v + new) / 2 * DT_S

    def _towards(self, v: float, gap: float, hazard: Hazard, cruise_mps: float) -> float:
        closing = v - hazard.speed_mps
        room = max(gap - hazard.keep_m, 0.05)
        need = max(0.0, closing) ** 2 / (2 * room)
        if (
            hazard.speed_mps < 0.5 or hazard.fixed
        ):  # stopping for something that stands: constant deceleration, once it is worth it
            if v < 0.4 and room < 2.0 and hazard.speed_mps < 0.5:
                return -2.0
            need = min(need, 2.9) if hazard.speed_mps > 0.5 else need
            return -need * 1.04 if need > 1.15 or (self.accel < -0.8 and need > 0.5) else min(0.45, room * 0.2 - 0.6)
        near = hazard.keep_m + v * self.headway_s * (1.8 if hazard.leaving else 1.0)
        near += v * closing / (2 * math.sqrt(self.acc * self.comfort))
        follow = self.acc * (1.0 - (v / max(cruise_mps, 1.0)) ** 4 - (max(near, 0.0) / max(gap, 0.5)) ** 2)
        if hazard.leaving and need < 2.0:
            return max(follow, -0.6)  # it pulls away: no more than lifting the foot
        return max(follow, -max(0.6, need * 1.15))  # no hard braking before it is needed
