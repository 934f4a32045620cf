"""Episodes at crossroads and crosswalks: crossing traffic, red lights, people and roadworks."""

import random
from dataclasses import replace

from roadstill.world.episodes import AWAY_MPS, CLEAR_M, KERB_M, Episode, Traffic
from roadstill.world.passers import FOREVER_S, Passer, crossing, waiting
from roadstill.world.routes import SIZES_M, track_of
from roadstill.world.scene import TrafficLight
from roadstill.world.traffic import Car

CROSS_KINDS = ("car", "car", "car", "van", "van", "truck", "bus")  # as often as they stand here
LONG_KINDS = ("truck", "bus")
_RIGHT, _LEFT = -1, 1
STOP_LINE_M = 0.8  # from the front bumper to the line, standing

# Crossing traffic.
_SPACING_M = 8.0
_LONG_SPACING_M = 14.0
_LATE_MPS = 4.0  # speed of those who arrive too late and stop
_LATE_SHARE = 0.6
_FAR_BAND_M = 5.0  # wider than the ego drives in a tick, so that it is not missed

# Cars that turn in ahead of the ego.
_TURN_IN_MPS = 4.0
_TURN_IN_ASIDE_M = -2.6  # it comes from the right
_TURN_IN_ROOM_M = 12.0
_TURN_IN_S = 0.8  # so long before the ego may go
_TURN_IN_EGO_MPS = 6.0  # if the ego is slower than this

# Red lights.
_SIGNAL_M = 9.5  # from the middle of a crossroads to the signal beyond it
_EARLY_WARY_M = 12.0
_EARLY_LEAST_MPS = 6.0
_AMBER_M = 40.0  # nearer, a light that was meant to turn red early may still turn late
_SHORTEST_RED_S, _ROLLING_RED_S = 3.2, 1.8
_WAVE_SHARE, _EARLY_SHARE, _ROLLS_SHARE = 0.25, 0.3, 0.5
_TURN_LANES, _TURN_CYCLE_S, _TURN_GREEN_S = 0.6, 40.0, 11.0

# School buses.
_CALM_BUSES = 0.4  # share of those that nobody leaves
_BUS_M, _BUS_ASIDE_M = 5.0, 1.25
_CHILDREN_S = (6.6, 8.5)  # the slowest one has crossed two lanes by then
_SCHOOL_YELLOW = (0.95, 0.66, 0.06)

# Roadworks.
_WORKS_SHARE = 0.35
_WORKS_COLOUR = (0.95, 0.45, 0.08)
_BARRIERS = 4
_CONES = 5  # behind the barriers; the first of them is a sign
_CARRY_MPS = 2.2
_ACROSS_RAD = 1.57  # barriers stand across the road


