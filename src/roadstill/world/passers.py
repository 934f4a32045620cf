"""Passers-by: people, cyclists, things and crossing vehicles, each on a fixed course that is known from the start."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from roadstill.world.routes import CAR_COLOURS, Route, track_of
from roadstill.world.scene import Layout

FOREVER_S = 1e9
"""A time that never comes."""


@dataclass
class Passer:
    """Someone or something on a fixed course: stands, goes straight from ``go_s`` to ``stop_s``, stands again.

    Attributes:
        track: token, 16 hex digits.
        kind: key of ``SIZES_M``.
        role: part that it plays in the scene.
        colour: RGB in 0..1, of clothes or paint.
        s_m: arc length where it stands first.
        offset_m: offset from the centre line where it stands first.
        along_mps: speed along the road while it goes.
        across_mps: speed to the left while it goes.
        go_s: time at which it starts; if it has always been going, ``origin_s`` says where.
        stop_s: time at which it stops for good.
        origin_s: time at which it passes its first place, if it has always been going.
        yaw_rad: heading relative to the road; the direction in which it goes if not given.
        from_s: time from which it exists.
        to_s: time up to which it exists.
        phase: share of the walking cycle at time 0.
        braking: whether its brake lamps shine.
        turning: its indicators that blink: left, right or both.
        beacon: what flashes on its roof, as in ``RoadObject``.
    """

    track: str
    kind: str
    role: str
    colour: tuple[float, float, float]
    s_m: float
    offset_m: float
    along_mps: float
    across_mps: float
    go_s: float = -FOREVER_S
    stop_s: float = FOREVER_S
    origin_s: float = 0.0
    yaw_rad: float | None = None
    from_s: float = -FOREVER_S
    to_s: float = FOREVER_S
    phase: float = 0.0
    braking: bool = False
    turning: str = ""
    beacon: str = ""

    def place(self, time_s: float) -> tuple[float, float, float]:
        """Arc length, offset and speed at a time."""
        starts = self.go_s > -FOREVER_S
        going_s = min(time_s, self.stop_s) - (self.go_s if starts else self.origin_s)
        if starts and going_s < 0:
            going_s = 0.0
        speed_mps = math.hypot(self.along_mps, self.across_mps) if self.go_s <= time_s < self.stop_s else 0.0
        return self.s_m + self.along_mps * going_s, self.offset_m + self.across_mps * going_s, speed_mps

    @property
    def heading_rad(self) -> float:
        """Heading relative to the road's yaw."""
        return math.atan2(self.across_mps, self.along_mps) if self.yaw_rad is None else self.yaw_rad


CLOTHES = (
    (0.70, 0.16, 0.14), (0.14, 0.22, 0.48), (0.12, 0.12, 0.14), (0.86, 0.84, 0.80), (0.80, 0.66, 0.16),
    (0.22, 0.42, 0.24), (0.45, 0.30, 0.20), (0.50, 0.50, 0.55),
)  # fmt: skip
_STANDS_MPS = 0.01  # slow enough to stand, and still a direction to look in


def person(rng: random.Random, role: str, s_m: float, offset_m: float, along_mps: float, across_mps: float) -> Passer:
    """A pedestrian, walking all the time unless told otherwise."""
    return Passer(
        track_of(rng), "pedestrian", role, rng.choice(CLOTHES), s_m, offset_m, along_mps, across_mps, phase=rng.random()
    )


def waiting(rng: random.Random, role: str, s_m: float, side: int, edge_m: float) -> Passer:
    """A pedestrian who stands beside the road and looks across it, until an episode sends them.

    Args:
        rng: source of everything random.
        role: part in the scene.
        s_m: arc length.
        side: side of the road, 1 left and -1 right.
        edge_m: distance from the centre line.
    """
    walker = person(rng, role, s_m, side * edge_m, 0.0, -side * _STANDS_MPS)
    walker.go_s = walker.stop_s = FOREVER_S
    return walker


def strollers(rng: random.Random, from_m: float, to_m: float, offset_m: float, every_m: float) -> list[Passer]:
    """People who walk along both pavements, and a few who stand.

    Args:
        rng: source of everything random.
        from_m: arc length from which there are people.
        to_m: arc length up to which there are people.
        offset_m: distance of the pavements from the centre line.
        every_m: mean distance between two people.
    """
    people = []
    for side in (-1, 1):
        s_m = from_m + rng.uniform(0, every_m)
        while s_m < to_m:
            walks = rng.random() < 0.8
            # the order of the draws counts: the way first, then the pace, then the place on the pavement
            speed_mps = rng.choice((-1, 1)) * rng.uniform(0.9, 1.6) if walks else _STANDS_MPS
            people.append(person(rng, "bystander", s_m, side * (offset_m + rng.uniform(-0.6, 0.6)), speed_mps, 0.0))
            s_m += rng.expovariate(1 / every_m) + 1.0
    return people


