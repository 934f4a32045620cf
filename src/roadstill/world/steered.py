"""A log of the built-in world whose ego is driven from outside: everybody else reacts to where it is."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadstill.world.episodes import Episode
from roadstill.world.logrun import LogRun
from roadstill.world.routes import SIZES_M
from roadstill.world.spec import DriveSpec

_TURNS = 4  # of the search for the arc length of a place; each makes the error hundreds of times smaller


class Steered(NamedTuple):
    """Where the ego is after a tick, in the axes of the simulation.

    Attributes:
        x_m: x of the rear axle.
        y_m: y of the rear axle.
        yaw_rad: heading.
        speed_mps: speed.
        accel_mps2: acceleration.
        curvature_per_m: curvature of its way.
    """

    x_m: float
    y_m: float
    yaw_rad: float
    speed_mps: float
    accel_mps2: float
    curvature_per_m: float = 0.0


class SteeredRun(LogRun):
    """A log in which somebody else drives the ego; its driver still looks, and says what it would do.

    Args:
        drive: drive that the log belongs to.
        number: number of the log in the drive.
        frames: number of key frames that the road is long enough for.
        steer: moves the ego by one tick: takes this run and gives where the ego is then.

    Attributes:
        wish_mps2: acceleration that the log's own driver would want now.
        change_to: lane that the way leads to next; the ego's own unless it is to change lanes.
    """

    def __init__(self, drive: DriveSpec, number: int, frames: int, steer: Callable[["SteeredRun"], Steered]) -> None:
        super().__init__(drive, number, frames)
        self._steer, self.wish_mps2, self.change_to = steer, 0.0, self.lane
        offset_m = self.lane_offset_m(self.lane)
        x, y, yaw = self.route.at(self.rear_axle_m, offset_m)
        self.ego = Steered(x, y, yaw, self.driver.speed_mps, self.driver.accel_mps2)
        self._offset_m, self._heading_rad = offset_m, 0.0

    @property
    def offset_m(self) -> float:
        """Offset of the ego's rear axle from the centre line."""
        return self._offset_m

    @property
    def heading_rad(self) -> float:
        """Heading of the ego relative to the centre line."""
        return self._heading_rad

    @property
    def curvature_per_m(self) -> float:
        """Curvature of the ego's path."""
        return self.ego.curvature_per_m

    def aside_m(self, far_m: float) -> float:
        """How far to the left the lane that the way leads to lies, ``far_m`` further on."""
        there_m = self.lane_offset_m(self.change_to) - self._offset_m
        return self.route.ahead(self.rear_axle_m, self._offset_m, far_m, there_m)

    def change_lane(self, lane: int) -> None:
        """Lets the way lead to another lane."""
        self.change_to = lane

    def boxes(self, within_m: float) -> tuple[NDArray[np.float64], list[str]]:
        """Everything that one could hit: boxes ``[n, 6]`` and the kinds ``[n]``.

        Args:
            within_m: greatest distance of a box's middle from the rear axle, along the road.

        Returns:
            x and y of the middles, length and width in m, yaw in rad and speed in m/s; kinds as of `RoadObject`.
        """
        ego_m, rows, kinds = self.rear_axle_m, [], []
        for lanes, sign in ((self.lanes, 1), (self.oncoming, -1)):
            for car in (car for lane in lanes for car in lane):
                s_m = car.progress_m * sign
                if abs(s_m - ego_m) < within_m:
                    x, y, yaw = self.route.at(s_m, car.offset_m)
                    yaw += car.yaw_rad + (0.0 if sign > 0 else math.pi)
                    rows.append((x, y, car.length_m, car.width_m, yaw, car.speed_mps))
                    kinds.append(car.kind)
        for passer in self.passers:
            if passer.from_s <= self.time_s < passer.to_s:
                s_m, offset_m, speed_mps = passer.place(self.time_s)
                if abs(s_m - ego_m) < within_m:
                    x, y, yaw = self.route.at(s_m, offset_m)
                    length, width, _ = SIZES_M[passer.kind]
                    rows.append((x, y, length, width, yaw + passer.heading_rad, speed_mps))
                    kinds.append(passer.kind)
        for thing in self.layout.parked:
            if math.hypot(thing.x_m - self.ego.x_m, thing.y_m - self.ego.y_m) < within_m:
                rows.append((thing.x_m, thing.y_m, thing.length_m, thing.width_m, thing.yaw_rad, 0.0))
                kinds.append(thing.kind)
        return np.array(rows, np.float64).reshape(-1, 6), kinds

    def red_m(self) -> list[float]:
        """Arc lengths of the stop lines that nobody may pass now."""
        lights = [light for episode in self.episodes for light in episode.signals(self.time_s)]
        return [light.stop_line_s_m for light in lights if light.state in ("red", "red_amber")]

    def _drive(self, near: list[Episode]) -> None:
        self.wish_mps2 = self.driver.wish(self.rear_axle_m, *self._ahead(near))
        self.ego = ego = self._steer(self)
        self.driver.speed_mps, self.driver.accel_mps2 = ego.speed_mps, ego.accel_mps2
        for _ in range(_TURNS):
            x, y, yaw = self.route.at(self.rear_axle_m, 0.0)
            cos, sin = math.cos(yaw), math.sin(yaw)
            self._offset_m = (ego.y_m - y) * cos - (ego.x_m - x) * sin
            along_m = (ego.x_m - x) * cos + (ego.y_m - y) * sin
            self.rear_axle_m += along_m / max(0.2, 1.0 - self.route.curvature(self.rear_axle_m) * self._offset_m)
        self._heading_rad = math.remainder(ego.yaw_rad - yaw, 2 * math.pi)
        nearest = round(-self._offset_m / self.town.lane_width_m - 0.5)
        self._left_lane = self.lane
        self.lane = min(max(nearest, 0), len(self.lanes) - 1)
