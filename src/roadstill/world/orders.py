"""Episodes where the road itself tells the ego to be slow, with nobody there: stop signs, humps and narrow places."""

import math
import random
from collections.abc import Sequence

from roadstill.world.crossings import STOP_LINE_M, Crossroads
from roadstill.world.driver import Hazard
from roadstill.world.episodes import Traffic
from roadstill.world.following import SlowPlace
from roadstill.world.passers import Passer
from roadstill.world.routes import track_of

_WARY_M = 45.0  # before a stop sign

# Stop signs.
_STOPPED_M, _STOPPED_MPS = 1.6, 2.0  # so near and so slow the ego has stopped well enough
_CREEPS_MPS = 1.6
_CROSSED_SHARE = 0.45

# Humps and narrow places.
_BUMP_M = 4.0  # from where the front bumper is to be slow: so that the hump is in the picture until then
_BUMP_MPS = (3.0, 4.8)
_NARROW_MPS = (3.6, 5.2)
_NARROW_M, _NARROW_HALF_M = 14.0, 1.5
_WORKS_M = 4.0  # from where the front bumper is to be slow
_BARRIERS, _BARRIER_EVERY_M = 6, 2.2
_ACROSS_M = 0.9  # from a row to the middle of the barrier across
_WORKS_COLOUR = (0.95, 0.45, 0.08)


class StopSign(Crossroads):
    """A stop sign at a crossroads: the ego stops, or almost, whoever crosses."""

    cause = "stop_sign"
    notice_s = 0.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.stop_sign_m = site_m + STOP_LINE_M
        self.stopped, self.crossed = False, rng.random() < _CROSSED_SHARE

    def tick(self, traffic: Traffic) -> None:
        """The ego brakes for the line; now and then somebody crosses, whom it lets go first."""
        room_m = self.site_m - traffic.front_m
        self.stopped = self.stopped or (room_m < _STOPPED_M and traffic.speed_mps < _STOPPED_MPS)
        if self.crossed:
            super().tick(traffic)
        else:
            self.wary = 0.0 < room_m < _WARY_M and not self.stopped

    def hazards(self, traffic: Traffic) -> list[Hazard]:
        """The stop line, and who crosses behind it."""
        found = super().hazards(traffic)
        if not self.stopped and self.site_m - traffic.front_m > -1.0:
            found.append(Hazard(self.site_m, _CREEPS_MPS, self.cause, 0.0, fixed=True))
        return found


class SpeedBump(SlowPlace):
    """A hump across the road."""

    cause = "bump"
    after_m = 12.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.bump_m = self.over_m = site_m + _BUMP_M
        self.over_mps = rng.uniform(*_BUMP_MPS)


class Narrows(SlowPlace):
    """Roadworks on both sides of the lane leave just enough room; where they leave more, nobody need brake."""

    cause = "narrow"
    after_m = 24.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.over_mps, self.over_m, self.lane = rng.uniform(*_NARROW_MPS), site_m + _NARROW_M, 0

    def hazards(self, traffic: Traffic) -> list[Hazard]:
        """Nothing if the ego could not get into this lane."""
        return super().hazards(traffic) if traffic.lane == self.lane else []

    def prepare(self, traffic: Traffic) -> None:
        """Barriers at both edges of the lane."""
        self.lane = traffic.lane
        lane_m = traffic.lane_offset_m(traffic.lane)
        rows_m = [(lane_m - _NARROW_HALF_M, -1), (lane_m + _NARROW_HALF_M, 1)]
        lay_works(self.rng, traffic, self.site_m, rows_m)

    @property
    def kerb_m(self) -> tuple[float, float]:
        """Nobody parks beside roadworks."""
        return self.site_m - 2.0, self.site_m + 2.0 + _NARROW_M


def lay_works(rng: random.Random, traffic: Traffic, begin_m: float, rows_m: Sequence[tuple[float, int]]) -> None:
    """Rows of barriers along the road, each behind one that stands across; a sign before the first.

    Args:
        rng: source of everything random.
        traffic: where they are put.
        begin_m: arc length of the front bumper where they begin to matter.
        rows_m: offset of each row, and the side of it that is closed, 1 left and -1 right.
    """

    def lay(kind: str, s_m: float, offset_m: float, yaw_rad: float) -> None:
        traffic.passers.append(
            Passer(track_of(rng), kind, "works", _WORKS_COLOUR, s_m, offset_m, 0.0, 0.0, yaw_rad=yaw_rad)
        )

    first_m = begin_m + _WORKS_M
    for number, (offset_m, closed) in enumerate(rows_m):
        lay("barrier", first_m, offset_m + closed * _ACROSS_M, 0.0)
        for place in range(1, _BARRIERS):
            lay("barrier", first_m + place * _BARRIER_EVERY_M, offset_m, math.pi / 2)
        if number == 0:
            lay("sign", first_m - 1.0, offset_m + closed * _ACROSS_M, 0.0)
