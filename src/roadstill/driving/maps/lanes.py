"""Lanes of a map in metres, and what every map offers, whatever file it comes from."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from roadstill.driving.poses import Floats, Pose, wrapped
from roadstill.errors import UserError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True, eq=False)
class Lane:
    """A lane between two crossroads, or a connector: a lane across one.

    Attributes:
        id: id of the map, as text.
        block: id of the roadblock: lanes side by side of one direction, or connectors from one such group to another.
        points_m: vertices of the baseline ``[n, 2]`` in driving direction, n at least 2, no two in succession equal.
        outline: its area.
        following: ids of the lanes that go on from its end.
        connector: whether it is a connector.
        speed_limit_mps: speed limit, if the map has one.
    """

    id: str
    block: str
    points_m: Floats
    outline: "BaseGeometry"
    following: tuple[str, ...]
    connector: bool
    speed_limit_mps: float | None = None

    @cached_property
    def length_m(self) -> float:
        """Length of the baseline."""
        return float(arc_of(self.points_m)[-1])

    @cached_property
    def headings_rad(self) -> Floats:
        """Directions at the vertices ``[n]``: of the edge that begins there; the last repeats."""
        return headings_of(self.points_m)

    def beside(self, pose: Pose) -> tuple[float, float]:
        """Distance in m of a pose to the nearest vertex, and the angle between both in rad, not negative."""
        distances = np.hypot(*(self.points_m - np.array(pose[:2])).T)
        nearest = int(distances.argmin())
        return float(distances[nearest]), abs(float(wrapped(self.headings_rad[nearest] - pose.yaw_rad)))


class LaneMap(ABC):
    """Lanes of a map; geometry is read where it is asked for.

    Attributes:
        following: ids of the blocks that go on from each block's end, of the whole map.
    """

    following: Mapping[str, tuple[str, ...]]

    @cached_property
    def preceding(self) -> dict[str, list[str]]:
        """Ids of the blocks that lead to each block's begin."""
        found: dict[str, list[str]] = {}
        for block, others in self.following.items():
            for other in others:
                found.setdefault(other, []).append(block)
        return found

    @abstractmethod
    def lanes_of(self, blocks: Iterable[str]) -> list[Lane]:
        """Lanes of these blocks, block by block, from left to right; a block that is not in the map has none."""

    @abstractmethod
    def areas_of(self, blocks: Iterable[str]) -> "dict[str, BaseGeometry]":
        """Areas of these blocks by id; a block that is not in the map has none."""

    @abstractmethod
    def blocks_near(self, x_m: float, y_m: float, radius_m: float) -> list[str]:
        """Ids of blocks whose area comes as near to a place as ``radius_m``: groups of lanes, then those across."""

    @abstractmethod
    def near(self, x_m: float, y_m: float, radius_m: float) -> list[Lane]:
        """Lanes whose area comes as near to a place as ``radius_m``, in the order of the file."""

    @abstractmethod
    def drivable(self, x_m: float, y_m: float, radius_m: float) -> "list[BaseGeometry]":
        """Areas near a place that vehicles may be on, as NAVSIM counts them: groups of lanes, crossroads, car parks.

        Connectors are not among them where the map has crossroads; these hold them.
        """

    @abstractmethod
    def crossroads(self, x_m: float, y_m: float, radius_m: float) -> "list[BaseGeometry]":
        """Areas of crossroads near a place."""


def arc_of(points_m: Floats) -> Floats:
    """Arc lengths ``[n]`` in m of the vertices ``[n, 2]`` of a line."""
    return np.append(0.0, np.hypot(*np.diff(points_m, axis=0).T).cumsum())


def without_repeats(points_m: Floats) -> Floats:
    """Vertices ``[n, 2]`` of a line but those that are where the one before is."""
    return points_m[np.append(True, (np.diff(points_m, axis=0) != 0).any(axis=1))]


def headings_of(points_m: Floats) -> Floats:
    """Directions ``[n]`` in rad at the vertices ``[n, 2]`` of a line: each of the edge behind it; the last repeats."""
    steps = np.diff(points_m, axis=0)
    along = np.arctan2(steps[:, 1], steps[:, 0])
    return np.append(along, along[-1:])


def line_of(line: "BaseGeometry", what: str) -> Floats:
    """Vertices ``[n, 2]`` of a line without those that repeat the one before.

    Raises:
        UserError: not one line, or fewer than two vertices are left.
    """
    if line.geom_type != "LineString":
        raise UserError(f"{what} is a {line.geom_type}, not a line")
    points_m = np.asarray(line.coords, dtype=np.float64)
    kept = without_repeats(points_m)
    if len(kept) < 2:
        raise UserError(f"{what} has no length")
    return kept
