"""The road of one log as a map: what the route, the lights and the poses of its frames refer to."""

import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from roadstill.world.junctions import Corner, corner_of
from roadstill.world.lanes import Feature, Floats, Group, Leg, Sheet, Street, join, mirrored, pave, steps
from roadstill.world.places import Place
from roadstill.world.scene import Layout
from roadstill.world.streets import CROSSING_HALF_M, CROSSWALK_HALF_M, SIDE_HALF_M, STOP_HALF_M, Band, along
from roadstill.world.towns import PARKING_STRIP_M

SIDE_LANE_M = 3.8  # crossing traffic drives 1.9 m from the middle
_STEP_IN_TURNS_M = 0.7  # between vertices on the centre line; the outer lanes have longer steps
SIDE_REACH_M = 45.0  # farther out, side streets before and after a bend could meet
_LIGHTS, _PLAIN = 1, 0  # nuPlan's types of intersections,
_STOP_AT_LIGHT, _YIELD = 2, 4  # and of stop polygons


@dataclass(frozen=True)
class _Crossing:
    """A crossroads; ``stop_m`` is None where our way turns, which it does without a stop line."""

    begin_m: float  # such that a vehicle at the stop line is not on it yet
    end_m: float
    stop_m: float | None = None

    @property
    def centre_m(self) -> float:
        return (self.begin_m + self.end_m) / 2


