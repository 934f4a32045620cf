"""Episodes in our lane: the tail of a jam, slow cars, cars that cut in, sharp curves, turns and lane changes."""

import math
import random

from roadstill.world.driver import BRAKING_MPS2, Hazard
from roadstill.world.episodes import AWAY_MPS, Episode, Traffic
from roadstill.world.passers import FOREVER_S
from roadstill.world.routes import Bend
from roadstill.world.traffic import Car

# Jams. A jam stands before the ego can see it, and only if no car between would hide it.
_QUEUE_STANDS_M = 115.0
_QUEUE_TOO_NEAR_M = 55.0
_QUEUE_LEAD_CLEAR_M = 70.0
_QUEUE_DISSOLVES_M = 60.0
_QUEUE_MPS = 16.5
_ROW_DELAY_S = 0.25  # from one row to the one behind it
_CLEARED_M = (40.0, 60.0)  # behind and ahead of the tail; other cars there make way for the jam

# Slow cars.
_SLOW_PULLS_OUT_M = 50.0
_SLOW_LEAD_CLEAR_M = 90.0
_SLOW_SOONEST_S = 1.5
_SLOW_LATEST_S = 9.0  # it brakes then even if the ego is not near
_SLOW_PATIENCE_S = 3.0

# Cars that cut in.
_CUT_IN_MPS2 = 2.4  # the ego's braking for which it leaves room
_CUT_IN_ROOM_M = 6.0
_CUT_IN_WARY_S = 0.8
_CUT_IN_LEAST_MPS = 5.0
_CUT_IN_LEAD_CLEAR_M = 60.0

# Places to pass slowly.
_SLOW_WARY_M = 48.0
_SLOW_WORTH_IT_MPS2 = 1.3  # deceleration needed at which it begins to brake
_SLOW_GAP_M = -0.7  # the right speed is reached a little late
_SLOW_SPARE_MPS = 0.5

# Curves.
_CURVE_BEGINS_M = 1.0  # before the site
_CURVE_LAST_M = 9.0  # before its end, where the ego speeds up again
_CURVE_RADIUS_M, _CURVE_MPS, _CURVE_CRUISE_MPS = (16.0, 30.0), (3.2, 5.0), (8.5, 12.5)

# Turns at crossroads: a quarter of a circle, tight.
_TURN_RADIUS_M, _TURN_RAD = (15.0, 18.0), math.pi / 2

# Changes of lane.
_LANE_BEHIND_M, _LANE_AHEAD_M = 14.0, 22.0  # no car may be in this range of the new lane
_LANE_LEAST_MPS = 4.0
_LANE_PATIENCE_M = 30.0


class InLane(Episode):
    """What is ahead in the lane is there as a car or as the road itself; nobody else has to stop."""

    def wall(self, time_s: float) -> float | None:
        """None: the cars themselves are in the way."""
        return None

    def oncoming_wall(self, time_s: float) -> float | None:
        """None: the other half of the road is free."""
        return None


class Queue(InLane):
    """The tail of a jam over all our lanes, brake lamps lit; after a while it dissolves."""

    cause = "queue"
    after_m = 20.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.cars: list[Car] = []
        self.rows, self.row_delay_s = rng.randrange(3, 5), _ROW_DELAY_S
        self.release_mps = rng.uniform(0.5, 7.0)

    def tick(self, traffic: Traffic) -> None:
        """Stands when the ego is far, dissolves front first when the ego is slow."""
        room_m, time_s = self.site_m - traffic.front_m, traffic.time_s
        if self.begun_s == FOREVER_S and not self.passive:
            if room_m < _QUEUE_STANDS_M:
                lead = traffic.lead()
                hidden = lead is not None and lead.progress_m < self.site_m + _QUEUE_LEAD_CLEAR_M
                self.passive = room_m < _QUEUE_TOO_NEAR_M or hidden
                if not self.passive:
                    self.begun_s = time_s
                    self._stand(traffic)
            return
        if self.cars and self.free_s == FOREVER_S:
            self.free_s = self._dissolves_s(traffic, room_m)
        for index, car in enumerate(self.cars):
            rows_ahead = self.rows - 1 - index % self.rows
            stands = time_s < self.free_s + self.row_delay_s * rows_ahead
            car.desired_mps = 0.0 if stands else _QUEUE_MPS
            car.brake_held = stands or (car.speed_mps < 3.0 and car.accel_mps2 < 0.8)

    def _dissolves_s(self, traffic: Traffic, room_m: float) -> float:
        """When its foremost cars go, as far as it is known now."""
        slow = traffic.speed_mps < self.release_mps and room_m < _QUEUE_DISSOLVES_M
        return traffic.time_s if slow else FOREVER_S

    def _stand(self, traffic: Traffic) -> None:
        behind_m, ahead_m = _CLEARED_M
        for number, lane in enumerate(traffic.lanes):
            # the tail of the ego's lane is at the site, that of the other lanes a little nearer or farther
            tail_m = self.site_m + 2.5 + self.rng.uniform(-1.0, 1.0) * (number != traffic.lane)
            lane[:] = [car for car in lane if not tail_m - behind_m < car.progress_m < tail_m + ahead_m]
            for row in range(self.rows):
                # the rearmost is no truck: it would hide all others
                kind = self.rng.choice(("car", "car", "car", "van", "truck" if row else "car"))
                car = Car(self.rng, kind, 0.0, traffic.lane_offset_m(number), 0.0, "queue")
                car.progress_m = tail_m + car.half_m
                tail_m += car.length_m + self.rng.uniform(1.6, 2.8)
                car.desired_mps, car.max_accel_mps2 = 0.0, self.rng.uniform(1.8, 2.6)
                car.braking, car.cause = True, self.cause
                lane.append(car)
                self.cars.append(car)