class Crossroads(Episode):
    """Crossing traffic at a crossroads without a signal: the ego has to let it pass."""

    cause = "cross_traffic"
    notice_s = 0.5
    after_m = 30.0
    middle_m = 11.5  # from the site to the middle of the crossroads
    crossroads_m: float
    stop_line_m: float

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.crossroads_m = site_m + self.middle_m
        self.stop_line_m = site_m + STOP_LINE_M
        self.turns_in = rng.random() < 0.45
        # the distance at which traffic crosses for the first time, while it does not concern the ego
        self.far_m = rng.uniform(48.0, 80.0) if rng.random() < 0.6 else FOREVER_S

    def begin(self, traffic: Traffic) -> None:
        """The stream crosses; the ego goes behind the last one."""
        last_s = traffic.time_s + self.rng.uniform(2.6, 5.0)
        last_s = self._cross(traffic, traffic.time_s + 0.3, last_s)
        # the ego reacts late, and so may be told early; the last one has left our half after a second
        self.free_s, self.clear_s = last_s + 1.0 - traffic.delay_s, last_s + 1.5
        self._wait(traffic, self.free_s)

    def tick(self, traffic: Traffic) -> None:
        """Also lets traffic cross while the ego is still far, and a car turn in ahead of it when it may go."""
        room_m, time_s = self.site_m - traffic.front_m, traffic.time_s
        if self.far_m < room_m < self.far_m + _FAR_BAND_M:
            self.far_m = FOREVER_S
            self._cross(traffic, time_s + 0.8, time_s + self.rng.uniform(1.5, 2.6))
        about_to_go = self.free_s - _TURN_IN_S < time_s < self.free_s and traffic.speed_mps < _TURN_IN_EGO_MPS
        if self.turns_in and about_to_go and room_m > -1.0:
            self.turns_in = False
            self._turn_in(traffic)
        super().tick(traffic)

    def _wait(self, traffic: Traffic, from_s: float) -> None:
        """The next ones on the crossing road arrive too late and stand at their stop line."""
        for direction in (_RIGHT, _LEFT):
            if self.rng.random() < _LATE_SHARE:
                stop_s = from_s + self.rng.uniform(0.3, 1.5)
                away_m = traffic.half_road_m + self.rng.uniform(4.8, 6.0)
                pass_s = stop_s + away_m / _LATE_MPS
                car = crossing(self.rng, self.crossroads_m, pass_s, direction, _LATE_MPS, "car")
                traffic.passers.append(replace(car, stop_s=stop_s, to_s=FOREVER_S))

    def _turn_in(self, traffic: Traffic) -> None:
        """A car from the side street is ahead of the ego when it starts, brake lamps off."""
        place_m = self.crossroads_m + self.rng.uniform(4.0, 9.0)
        lane, lane_m = traffic.lanes[traffic.lane], traffic.lane_offset_m(traffic.lane)
        if any(abs(car.progress_m - place_m) < _TURN_IN_ROOM_M for car in lane):
            return
        kind = self.rng.choice(("car", "car", "van"))
        car = Car(self.rng, kind, place_m, lane_m + _TURN_IN_ASIDE_M, _TURN_IN_MPS, "turned_in")
        car.desired_mps, car.max_accel_mps2 = AWAY_MPS, self.rng.uniform(1.9, 2.6)
        car.target_offset_m, car.lateral_mps = lane_m, 1.8
        lane.append(car)

    def _cross(self, traffic: Traffic, first_s: float, last_s: float) -> float:
        """Lets vehicles cross from both sides; returns when the last one passes our centre line."""
        latest_s = first_s
        for direction in (_RIGHT, _LEFT):
            speed_mps, pass_s = self.rng.uniform(5.0, 8.5), first_s + self.rng.uniform(0.0, 0.8)
            while pass_s < last_s:
                kind = self.rng.choice(CROSS_KINDS)
                traffic.passers.append(crossing(self.rng, self.crossroads_m, pass_s, direction, speed_mps, kind))
                latest_s = max(latest_s, pass_s)
                spacing_m = _LONG_SPACING_M if kind in LONG_KINDS else _SPACING_M
                pass_s += spacing_m / speed_mps + self.rng.uniform(0.2, 0.7)
        return latest_s


