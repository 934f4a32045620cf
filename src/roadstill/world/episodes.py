"""What happens along a road: one class per kind of episode, each with its place, its actors and its course in time.

The ego knows only a wall (where and how fast the thing ahead is), and whether to be wary; the camera sees the actors.
``site_m`` is where the front bumper has to stop. An episode starts when the ego is just near enough to brake in
comfort, so that what it brakes for is near in the picture.
"""

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from roadstill.world.routes import Bend
from roadstill.world.scene import TrafficLight
from roadstill.world.traffic import FOREVER_S, Car, Passer, crossing, person, track_of

if TYPE_CHECKING:
    from roadstill.world.drive import LogRun

CROSS_KINDS = ("car", "car", "car", "van", "van", "truck", "bus")


class Episode:
    """The common part: a place, a wall for the ego and its neighbours, and the moment it begins."""

    cause = "open_road"
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

    def prepare(self, run: "LogRun") -> None:
        """Sets up what is there from the beginning."""

    def begin(self, run: "LogRun") -> None:
        """Lets the episode happen; must set ``free_s`` and ``clear_s``."""

    def tick(self, run: "LogRun") -> None:
        """Begins when the ego is at comfortable braking distance, with nobody between."""
        if self.passive or self.begun_s < FOREVER_S:
            self.wary = False
            return
        room, v = self.site_m - run.front_m, run.v
        reach = v * v / (2 * self.brake_mps2) + (run.delay_s + 0.3) * v + 2.0
        self.wary = room < reach + 0.8 * v + 3.0
        if room < reach or room < 6.0:
            lead = run.lead()
            if v < 4.5 or v * v > 6.0 * (room - 0.4 * v) or (lead is not None and lead.p - lead.half_m < self.site_m + 12.0):
                self.passive = room < reach and (v >= 4.5 or room < 6.0)
                return
            self.begun_s = run.t
            self.begin(run)

    def wall(self, t_s: float) -> tuple[float, float] | None:
        """Where the ego has to stop at time ``t_s`` and how fast that place moves."""
        return (self.site_m, 0.0) if self.begun_s <= t_s < self.free_s else None

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

    def _walk(self, run: "LogRun", people: list[Passer], earliest_s: float, latest_s: float, all_go: bool) -> float:
        """Sends people over the road; those who cannot leave our half in time stay. Returns when our half is free."""
        free = earliest_s
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
        return free


class Crossroads(Episode):
    """Crossing traffic at a crossroads without a signal: he has to let it pass."""

    cause = "cross_traffic"
    after_m = 30.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.crossroads_m = site_m + 11.5
        self.stop_line_m = site_m + 0.8

    def begin(self, run: "LogRun") -> None:
        last = run.t + self.rng.uniform(2.6, 5.0)
        self._cross(run, run.t + 0.5, last)
        self.free_s, self.clear_s = last + 0.5, last + 1.5

    def _cross(self, run: "LogRun", first_s: float, last_s: float) -> None:
        for direction in (-1, 1):
            speed, t = self.rng.uniform(5.0, 8.5), first_s + self.rng.uniform(0.0, 0.9)
            while t < last_s:
                kind = self.rng.choice(CROSS_KINDS)
                vehicle = crossing(self.rng, self.crossroads_m or 0.0, t, direction, speed, kind)
                run.passers.append(vehicle)
                t += (14.0 if kind in ("truck", "bus") else 8.0) / speed + self.rng.uniform(0.2, 0.7)