class SlowLead(InLane):
    """A car pulls out far ahead, the ego comes up to it, it brakes; then it pulls away."""

    cause = "lead_brakes"
    after_m = 25.0

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.car: Car | None = None
        self.brake_s = FOREVER_S
        self.low_mps, self.hold_s = rng.uniform(0.0, 6.0), rng.uniform(1.0, 4.0)

    def tick(self, traffic: Traffic) -> None:
        """Pulls out, brakes when the ego is near, pulls away when the ego has slowed down."""
        if self.passive:
            return
        if self.car is None:
            self._pull_out(traffic)
        elif self.brake_s == FOREVER_S:
            self._lead(traffic, self.car)
        else:
            self.wary = False
            self._leave(traffic, self.car)

    def _lead(self, traffic: Traffic, car: Car) -> None:
        """Drives ahead of the ego until it is near."""
        gap_m, time_s, speed_mps = car.tail_m - traffic.front_m, traffic.time_s, traffic.speed_mps
        near = gap_m < 9.0 + 0.9 * speed_mps
        self.wary = gap_m < 14.0 + 1.6 * speed_mps
        if car.offset_m == car.target_offset_m:
            car.turning = ""
        closing = speed_mps > car.speed_mps + 1.0
        touches_brake = gap_m < 45.0 and closing and time_s > self.begun_s + _SLOW_SOONEST_S
        car.brake_held = car.brake_held or touches_brake
        if near or time_s > self.begun_s + _SLOW_LATEST_S:
            self.brake_s = time_s
            car.desired_mps, car.max_decel_mps2 = self.low_mps, self.rng.uniform(2.6, 4.0)
            car.brake_held = True

    def _leave(self, traffic: Traffic, car: Car) -> None:
        """Holds its low speed for a while and until the ego is as slow, then pulls away."""
        time_s, held_s = traffic.time_s, self.brake_s + self.hold_s
        if car.offset_m == car.target_offset_m:
            car.turning = ""
        calm = traffic.speed_mps < car.speed_mps + 1.0 or time_s > held_s + _SLOW_PATIENCE_S
        if calm and time_s > held_s and self.free_s == FOREVER_S:
            self.free_s, car.brake_held = time_s, False
            car.desired_mps, car.max_accel_mps2 = AWAY_MPS, self.rng.uniform(2.0, 2.8)

    def _pull_out(self, traffic: Traffic) -> None:
        if self.site_m - traffic.front_m > _SLOW_PULLS_OUT_M:
            return
        if _lead_within(traffic, _SLOW_LEAD_CLEAR_M):
            self.passive = True
            return
        lane_m, from_m = traffic.lane_offset_m(traffic.lane), _neighbour_offset_m(traffic, 1.1)
        kind = self.rng.choice(("car", "car", "van", "truck"))
        car = Car(self.rng, kind, self.site_m + 4, from_m, 3.0, "lead")
        car.desired_mps, car.max_accel_mps2 = self.rng.uniform(4.5, 7.0), 2.0
        car.target_offset_m, car.lateral_mps, car.cause, car.turning = lane_m, 1.6, self.cause, "left"
        traffic.lanes[traffic.lane].append(car)
        self.car, self.begun_s = car, traffic.time_s


class CutIn(SlowLead):
    """A car from the neighbouring lane or the kerb cuts in close ahead and brakes; then it pulls away."""

    cause = "cut_in"

    def _pull_out(self, traffic: Traffic) -> None:
        room_m, speed_mps = self.site_m - traffic.front_m, traffic.speed_mps
        reach_m = _CUT_IN_ROOM_M + speed_mps * speed_mps / (2 * _CUT_IN_MPS2) + (traffic.delay_s - 0.2) * speed_mps
        self.wary = room_m < reach_m + _CUT_IN_WARY_S * speed_mps
        if room_m > reach_m:
            return
        if speed_mps < _CUT_IN_LEAST_MPS or _lead_within(traffic, _CUT_IN_LEAD_CLEAR_M):
            self.passive = True
            self.wary = False
            return
        lane_m, from_m = traffic.lane_offset_m(traffic.lane), _neighbour_offset_m(traffic, 0.2)
        car = Car(self.rng, self.rng.choice(("car", "car", "van")), self.site_m + 1, from_m, 3.2, "cut_in")
        car.desired_mps, car.max_decel_mps2 = self.rng.uniform(0.5, 2.2), 1.2
        car.target_offset_m, car.lateral_mps, car.cause, car.turning = lane_m, 2.2, self.cause, "left"
        car.brake_held = car.braking = True
        traffic.lanes[traffic.lane].append(car)
        self.car, self.begun_s, self.brake_s = car, traffic.time_s, traffic.time_s


