"""One log of the built-in world in the making."""

import math
import random
from collections.abc import Iterator

from roadstill.runs import seed_of
from roadstill.world.driver import FRONT_M, REAR_M, Driver, Hazard
from roadstill.world.episodes import Episode
from roadstill.world.kinds import KINDS, SIDESHOWS
from roadstill.world.passers import Passer, cyclists, person, strollers, things, walkers_beside
from roadstill.world.routes import SIZES_M, LaneShift, Route, layout_of
from roadstill.world.scene import Layout, Town
from roadstill.world.spec import FRAME_S, TOP_MPS, DriveSpec
from roadstill.world.towns import PARKING_STRIP_M, TOWNS
from roadstill.world.traffic import DT_S, Car, step_lane

TICKS = round(FRAME_S / DT_S)
"""Ticks from one key frame to the next."""

START_M = 60.0
"""Arc length at which the ego starts: there is road behind it, too."""

# The road and the space between episodes, in which the ego gathers speed and brakes again.
_MORE_ROAD_M = 160.0  # beyond the last frame, as far as one can see
_FIRST_SITE_M = (24.0, 65.0)
_GATHERED = 0.85  # share of the cruising speed's energy
_GATHERING_MPS2 = 1.45
_BRAKING_MPS2 = 2.0
_FREE_M = (4.0, 26.0)
_SHOW_SHARE, _SHOW_M, _SHOW_BEFORE_M = 0.75, (6.0, 34.0), 12.0

# Changes of lane.
_SHIFT_S, _SHIFT_LEAST_M = 3.4, 24.0
_LEFT_BY_M = 2.7  # so far from its middle the ego has left a lane, and clears a truck in it

# Ranges in which things exist, measured from the rear axle of the ego.
_EPISODE_BEHIND_M, _EPISODE_AHEAD_M = 60.0, 130.0
_FAR_M = 150.0  # where oncoming cars appear and cars of our direction disappear
_FILL_AHEAD_M = 90.0  # neighbours at the beginning
_ONCOMING_GONE_M = 40.0
_ONCOMING_ROOM_M = 140.0  # the last one must be nearer before another appears
_BEHIND_M = 45.0
_NEIGHBOUR_M, _NEIGHBOUR_ROOM_M = 112.0, 95.0  # where neighbours appear, if all others are nearer than the second
_NEIGHBOUR_CHANCE = 0.012  # per tick and lane

_BENDING_M = 5.0  # longer vehicles do not go round sharp bends beside the ego
_SHOW_AFTER_BEND_M = 20.0  # and nothing stands at the kerb where the ego comes out of one
_BEND_CLEAR_M = (6.0, 20.0)  # nobody parks from here before them to there behind them

# People who cross far ahead.
_JAYWALK_MPS2 = 0.9  # they cross while the ego speeds up by more than this
_JAYWALK_EVERY_S = (4.0, 10.0)
_JAYWALK_M = (66.0, 84.0)
_JAYWALK_FREE_M = (-6.0, 30.0)  # nobody crosses in this range around the site of an episode
_JAYWALK_EDGE_M = 0.8

_FREE_CRUISE_MPS = 12.0  # with no episode ahead
_LEAD_GAP_M = 2.2  # to the lead car, standing
_LEAVES_MPS2 = 0.5  # a lead car that speeds up by this pulls away
_LIT_M = 55.0  # brake lamps nearer than this make the driver wary


