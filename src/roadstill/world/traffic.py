"""Everything that moves besides the ego: cars that follow each other, and passers-by on a fixed course.

Positions are road coordinates: arc length along the centre line and offset to its left. A car's ``p`` is its progress
in its own direction (arc length, or minus arc length for oncoming cars), so that both directions share one code.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from roadstill.world.routes import CAR_COLOURS, SIZES_M, Route, track_of

DT_S = 0.1
FOREVER_S = 1e9


class Car:
    """A car in a lane that keeps its distance from whatever is ahead (IDM) and otherwise does as its script wants."""

    __slots__ = (
        "acc",
        "accel",
        "cause",
        "colour",
        "d",
        "d_rate",
        "d_to",
        "dec",
        "foot",
        "half_m",
        "height_m",
        "kind",
        "length_m",
        "lit",
        "p",
        "role",
        "track",
        "v",
        "want",
        "width_m",
        "yaw",
    )  # fmt: skip

    def __init__(self, rng: random.Random, kind: str, p: float, d: float, v: float, role: str) -> None:
        self.track, self.kind, self.role, self.colour = track_of(rng), kind, role, rng.choice(CAR_COLOURS)
        self.length_m, self.width_m, self.height_m = SIZES_M[kind]
        self.half_m = self.length_m / 2
        self.p, self.d, self.v, self.accel, self.yaw = p, d, v, 0.0, 0.0
        self.want, self.acc, self.dec = max(v, 4.0), rng.uniform(1.5, 2.2), 3.0
        self.d_to, self.d_rate, self.lit = d, 1.5, False
        self.cause = "lead_brakes"  # why the ego brakes when this car is ahead of it
        self.foot = False  # keeps the brake pressed lightly, whatever the speed

    def step(self, gap_m: float, ahead_mps: float) -> None:
        """One tick: speed towards ``want``, less for what is ``gap_m`` ahead; brake lamps go with deceleration."""
        v = self.v
        accel = min(self.acc, max(-self.dec, (self.want - v) * 1.2))
        if gap_m < 80.0:
            near = 2.5 + v * 1.1 + v * (v - ahead_mps) / (2.83 * math.sqrt(self.acc))
            if near > 0:
                accel -= self.acc * (near / max(gap_m, 0.3)) ** 2
        new = max(0.0, v + max(accel, -6.0) * DT_S)
        self.accel = (new - v) / DT_S
        self.p += (v + new) / 2 * DT_S
        self.v = new
        self.lit = self.foot or self.accel < -0.5 or (new < 0.3 and accel < 0.3)
        if self.d != self.d_to:
            most = self.d_rate * min(1.0, new / 2.5) * DT_S
            move = min(most, max(-most, self.d_to - self.d))
            self.d += move
            self.yaw = math.atan2(move / DT_S, max(new, 0.5))
        else:
            self.yaw = 0.0


def step_lane(lane: list[Car], walls_p: Sequence[float], route: Route | None = None, sign: int = 1) -> None:
    """One tick of all cars of a lane; at a wall (a red light, people on a crosswalk) the first one stops.

    ``p`` counts along the centre line: on the outer side of a bend of ``route`` it grows more slowly than they drive.
    """
    lane.sort(key=lambda car: -car.p)
    ahead: Car | None = None
    for car in lane:
        front = car.p + car.half_m
        gap, speed = (1e9, 0.0) if ahead is None else (ahead.p - ahead.half_m - front, ahead.v)
        for wall in walls_p:
            room = wall - front + 1.5
            if 0.2 < room < gap and car.v * car.v < 9.0 * room:
                gap, speed = room, 0.0
        before = car.p
        car.step(gap, speed)
        if route is not None:
            car.p = before + (car.p - before) / (1.0 - route.curvature(before * sign) * car.d)
        ahead = car


@dataclass
class Passer:
    """Someone or something on a fixed course: stands, goes straight from ``go_s`` to ``stop_s``, stands again."""

    track: str
    kind: str
    role: str
    colour: tuple[float, float, float]
    s_m: float
    d_m: float
    along_mps: float
    across_mps: float
    go_s: float = -FOREVER_S
    stop_s: float = FOREVER_S
    origin_s: float = 0.0  # when it is at (s_m, d_m), if it goes from ever
    yaw_rad: float | None = None  # fixed heading relative to the road
    from_s: float = -FOREVER_S  # exists from here
    to_s: float = FOREVER_S
    phase: float = 0.0

    def place(self, t_s: float) -> tuple[float, float, float]:
        """Arc length, offset and speed at a time."""
        start = self.go_s if self.go_s > -FOREVER_S else self.origin_s
        going = min(t_s, self.stop_s) - start
        if self.go_s > -FOREVER_S and going < 0:
            going = 0.0
        speed = math.hypot(self.along_mps, self.across_mps) if self.go_s <= t_s < self.stop_s else 0.0
        return self.s_m + self.along_mps * going, self.d_m + self.across_mps * going, speed

    @property
    def heading_rad(self) -> float:
        """Heading relative to the road's yaw."""
        return math.atan2(self.across_mps, self.along_mps) if self.yaw_rad is None else self.yaw_rad


