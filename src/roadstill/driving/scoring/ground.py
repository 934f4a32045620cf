"""Where on the ground cars are: in one lane or several, on their route, on a crossroads, off the road."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadstill.driving.maps.lanes import Lane, LaneMap
from roadstill.driving.poses import Floats
from roadstill.driving.scoring.drives import Drives

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Flags = NDArray[np.bool_]

RADIUS_M = 150.0
"""How far around a car its ground is known: more than it drives in four seconds."""


class Places(NamedTuple):
    """Where cars are at each time; arrays ``[n, t]``.

    A point on an edge is in none of the areas that share it, as in NAVSIM.

    Attributes:
        several_lanes: corners are in more than one lane, and no lane holds all four.
        off_road: a corner is on nothing that vehicles may use.
        off_route: the middle is in no lane of the route.
        crossing: the middle is on a crossroads.
        crossing_rear: the rear axle is.
    """

    several_lanes: Flags
    off_road: Flags
    off_route: Flags
    crossing: Flags
    crossing_rear: Flags


class Ground:
    """Areas of a map, made ready for many questions; one may serve all scenes of a log.

    Args:
        lanes: lanes and connectors.
        drivable: areas that vehicles may be on.
        crossroads: areas of crossroads.
    """

    def __init__(
        self, lanes: Sequence[Lane], drivable: "Sequence[BaseGeometry]", crossroads: "Sequence[BaseGeometry]"
    ) -> None:
        import shapely

        self._areas = np.array([*(lane.outline for lane in lanes), *drivable, *crossroads], dtype=object)
        shapely.prepare(self._areas)
        self._bounds = shapely.bounds(self._areas).reshape(-1, 4)
        self._blocks = np.array([lane.block for lane in lanes], dtype=object)
        self._kinds = np.repeat([0, 1, 2], [len(lanes), len(drivable), len(crossroads)])

    @classmethod
    def around(cls, road: LaneMap, x_m: float, y_m: float, radius_m: float = RADIUS_M) -> "Ground":
        """The ground around a place of a map."""
        place = (x_m, y_m, radius_m)
        return cls(road.near(*place), road.drivable(*place), road.crossroads(*place))

    def places(self, drives: Drives, route: Collection[str]) -> Places:
        """Where cars are.

        Args:
            drives: n drives of t steps.
            route: ids of the blocks of their route.
        """
        single = [drives.middles_m[..., None, :], drives.poses[..., None, :2]]
        points = np.concatenate([drives.corners_m, *single], axis=-2)
        near, inside = self._inside(points)
        lanes, drivable, crossroads = (inside[self._kinds[near] == kind] for kind in range(3))
        held = lanes[..., :4].sum(-1)
        on_route = np.isin(self._blocks[near[self._kinds[near] == 0]], list(route))
        return Places(
            several_lanes=((held > 0).sum(0) > 1) & ~(held == 4).any(0),
            off_road=~drivable[..., :4].any(0).all(-1),
            off_route=~lanes[on_route, ..., 4].any(0),
            crossing=crossroads[..., 4].any(0),
            crossing_rear=crossroads[..., 5].any(0),
        )

    def _inside(self, points: Floats) -> tuple[NDArray[np.int64], Flags]:
        """Numbers ``[k]`` of the areas near points ``[..., 2]``, and whether each holds each of them ``[k, ...]``."""
        import shapely

        flat = points.reshape(-1, 2)
        low, high = flat.min(0), flat.max(0)
        near = np.flatnonzero((self._bounds[:, :2] <= high).all(1) & (self._bounds[:, 2:] >= low).all(1))
        bounds = self._bounds[near][:, None]
        inside = ((flat >= bounds[..., :2]) & (flat <= bounds[..., 2:])).all(-1)
        area, point = np.nonzero(inside)
        inside[area, point] = shapely.contains_xy(self._areas[near[area]], flat[point, 0], flat[point, 1])
        return near, inside.reshape(len(near), *points.shape[:-1])
