"""Routes as logs tell them, made whole: begun where the vehicle is, without gaps and without loops.

The rules are those of PDM (Dauner et al. 2023, "Parting with Misconceptions about Learning-based Vehicle Motion
Planning"), as NAVSIM scores by them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from roadstill.driving.maps.lanes import LaneMap
from roadstill.driving.poses import Pose
from roadstill.errors import UserError

_ON_M = 1.0  # as near to a block one may be on it
_NEAREST_M = (10.0, 50.0)  # how far the next road is looked for where none is there
_SAME_WAY_RAD, _SAME_LANE_M = np.pi / 4, 3.0  # from a lane's nearest vertex to the vehicle, at most
_BACKWARD, _FORWARD = 15, 30  # blocks that a missing piece has at most
_FIRST = 3  # blocks of the route that one may drive to from beside it
_OVERLAP_M2 = 1.0


class Repair:
    """Makes the routes of one map whole.

    Args:
        road: the map.
        kept: number of routes whose repair is kept.
    """

    def __init__(self, road: LaneMap, kept: int = 256) -> None:
        self.road = road
        self._known = lru_cache(kept)(lambda route: tuple(road.areas_of(dict.fromkeys(route))))
        self._whole = lru_cache(kept)(lambda blocks: _without_loops(road, _linked(road.following, blocks)))

    def of(self, route: Iterable[str], pose: Pose) -> tuple[str, ...]:
        """The blocks from where the vehicle is to the end of its route.

        Args:
            route: ids of the route's blocks in order; repeated ones and those that are not in the map are left out.
            pose: where the vehicle is.

        Returns:
            Ids of blocks. One that does not begin where the vehicle is means that no way leads there, and gaps that no
            way closes stay; the centerline ends at them.

        Raises:
            UserError: no block of the route is in the map, or no road is within 50 m of the vehicle.
        """
        blocks = self._known(tuple(route))
        if not blocks:
            raise UserError("no block of the route is in the map; is it the map of the log's location?")
        here, others = _standing_on(self.road, pose, blocks)
        return self._whole(blocks if here in blocks else _begun_at(self.road, blocks, here, others))


def _begun_at(road: LaneMap, blocks: tuple[str, ...], here: str, others: Collection[str]) -> tuple[str, ...]:
    """A route that does not pass where the vehicle is, with the blocks that lead to it."""
    before = _path(road.preceding, blocks[0], others, _BACKWARD)
    if before:
        return (*before[:0:-1], *blocks)
    ahead = _path(road.following, here, blocks[:_FIRST], _FORWARD)
    return (*ahead[:-1], *blocks[blocks.index(ahead[-1]) :]) if ahead else blocks


def _linked(following: Mapping[str, Sequence[str]], blocks: Sequence[str]) -> list[str]:
    """The route with the blocks between those that do not follow one another."""
    whole = list(blocks[:1])
    for before, after in pairwise(blocks):
        if after not in following.get(before, ()):
            whole += _path(following, before, (after,), _FORWARD)[1:-1]
        whole.append(after)
    return whole


def _without_loops(road: LaneMap, blocks: list[str]) -> tuple[str, ...]:
    """The route up to where it comes back to a crossroads that it has crossed."""
    areas = road.areas_of(blocks)
    connectors = {lane.block for lane in road.lanes_of(blocks) if lane.connector}
    crossed: list[str] = []
    for place, block in enumerate(blocks):
        if block in connectors:
            if any(areas[block].intersection(areas[other]).area > _OVERLAP_M2 for other in crossed):
                return tuple(blocks[:place])
            crossed.append(block)
    return tuple(blocks)


def _standing_on(road: LaneMap, pose: Pose, route: Collection[str]) -> tuple[str, list[str]]:
    """The block that the vehicle is on, and all that it may be on: of the route if there are any."""
    near = road.blocks_near(pose.x_m, pose.y_m, _ON_M) or _nearest(road, pose)
    if not near:
        raise UserError(
            f"no road is within {_NEAREST_M[-1]:.0f} m of x {pose.x_m:.0f} m, y {pose.y_m:.0f} m of the map"
        )
    away: dict[str, float] = {}
    fitting: dict[str, float] = {}
    for lane in road.lanes_of(near):
        distance, turned = lane.beside(pose)
        away[lane.block] = min(away.get(lane.block, np.inf), distance)
        if turned < _SAME_WAY_RAD and distance < _SAME_LANE_M:
            fitting[lane.block] = min(fitting.get(lane.block, np.inf), distance)
    on_route = {block: distance for block, distance in fitting.items() if block in route}
    found = on_route or fitting or away
    return min(found, key=lambda block: found[block]), list(found)


def _nearest(road: LaneMap, pose: Pose) -> list[str]:
    """The nearest block: those behind it would pass for where the vehicle is."""
    import shapely

    place = shapely.Point(pose[:2])
    for radius in _NEAREST_M:
        if areas := road.areas_of(road.blocks_near(pose.x_m, pose.y_m, radius)):
            return [min(areas, key=lambda block: float(areas[block].distance(place)))]
    return []


def _path(following: Mapping[str, Sequence[str]], start: str, goals: Collection[str], most: int) -> list[str]:
    """A shortest way of at most so many blocks from a block to one of others, both included; none: empty."""
    before: dict[str, str | None] = {start: None}
    now = [start]
    for _ in range(most):
        for block in now:
            if block in goals:
                path = [block]
                while (parent := before[path[-1]]) is not None:
                    path.append(parent)
                return path[::-1]
        ahead = []
        for block in now:
            for other in following.get(block, ()):
                if other not in before:
                    before[other] = block
                    ahead.append(other)
        now = ahead
    return []
