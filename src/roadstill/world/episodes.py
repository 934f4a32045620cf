"""What happens along a road: one class per kind of episode, each with its place, its actors and its course in time.

The ego is told what to brake for and whether to be wary, nothing else; the camera sees the actors. ``site_m`` is where
the front bumper has to stop. An episode starts when the ego is just near enough to brake in comfort, so that what it
brakes for is near in the picture.
"""

import random
from typing import Protocol

from roadstill.world.driver import Hazard
from roadstill.world.passers import FOREVER_S, Passer
from roadstill.world.routes import Bend
from roadstill.world.scene import TrafficLight
from roadstill.world.traffic import Car

KERB_M = 0.7
"""Distance from the outermost lane at which people wait to cross."""

CLEAR_M = 12.0
"""A lead car whose tail is that far beyond the site is out of the way."""

AWAY_MPS = 17.0
"""Desired speed of a car that pulls away: so fast that it keeps speeding up while the ego can see it."""

# When an episode begins: with room for comfortable braking, and this.
_SPARE_S = 0.3
_SPARE_M = 2.0
_CLOSE_M = 6.0  # nearer, it is now or never
# The ego is wary a little earlier.
_WARY_S = 0.8
_WARY_M = 3.0
# It does not happen at all if it would mean too little or too much braking.
_LEAST_MPS = 4.5
_MOST_BRAKING_MPS2 = 3.0
_MEAN_DELAY_S = 0.4

_PASSED_M = 1.5  # a wall that the front bumper has passed by this no longer counts
_WALL_GAP_M = 0.6  # to the wall, standing
_ONCOMING_CROSSROADS_M = 14.0  # from the middle of a crossroads to the other side's stop line
_ONCOMING_SITE_M = 8.0  # the same, without a crossroads

_TOES_M = 0.6  # people who come from the right free our half once they are past the centre line by this
_REFUGE_M = 0.9  # and people who come from the left may wait in the middle, this far from it


class Traffic(Protocol):
    """What an episode may know and change of the log in which it happens.

    Attributes:
        lanes: cars of our direction, lane by lane from the centre line outwards; episodes add and remove some.
        passers: people, things and crossing vehicles; episodes add and remove some.
        lane: number of the ego's lane.
        half_road_m: width of our lanes together.
        delay_s: reaction time of the ego's driver.
        time_s: time since the simulation of the log began.
        rear_axle_m: arc length of the ego's rear axle.
    """

    lanes: list[list[Car]]
    passers: list[Passer]
    lane: int
    half_road_m: float
    delay_s: float
    time_s: float
    rear_axle_m: float

    @property
    def front_m(self) -> float:
        """Arc length of the ego's front bumper."""

    @property
    def speed_mps(self) -> float:
        """Speed of the ego."""

    @property
    def accel_mps2(self) -> float:
        """Acceleration of the ego."""

    @property
    def cause(self) -> str:
        """What the ego last braked for."""

    def lane_offset_m(self, lane: int) -> float:
        """Offset of a lane of our direction, 0 being next to the centre line."""

    def lead(self) -> Car | None:
        """The nearest car ahead in the ego's lane."""

    def change_lane(self, lane: int) -> None:
        """Begins to move the ego to another lane."""