class RedLight(Crossroads):
    """A signal turns red: traffic crosses, people walk; then it turns green."""

    cause = "red_light"
    after_m = 34.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.crossroads_m = site_m + 15.5
        self.stop_line_m = site_m + 0.8
        self.crosswalks_m = (site_m + 4.0, site_m + 27.0)
        self.amber_s = 0.8
        self.green_s = FOREVER_S
        self.connector_id = rng.randrange(10_000, 99_999)
        self.early_m = rng.uniform(48, 58) if rng.random() < 0.35 else 0.0
        self.people: list[Passer] = []

    def prepare(self, run: "LogRun") -> None:
        for _ in range(self.rng.randrange(2, 6)):
            side = self.rng.choice((-1, 1))
            s = self.crosswalks_m[0] + self.rng.uniform(-1.2, 1.2)
            standing = person(self.rng, "crosser", s, side * (run.half_m + 0.7), 0.0, -side * 0.01)
            standing.go_s = standing.stop_s = FOREVER_S
            self.people.append(standing)
        run.passers.extend(self.people)

    def tick(self, run: "LogRun") -> None:
        """Begins late (the amber catches him) or early (red from afar)."""
        if self.early_m and not self.passive and self.begun_s == FOREVER_S:
            room = self.site_m - run.front_m
            self.wary = room < self.early_m + 12.0
            lead = run.lead()
            if room < self.early_m and run.v > 6.0 and (lead is None or lead.p - 3 > self.site_m + 12):
                self.begun_s = run.t
                self.begin(run)
            if room > 40.0:
                return
        super().tick(run)

    def begin(self, run: "LogRun") -> None:
        v, room = run.v, self.site_m - run.front_m
        coast = max(0.0, (room - v * v / (2 * self.brake_mps2)) / max(v, 1.0) - 0.8)
        red = max(3.2, coast + v / self.brake_mps2 * self.rng.uniform(0.7, 1.35))
        self.green_s = run.t + red
        self._cross(run, run.t + 0.9, self.green_s - 0.7)
        self._walk(run, self.people, run.t + 0.3, self.green_s, all_go=True)
        self.free_s, self.clear_s = self.green_s - run.delay_s + 0.1, self.green_s

    def signals(self, t_s: float) -> tuple[TrafficLight, ...]:
        state = "green"
        if self.begun_s <= t_s < self.green_s:
            state = "amber" if t_s < self.begun_s + self.amber_s else "red"
        s = (self.crossroads_m or 0.0) + 9.5
        return (TrafficLight(s, self.stop_line_m or 0.0, state, self.connector_id),)


class Pedestrians(Episode):
    """People step onto a crosswalk, or a flagger with a barrier onto the lane."""

    cause = "pedestrian"

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.works = rng.random() < 0.3
        if not self.works:
            self.crosswalks_m = (site_m + 3.5,)
        self.people: list[Passer] = []
        self.things: list[Passer] = []

    def prepare(self, run: "LogRun") -> None:
        kerb = run.half_m + 0.7
        for index in range(2 if self.works else self.rng.randrange(3, 8)):
            side = -1 if self.works or index == 0 or self.rng.random() < 0.6 else 1
            s = self.site_m + 3.5 + self.rng.uniform(-1.3, 1.3)
            walker = person(self.rng, "flagger" if self.works else "crosser", s, side * kerb, 0.0, -side * 0.01)
            walker.go_s = walker.stop_s = FOREVER_S
            self.people.append(walker)
        if self.works:
            edge = -run.half_m - 0.5
            for index in range(9):
                kind = "barrier" if index < 4 else ("cone", "sign")[index == 4]
                s = self.site_m + (2.6 if index < 4 else 4.5 + 2.5 * (index - 4))
                colour = (0.95, 0.45, 0.08)
                yaw = 1.57 if index < 4 else 0.0
                self.things.append(Passer(track_of(self.rng), kind, "works", colour, s, edge, 0.0, 0.0, yaw_rad=yaw))
        run.passers.extend(self.people + self.things)

    def begin(self, run: "LogRun") -> None:
        if self.works:
            self._close_lane(run)
            return
        free = self._walk(run, self.people, run.t - 0.3, run.t + 7.0, all_go=True)
        self.free_s, self.clear_s = free - run.delay_s + 0.1, free + 1.5

    def _close_lane(self, run: "LogRun") -> None:
        """Two workers carry barriers across our half and back again."""
        stay, reach = self.rng.uniform(2.5, 5.0), run.half_m - 0.2
        self.free_s = run.t
        for index, mover in enumerate([*self.people, *self.things[:4]]):
            goal = reach * (0.35 + 0.5 * index if index < 2 else 0.25 * (index - 1))
            pace, go = 2.2, run.t - 0.2
            out = replace(mover, across_mps=pace, go_s=go, stop_s=go + goal / pace, to_s=run.t + stay)
            _, d, _ = out.place(out.to_s)
            home = out.to_s + (d - mover.d_m) / pace
            back = replace(mover, d_m=d, across_mps=-pace, go_s=out.to_s, stop_s=home, from_s=out.to_s)
            run.passers.remove(mover)
            run.passers += [out, back]
            self.free_s = max(self.free_s, home - 0.4)
        self.clear_s = self.free_s


