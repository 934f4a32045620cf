"""Drives of the built-in world: several logs of one town, light and weather, as scenes at 2 Hz.

Everything follows from ``(seed, index)`` of a drive: the same drive is simulated again wherever its scenes are needed.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from roadstill.errors import UserError
from roadstill.runs import seed_of
from roadstill.world.driver import FRONT_M, Driver, Hazard
from roadstill.world.episodes import KINDS, Curve, Episode
from roadstill.world.routes import SIZES_M, Route, layout_of
from roadstill.world.scene import Layout, RoadObject, Scene, Town
from roadstill.world.towns import PARKING_STRIP_M, TOWNS, WORLD_GROUPS
from roadstill.world.traffic import DT_S, Car, Passer, cyclists, step_lane, strollers
from roadstill.world.visible import Placed, see

FRAME_S = 0.5
TICKS = 5
START_M = 60.0
LOG_FRAMES = (40, 60)
LOGS = (3, 5)


@dataclass(frozen=True)
class DriveSpec:
    """One drive: all that is needed to simulate it.

    Attributes:
        seed: of the world.
        index: of the drive in the world.
        town: a name from ``TOWNS``.
        light: from ``scene.LIGHTS``, constant over the drive.
        weather: from ``scene.WEATHERS``, constant over the drive.
        frames: frames per log; empty: drawn.
    """

    seed: int
    index: int
    town: str
    light: str
    weather: str
    frames: tuple[int, ...] = ()


def drives_of(group: str, drives: int, seed: int, frames: tuple[int, ...] = ()) -> list[DriveSpec]:
    """The drives of a world.

    Raises:
        UserError: if there is no such group.
    """
    if group not in WORLD_GROUPS:
        raise UserError(f"there is no world group {group!r}; choose one of {', '.join(sorted(WORLD_GROUPS))}")
    specs = []
    for index in range(drives):
        rng = random.Random(seed_of("drive", group, seed, index))
        town, light, weather = WORLD_GROUPS[group].draw(rng)
        specs.append(DriveSpec(seed, index, town, light, weather, frames))
    return specs


def schedule(drive: DriveSpec) -> list[tuple[int, int]]:
    """Start (whole seconds of the drive) and number of frames of each of its logs."""
    rng = random.Random(seed_of("logs", drive.seed, drive.index, drive.town))
    counts = drive.frames or tuple(rng.randint(*LOG_FRAMES) for _ in range(rng.randint(*LOGS)))
    logs, start_s = [], rng.randint(5, 60)
    for count in counts:
        logs.append((start_s, count))
        start_s += math.ceil(count * FRAME_S) + rng.randint(20, 240)
    return logs


def simulate(drive: DriveSpec) -> list[Scene]:
    """The key frames of all logs of a drive, 2 Hz, in time order; ``facts`` say which log and frame each one is."""
    scenes: list[Scene] = []
    for number, (start_s, count) in enumerate(schedule(drive)):
        for frame, scene in enumerate(LogRun(drive, number, count).scenes()):
            scene.facts["time_s"] = start_s + frame * FRAME_S
            scenes.append(scene)
    return scenes


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
        self.lanes: list[list[Car]] = [[] for _ in range(town.lanes_each_way)]
        self.oncoming: list[list[Car]] = [[] for _ in range(town.lanes_each_way)]
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
            if isinstance(episode, Curve):
                sign = -sign
                episode.sign = sign
            self.episodes.append(episode)
            place += episode.after_m + cruise**2 * 0.85 / 2.9 + cruise**2 / 4.0 + rng.uniform(4, 26)
        self.current = 0
        bends = [bend for episode in self.episodes if (bend := episode.bend()) is not None]
        self.route = Route(rng, place + 160.0, bends)
        roads = [e.crossroads_m for e in self.episodes if e.crossroads_m is not None]
        walks = [m for e in self.episodes for m in e.crosswalks_m]
        self.stop_lines = [e.stop_line_m for e in self.episodes if e.stop_line_m is not None]
        self.layout: Layout = layout_of(rng, self.town, self.route, roads, walks, self.stop_lines)

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

    def _tick(self) -> None:
        near = [e for e in self.episodes if -60.0 < e.site_m - self.s < 130.0]
        for episode in near:
            episode.tick(self)
        t = self.t
        walls = [wall for e in near if (wall := e.wall(t)) is not None]
        own = [place for place, _ in walls]
        for cars in self.lanes:
            if cars:
                step_lane(cars, own)
        facing = [-place for e in near if (place := e.oncoming_wall(t)) is not None]
        for cars in self.oncoming:
            step_lane(cars, facing)
        self._flow()
        self._drive(near)
        self.t += DT_S

    def _drive(self, near: list[Episode]) -> None:
        hazards, wary, cruise = [], False, 12.0
        t = self.t
        for episode in reversed(near):
            wall = episode.wall(t)
            if wall is not None and wall[0] > self.front_m - 1.5:
                hazards.append(Hazard(wall[0], wall[1], episode.cause, 0.6))
            wary = wary or episode.wary
            if episode.site_m > self.front_m:
                cruise = episode.cruise_mps
            if isinstance(episode, Curve):
                room = episode.site_m - self.front_m
                if room > 0:
                    if (self.v**2 - episode.corner_mps**2) / (2 * max(room, 0.5)) > 1.2 or (
                        self.driver.cause == "curve" and self.driver.accel < -0.8
                    ):
                        hazards.append(Hazard(episode.site_m, episode.corner_mps, "curve", -1.0))
                elif episode.limit(self.s):
                    cruise = episode.corner_mps + 0.6
        lead = self.lead()
        if lead is not None:
            gap = lead.p - lead.half_m - self.front_m
            cause = {"queue": "queue", "cut_in": "cut_in"}.get(lead.role, "lead_brakes")
            hazards.append(Hazard(lead.p - lead.half_m, lead.v, cause, 2.2, 1.8 if lead.accel > 0.5 else 1.0))
            wary = wary or (lead.lit and gap < 55.0)
        kappa = self.route.curvature(self.s)
        self.s += self.driver.tick(self.s, hazards, wary, cruise) / (1.0 - kappa * self.offset)

    def scenes(self) -> Iterator[Scene]:
        """Runs the log and yields its key frames."""
        for _ in range(self.rng.randrange(3)):
            self._tick()
        for frame in range(self.frames):
            yield self._scene(frame)
            for _ in range(TICKS):
                self._tick()

    def _scene(self, frame: int) -> Scene:
        x, y, yaw = self.route.at(self.s, self.offset)
        placed = list(self._placed())
        lights = tuple(light for e in self.episodes if -10 < e.site_m - self.s < 130.0 for light in e.signals(self.t))
        facts: dict[str, float | str | bool] = dict(
            see(
                placed, lights, self.route, (x, y, yaw, self.s, self.offset), self.half_m, self.town.lane_width_m,
                self.stop_lines,
            )
        )  # fmt: skip
        aside = self.route.ahead(self.s, self.offset, 20.0)
        facts |= {
            "log": self.number,
            "frame": frame,
            "speed_mps": self.v,
            "accel_mps2": self.driver.accel,
            "curvature_per_m": self.route.curvature(self.s) / (1 - self.route.curvature(self.s) * self.offset),
            "command": 0 if aside >= 2.0 else 2 if aside <= -2.0 else 1,
            "cause": self._cause(facts),
        }
        return Scene(
            layout=self.layout, ego_s_m=self.s, ego_offset_m=self.offset, ego_x_m=x, ego_y_m=y, ego_yaw_rad=yaw,
            light=self.drive.light, weather=self.drive.weather,
            seed=seed_of("frame", self.drive.seed, self.drive.index, self.number, frame),
            objects=tuple(p.thing for p in placed), lights=lights, facts=facts,
        )  # fmt: skip

    def _cause(self, facts: dict[str, float | str | bool]) -> str:
        accel = self.driver.accel
        if abs(accel) < 1.0:
            return "cruise"
        if accel < 0:
            return self.driver.cause
        if float(facts["see_lead_m"]) < 30.0:
            return "lead_pulls_away"
        if facts["see_light"] == 1.0 and float(facts["see_light_m"]) < 40.0:
            return "light_green"
        return "road_cleared" if self.driver.lifted_s < 4.0 else "open_road"

    def _placed(self) -> Iterator[Placed]:
        low, high = self.s - 35.0, self.s + 120.0
        for cars, sign in ((self.lanes, 1), (self.oncoming, -1)):
            for lane in cars:
                for car in lane:
                    s = car.p * sign
                    if low < s < high:
                        x, y, yaw = self.route.at(s, car.d)
                        yaw += car.yaw if sign > 0 else math.pi + car.yaw
                        thing = RoadObject(
                            car.track, car.kind, x, y, yaw, car.length_m, car.width_m, car.height_m, car.v,
                            car.colour, car.lit, 0.0, car.role,
                        )  # fmt: skip
                        yield Placed(thing, s, car.d, sign > 0)
        t = self.t
        for passer in self.passers:
            if not passer.from_s <= t < passer.to_s:
                continue
            s, d, speed = passer.place(t)
            if not low < s < high:
                continue
            length, width, height = SIZES_M[passer.kind]
            x, y, yaw = self.route.at(s, d)
            thing = RoadObject(
                passer.track, passer.kind, x, y, yaw + passer.heading_rad, length, width, height, speed, passer.colour,
                False, (passer.phase + speed * t / 1.5) % 1.0, passer.role,
            )  # fmt: skip
            yield Placed(thing, s, d, passer.along_mps > 0)