class RoadMap:
    """Lanes, crossroads and roadsides of one log, in the metres of its map.

    Args:
        layout: layout of the log's scenes.
        place: location of the road on earth.

    Attributes:
        location: name of the map.
        features: rows for the map's layers, ids ascending within each layer.
        lit: ids of the lane connectors that begin at a stop line, by its arc length.
    """

    def __init__(self, layout: Layout, place: Place) -> None:
        self.location = place.location
        self._shift_m: Floats = np.asarray(place.origin_m) - layout.road.points_m[0]
        self._layout, self._sheet = layout, Sheet(place.first_id)
        self._band = Band(layout, 0.0, layout.road.length_m)
        self.lit: dict[float, tuple[int, ...]] = {}
        self._starts_m: list[float] = []
        self._blocks: list[str] = []
        self._build()
        self._axis_m = place.origin_m[1] if layout.town.left_hand else None
        features = self._sheet.features
        self.features: list[Feature] = features if self._axis_m is None else mirrored(features, self._axis_m)

    def pose(self, x_m: float, y_m: float, yaw_rad: float) -> tuple[float, float, float]:
        """Where a pose of the simulation is on the map: moved and, with traffic on the left, mirrored."""
        x, y = x_m + float(self._shift_m[0]), y_m + float(self._shift_m[1])
        return (x, y, yaw_rad) if self._axis_m is None else (x, 2 * self._axis_m - y, -yaw_rad)

    def place(self, x_m: float, y_m: float, yaw_rad: float) -> tuple[float, float, float]:
        """Where a pose of the map is in the simulation: the way back from `pose`."""
        y = y_m if self._axis_m is None else 2 * self._axis_m - y_m
        return x_m - float(self._shift_m[0]), y - float(self._shift_m[1]), yaw_rad if self._axis_m is None else -yaw_rad

    def route(self, s_m: float) -> list[str]:
        """The blocks (alternately lane groups and connectors) from the one at ``s_m`` to the end of the road."""
        return self._blocks[max(bisect_right(self._starts_m, s_m) - 1, 0) :]

    def _build(self) -> None:
        layout, town = self._layout, self._layout.town
        crossings = [
            _Crossing(stop + STOP_HALF_M, 2 * centre - stop - STOP_HALF_M, stop)
            for centre, stop in zip(layout.crossroads_s_m, layout.stop_lines_s_m, strict=True)
        ]
        crossings += [_Crossing(*ends) for ends in layout.corners_s_m]
        crossings.sort(key=lambda crossing: crossing.begin_m)
        beside = (("carpark_areas", PARKING_STRIP_M), ("walkways", town.pavement_width_m))
        street = Street(self._at, town.lanes_each_way, town.lane_width_m, beside)
        cuts = [0.0, *(end for c in crossings for end in (c.begin_m, c.end_m))]
        cuts.append(layout.road.length_m)
        parts = [pave(self._sheet, street, steps(*ends)) for ends in zip(cuts[::2], cuts[1::2], strict=True)]
        blocks = [parts[0][0].fid]
        for crossing, before, after in zip(crossings, parts, parts[1:], strict=False):
            cross = self._turn if crossing.stop_m is None else self._cross
            blocks += [cross(crossing, before, after), after[0].fid]
        self._starts_m, self._blocks = cuts[:-1], [str(block) for block in blocks]
        for s in layout.crosswalks_s_m:
            kerb = self._band.kerb_m
            self._patch("crosswalks", s, CROSSWALK_HALF_M, (kerb, -kerb))

    def _at(self, s_m: ArrayLike, offset_m: ArrayLike) -> Floats:
        return along(self._layout.road, s_m, offset_m)[..., :2] + self._shift_m

    def _patch(self, layer: str, s_m: float, half_m: float, sides_m: tuple[float, float], **values: str | int) -> int:
        """A patch across the road, from one offset to another further to the right."""
        left, right = sides_m
        ends = np.array([-1, 1, 1, -1]) * half_m
        return self._sheet.add(layer, self._at(s_m + ends, np.array([right, right, left, left])), **values)

    def _cross(self, crossing: _Crossing, before: tuple[Group, Group], after: tuple[Group, Group]) -> int:
        """Adds a crossroads; returns the connector of our lanes before it with those after it."""
        assert crossing.stop_m is not None
        centre, town = crossing.centre_m, self._layout.town
        half = crossing.end_m - centre
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
        x, y, yaw = self._layout.road.at(centre)
        legs = (
            self._near(before, crossing.begin_m, 1),
            self._side_street((x, y), yaw - math.pi / 2),
            self._near(after[::-1], crossing.end_m, -1),
            self._side_street((x, y), yaw + math.pi / 2),
        )
        ways = join(self._sheet, legs, fid, str(stop) if lights else "")
        self.lit[crossing.stop_m] = tuple(connector for way in ways for connector in way.connectors)
        return ways[1].fid

    def _turn(self, crossing: _Crossing, before: tuple[Group, Group], after: tuple[Group, Group]) -> int:
        """Adds a crossroads at which our way turns; returns the connector of our lanes."""
        begin, end = crossing.begin_m, crossing.end_m
        corner = corner_of(self._layout, begin, end)
        left = corner.outside < 0
        fid = self._sheet.add("intersections", self._outline(corner, begin, end), intersection_type_fid=_PLAIN)
        start, goal = self._near(before, begin, 1), self._near(after[::-1], end, -1)
        ahead = self._side_street(corner.middle_m, corner.begin[2])
        opposite = self._side_street(corner.middle_m, corner.end[2] + math.pi)
        legs = (start, opposite, ahead, goal) if left else (start, goal, ahead, opposite)
        town, to = self._layout.town, 3 if left else 1
        lanes = np.arange(town.lanes_each_way)[:, None] + np.array([0.0, 0.5, 1.0])
        offsets = -lanes[..., None] * town.lane_width_m
        s = steps(begin, end, _STEP_IN_TURNS_M)
        own = {(0, to): self._at(s, offsets), (to, 0): self._at(s[::-1], -offsets)}
        ways = join(self._sheet, legs, fid, "", own)
        return ways[2 if left else 0].fid

    def _outline(self, corner: Corner, begin_m: float, end_m: float) -> Floats:
        """The area of a crossroads at which our way turns, counter-clockwise."""
        kerb, far, half = self._band.kerb_m, self._band.facade_line_m, SIDE_HALF_M
        s = steps(begin_m, end_m)
        inner = self._at(s, -corner.outside * kerb)
        ends = self._at(s[[-1, 0]], corner.outside * kerb)
        (ahead, opposite) = (_way(yaw) for yaw in (corner.begin[2], corner.end[2] + math.pi))
        places = np.array(
            [(kerb, -half), (far, -half), (far, half), (kerb, half), (kerb, kerb), (half, kerb), (half, far),
             (-half, far), (-half, kerb)]
        )  # fmt: skip
        outer = corner.middle_m + self._shift_m + places @ np.stack([ahead, opposite])
        outline = np.concatenate([inner, ends[:1], outer, ends[1:]])
        return outline[::-1] if corner.outside < 0 else outline

    def _near(self, groups: tuple[Group, Group], s_m: float, way: int) -> Leg:
        """Our own road where it meets a crossroads; ``way`` is 1 for those who arrive along it and -1 against it."""
        return Leg(*groups, way * _way(self._layout.road.at(s_m)[2]))

    def _side_street(self, middle_m: Floats | tuple[float, float], yaw_rad: float) -> Leg:
        """A straight street that leaves a crossroads in a direction."""
        out, left = _way(yaw_rad), _way(yaw_rad + math.pi / 2)

        def at(away_m: ArrayLike, offset_m: ArrayLike) -> Floats:
            away, offset = np.broadcast_arrays(np.asarray(away_m, float), np.asarray(offset_m, float))
            return np.asarray(middle_m) + self._shift_m + away[..., None] * out + offset[..., None] * left

        beside = (("carpark_areas", SIDE_HALF_M - SIDE_LANE_M), ("walkways", CROSSING_HALF_M - SIDE_HALF_M))
        outward, inward = pave(
            self._sheet, Street(at, 1, SIDE_LANE_M, beside), steps(self._band.facade_line_m, SIDE_REACH_M)
        )
        return Leg(inward, outward, -out)


def _way(yaw_rad: float) -> Floats:
    return np.array([math.cos(yaw_rad), math.sin(yaw_rad)])