class Queue(Episode):
    """The tail of a jam over all our lanes, brake lamps lit; after a while it dissolves."""

    cause = "queue"
    after_m = 20.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.cars: list[Car] = []
        self.release_m, self.release_mps = rng.uniform(5.0, 16.0), rng.uniform(0.5, 4.5)

    def tick(self, run: "LogRun") -> None:
        room = self.site_m - run.front_m
        if self.begun_s == FOREVER_S and not self.passive:
            if room < 115.0:
                lead = run.lead()
                self.passive = room < 55.0 or (lead is not None and lead.p < self.site_m + 70.0)
                if not self.passive:
                    self.begun_s = run.t
                    self._stand(run)
            return
        if self.cars and self.free_s == FOREVER_S and (room < self.release_m or run.v < self.release_mps) and room < 60:
            self.free_s = run.t
        for index, car in enumerate(self.cars):
            car.want = 0.0 if run.t < self.free_s + 0.25 * (self.rows - 1 - index % self.rows) else 16.5

    def _stand(self, run: "LogRun") -> None:
        self.rows = self.rng.randrange(3, 5)
        for k, lane in enumerate(run.lanes):
            s = self.site_m + 2.5 + self.rng.uniform(-1.0, 1.0) * (k != run.lane)
            lane[:] = [car for car in lane if not s - 40 < car.p < s + 60]
            for row in range(self.rows):
                kind = self.rng.choice(("car", "car", "car", "van", "truck" if row else "car"))
                car = Car(self.rng, kind, 0.0, run.lane_d(k), 0.0, "queue")
                car.p = s + car.half_m
                s += car.length_m + self.rng.uniform(1.6, 2.8)
                car.want, car.acc, car.lit = 0.0, self.rng.uniform(2.6, 3.2), True
                lane.append(car)
                self.cars.append(car)

    def wall(self, t_s: float) -> tuple[float, float] | None:
        return None  # the cars themselves

    def oncoming_wall(self, t_s: float) -> float | None:
        return None