class RedLight(Crossroads):
    """A signal turns red: traffic crosses, people walk; then it turns green."""

    cause = "red_light"
    notice_s = 0.0
    after_m = 34.0
    middle_m = 15.5

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        # one on either side of the crossroads, beyond the stop line
        self.crosswalks_m = (site_m + 4.0, site_m + 27.0)
        self.far_m = FOREVER_S  # nobody crosses while it is green
        self.amber_s = 0.8
        self.green_s = FOREVER_S
        self.turn_lane, self.turns_s = rng.random() < _TURN_LANES, rng.uniform(0.0, _TURN_CYCLE_S)
        course = rng.random()
        # green for good while the ego is still far
        self.wave_m = rng.uniform(25, 80) if course < _WAVE_SHARE else 0.0
        # red from afar; green again while the ego still rolls
        self.early_m = rng.uniform(42, 75) if _WAVE_SHARE < course < _WAVE_SHARE + _EARLY_SHARE else 0.0
        self.rolls = rng.random() < _ROLLS_SHARE
        self.room_m = FOREVER_S
        self.people: list[Passer] = []

    def prepare(self, traffic: Traffic) -> None:
        """People wait at the crosswalk."""
        for _ in range(self.rng.randrange(1, 6)):
            side = self.rng.choice((_RIGHT, _LEFT))
            s_m = self.crosswalks_m[0] + self.rng.uniform(-1.2, 1.2)
            self.people.append(waiting(self.rng, "crosser", s_m, side, traffic.half_road_m + KERB_M))
        traffic.passers.extend(self.people)

    def tick(self, traffic: Traffic) -> None:
        """Begins late (the ego meets the amber) or early (red from afar), or is green in time."""
        self.room_m = self.site_m - traffic.front_m
        if self.wave_m:
            self.passive = True
            return
        if self.early_m and not self.passive and self.begun_s == FOREVER_S:
            room_m, lead = self.room_m, traffic.lead()
            self.wary = room_m < self.early_m + _EARLY_WARY_M
            first = lead is None or lead.progress_m - 3 > self.site_m + CLEAR_M  # 3 m: about half of any car
            if room_m < self.early_m and traffic.speed_mps > _EARLY_LEAST_MPS and first:
                self.begun_s = traffic.time_s
                self.begin(traffic)
            if room_m > _AMBER_M:
                return
        super().tick(traffic)

    def begin(self, traffic: Traffic) -> None:
        """Red for about as long as the ego needs to brake."""
        time_s, speed_mps, room_m = traffic.time_s, traffic.speed_mps, self.site_m - traffic.front_m
        braking_m = speed_mps * speed_mps / (2 * self.brake_mps2)
        # the time until it must brake, less that for seeing the light
        coast_s = max(0.0, (room_m - braking_m) / max(speed_mps, 1.0) - 0.8)
        # then less than the time to a standstill, so that it is still rolling, or more
        brakes_s = speed_mps / self.brake_mps2
        if self.rolls:
            red_s = max(_ROLLING_RED_S, coast_s + brakes_s * self.rng.uniform(0.3, 0.7))
        else:
            red_s = max(_SHORTEST_RED_S, coast_s + brakes_s * self.rng.uniform(0.7, 1.35))
        self.green_s = time_s + red_s
        if self.rng.random() < 0.7:  # else nobody comes from the sides
            self._cross(traffic, time_s + 0.9, self.green_s - 0.7)
        self._walk(traffic, self.people, time_s + 0.3, self.green_s)
        self.free_s, self.clear_s = self.green_s - traffic.delay_s + 0.1, self.green_s
        self._wait(traffic, self.green_s)

    def signals(self, time_s: float) -> tuple[TrafficLight, ...]:
        """One signal beyond the crossroads."""
        state = "red" if self.room_m > self.wave_m > 0 or (self.early_m and self.begun_s == FOREVER_S) else "green"
        if self.begun_s <= time_s < self.green_s:
            state = "amber" if time_s < self.begun_s + self.amber_s and not self.early_m else "red"
        turn = ""
        if self.turn_lane:  # mostly red, and no business of those who go straight on
            green = (time_s + self.turns_s) % _TURN_CYCLE_S < _TURN_GREEN_S
            turn = "green" if green else "red"
        walk = "green" if state == "red" and time_s < self.green_s - 1.0 else "red"
        return (TrafficLight(self.crossroads_m + _SIGNAL_M, self.stop_line_m, state, turn, walk),)