class Episode:
    """The common part: a place, a wall for the ego and its neighbours, and the moment it begins.

    Args:
        rng: source of everything random; the order of the draws decides about the whole log.
        site_m: arc length at which the front bumper has to stop.
        cruise_mps: speed of the ego on the way there.

    Attributes:
        cause: name of what the ego brakes for.
        notice_s: time from the first sign of it until the ego must brake.
        after_m: length of road beyond the site that belongs to the episode.
        brake_mps2: deceleration for which there is room when it begins.
        begun_s: time at which it began.
        free_s: time from which the ego may go again.
        clear_s: time from which oncoming and crossing traffic may go again.
        passive: whether it will never happen.
        wary: whether the ego had better not speed up.
        crossroads_m: arc length of the middle of its crossroads.
        crosswalks_m: arc lengths of its crosswalks.
        stop_line_m: arc length of its stop line.
        stop_sign_m: arc length of its stop sign.
        bump_m: arc length of its speed bump.
        least_lanes: number of lanes each way that it needs.
    """

    cause = "open_road"
    notice_s = 0.0
    after_m = 12.0
    crossroads_m: float | None = None
    crosswalks_m: tuple[float, ...] = ()
    stop_line_m: float | None = None
    stop_sign_m: float | None = None
    bump_m: float | None = None
    least_lanes = 1

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        self.rng, self.site_m, self.cruise_mps = rng, site_m, cruise_mps
        self.brake_mps2 = rng.uniform(1.7, 2.7)
        self.begun_s = self.free_s = self.clear_s = FOREVER_S
        self.passive = self.wary = False

    def prepare(self, traffic: Traffic) -> None:
        """Sets up what is there from the beginning."""

    def begin(self, traffic: Traffic) -> None:
        """Lets the episode happen; must set ``free_s`` and ``clear_s``."""

    def tick(self, traffic: Traffic) -> None:
        """Begins when the ego is at comfortable braking distance, with nobody between."""
        if self.passive or self.begun_s < FOREVER_S:
            self.wary = self.begun_s <= traffic.time_s < self.begun_s + self.notice_s
            return
        room_m, speed_mps = self.site_m - traffic.front_m, traffic.speed_mps
        reach_m = speed_mps * speed_mps / (2 * self.brake_mps2)
        reach_m = reach_m + (traffic.delay_s + _SPARE_S + self.notice_s) * speed_mps + _SPARE_M
        self.wary = room_m < reach_m + _WARY_S * speed_mps + _WARY_M
        if room_m >= reach_m and room_m >= _CLOSE_M:
            return
        if self._fits(traffic, room_m):
            self.begun_s = traffic.time_s
            self.begin(traffic)
        else:
            self.passive = room_m < reach_m and (speed_mps >= _LEAST_MPS or room_m < _CLOSE_M)

    def _fits(self, traffic: Traffic, room_m: float) -> bool:
        """Whether the ego would have to brake, and could, and is the first one to arrive."""
        speed_mps, lead = traffic.speed_mps, traffic.lead()
        braking_m = room_m - (_MEAN_DELAY_S + self.notice_s) * speed_mps
        if speed_mps < _LEAST_MPS or speed_mps * speed_mps > 2 * _MOST_BRAKING_MPS2 * braking_m:
            return False
        return lead is None or lead.tail_m >= self.site_m + CLEAR_M

    def wall(self, time_s: float) -> float | None:
        """Arc length at which the ego and its neighbours have to stop at a time."""
        return self.site_m if self.begun_s + self.notice_s <= time_s < self.free_s else None

    def oncoming_wall(self, time_s: float) -> float | None:
        """Arc length at which oncoming cars have to stop at a time."""
        if not self.begun_s <= time_s < self.clear_s:
            return None
        if self.crossroads_m is None:
            return self.site_m + _ONCOMING_SITE_M
        return self.crossroads_m + _ONCOMING_CROSSROADS_M

    def hazards(self, traffic: Traffic) -> list[Hazard]:
        """What the ego has to brake for; cars are not among them, the ego sees them by itself."""
        wall_m = self.wall(traffic.time_s)
        if wall_m is None or wall_m <= traffic.front_m - _PASSED_M:
            return []
        return [Hazard(wall_m, 0.0, self.cause, _WALL_GAP_M)]

    def cruise(self, traffic: Traffic) -> float | None:
        """The speed that the ego drives here if nothing is in its way; None where the episode has no say."""
        return self.cruise_mps if self.site_m > traffic.front_m else None

    def signals(self, time_s: float) -> tuple[TrafficLight, ...]:
        """Signals of the ego's direction at a time."""
        return ()

    def turn(self, last: int) -> int:
        """The way of the last curve so far (1 left, -1 right), given that of the last one before this episode."""
        return last

    def leave(self, lane: int, lanes: int) -> int:
        """The ego's lane behind this episode, given the one before it and the number of lanes."""
        return lane

    @property
    def corner_m(self) -> tuple[float, float] | None:
        """Begin and end of the bend by which the ego's way turns at a crossroads, if it does."""
        return None

    @property
    def kerb_m(self) -> tuple[float, float] | None:
        """The stretch of the right kerb where no car may be parked, if any."""
        return None

    def bend(self) -> Bend | None:
        """The sharp curve that the road takes here, if any."""
        return None

    def _walk(self, traffic: Traffic, people: list[Passer], earliest_s: float, latest_s: float) -> float:
        """Sends people over the road; who cannot leave our half in time starts earlier or stays.

        Returns:
            The time from which our half is free.
        """
        free_s = earliest_s
        stayed: list[Passer] = []
        for walker in people:
            pace_mps = self.rng.uniform(1.4, 2.1)
            from_right = walker.offset_m < 0
            across_m = abs(walker.offset_m) + traffic.half_road_m + KERB_M
            ours_s = (abs(walker.offset_m) + _TOES_M if from_right else across_m - KERB_M) / pace_mps
            go_s = earliest_s + self.rng.uniform(0.0, 1.6)
            if go_s + ours_s > latest_s and from_right:
                go_s = max(earliest_s, latest_s - ours_s)
            if go_s + ours_s <= latest_s:
                walker.across_mps = pace_mps if from_right else -pace_mps
                walker.go_s, walker.stop_s = go_s, go_s + across_m / pace_mps
                free_s = max(free_s, go_s + ours_s)
            elif not from_right:
                stayed.append(walker)
        for walker in stayed:  # they begin when the ego goes, and wait in the middle
            pace_mps = self.rng.uniform(1.2, 1.7)
            walker.go_s = free_s + self.rng.uniform(-0.8, 1.0)
            walker.across_mps = -pace_mps
            walker.stop_s = walker.go_s + (abs(walker.offset_m) - _REFUGE_M) / pace_mps
        return free_s
