"""The centerline that a vehicle follows: lanes of its route, found by graph search (thesis Figure 3.1)."""

from collections.abc import Iterable
from functools import cached_property, lru_cache

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadstill.driving.maps.lanes import Lane, LaneMap, arc_of, headings_of, without_repeats
from roadstill.driving.poses import Floats, Pose, wrapped
from roadstill.driving.route import Repair
from roadstill.driving.vehicle import MIDDLE_M, corners
from roadstill.errors import UserError

_WINDOW = 30  # blocks of the route that are searched at most, as in PDM


class Centerline:
    """A line with arc length; all questions take and give arrays.

    Args:
        points_m: vertices ``[n, 2]`` in driving direction; those that repeat the one before are left out.
        lanes: ids of the lanes that it follows.
        complete: whether it reaches the end of the route that was searched.

    Attributes:
        points_m: its vertices ``[n, 2]``.
        headings_rad: directions at the vertices ``[n]``, unwrapped: each of the edge behind it, the last repeats.
        arc_m: arc lengths of the vertices ``[n]``.
    """

    def __init__(self, points_m: Floats, lanes: tuple[str, ...] = (), *, complete: bool = True) -> None:
        self.points_m, self.lanes, self.complete = without_repeats(points_m), lanes, complete
        self.headings_rad = np.unwrap(headings_of(self.points_m))
        self.arc_m = arc_of(self.points_m)

    @property
    def length_m(self) -> float:
        """Length of the whole line."""
        return float(self.arc_m[-1])

    def project(self, points_m: ArrayLike) -> Floats:
        """Arc lengths ``[...]`` of the places of the line that are nearest to points ``[..., 2]``."""
        import shapely

        return np.asarray(shapely.line_locate_point(self._line, shapely.points(np.asarray(points_m, np.float64))))

    def at(self, arc_m: ArrayLike) -> Floats:
        """Poses ``[..., 3]`` (x and y in m, heading in rad) at arc lengths ``[...]``; beyond an end, that of the end.

        Between vertices place and heading change linearly, as in PDM.
        """
        arc = np.asarray(arc_m, np.float64)
        table = (*self.points_m.T, self.headings_rad)
        x, y, heading = (np.interp(arc, self.arc_m, column) for column in table)
        return np.stack([x, y, wrapped(heading)], axis=-1)

    def within(self, points_m: ArrayLike, distance_m: float) -> NDArray[np.bool_]:
        """Whether points ``[..., 2]`` are as near to the line as ``distance_m``."""
        import shapely

        points = shapely.points(np.asarray(points_m, np.float64))
        return np.asarray(shapely.dwithin(self._line, points, distance_m))

    @cached_property
    def _line(self) -> object:
        import shapely

        line = shapely.LineString(self.points_m)
        shapely.prepare(line)
        return line


class Route:
    """The lanes of a whole route; centerlines of all places on it share what is read and found.

    Args:
        road: the map.
        blocks: ids of the route's blocks in order, as `Repair.of` gives them.

    Raises:
        UserError: no lane is on it.
    """

    def __init__(self, road: LaneMap, blocks: Iterable[str]) -> None:
        self.blocks = tuple(blocks)
        self.lanes: dict[str, Lane] = {lane.id: lane for lane in road.lanes_of(self.blocks)}
        if not self.lanes:
            raise UserError("no lane of the route is in the map")
        self._outlines = np.array([lane.outline for lane in self.lanes.values()])
        self._of_start = lru_cache(maxsize=None)(self._from)

    def centerline(self, pose: Pose) -> Centerline:
        """The centerline from the begin of the lane that the vehicle is on to the end of the route.

        Of the ways over lanes of the route the shortest is taken, by Dijkstra's algorithm. Where the last block cannot
        be reached, it is the one over most lanes, of those the shortest.
        """
        return self._of_start(self.start(pose).id)

    def start(self, pose: Pose) -> Lane:
        """The lane of the route that the vehicle is on: of those below its rear axle the one that points its way most.

        Where none is, the first lane below the middle of the vehicle, or the first of those that are nearest to it.
        """
        import shapely

        lanes = list(self.lanes.values())
        below = np.flatnonzero(shapely.intersects_xy(self._outlines, pose.x_m, pose.y_m))
        if len(below):
            return min((lanes[at] for at in below), key=lambda lane: lane.beside(pose)[1])
        ahead = MIDDLE_M * np.array([np.cos(pose.yaw_rad), np.sin(pose.yaw_rad)])
        below = np.flatnonzero(shapely.intersects_xy(self._outlines, *(np.array(pose[:2]) + ahead)))
        car = shapely.Polygon(corners(np.array(pose)))
        return lanes[int(below[0] if len(below) else np.argmin(shapely.distance(self._outlines, car)))]

    def _from(self, start: str) -> Centerline:
        first = self.blocks.index(self.lanes[start].block)
        last = self.blocks[first : first + _WINDOW][-1]
        costs, paths = nx.single_source_dijkstra(self._graph, start)
        goals = [lane for lane in costs if self.lanes[lane].block == last]
        # Those that lead to the goal are as good as the cheapest; otherwise the deepest way counts.
        end = min(goals or costs, key=lambda lane: (0 if goals else -len(paths[lane]), costs[lane]))
        points = np.concatenate([self.lanes[lane].points_m for lane in paths[end]])
        return Centerline(points, tuple(paths[end]), complete=bool(goals))

    @cached_property
    def _graph(self) -> "nx.DiGraph[str]":
        """Lanes, and the ways from one to another with the length of the lane that they enter."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.lanes)
        for lane in self.lanes.values():
            ahead = (self.lanes[other] for other in lane.following if other in self.lanes)
            graph.add_weighted_edges_from((lane.id, other.id, other.length_m) for other in ahead)
        return graph


class Routes:
    """Routes of one map; those that were asked for last are kept.

    Args:
        road: the map.
        kept: number of routes that are kept.
    """

    def __init__(self, road: LaneMap, kept: int = 64) -> None:
        self._repair = Repair(road)
        self._of = lru_cache(maxsize=kept)(lambda blocks: Route(road, blocks))

    def centerline(self, route: Iterable[str], pose: Pose) -> Centerline:
        """The centerline of a vehicle on a route as its log tells it.

        Args:
            route: ids of blocks in order.
            pose: where the vehicle is.

        Raises:
            UserError: no block of the route is in the map, or no road is near the vehicle.
        """
        return self.route(route, pose).centerline(pose)

    def route(self, route: Iterable[str], pose: Pose) -> Route:
        """The whole route of a vehicle, made of the one that its log tells; see `centerline`."""
        return self._of(self._repair.of(route, pose))