class Pedestrians(Episode):
    """People step onto a crosswalk, or workers carry barriers onto the lane."""

    cause = "pedestrian"
    notice_s = 0.6

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.works = rng.random() < _WORKS_SHARE
        self.people_m = site_m + 3.5
        if not self.works:
            self.crosswalks_m = (self.people_m,)
        self.people: list[Passer] = []
        self.things: list[Passer] = []

    def prepare(self, traffic: Traffic) -> None:
        """People wait at the kerb, or the things of the roadworks lie there."""
        role = "flagger" if self.works else "crosser"
        for index in range(2 if self.works else self.rng.randrange(3, 8)):
            # workers and the first one come from the right, where they are in our way at once
            from_right = self.works or index == 0 or self.rng.random() < 0.6
            s_m = self.people_m + self.rng.uniform(-1.3, 1.3)
            side = _RIGHT if from_right else _LEFT
            self.people.append(waiting(self.rng, role, s_m, side, traffic.half_road_m + KERB_M))
        if self.works:
            edge_m = -traffic.half_road_m - 0.5
            for _ in range(_BARRIERS):
                self._lay("barrier", self.site_m + 2.6, edge_m, _ACROSS_RAD)
            for index in range(_CONES):
                self._lay("cone" if index else "sign", self.site_m + (4.5 + 2.5 * index), edge_m, 0.0)
        traffic.passers.extend(self.people + self.things)

    def _lay(self, kind: str, s_m: float, offset_m: float, yaw_rad: float) -> None:
        thing = Passer(track_of(self.rng), kind, "works", _WORKS_COLOUR, s_m, offset_m, 0.0, 0.0, yaw_rad=yaw_rad)
        self.things.append(thing)

    def begin(self, traffic: Traffic) -> None:
        """They step out."""
        if self.works:
            self._close_lane(traffic)
            return
        latest_s = traffic.time_s + self.rng.uniform(3.0, 6.5)
        free_s = self._walk(traffic, self.people, traffic.time_s, latest_s)
        self.free_s, self.clear_s = free_s - traffic.delay_s + 0.1, free_s + 1.5

    def _close_lane(self, traffic: Traffic) -> None:
        """Two workers carry barriers across our half and back again."""
        begin_s, end_s = traffic.time_s, traffic.time_s + self.rng.uniform(2.5, 5.0)
        width_m = traffic.half_road_m - 0.2
        self.free_s = begin_s
        for index, mover in enumerate([*self.people, *self.things[:_BARRIERS]]):
            # one worker goes a third of the way, one almost to the centre line; the barriers stand a quarter apart
            goal_m = width_m * (0.35 + 0.5 * index if index < 2 else 0.25 * (index - 1))
            stop_s = begin_s + goal_m / _CARRY_MPS
            out = replace(mover, across_mps=_CARRY_MPS, go_s=begin_s, stop_s=stop_s, to_s=end_s)
            _, far_m, _ = out.place(end_s)
            home_s = end_s + (far_m - mover.offset_m) / _CARRY_MPS
            back = replace(mover, offset_m=far_m, across_mps=-_CARRY_MPS, go_s=end_s, stop_s=home_s, from_s=end_s)
            traffic.passers.remove(mover)
            traffic.passers += [out, back]
            self.free_s = max(self.free_s, home_s - 0.4)
        self.clear_s = self.free_s


class SchoolBus(Episode):
    """A school bus at the kerb; when its red lamps flash, children cross and everybody waits."""

    cause = "school_bus"
    notice_s = 0.4
    after_m = 30.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.passive = rng.random() < _CALM_BUSES
        self.people: list[Passer] = []
        self.bus: Passer | None = None

    @property
    def kerb_m(self) -> tuple[float, float]:
        """The bus stands here."""
        return self.site_m, self.site_m + 30.0

    def prepare(self, traffic: Traffic) -> None:
        """The bus, and children before it on either side."""
        half_m = SIZES_M["bus"][0] / 2
        offset_m = -(traffic.half_road_m + _BUS_ASIDE_M)
        self.bus = Passer(
            track_of(self.rng), "bus", "kerbside", _SCHOOL_YELLOW, self.site_m + _BUS_M + half_m, offset_m, 0.0, 0.0,
            yaw_rad=0.0, turning="both",
        )  # fmt: skip
        for index in range(self.rng.randrange(2, 6)):
            side = _RIGHT if index == 0 or self.rng.random() < 0.6 else _LEFT
            s_m = self.site_m + _BUS_M + 2 * half_m + self.rng.uniform(1.0, 3.5)
            self.people.append(waiting(self.rng, "crosser", s_m, side, traffic.half_road_m + KERB_M))
        traffic.passers += [self.bus, *self.people]

    def begin(self, traffic: Traffic) -> None:
        """Red lamps on, children cross."""
        assert self.bus is not None
        self.bus.beacon, self.bus.turning = "school", ""
        latest_s = traffic.time_s + self.rng.uniform(*_CHILDREN_S)
        free_s = self._walk(traffic, self.people, traffic.time_s + 0.6, latest_s)
        self.free_s, self.clear_s = free_s - traffic.delay_s + 0.1, free_s + 1.0

    def tick(self, traffic: Traffic) -> None:
        """The lamps go out when all have crossed."""
        super().tick(traffic)
        if self.bus is not None and self.bus.beacon and traffic.time_s > self.free_s:
            self.bus.beacon, self.bus.turning = "", "both"

    def oncoming_wall(self, time_s: float) -> float | None:
        """Oncoming traffic waits, too."""
        return self.site_m + _BUS_M + 22.0 if self.begun_s <= time_s < self.clear_s else None