CLOTHES = (
    (0.70, 0.16, 0.14), (0.14, 0.22, 0.48), (0.12, 0.12, 0.14), (0.86, 0.84, 0.80), (0.80, 0.66, 0.16),
    (0.22, 0.42, 0.24), (0.45, 0.30, 0.20), (0.50, 0.50, 0.55),
)  # fmt: skip


def person(rng: random.Random, role: str, s_m: float, d_m: float, along_mps: float, across_mps: float) -> Passer:
    """A pedestrian, by default on the way for ever."""
    return Passer(
        track_of(rng), "pedestrian", role, rng.choice(CLOTHES), s_m, d_m, along_mps, across_mps, phase=rng.random()
    )


def strollers(rng: random.Random, from_m: float, to_m: float, offset_m: float, every_m: float) -> list[Passer]:
    """People who walk along both pavements at ``offset_m`` from the centre line, and a few who stand."""
    people = []
    for side in (-1, 1):
        s = from_m + rng.uniform(0, every_m)
        while s < to_m:
            speed = rng.choice((-1, 1)) * rng.uniform(0.9, 1.6) if rng.random() < 0.8 else 0.01
            people.append(person(rng, "bystander", s, side * (offset_m + rng.uniform(-0.6, 0.6)), speed, 0.0))
            s += rng.expovariate(1 / every_m) + 1.0
    return people


def walkers_beside(rng: random.Random, from_m: float, to_m: float, edge_m: float) -> list[Passer]:
    """People on the carriageway along the far kerb: in both classes, so that people alone do not mean braking."""
    people = []
    s = from_m + rng.uniform(0, 60)
    while s < to_m:
        people.append(person(rng, "beside", s, edge_m - rng.uniform(0.3, 0.9), rng.choice((-1.2, 0.01, 1.2)), 0.0))
        s += rng.expovariate(1 / 45) + 2.0
    return people


def cyclists(rng: random.Random, from_m: float, to_m: float, edge_m: float) -> list[Passer]:
    """Cyclists at the edge of the outermost lane, on either side, each in the direction of its side."""
    riders = []
    for side in (-1, 1):
        s = from_m + rng.uniform(0, 150)
        while s < to_m:
            rider = person(rng, "cyclist", s, side * (edge_m + rng.uniform(0.5, 1.0)), -side * rng.uniform(3, 5.5), 0.0)
            rider.kind = "bicycle"
            riders.append(rider)
            s += rng.expovariate(1 / 110) + 10
    return riders


def crossing(rng: random.Random, at_m: float, pass_s: float, direction: int, speed_mps: float, kind: str) -> Passer:
    """A vehicle on the crossing road that is over our centre line at ``pass_s``; it keeps right there as we do."""
    lane = 1.9 * direction  # going left (direction 1) its lane is the farther one
    far_s = 48.0 / speed_mps
    return Passer(
        track_of(rng), kind, "crossing", rng.choice(CAR_COLOURS), at_m + lane, 0.0, 0.0, direction * speed_mps,
        origin_s=pass_s, from_s=pass_s - far_s, to_s=pass_s + far_s,
    )  # fmt: skip