class SlowLead(Episode):
    """A car pulls out far ahead, he comes up to it, it brakes; then it pulls away."""

    cause = "lead_brakes"
    after_m = 25.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.car: Car | None = None
        self.brake_s = FOREVER_S
        self.low_mps, self.hold_s = rng.uniform(0.0, 3.0), rng.uniform(2.0, 4.0)

    def tick(self, run: "LogRun") -> None:
        if self.passive:
            return
        if self.car is None:
            self._pull_out(run)
            return
        car, gap = self.car, self.car.p - self.car.half_m - run.front_m
        if self.brake_s == FOREVER_S:
            near = gap < 9.0 + 0.9 * run.v
            self.wary = gap < 14.0 + 1.6 * run.v
            car.foot = car.foot or (gap < 45.0 and run.v > car.v + 1.0 and run.t > self.begun_s + 1.5)
            if near or run.t > self.begun_s + 9.0:
                self.brake_s = run.t
                car.want, car.dec, car.foot = self.low_mps, self.rng.uniform(2.6, 4.0), True
            return
        self.wary = False
        if run.t > self.brake_s + self.hold_s and self.free_s == FOREVER_S:
            self.free_s, car.want, car.acc, car.foot = run.t, 17.0, self.rng.uniform(2.9, 3.6), False

    def _pull_out(self, run: "LogRun") -> None:
        room = self.site_m - run.front_m
        if room > 50.0:
            return
        if run.lead() is not None and run.lead().p < run.front_m + 90:  # type: ignore[union-attr]
            self.passive = True
            return
        side = run.half_m + 1.1 if run.lane == len(run.lanes) - 1 else -run.lane_d(run.lane + 1)
        car = Car(self.rng, self.rng.choice(("car", "car", "van", "truck")), self.site_m + 4, -side, 3.0, "lead")
        car.want, car.acc, car.d_to, car.d_rate = self.rng.uniform(4.5, 7.0), 2.0, run.lane_d(run.lane), 1.6
        run.lanes[run.lane].append(car)
        self.car, self.begun_s = car, run.t

    def wall(self, t_s: float) -> tuple[float, float] | None:
        return None

    def oncoming_wall(self, t_s: float) -> float | None:
        return None


class CutIn(SlowLead):
    """A car from the neighbouring lane or the kerb cuts in close ahead and brakes; then it pulls away."""

    cause = "cut_in"

    def _pull_out(self, run: "LogRun") -> None:
        room = self.site_m - run.front_m
        v = run.v
        reach = 6.0 + v * v / (2 * 2.4) + (run.delay_s - 0.2) * v
        self.wary = room < reach + 0.8 * v
        if room > reach:
            return
        if v < 5.0 or (run.lead() is not None and run.lead().p < run.front_m + 60):  # type: ignore[union-attr]
            self.passive = True
            self.wary = False
            return
        side = run.half_m + 0.2 if run.lane == len(run.lanes) - 1 else -run.lane_d(run.lane + 1)
        car = Car(self.rng, self.rng.choice(("car", "car", "van")), self.site_m + 1, -side, 3.2, "cut_in")
        car.want, car.dec, car.d_to, car.d_rate = self.rng.uniform(0.5, 2.2), 1.2, run.lane_d(run.lane), 2.2
        car.foot = car.lit = True
        run.lanes[run.lane].append(car)
        self.car, self.begun_s, self.brake_s = car, run.t, run.t


class Curve(Episode):
    """The road bends sharply: he slows down before it and speeds up after it."""

    cause = "curve"

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.sign = 1
        self.radius_m, self.angle_rad = rng.uniform(17.0, 26.0), rng.uniform(0.9, 1.45)
        self.corner_mps = rng.uniform(3.6, 5.2)
        self.begun_s = 0.0

    @property
    def after_m(self) -> float:  # type: ignore[override]
        return (self.bend().end_m - self.site_m) + 3.0

    def bend(self) -> Bend:
        return Bend(self.site_m - 1.0, self.radius_m, self.sign * self.angle_rad)

    def tick(self, run: "LogRun") -> None:
        self.wary = 0.0 < self.site_m - run.front_m < 50.0

    def limit(self, rear_m: float) -> bool:
        """Whether the ego is in the curve (its rear axle before the last third)."""
        return self.site_m - 4.0 <= rear_m + 4.0 and rear_m < self.bend().end_m - 9.0

    def wall(self, t_s: float) -> tuple[float, float] | None:
        return None

    def oncoming_wall(self, t_s: float) -> float | None:
        return None


KINDS: dict[type[Episode], float] = {
    RedLight: 0.27, Pedestrians: 0.16, Queue: 0.20, SlowLead: 0.11, CutIn: 0.08, Crossroads: 0.11, Curve: 0.07,
}  # fmt: skip
