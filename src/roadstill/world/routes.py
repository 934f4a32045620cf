"""Roads of the built-in world: a curvature profile, what stands along it, and quick look-ups on it."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadstill.world.scene import Layout, Road, RoadObject, Town
from roadstill.world.towns import PARKING_STRIP_M

PARKED_BRAKING, PARKED_BLINKING, PARKED_OCCUPIED = 0.10, 0.08, 0.30
"""Shares of the cars at the kerb whose brake lamps shine, whose hazard lights do, and with somebody inside at all."""
STEP_M = 1.0
RAMP_M = 5.0
_CORNERING_MPS2 = 2.0  # towards the inner side of a bend, for those who slow down for it
_BENDS_WITHIN_M = 21.0  # so far ahead drivers look for bends: the longest way to brake for them
CAR_COLOURS = (
    (0.85, 0.85, 0.86), (0.10, 0.10, 0.11), (0.45, 0.46, 0.48), (0.62, 0.64, 0.67), (0.55, 0.10, 0.10),
    (0.12, 0.20, 0.42), (0.16, 0.30, 0.24), (0.70, 0.60, 0.38), (0.76, 0.42, 0.14), (0.24, 0.22, 0.20),
)  # fmt: skip
SIZES_M = {  # length, width, height
    "car": (4.5, 1.85, 1.5),
    "van": (5.4, 2.05, 2.3),
    "truck": (8.4, 2.5, 3.3),
    "bus": (11.6, 2.55, 3.2),
    "bicycle": (1.8, 0.6, 1.7),
    "pedestrian": (0.5, 0.55, 1.75),
    "barrier": (0.4, 1.5, 1.0),
    "cone": (0.35, 0.35, 0.7),
    "sign": (0.1, 0.7, 1.9),
    "bin": (0.75, 0.6, 1.1),
    "crate": (1.2, 0.8, 1.0),
    "trolley": (0.95, 0.55, 1.0),
}


@dataclass(frozen=True)
class Bend:
    """A sharp curve: begins at ``start_m``, turns by ``angle_rad`` (positive: left) with a least radius."""

    start_m: float
    radius_m: float
    angle_rad: float

    @property
    def end_m(self) -> float:
        """Where the road is straight again (two ramps of linear curvature and an arc)."""
        return self.start_m + abs(self.angle_rad) * self.radius_m + RAMP_M

    def curvature(self, s_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Curvature in 1/m, a trapezoid over arc length."""
        rise = np.minimum(s_m - self.start_m, self.end_m - s_m) / RAMP_M
        return np.clip(rise, 0.0, 1.0) * math.copysign(1.0 / self.radius_m, self.angle_rad)


@dataclass(frozen=True)
class LaneShift:
    """The offset of the ego from the centre line, which moves from one lane to another along a smooth curve.

    The curve is the quintic of least jerk: no slope and no curvature at either end.

    Attributes:
        from_m: offset before it.
        to_m: offset after it.
        start_m: arc length where it begins.
        length_m: arc length that it takes.
    """

    from_m: float
    to_m: float
    start_m: float = 0.0
    length_m: float = 1.0

    def _share(self, s_m: float) -> float:
        return min(1.0, max(0.0, (s_m - self.start_m) / self.length_m))

    def offset_m(self, s_m: float) -> float:
        """Offset at an arc length."""
        u = self._share(s_m)
        return self.from_m + (self.to_m - self.from_m) * u**3 * (10 + u * (6 * u - 15))

    def slope(self, s_m: float) -> float:
        """Change of the offset per metre."""
        u = self._share(s_m)
        return (self.to_m - self.from_m) / self.length_m * 30 * (u * (1 - u)) ** 2

    def curvature(self, s_m: float) -> float:
        """Change of the slope per metre."""
        u = self._share(s_m)
        return (self.to_m - self.from_m) / self.length_m**2 * 60 * u * (1 - u) * (1 - 2 * u)


