"""What happens along a road: one class per kind of episode, each with its place, its actors and its course in time.

The ego knows only a wall (where and how fast the thing ahead is), and whether to be wary; the camera sees the actors.
``site_m`` is where the front bumper has to stop. An episode starts when the ego is just near enough to brake in
comfort, so that what it brakes for is near in the picture.
"""

import random
from typing import Protocol

from roadstill.world.driver import Hazard
from roadstill.world.routes import Bend
from roadstill.world.scene import TrafficLight
from roadstill.world.traffic import FOREVER_S, Car, Passer


class Traffic(Protocol):
    """What an episode may know and change of the log that it happens in.

    Attributes:
        lanes: cars of our direction, lane by lane from the centre line outwards; episodes add and remove some.
        passers: people, things and crossing vehicles; episodes add and remove some.
        lane: number of the ego's lane.
        half_m: width of our lanes together.
        delay_s: reaction time of the ego's driver.
        t: time since the simulation of the log began.
    """

    lanes: list[list[Car]]
    passers: list[Passer]
    lane: int
    half_m: float
    delay_s: float
    t: float

    @property
    def v(self) -> float:
        """Speed of the ego."""

    @property
    def accel(self) -> float:
        """Acceleration of the ego."""

    @property
    def cause(self) -> str:
        """What the ego last braked for."""

    @property
    def s(self) -> float:
        """Arc length of the ego's rear axle."""

    @property
    def front_m(self) -> float:
        """Arc length of the ego's front bumper."""

    def lane_d(self, lane: int) -> float:
        """Offset of a lane of our direction."""

    def lead(self) -> Car | None:
        """The nearest car ahead in the ego's lane."""


class Episode:
    """The common part: a place, a wall for the ego and its neighbours, and the moment it begins."""

    cause = "open_road"
    notice_s = 0.0  # from the first sign of it until he must brake
    after_m = 12.0  # road beyond the site that belongs to the episode

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        self.rng, self.site_m, self.cruise_mps = rng, site_m, cruise_mps
        self.brake_mps2 = rng.uniform(1.7, 2.7)
        self.begun_s = FOREVER_S
        self.free_s = FOREVER_S  # when the ego may go again
        self.clear_s = FOREVER_S  # when oncoming and crossing traffic may go again
        self.passive = False
        self.wary = False
        self.crossroads_m: float | None = None
        self.crosswalks_m: tuple[float, ...] = ()
        self.stop_line_m: float | None = None

    def prepare(self, run: Traffic) -> None:
        """Sets up what is there from the beginning."""

    def begin(self, run: Traffic) -> None:
        """Lets the episode happen; must set ``free_s`` and ``clear_s``."""

    def tick(self, run: Traffic) -> None:
        """Begins when the ego is at comfortable braking distance, with nobody between."""
        if self.passive or self.begun_s < FOREVER_S:
            self.wary = self.begun_s <= run.t < self.begun_s + self.notice_s
            return
        room, v = self.site_m - run.front_m, run.v
        reach = v * v / (2 * self.brake_mps2) + (run.delay_s + 0.3 + self.notice_s) * v + 2.0
        self.wary = room < reach + 0.8 * v + 3.0
        if room < reach or room < 6.0:
            lead = run.lead()
            if (
                v < 4.5
                or v * v > 6.0 * (room - (0.4 + self.notice_s) * v)
                or (lead is not None and lead.p - lead.half_m < self.site_m + 12.0)
            ):
                self.passive = room < reach and (v >= 4.5 or room < 6.0)
                return
            self.begun_s = run.t
            self.begin(run)

    def wall(self, t_s: float) -> float | None:
        """Arc length at which the ego and its neighbours have to stop at a time."""
        return self.site_m if self.begun_s + self.notice_s <= t_s < self.free_s else None

    def hazards(self, run: Traffic) -> list[Hazard]:
        """What the ego has to brake for; cars are not among them, the ego sees them by itself."""
        wall = self.wall(run.t)
        return [] if wall is None or wall <= run.front_m - 1.5 else [Hazard(wall, 0.0, self.cause, 0.6)]

    def cruise(self, run: Traffic) -> float | None:
        """The speed that the ego drives here if nothing is in its way; None where the episode has no say."""
        return self.cruise_mps if self.site_m > run.front_m else None

    def turn(self, last: int) -> int:
        """The way that the road turns last (1 left, -1 right), given the way that it turned before this episode."""
        return last

    def oncoming_wall(self, t_s: float) -> float | None:
        """Arc length at which oncoming cars have to stop."""
        if not self.begun_s <= t_s < self.clear_s:
            return None
        return self.crossroads_m + 14.0 if self.crossroads_m is not None else self.site_m + 8.0

    def signals(self, t_s: float) -> tuple[TrafficLight, ...]:
        """Signals of the ego's direction."""
        return ()

    def bend(self) -> Bend | None:
        """The sharp curve that the road takes here, if any."""
        return None

    def _walk(self, run: Traffic, people: list[Passer], earliest_s: float, latest_s: float, all_go: bool) -> float:
        """Sends people over the road; those who cannot leave our half in time stay. Returns when our half is free."""
        free = earliest_s
        stayed: list[Passer] = []
        for walker in people:
            pace = self.rng.uniform(1.4, 2.1)
            from_right = walker.d_m < 0
            across = abs(walker.d_m) + run.half_m + 0.7
            ours = (abs(walker.d_m) + 0.6 if from_right else across - 0.7) / pace
            go = earliest_s + self.rng.uniform(0.0, 1.6)
            if go + ours > latest_s and all_go and from_right:
                go = max(earliest_s, latest_s - ours)
            if go + ours <= latest_s:
                walker.across_mps = pace if from_right else -pace
                walker.go_s, walker.stop_s = go, go + across / pace
                free = max(free, go + ours)
            elif not from_right:
                stayed.append(walker)
        for walker in stayed:  # they begin when he goes, and wait in the middle
            pace = self.rng.uniform(1.2, 1.7)
            walker.go_s = free + self.rng.uniform(-0.8, 1.0)
            walker.across_mps, walker.stop_s = -pace, walker.go_s + (abs(walker.d_m) - 0.9) / pace
        return free