def walkers_beside(rng: random.Random, from_m: float, to_m: float, edge_m: float) -> list[Passer]:
    """People on the carriageway along the far kerb: in both classes, so that people alone do not mean braking."""
    people = []
    s_m = from_m + rng.uniform(0, 60)
    while s_m < to_m:
        offset_m, speed_mps = edge_m - rng.uniform(0.3, 0.9), rng.choice((-1.2, _STANDS_MPS, 1.2))
        people.append(person(rng, "beside", s_m, offset_m, speed_mps, 0.0))
        s_m += rng.expovariate(1 / 45) + 2.0  # one every 47 m on average
    return people


def cyclists(rng: random.Random, from_m: float, to_m: float, edge_m: float) -> list[Passer]:
    """Cyclists at the edge of the outermost lane, on either side, each in the direction of its side."""
    riders = []
    for side in (-1, 1):
        s_m = from_m + rng.uniform(0, 150)
        while s_m < to_m:
            offset_m, speed_mps = side * (edge_m + rng.uniform(0.5, 1.0)), -side * rng.uniform(3, 5.5)
            rider = person(rng, "cyclist", s_m, offset_m, speed_mps, 0.0)
            rider.kind = "bicycle"
            riders.append(rider)
            s_m += rng.expovariate(1 / 110) + 10  # one every 120 m on average
    return riders


THINGS = {  # colours of what stands about, and how far it is turned at most
    "bin": (((0.10, 0.22, 0.14), (0.14, 0.15, 0.17), (0.16, 0.26, 0.46), (0.50, 0.40, 0.12), (0.42, 0.12, 0.10)), 1.6),
    "crate": (((0.72, 0.58, 0.40), (0.56, 0.44, 0.30), (0.30, 0.36, 0.46), (0.60, 0.22, 0.16)), 0.15),
    "trolley": (((0.65, 0.12, 0.12), (0.12, 0.26, 0.56), (0.16, 0.42, 0.22), (0.30, 0.30, 0.30)), 0.35),
}
_THING_INSIDE_M = 0.42  # from the kerb to its middle
_THING_ROOM_M = 3.8  # from its middle to that of a parked car
_THING_EVERY_M = 95.0


def things(
    rng: random.Random, layout: Layout, route: Route, kerb_m: float, taken_m: Sequence[tuple[float, float]]
) -> list[Passer]:
    """Bins, crates and trolleys on both parking strips, close to the kerb, whatever happens on the road.

    Args:
        rng: source of everything random.
        layout: still part of the scenes; nothing is put on its crossroads and crosswalks or beside its parked cars.
        route: road of the log.
        kerb_m: distance from the centre line to the kerb.
        taken_m: ranges of arc length where others need the right strip.
    """
    found = []
    cars = [(car.x_m, car.y_m) for car in layout.parked]
    # no more than that: places without things would be places to brake at
    across = [(s - 10.0, s + 10.0) for s in layout.crossroads_s_m] + [(s - 2.4, s + 2.4) for s in layout.crosswalks_s_m]
    for side in (-1, 1):
        taken = [*across, *taken_m] if side < 0 else across
        offset_m = side * (kerb_m - _THING_INSIDE_M)
        s_m = rng.uniform(0, _THING_EVERY_M)
        while s_m < route.road.length_m:
            kind = rng.choice(list(THINGS))
            colours, turned_rad = THINGS[kind]
            thing = Passer(
                track_of(rng), kind, "thing", rng.choice(colours), s_m, offset_m, 0.0, 0.0, go_s=FOREVER_S,
                yaw_rad=rng.choice((0.0, math.pi)) + rng.uniform(-turned_rad, turned_rad),
            )  # fmt: skip
            x, y, _ = route.at(s_m, offset_m)
            if not any(low < s_m < high for low, high in taken) and all(
                math.hypot(x - car_x, y - car_y) > _THING_ROOM_M for car_x, car_y in cars
            ):
                found.append(thing)
            s_m += rng.expovariate(1 / _THING_EVERY_M) + 2.0
    return found


def crossing(rng: random.Random, at_m: float, pass_s: float, direction: int, speed_mps: float, kind: str) -> Passer:
    """A vehicle on a crossing road, which keeps right there as we do.

    Args:
        rng: source of everything random.
        at_m: arc length of the crossing road's centre line.
        pass_s: time at which the vehicle is over our centre line.
        direction: direction in which it goes, 1 left and -1 right.
        speed_mps: constant speed.
        kind: key of ``SIZES_M``.
    """
    lane_m = 1.9 * direction  # half a lane of the crossing road; going left, the vehicle's lane is the farther one
    visible_s = 48.0 / speed_mps  # it exists while it is within 48 m of our centre line
    return Passer(
        track_of(rng), kind, "crossing", rng.choice(CAR_COLOURS), at_m + lane_m, 0.0, 0.0, direction * speed_mps,
        origin_s=pass_s, from_s=pass_s - visible_s, to_s=pass_s + visible_s,
    )  # fmt: skip