class SlowPlace(InLane):
    """A place that everybody passes slowly: the ego brakes before it, once that is worth it, and speeds up behind it.

    Attributes:
        over_mps: speed at which it passes.
        over_m: arc length from which it may be fast again.
    """

    over_mps: float
    over_m: float

    def tick(self, traffic: Traffic) -> None:
        """The ego sees it from afar."""
        self.wary = 0.0 < self.site_m - traffic.front_m < _SLOW_WARY_M

    def hazards(self, traffic: Traffic) -> list[Hazard]:
        """Its beginning, once it is worth braking for."""
        room_m = self.site_m - traffic.front_m
        if room_m <= 0:
            return []
        need_mps2 = (traffic.speed_mps**2 - self.over_mps**2) / (2 * max(room_m, 0.5))
        brakes = traffic.cause == self.cause and traffic.accel_mps2 < BRAKING_MPS2
        if need_mps2 > _SLOW_WORTH_IT_MPS2 or brakes:
            return [Hazard(self.site_m, self.over_mps, self.cause, _SLOW_GAP_M, fixed=True)]
        return []

    def cruise(self, traffic: Traffic) -> float | None:
        """Slowly until the rear axle is through."""
        within = self.site_m <= traffic.front_m and traffic.rear_axle_m < self.over_m
        return self.over_mps + _SLOW_SPARE_MPS if within else super().cruise(traffic)


class Curve(SlowPlace):
    """The road bends sharply: the ego slows down before it and speeds up in its last third."""

    cause = "curve"

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.sign = 1
        self.cruise_mps = min(cruise_mps, rng.uniform(*_CURVE_CRUISE_MPS))
        self.radius_m, self.angle_rad = rng.uniform(*_CURVE_RADIUS_M), rng.uniform(0.9, 1.5)
        self.over_mps = rng.uniform(*_CURVE_MPS)

    @property
    def over_m(self) -> float:  # type: ignore[override]
        """Up to the last third of the curve."""
        return self.bend().end_m - _CURVE_LAST_M

    @property
    def after_m(self) -> float:  # type: ignore[override]
        """Up to where the road is straight again."""
        return (self.bend().end_m - self.site_m) + 3.0

    def turn(self, last: int) -> int:
        """To the other side than the curve before, so that the road does not run into itself."""
        self.sign = -last
        return self.sign

    def bend(self) -> Bend:
        """The curve itself."""
        return Bend(self.site_m - _CURVE_BEGINS_M, self.radius_m, self.sign * self.angle_rad)


class TurnOff(Curve):
    """The ego's way turns left or right at a crossroads."""

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.radius_m, self.angle_rad = rng.uniform(*_TURN_RADIUS_M), _TURN_RAD

    @property
    def corner_m(self) -> tuple[float, float]:
        """All of the bend."""
        bend = self.bend()
        return bend.start_m, bend.end_m


class LaneChange(InLane):
    """The ego moves over to a neighbouring lane, if that is free."""

    after_m = 55.0
    least_lanes = 2

    def __init__(self, rng: random.Random, site_m: float, cruise_mps: float) -> None:
        super().__init__(rng, site_m, cruise_mps)
        self.lane = 0

    def leave(self, lane: int, lanes: int) -> int:
        """To a lane beside."""
        self.lane = self.rng.choice([other for other in (lane - 1, lane + 1) if 0 <= other < lanes])
        return self.lane

    def tick(self, traffic: Traffic) -> None:
        """Goes over as soon as it may; if it may not for long, it stays."""
        past_m = traffic.front_m - self.site_m
        if self.passive or past_m < 0.0:
            return
        low_m, high_m = traffic.rear_axle_m - _LANE_BEHIND_M, traffic.front_m + _LANE_AHEAD_M
        free = all(not low_m < car.progress_m < high_m for car in traffic.lanes[self.lane])
        if free and traffic.speed_mps > _LANE_LEAST_MPS:
            traffic.change_lane(self.lane)
        self.passive = traffic.lane == self.lane or past_m > _LANE_PATIENCE_M


def _lead_within(traffic: Traffic, far_m: float) -> bool:
    """Whether a car is ahead of the ego, with its middle nearer than ``far_m``."""
    lead = traffic.lead()
    return lead is not None and lead.progress_m < traffic.front_m + far_m


def _neighbour_offset_m(traffic: Traffic, kerb_m: float) -> float:
    """Offset of the lane to the right of the ego's, or of a place ``kerb_m`` beyond the outermost lane."""
    outermost = traffic.lane == len(traffic.lanes) - 1
    return -(traffic.half_road_m + kerb_m) if outermost else traffic.lane_offset_m(traffic.lane + 1)