class Route:
    """A road as plain floats: a hundred times quicker for single points than arrays."""

    def __init__(self, rng: random.Random, length_m: float, bends: Sequence[Bend]) -> None:
        s = np.arange(0.0, length_m + STEP_M, STEP_M)
        wave, phase, sway = rng.uniform(90, 220), rng.uniform(0, 2 * math.pi), 1 / rng.uniform(280, 1200)
        gentle = sway * np.sin(2 * math.pi * s / wave + phase)
        sharp = np.zeros_like(s)
        for bend in bends:  # no sway next to a bend
            gentle = gentle * np.clip(np.maximum(bend.start_m - s, s - bend.end_m) / 30.0, 0.0, 1.0)
            sharp = sharp + bend.curvature(s)
        curvature = gentle + sharp
        yaw = rng.uniform(-math.pi, math.pi) + np.concatenate([[0.0], np.cumsum((curvature[1:] + curvature[:-1]) / 2)])
        middle = (yaw[1:] + yaw[:-1]) / 2
        start = np.array([rng.uniform(2e5, 8e5), rng.uniform(1e6, 5e6)])  # like UTM, so that readers meet big numbers
        steps = np.stack([np.cos(middle), np.sin(middle)], axis=1) * STEP_M
        points = np.round(start) + np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
        self.road = Road(points, yaw, STEP_M)
        self.last = len(points) - 1.001
        self._x, self._y, self._yaw = points[:, 0].tolist(), points[:, 1].tolist(), yaw.tolist()
        self._curvature = curvature.tolist()
        self._cornering = {sign: _cornering_mps(curvature[::sign])[::sign].tolist() for sign in (1, -1)}

    def at(self, s_m: float, offset_m: float) -> tuple[float, float, float]:
        """The same as ``Road.at``."""
        place = min(max(s_m, 0.0), self.last)
        low = int(place)
        share = place - low
        rest = 1.0 - share
        yaw = self._yaw[low] * rest + self._yaw[low + 1] * share
        x = self._x[low] * rest + self._x[low + 1] * share
        y = self._y[low] * rest + self._y[low + 1] * share
        return x - math.sin(yaw) * offset_m, y + math.cos(yaw) * offset_m, yaw

    def curvature(self, s_m: float) -> float:
        """Curvature of the centre line, positive to the left."""
        place = min(max(s_m, 0.0), self.last)
        low = int(place)
        return self._curvature[low] * (low + 1 - place) + self._curvature[low + 1] * (place - low)

    def cornering_mps(self, s_m: float, sign: int) -> float:
        """Speed for the sharpest bend from here to a little further on; ``sign`` -1 drives against the road."""
        return self._cornering[sign][int(min(max(s_m, 0.0), self.last))]

    def ahead(self, s_m: float, offset_m: float, far_m: float, shift_m: float = 0.0) -> float:
        """How far to the left a lane lies ``far_m`` further on, in the frame of the lane at ``s_m``.

        The lane is the one at ``offset_m``, or that which lies ``shift_m`` to its left.
        """
        x, y, yaw = self.at(s_m, offset_m)
        to_x, to_y, _ = self.at(s_m + far_m, offset_m + shift_m)
        return -(to_x - x) * math.sin(yaw) + (to_y - y) * math.cos(yaw)


def _cornering_mps(curvature: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same for every metre ``[n]`` of a road."""
    ahead = round(_BENDS_WITHIN_M / STEP_M)
    padded = np.concatenate([np.abs(curvature), np.zeros(ahead)])
    sharpest = np.lib.stride_tricks.sliding_window_view(padded, ahead + 1).max(axis=1)
    return np.sqrt(_CORNERING_MPS2 / np.maximum(sharpest, 1e-6))


def track_of(rng: random.Random) -> str:
    """A track token: 16 hex digits."""
    return f"{rng.getrandbits(64):016x}"


def layout_of(
    rng: random.Random,
    town: Town,
    route: Route,
    crossroads_m: Sequence[float],
    crosswalks_m: Sequence[float],
    stop_lines_m: Sequence[float],
    signals_m: Sequence[float] = (),
    *,
    stop_signs_m: Sequence[float] = (),
    bumps_m: Sequence[float] = (),
    kerbs_m: Sequence[tuple[float, float]] = (),
    corners_m: Sequence[tuple[float, float]] = (),
) -> Layout:
    """The still part of a log's scenes: the road, its crossroads and the parked cars beside it."""
    parked = []
    for side in (-1, 1):
        offset = side * (town.lanes_each_way * town.lane_width_m + PARKING_STRIP_M / 2)
        s = rng.uniform(0, 8)
        while s < route.road.length_m:
            free = all(abs(s - c) > 19 for c in crossroads_m) and all(abs(s - c) > 9 for c in crosswalks_m)
            free = free and (side > 0 or not any(low < s < high for low, high in kerbs_m))
            free = free and not any(low - 10 < s < high + 10 for low, high in corners_m)
            if rng.random() < town.parked_share and free:
                kind = "van" if rng.random() < 0.15 else "car"
                length, width, height = SIZES_M[kind]
                x, y, yaw = route.at(s, offset)
                occupied = rng.random()
                parked.append(
                    RoadObject(
                        track=track_of(rng),
                        kind=kind,
                        x_m=x,
                        y_m=y,
                        yaw_rad=yaw + (math.pi if side > 0 else 0.0),
                        length_m=length,
                        width_m=width,
                        height_m=height,
                        speed_mps=0.0,
                        colour=rng.choice(CAR_COLOURS),
                        braking=occupied < PARKED_BRAKING,
                        turning="both" if PARKED_BRAKING < occupied < PARKED_BRAKING + PARKED_BLINKING else "",
                        role="parked" if occupied > PARKED_OCCUPIED else "kerbside",
                    )
                )
            s += rng.uniform(6.2, 9.0)
    return Layout(
        town=town, road=route.road, seed=rng.getrandbits(48), crossroads_s_m=tuple(crossroads_m),
        crosswalks_s_m=tuple(crosswalks_m), stop_lines_s_m=tuple(stop_lines_m),
        signals_s_m=tuple(signals_m), stop_signs_s_m=tuple(stop_signs_m), bumps_s_m=tuple(bumps_m),
        corners_s_m=tuple(corners_m), parked=tuple(parked),
    )  # fmt: skip
