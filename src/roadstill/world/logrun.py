"""One log of the built-in world in the making."""

import random
from collections.abc import Iterator

from roadstill.runs import seed_of
from roadstill.world.driver import FRONT_M, Driver, Hazard
from roadstill.world.episodes import Episode
from roadstill.world.kinds import KINDS
from roadstill.world.routes import Route, layout_of
from roadstill.world.scene import Layout, Town
from roadstill.world.spec import FRAME_S, DriveSpec
from roadstill.world.towns import PARKING_STRIP_M, TOWNS
from roadstill.world.traffic import DT_S, Car, Passer, cyclists, person, step_lane, strollers, walkers_beside

TICKS = 5
START_M = 60.0


class LogRun:
    """One log in the making: the road with its episodes, the traffic, and the ego."""

    def __init__(self, drive: DriveSpec, number: int, frames: int) -> None:
        self.drive, self.number, self.frames = drive, number, frames
        self.rng = random.Random(seed_of("log", drive.seed, drive.index, drive.town, number))
        self.town: Town = TOWNS[drive.town]
        rng, town = self.rng, self.town
        self.half_m = town.lanes_each_way * town.lane_width_m
        self.lane = rng.randrange(town.lanes_each_way)
        self.s, self.t = START_M, 0.0
        self.driver = Driver(rng, rng.uniform(3.5, 10.0))
        self.delay_s = self.driver.delay_s
        self.offset = self.lane_d(self.lane)
        self._plan()
        reach = self.route.road.length_m
        edge = self.half_m + PARKING_STRIP_M + town.pavement_width_m / 2
        every = 16.0 if town.building_share > 0.6 else 30.0
        self.passers: list[Passer] = strollers(rng, 0.0, reach, edge, every) + cyclists(rng, 0.0, reach, self.half_m)
        self.passers += walkers_beside(rng, 0.0, reach, self.half_m)
        self.lanes: list[list[Car]] = [[] for _ in range(town.lanes_each_way)]
        self.oncoming: list[list[Car]] = [[] for _ in range(town.lanes_each_way)]
        self.calm_s = rng.uniform(0.0, 4.0)
        self.spacing = rng.uniform(22, 60)
        for lane in range(town.lanes_each_way):
            self._fill(lane)
        for episode in self.episodes:
            episode.prepare(self)

    @property
    def v(self) -> float:
        """Speed of the ego."""
        return self.driver.v

    @property
    def accel(self) -> float:
        """Acceleration of the ego."""
        return self.driver.accel

    @property
    def cause(self) -> str:
        """What the ego last braked for."""
        return self.driver.cause

    @property
    def front_m(self) -> float:
        """Arc length of the front bumper."""
        return self.s + FRONT_M

    def lane_d(self, lane: int) -> float:
        """Offset of a lane of our direction, 0 being next to the centre line."""
        return -(lane + 0.5) * self.town.lane_width_m

    def lead(self) -> Car | None:
        """The nearest car ahead in our lane."""
        front, best = self.front_m - 1.0, None
        for car in self.lanes[self.lane]:
            if car.p - car.half_m > front and (best is None or car.p < best.p):
                best = car
        return best

    def _plan(self) -> None:
        rng = self.rng
        reach = START_M + self.frames * FRAME_S * 13.0 + 160.0
        kinds, weights = list(KINDS), list(KINDS.values())
        self.episodes: list[Episode] = []
        place, sign = START_M + rng.uniform(24, 65), rng.choice((-1, 1))
        while place < reach:
            cruise = rng.uniform(8.5, 13.5)
            episode = rng.choices(kinds, weights=weights)[0](rng, place, cruise)
            sign = episode.turn(sign)
            self.episodes.append(episode)
            place += episode.after_m + cruise**2 * 0.85 / 2.9 + cruise**2 / 4.0 + rng.uniform(4, 26)
        self.current = 0
        bends = [bend for episode in self.episodes if (bend := episode.bend()) is not None]
        self.route: Route = Route(rng, place + 160.0, bends)
        roads = [e.crossroads_m for e in self.episodes if e.crossroads_m is not None]
        walks = [m for e in self.episodes for m in e.crosswalks_m]
        self.stop_lines = [e.stop_line_m for e in self.episodes if e.stop_line_m is not None]
        lights = [light.stop_line_s_m for e in self.episodes for light in e.signals(0.0)]
        self.layout: Layout = layout_of(rng, self.town, self.route, roads, walks, self.stop_lines, lights)

    def _fill(self, lane: int) -> None:
        """Puts the first oncoming cars and neighbours on the road."""
        p = -(self.s + 150.0)
        while p < -(self.s - 30):
            self._oncoming(lane, p)
            p += 8 + self.rng.expovariate(1 / self.spacing)
        if lane != self.lane:
            s = self.s - 30.0
            while s < self.s + 90:
                if self.rng.random() < 0.5:
                    self._neighbour(lane, s)
                s += self.rng.uniform(16, 50)

    def _oncoming(self, lane: int, p: float) -> None:
        kind = self.rng.choices(("car", "van", "truck", "bus"), weights=(75, 13, 7, 5))[0]
        car = Car(self.rng, kind, p, -self.lane_d(lane), self.rng.uniform(7, 12), "oncoming")
        car.want = car.v
        self.oncoming[lane].append(car)

    def _neighbour(self, lane: int, s: float) -> None:
        kind = self.rng.choices(("car", "van", "truck"), weights=(80, 13, 7))[0]
        car = Car(self.rng, kind, s, self.lane_d(lane), self.rng.uniform(6, 11), "neighbour")
        car.want = self.rng.uniform(9, 13)
        self.lanes[lane].append(car)

    def _flow(self) -> None:
        """Drops what is out of sight and lets new cars come in far away."""
        for lane, cars in enumerate(self.oncoming):
            if cars and cars[0].p > 40.0 - self.s:
                cars.pop(0)
            if not cars or cars[-1].p > -(self.s + 140.0):
                self._oncoming(lane, -(self.s + 150.0) - self.rng.expovariate(1 / self.spacing))
        for lane, cars in enumerate(self.lanes):
            if cars and (cars[-1].p < self.s - 45.0 or cars[0].p > self.s + 150.0):
                cars[:] = [car for car in cars if self.s - 45.0 < car.p < self.s + 150.0]
            if lane != self.lane and self.rng.random() < 0.012 and all(car.p < self.s + 95 for car in cars):
                self._neighbour(lane, self.s + 112.0)

    def _jaywalk(self) -> None:
        """Someone crosses far ahead and is gone before he comes: people on the road alone do not mean braking."""
        place = self.s + self.rng.uniform(66.0, 84.0)
        walls = (e.site_m for e in self.episodes)
        if any(-6.0 < place - site < 30.0 for site in walls):
            return
        start = -self.half_m - 0.8
        pace = self.rng.uniform(1.7, 2.3)
        walker = person(self.rng, "jaywalker", place, start, 0.0, pace)
        walker.go_s = self.t + self.rng.uniform(0.0, 0.5)
        walker.stop_s, walker.from_s = walker.go_s - 2 * start / pace, self.t
        self.passers.append(walker)

    def tick(self) -> None:
        """Moves everything on by ``DT_S``."""
        if self.driver.accel > 0.9 and self.t > self.calm_s:
            self.calm_s = self.t + self.rng.uniform(4.0, 10.0)
            self._jaywalk()
        near = [e for e in self.episodes if -60.0 < e.site_m - self.s < 130.0]
        for episode in near:
            episode.tick(self)
        t = self.t
        own = [place for e in near if (place := e.wall(t)) is not None]
        for cars in self.lanes:
            if cars:
                step_lane(cars, own, self.route)
        facing = [-place for e in near if (place := e.oncoming_wall(t)) is not None]
        for cars in self.oncoming:
            step_lane(cars, facing, self.route, -1)
        self._flow()
        self._drive(near)
        self.t += DT_S

    def _drive(self, near: list[Episode]) -> None:
        hazards: list[Hazard] = []
        wary, cruise = False, 12.0
        for episode in reversed(near):
            hazards += episode.hazards(self)
            wary = wary or episode.wary
            cruise = episode.cruise(self) or cruise
        lead = self.lead()
        if lead is not None:
            gap = lead.p - lead.half_m - self.front_m
            hazards.append(Hazard(lead.p - lead.half_m, lead.v, lead.cause, 2.2, leaving=lead.accel > 0.5))
            wary = wary or (lead.lit and gap < 55.0)
        kappa = self.route.curvature(self.s)
        self.s += self.driver.tick(self.s, hazards, wary, cruise) / (1.0 - kappa * self.offset)

    def key_frames(self) -> Iterator[int]:
        """Runs the log; yields the number of each key frame while everything stands as it is at that moment."""
        for _ in range(self.rng.randrange(3)):
            self.tick()
        for frame in range(self.frames):
            yield frame
            for _ in range(TICKS):
                self.tick()