class LogRun:
    """One log in the making: the road with its episodes, the traffic, and the ego.

    Args:
        drive: drive that the log belongs to.
        number: number of the log in the drive.
        frames: number of key frames.

    Attributes:
        lane: number of the ego's lane, 0 being next to the centre line.
        half_road_m: width of our lanes together.
        rear_axle_m: arc length of the ego's rear axle.
        time_s: time since the simulation began.
        delay_s: reaction time of the ego's driver.
        lanes: cars of our direction, lane by lane.
        oncoming: cars of the other direction, lane by lane.
        passers: people, things and crossing vehicles.
        episodes: what happens along the road, in its order.
        stop_lines_m: arc lengths of the stop lines.
        route: road of the log, for quick look-ups.
        layout: still part of the scenes.
    """

    def __init__(self, drive: DriveSpec, number: int, frames: int) -> None:
        self.drive, self.number, self.frames = drive, number, frames
        self.rng = random.Random(seed_of("log", drive.seed, drive.index, drive.town, number))
        self.town: Town = TOWNS[drive.town]
        rng, town = self.rng, self.town
        self.half_road_m = town.lanes_each_way * town.lane_width_m
        self.lane = self._left_lane = rng.randrange(town.lanes_each_way)
        self.rear_axle_m, self.time_s = START_M, 0.0
        self.driver = Driver(rng, rng.uniform(3.5, 10.0))
        self.delay_s = self.driver.delay_s
        self._shift = LaneShift(self.lane_offset_m(self.lane), self.lane_offset_m(self.lane))
        self._plan()
        self._people()
        self.lanes: list[list[Car]] = [[] for _ in range(town.lanes_each_way)]
        self.oncoming: list[list[Car]] = [[] for _ in range(town.lanes_each_way)]
        self._calm_until_s = rng.uniform(0.0, 4.0)
        self._oncoming_spacing_m = rng.uniform(22, 60)
        for lane in range(town.lanes_each_way):
            self._fill(lane)
        first_lane = self.lane
        for episode, lane in zip(self.episodes, self._lanes_planned(), strict=True):
            self.lane = lane  # what stands in the ego's lane stands in the one that it will have there
            episode.prepare(self)
        self.lane = self._left_lane = first_lane

    @property
    def front_m(self) -> float:
        """Arc length of the ego's front bumper."""
        return self.rear_axle_m + FRONT_M

    @property
    def offset_m(self) -> float:
        """Offset of the ego's rear axle from the centre line."""
        return self._shift.offset_m(self.rear_axle_m)

    @property
    def heading_rad(self) -> float:
        """Heading of the ego relative to the centre line."""
        stretch = 1.0 - self.route.curvature(self.rear_axle_m) * self.offset_m
        return math.atan2(self._shift.slope(self.rear_axle_m), stretch)

    @property
    def curvature_per_m(self) -> float:
        """Curvature of the ego's path, to first order in its slope."""
        bend = self.route.curvature(self.rear_axle_m)
        return bend / (1.0 - bend * self.offset_m) + self._shift.curvature(self.rear_axle_m)

    def aside_m(self, far_m: float) -> float:
        """How far to the left the way of the ego lies, ``far_m`` further on."""
        there_m = self._shift.offset_m(self.rear_axle_m + far_m) - self.offset_m
        return self.route.ahead(self.rear_axle_m, self.offset_m, far_m, there_m)

    @property
    def speed_mps(self) -> float:
        """Speed of the ego."""
        return self.driver.speed_mps

    @property
    def accel_mps2(self) -> float:
        """Acceleration of the ego."""
        return self.driver.accel_mps2

    @property
    def cause(self) -> str:
        """What the ego last braked for."""
        return self.driver.cause

    def lane_offset_m(self, lane: int) -> float:
        """Offset of a lane of our direction, 0 being next to the centre line."""
        return -(lane + 0.5) * self.town.lane_width_m

    def change_lane(self, lane: int) -> None:
        """Begins to move the ego to another lane."""
        length_m = max(_SHIFT_LEAST_M, _SHIFT_S * self.speed_mps)
        self._shift = LaneShift(self.offset_m, self.lane_offset_m(lane), self.rear_axle_m, length_m)
        self.lane, self._left_lane = lane, self.lane

    def lead(self) -> Car | None:
        """The nearest car ahead in the ego's lane, or in the one that it has not left for good."""
        from_m = self.front_m - 1.0  # a car that the ego has come too near to is still ahead of it
        ways = {self.lane}
        if abs(self.offset_m - self.lane_offset_m(self._left_lane)) < _LEFT_BY_M:
            ways.add(self._left_lane)
        ahead = [car for way in ways for car in self.lanes[way] if car.tail_m > from_m]
        return min(ahead, key=lambda car: car.progress_m, default=None)

    def key_frames(self) -> Iterator[int]:
        """Runs the log; yields the number of each key frame while everything stands as it is at that moment."""
        for _ in range(self.rng.randrange(3)):
            self.tick()
        for frame in range(self.frames):
            yield frame
            for _ in range(TICKS):
                self.tick()

    def tick(self) -> None:
        """Moves everything on by ``DT_S``."""
        if self.accel_mps2 > _JAYWALK_MPS2 and self.time_s > self._calm_until_s:
            self._calm_until_s = self.time_s + self.rng.uniform(*_JAYWALK_EVERY_S)
            self._jaywalk()
        near = [e for e in self.episodes if -_EPISODE_BEHIND_M < e.site_m - self.rear_axle_m < _EPISODE_AHEAD_M]
        for episode in near:
            episode.tick(self)
        walls_m = [wall_m for e in near if (wall_m := e.wall(self.time_s)) is not None]
        for lane, cars in enumerate(self.lanes):
            ego = (self.rear_axle_m - REAR_M, self.speed_mps) if lane == self.lane else None
            step_lane(cars, walls_m, self.route, ego=ego)
        walls_m = [-wall_m for e in near if (wall_m := e.oncoming_wall(self.time_s)) is not None]
        for cars in self.oncoming:
            step_lane(cars, walls_m, self.route, -1)
        self._flow()
        self._drive(near)
        self.time_s += DT_S

    def _plan(self) -> None:
        """Draws the episodes, and the road that has room for them."""
        rng, town = self.rng, self.town
        end_m = START_M + self.frames * FRAME_S * TOP_MPS + _MORE_ROAD_M
        kinds = [kind for kind in KINDS if kind.least_lanes <= town.lanes_each_way]
        weights = [KINDS[kind] for kind in kinds]
        self.episodes: list[Episode] = []
        site_m, turn = START_M + rng.uniform(*_FIRST_SITE_M), rng.choice((-1, 1))
        while site_m < end_m:
            cruise_mps = rng.uniform(8.5, 13.5)
            episode = rng.choices(kinds, weights=weights)[0](rng, site_m, cruise_mps)
            turn = episode.turn(turn)
            self.episodes.append(episode)
            gather_m = cruise_mps**2 * _GATHERED / (2 * _GATHERING_MPS2)
            brake_m = cruise_mps**2 / (2 * _BRAKING_MPS2)
            begin_m = site_m + episode.after_m
            site_m = begin_m + gather_m + brake_m + rng.uniform(*_FREE_M)
            shows_m = begin_m + rng.uniform(*_SHOW_M) + (_SHOW_AFTER_BEND_M if episode.bend() is not None else 0.0)
            if rng.random() < _SHOW_SHARE and shows_m < site_m - _SHOW_BEFORE_M:
                kind = rng.choices(list(SIDESHOWS), weights=list(SIDESHOWS.values()))[0]
                self.episodes.append(kind(rng, shows_m, cruise_mps))
        self._bends = [bend for e in self.episodes if (bend := e.bend()) is not None]
        self.route: Route = Route(rng, site_m + _MORE_ROAD_M, self._bends)
        crossroads_m = [e.crossroads_m for e in self.episodes if e.crossroads_m is not None]
        crosswalks_m = [place_m for e in self.episodes for place_m in e.crosswalks_m]
        self.stop_lines_m = [e.stop_line_m for e in self.episodes if e.stop_line_m is not None]
        signals_m = [light.stop_line_s_m for e in self.episodes for light in e.signals(0.0)]
        roomy_m = [(bend.start_m - _BEND_CLEAR_M[0], bend.end_m + _BEND_CLEAR_M[1]) for bend in self._bends]
        self.layout: Layout = layout_of(
            rng, town, self.route, crossroads_m, crosswalks_m, self.stop_lines_m, signals_m,
            stop_signs_m=[e.stop_sign_m for e in self.episodes if e.stop_sign_m is not None],
            bumps_m=[e.bump_m for e in self.episodes if e.bump_m is not None],
            kerbs_m=[e.kerb_m for e in self.episodes if e.kerb_m is not None] + roomy_m,
            corners_m=[e.corner_m for e in self.episodes if e.corner_m is not None],
        )  # fmt: skip

    def _lanes_planned(self) -> Iterator[int]:
        """The ego's lane at each episode."""
        lane = self.lane
        for episode in self.episodes:
            yield lane
            lane = episode.leave(lane, len(self.lanes))

    def _people(self) -> None:
        """Puts people and cyclists beside the road."""
        rng, town, end_m = self.rng, self.town, self.route.road.length_m
        pavement_m = self.half_road_m + PARKING_STRIP_M + town.pavement_width_m / 2
        every_m = 16.0 if town.building_share > 0.6 else 30.0
        self.passers: list[Passer] = strollers(rng, 0.0, end_m, pavement_m, every_m)
        self.passers += cyclists(rng, 0.0, end_m, self.half_road_m)
        self.passers += walkers_beside(rng, 0.0, end_m, self.half_road_m)
        own = random.Random(seed_of("things", self.layout.seed))  # they have nothing to do with what happens
        taken_m = [e.kerb_m for e in self.episodes if e.kerb_m is not None]
        self.passers += things(own, self.layout, self.route, self.half_road_m + PARKING_STRIP_M, taken_m)

    def _fill(self, lane: int) -> None:
        """Puts the first oncoming cars and neighbours on the road."""
        progress_m = -(self.rear_axle_m + _FAR_M)
        while progress_m < -(self.rear_axle_m - 30):
            self._oncoming(lane, progress_m)
            progress_m += 8 + self.rng.expovariate(1 / self._oncoming_spacing_m)
        if lane != self.lane:
            s_m = self.rear_axle_m - 30.0
            while s_m < self.rear_axle_m + _FILL_AHEAD_M:
                if self.rng.random() < 0.5:
                    self._neighbour(lane, s_m)
                s_m += self.rng.uniform(16, 50)

    def _fitting(self, kind: str, from_m: float, to_m: float) -> str:
        """The kind of vehicle, or a car if it is too long for a sharp bend of its way: long ones sweep wide there."""
        bends = any(bend.start_m < to_m and bend.end_m > from_m for bend in self._bends)
        return "car" if bends and SIZES_M[kind][0] > _BENDING_M else kind

    def _oncoming(self, lane: int, progress_m: float) -> None:
        kind = self.rng.choices(("car", "van", "truck", "bus"), weights=(75, 13, 7, 5))[0]
        kind = self._fitting(kind, self.rear_axle_m - _ONCOMING_GONE_M, -progress_m)
        car = Car(self.rng, kind, progress_m, -self.lane_offset_m(lane), self.rng.uniform(7, 12), "oncoming")
        car.desired_mps = car.speed_mps
        self.oncoming[lane].append(car)

    def _neighbour(self, lane: int, s_m: float) -> None:
        kind = self.rng.choices(("car", "van", "truck"), weights=(80, 13, 7))[0]
        kind = self._fitting(kind, s_m, self.route.road.length_m)
        car = Car(self.rng, kind, s_m, self.lane_offset_m(lane), self.rng.uniform(6, 11), "neighbour")
        car.desired_mps = self.rng.uniform(9, 13)
        self.lanes[lane].append(car)

    def _flow(self) -> None:
        """Drops what is out of sight and lets new cars come in far away."""
        ego_m = self.rear_axle_m
        for lane, cars in enumerate(self.oncoming):
            if cars and cars[0].progress_m > _ONCOMING_GONE_M - ego_m:
                cars.pop(0)
            if not cars or cars[-1].progress_m > -(ego_m + _ONCOMING_ROOM_M):
                farther_m = self.rng.expovariate(1 / self._oncoming_spacing_m)
                self._oncoming(lane, -(ego_m + _FAR_M) - farther_m)
        for lane, cars in enumerate(self.lanes):
            cars[:] = [car for car in cars if ego_m - _BEHIND_M < car.progress_m < ego_m + _FAR_M]
            if lane != self.lane and self.rng.random() < _NEIGHBOUR_CHANCE:
                if all(car.progress_m < ego_m + _NEIGHBOUR_ROOM_M for car in cars):
                    self._neighbour(lane, ego_m + _NEIGHBOUR_M)

    def _jaywalk(self) -> None:
        """Someone crosses far ahead and is gone before the ego comes: people alone do not mean braking."""
        place_m = self.rear_axle_m + self.rng.uniform(*_JAYWALK_M)
        before_m, after_m = _JAYWALK_FREE_M
        if any(before_m < place_m - e.site_m < after_m for e in self.episodes):
            return
        kerb_m = -self.half_road_m - _JAYWALK_EDGE_M
        pace_mps = self.rng.uniform(1.7, 2.3)
        walker = person(self.rng, "jaywalker", place_m, kerb_m, 0.0, pace_mps)
        walker.go_s = self.time_s + self.rng.uniform(0.0, 0.5)
        walker.stop_s, walker.from_s = walker.go_s - 2 * kerb_m / pace_mps, self.time_s
        self.passers.append(walker)

    def _drive(self, near: list[Episode]) -> None:
        """Moves the ego on, by what it can see now."""
        driven_m = self.driver.tick(self.rear_axle_m, *self._ahead(near))
        # arc length counts on the centre line: in a bend to the left the ego, right of it, has the longer way
        stretch = 1.0 - self.route.curvature(self.rear_axle_m) * self.offset_m
        self.rear_axle_m += driven_m / math.hypot(stretch, self._shift.slope(self.rear_axle_m))

    def _ahead(self, near: list[Episode]) -> tuple[list[Hazard], bool, float]:
        """What can be seen now: hazards, whether something may happen, and the speed for a free road."""
        hazards: list[Hazard] = []
        wary, cruise_mps = False, _FREE_CRUISE_MPS
        for episode in reversed(near):  # the nearest one decides about the speed
            hazards += episode.hazards(self)
            wary = wary or episode.wary
            cruise_mps = episode.cruise(self) or cruise_mps
        lead = self.lead()
        if lead is not None:
            leaves = lead.accel_mps2 > _LEAVES_MPS2
            hazards.append(Hazard(lead.tail_m, lead.speed_mps, lead.cause, _LEAD_GAP_M, leaving=leaves))
            wary = wary or (lead.braking and lead.tail_m - self.front_m < _LIT_M)
        return hazards, wary, cruise_mps
