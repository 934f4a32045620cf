"""The road of one log as a map: what the route, the lights and the poses of its frames refer to."""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from roadstill.world.lanes import Floats, Group, Leg, Sheet, Street, join, pave
from roadstill.world.places import Place
from roadstill.world.scene import Layout, Road
from roadstill.world.streets import CROSSING_HALF_M, CROSSWALK_HALF_M, SIDE_HALF_M, STOP_HALF_M, Band, along
from roadstill.world.towns import PARKING_STRIP_M

SIDE_LANE_M = 3.8  # crossing traffic drives 1.9 m from the middle
SIDE_REACH_M = 45.0  # farther out, side streets before and after a bend could meet
_SAG_M, _LONGEST_M = 0.04, 15.0  # greatest error and length of the chords that stand for curved lines
_LIGHTS, _PLAIN = 1, 0  # nuPlan's types of intersections,
_STOP_AT_LIGHT, _YIELD = 2, 4  # and of stop polygons


@dataclass(frozen=True)
class _Crossing:
    centre_m: float
    half_m: float  # such that a vehicle at the stop line is not on it yet
    stop_m: float


class RoadMap:
    """Lanes, crossroads and roadsides of one log, in the metres of its map.

    Args:
        layout: layout of the log's scenes.
        place: location of the road on earth.

    Attributes:
        location: name of the map.
        shift_m: vector ``[2]`` from a point of the simulation to the same point of the map.
        features: rows for the map's layers, ids ascending within each layer.
        lit: ids of the lane connectors that begin at a stop line, by its arc length.
    """

    def __init__(self, layout: Layout, place: Place) -> None:
        self.location = place.location
        self.shift_m: Floats = np.asarray(place.origin_m) - layout.road.points_m[0]
        self._layout, self._sheet = layout, Sheet(place.first_id)
        self._band = Band(layout, 0.0, layout.road.length_m)
        self.features = self._sheet.features
        self.lit: dict[float, tuple[int, ...]] = {}
        self._starts_m: list[float] = []
        self._blocks: list[str] = []
        self._build()

    def route(self, s_m: float) -> list[str]:
        """The blocks (alternately lane groups and connectors) from the one at ``s_m`` to the end of the road."""
        return self._blocks[max(bisect_right(self._starts_m, s_m) - 1, 0) :]

    def _build(self) -> None:
        layout, town = self._layout, self._layout.town
        crossings = [
            _Crossing(centre, centre - stop - STOP_HALF_M, stop)
            for centre, stop in zip(layout.crossroads_s_m, layout.stop_lines_s_m, strict=True)
        ]
        beside = (("carpark_areas", PARKING_STRIP_M), ("walkways", town.pavement_width_m))
        street = Street(self._at, town.lanes_each_way, town.lane_width_m, beside)
        places = _chords(layout.road, self._band.facade_line_m)
        cuts = [0.0, *(end for c in crossings for end in (c.centre_m - c.half_m, c.centre_m + c.half_m))]
        cuts.append(layout.road.length_m)
        parts = [pave(self._sheet, street, places(*ends)) for ends in zip(cuts[::2], cuts[1::2], strict=True)]
        blocks = [parts[0][0].fid]
        for crossing, before, after in zip(crossings, parts, parts[1:], strict=False):
            blocks += [self._cross(crossing, before, after), after[0].fid]
        self._starts_m, self._blocks = cuts[:-1], [str(block) for block in blocks]
        for s in layout.crosswalks_s_m:
            kerb = self._band.kerb_m
            self._patch("crosswalks", s, CROSSWALK_HALF_M, (kerb, -kerb))

    def _at(self, s_m: ArrayLike, offset_m: ArrayLike) -> Floats:
        return along(self._layout.road, s_m, offset_m)[..., :2] + self.shift_m

    def _way(self, s_m: float) -> Floats:
        yaw = self._layout.road.at(s_m)[2]
        return np.array([math.cos(yaw), math.sin(yaw)])

    def _patch(self, layer: str, s_m: float, half_m: float, sides_m: tuple[float, float], **values: str | int) -> int:
        """A patch across the road, from one offset to another further to the right."""
        left, right = sides_m
        ends = np.array([-1, 1, 1, -1]) * half_m
        return self._sheet.add(layer, self._at(s_m + ends, np.array([right, right, left, left])), **values)

    def _cross(self, crossing: _Crossing, before: tuple[Group, Group], after: tuple[Group, Group]) -> int:
        """Adds a crossroads; returns the connector of our lanes before it with those after it."""
        centre, half, town = crossing.centre_m, crossing.half_m, self._layout.town
        lights = crossing.stop_m in self._layout.signals_s_m
        kerb, facade = self._band.kerb_m, self._band.facade_line_m
        s = np.array([-half, -CROSSING_HALF_M, -SIDE_HALF_M, SIDE_HALF_M, CROSSING_HALF_M, half])
        aside = np.array([kerb, kerb, facade, facade, kerb, kerb])
        outline = self._at(centre + np.concatenate([s, s[::-1]]), np.concatenate([-aside, aside]))
        fid = self._sheet.add("intersections", outline, intersection_type_fid=_LIGHTS if lights else _PLAIN)
        stop = self._patch(
            "stop_polygons", crossing.stop_m, STOP_HALF_M, (0.0, -town.lanes_each_way * town.lane_width_m),
            stop_polygon_type_fid=_STOP_AT_LIGHT if lights else _YIELD,
            lane_fids=",".join(str(lane.fid) for lane in before[0].lanes),
        )  # fmt: skip
        legs = (
            Leg(before[0], before[1], self._way(centre - half)),
            self._side_street(centre, -1),
            Leg(after[1], after[0], -self._way(centre + half)),
            self._side_street(centre, 1),
        )
        ways = join(self._sheet, legs, fid, str(stop) if lights else "")
        self.lit[crossing.stop_m] = tuple(connector for way in ways for connector in way.connectors)
        return ways[1].fid

    def _side_street(self, centre_m: float, side: int) -> Leg:
        """The street to the left (1) or right (-1); its distances count from our centre line outwards."""

        def at(away_m: ArrayLike, offset_m: ArrayLike) -> Floats:
            return self._at(centre_m - side * np.asarray(offset_m), side * np.asarray(away_m))

        beside = (("carpark_areas", SIDE_HALF_M - SIDE_LANE_M), ("walkways", CROSSING_HALF_M - SIDE_HALF_M))
        outward, inward = pave(
            self._sheet, Street(at, 1, SIDE_LANE_M, beside), np.array([self._band.facade_line_m, SIDE_REACH_M])
        )
        way = self._way(centre_m)
        return Leg(inward, outward, side * np.array([way[1], -way[0]]))


def _chords(road: Road, reach_m: float) -> Callable[[float, float], Floats]:
    """A function that places vertices between two arc lengths, closer in bends.

    A chord of length ``d`` leaves a line of curvature ``k`` by ``k d^2 / 8``; the line ``reach_m`` outside of a bend
    decides.
    """
    curvature = np.abs(np.diff(road.yaw_rad)) / road.step_m
    per_m = np.maximum(np.sqrt((curvature + reach_m * curvature**2) / (8 * _SAG_M)), 1 / _LONGEST_M)
    count = np.concatenate([[0.0], np.cumsum(per_m * road.step_m)])
    grid = np.arange(len(count)) * road.step_m

    def between(start_m: float, end_m: float) -> Floats:
        first, last = np.interp([start_m, end_m], grid, count)
        s = np.interp(np.linspace(first, last, math.ceil(last - first) + 1), count, grid)
        s[0], s[-1] = start_m, end_m
        return s

    return between
