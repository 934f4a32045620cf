"""Cars that follow each other, with their lanes and the length of a tick.

Positions are road coordinates: arc length along the centre line and offset to its left. A car's ``progress_m`` counts
in its own direction (arc length, or minus arc length for oncoming cars), so that both directions share one code.
"""

import math
import random
from collections.abc import Sequence

from roadstill.world.routes import CAR_COLOURS, SIZES_M, Route, track_of

DT_S = 0.1
"""Length of one tick."""

HARDEST_BRAKING_MPS2 = 6.0
"""Greatest deceleration, even in an emergency."""

# The intelligent driver model of all cars but the ego.
_SPEED_GAIN_PER_S = 1.2  # acceleration per m/s that is missing from the desired speed
_HEADWAY_S = 1.1
_STANDSTILL_GAP_M = 2.5
_TWICE_ROOT_COMFORT = 2.83  # 2 sqrt(b) with a comfortable deceleration b of 2 m/s^2
_LOOK_AHEAD_M = 80.0  # farther cars do not matter
_LEAST_GAP_M = 0.3  # keeps the model finite

_LAMP_MPS2 = -0.5  # braking harder than this shows
_STANDING_MPS = 0.3
_FULL_SHIFT_MPS = 2.5  # slower cars change lanes more slowly

_BEYOND_WALL_M = 1.5  # at a wall they keep that much less than behind a car
_TOO_CLOSE_M = 0.2
_OVERLAP_M = 2.0  # a car that far beside the ego's tail is still behind it
_LATE_BRAKING_MPS2 = 4.5  # who would have to brake harder drives on

_FREE = ("oncoming", "neighbour")  # roles without a script: they slow down for bends
_SHARP_MPS = 8.0  # a bend that allows less is sharp: oncoming cars keep away from the middle of the road
_ASIDE_M = 0.6


class Car:
    """A car in a lane that keeps its distance from whatever is ahead (IDM) and otherwise does as its script wants.

    Attributes:
        progress_m: progress of its centre in its own direction.
        offset_m: offset of its centre from the centre line.
        speed_mps: speed along the road.
        accel_mps2: acceleration in the last tick.
        yaw_rad: heading relative to its own direction along the road.
        desired_mps: speed that it drives on a free road.
        max_accel_mps2: limit of its acceleration.
        max_decel_mps2: limit of braking down to the desired speed; it brakes harder for what is ahead.
        lane_offset_m: offset of the lane in which it appeared.
        target_offset_m: offset that it moves to.
        lateral_mps: greatest speed to the side on the way there.
        braking: whether the brake lamps are lit.
        brake_held: whether the brake is pressed lightly, whatever the speed.
        turning: its indicators that blink: left, right or both.
        cause: reason why the ego brakes when this car is ahead of it.
    """

    __slots__ = (
        "accel_mps2",
        "brake_held",
        "braking",
        "cause",
        "colour",
        "desired_mps",
        "half_m",
        "height_m",
        "kind",
        "lane_offset_m",
        "lateral_mps",
        "length_m",
        "max_accel_mps2",
        "max_decel_mps2",
        "offset_m",
        "progress_m",
        "role",
        "speed_mps",
        "target_offset_m",
        "track",
        "turning",
        "width_m",
        "yaw_rad",
    )

    def __init__(
        self, rng: random.Random, kind: str, progress_m: float, offset_m: float, speed_mps: float, role: str
    ) -> None:
        self.track, self.kind, self.role, self.colour = track_of(rng), kind, role, rng.choice(CAR_COLOURS)
        self.length_m, self.width_m, self.height_m = SIZES_M[kind]
        self.half_m = self.length_m / 2
        self.progress_m, self.offset_m, self.yaw_rad = progress_m, offset_m, 0.0
        self.speed_mps, self.accel_mps2 = speed_mps, 0.0
        self.desired_mps = max(speed_mps, 4.0)
        self.max_accel_mps2, self.max_decel_mps2 = rng.uniform(1.5, 2.2), 3.0
        self.lane_offset_m = self.target_offset_m = offset_m
        self.lateral_mps = 1.5
        self.braking = self.brake_held = False
        self.turning = ""
        self.cause = "lead_brakes"

    @property
    def tail_m(self) -> float:
        """Progress of its rear end."""
        return self.progress_m - self.half_m

    def step(self, gap_m: float, ahead_mps: float, most_mps: float = math.inf) -> None:
        """Moves it by one tick.

        Args:
            gap_m: distance from its front to what is ahead.
            ahead_mps: speed of what is ahead.
            most_mps: greatest speed that it wants to have here.
        """
        before_mps = self.speed_mps
        accel_mps2 = (min(self.desired_mps, most_mps) - before_mps) * _SPEED_GAIN_PER_S
        accel_mps2 = min(self.max_accel_mps2, max(-self.max_decel_mps2, accel_mps2))
        if gap_m < _LOOK_AHEAD_M:
            closing_mps = before_mps - ahead_mps
            wanted_m = _STANDSTILL_GAP_M + before_mps * _HEADWAY_S
            wanted_m += before_mps * closing_mps / (_TWICE_ROOT_COMFORT * math.sqrt(self.max_accel_mps2))
            if wanted_m > 0:
                accel_mps2 -= self.max_accel_mps2 * (wanted_m / max(gap_m, _LEAST_GAP_M)) ** 2
        after_mps = max(0.0, before_mps + max(accel_mps2, -HARDEST_BRAKING_MPS2) * DT_S)
        self.accel_mps2 = (after_mps - before_mps) / DT_S
        self.progress_m += (before_mps + after_mps) / 2 * DT_S
        self.speed_mps = after_mps
        # a car that stands keeps its foot on the brake until it wants to go
        stands = after_mps < _STANDING_MPS and accel_mps2 < 0.3
        self.braking = self.brake_held or self.accel_mps2 < _LAMP_MPS2 or stands
        self._shift()

    def _shift(self) -> None:
        """Moves it sideways towards its target."""
        if self.offset_m == self.target_offset_m:
            self.yaw_rad = 0.0
            return
        most_m = self.lateral_mps * min(1.0, self.speed_mps / _FULL_SHIFT_MPS) * DT_S
        shift_m = min(most_m, max(-most_m, self.target_offset_m - self.offset_m))
        self.offset_m += shift_m
        self.yaw_rad = math.atan2(shift_m / DT_S, max(self.speed_mps, 0.5))  # a standing car does not turn on the spot


def step_lane(
    lane: list[Car],
    walls_m: Sequence[float],
    route: Route | None = None,
    sign: int = 1,
    ego: tuple[float, float] | None = None,
) -> None:
    """Moves all cars of a lane by one tick; at a wall (a red light, people on a crosswalk) the first one stops.

    Progress counts along the centre line: on the outer side of a bend it grows more slowly than the cars drive.

    Args:
        lane: cars of the lane; sorted here, the foremost first.
        walls_m: progress at which the cars have to stop.
        route: road whose bends count; none if not given.
        sign: direction of the lane, 1 along the road and -1 against it.
        ego: progress of the ego's tail and its speed, if it is in this lane.
    """
    lane.sort(key=lambda car: -car.progress_m)
    ahead: Car | None = None
    for car in lane:
        front_m = car.progress_m + car.half_m
        gap_m, ahead_mps = (1e9, 0.0) if ahead is None else (ahead.tail_m - front_m, ahead.speed_mps)
        if ego is not None and -_OVERLAP_M < ego[0] - front_m < gap_m:
            gap_m, ahead_mps = ego[0] - front_m, ego[1]
        for wall_m in walls_m:
            room_m = wall_m - front_m + _BEYOND_WALL_M
            can_stop = car.speed_mps * car.speed_mps < 2 * _LATE_BRAKING_MPS2 * room_m
            if _TOO_CLOSE_M < room_m < gap_m and can_stop:
                gap_m, ahead_mps = room_m, 0.0
        before_m = car.progress_m
        most_mps = math.inf
        if route is not None and car.role in _FREE:
            most_mps = route.cornering_mps(car.progress_m * sign, sign)
            if sign < 0:
                car.target_offset_m = car.lane_offset_m + (_ASIDE_M if most_mps < _SHARP_MPS else 0.0)
        car.step(gap_m, ahead_mps, most_mps)
        if route is not None:
            driven_m = car.progress_m - before_m
            car.progress_m = before_m + driven_m / (1.0 - route.curvature(before_m * sign) * car.offset_m)
        ahead = car
