"""Streets in the terms of nuPlan's maps: lanes between boundaries, lane groups, and connectors from lane to lane."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadstill.world.geopackage import Value

Floats = NDArray[np.float64]

SPEED_LIMIT_MPS = 13.9  # 50 km/h; the ego never wants to be faster
_DASHED, _SOLID, _UNSEEN = 0, 2, 3  # nuPlan's boundary types
_STRAIGHT, _LEFT, _RIGHT = 0, 1, 2  # its turn types
_TURNS = {1: _RIGHT, 2: _STRAIGHT, 3: _LEFT}  # by how many legs further on, counter-clockwise
_STEP_M, _STEP_RAD = 1.0, 0.1  # from vertex to vertex, at most about
_FINE = 101  # points of a curve that tell where it bends
_OPPOSITE: dict[Value, Value] = {_STRAIGHT: _STRAIGHT, _LEFT: _RIGHT, _RIGHT: _LEFT}
_EDGES = ("left_boundary_fid", "right_boundary_fid")
_LINES = ("lane_connectors", "baseline_paths", "boundaries")  # all other layers hold polygons


@dataclass(frozen=True)
class Feature:
    """One row of a map layer; ``points_m`` is ``[n, 2]`` UTM metres, a polygon's ring not closed."""

    layer: str
    fid: int
    points_m: Floats
    values: dict[str, Value]


@dataclass
class Sheet:
    """Features of one road. No two share an id, in whatever layers they are: nuPlan's readers mix some of them."""

    next_id: int
    features: list[Feature] = field(default_factory=list)

    def fresh(self) -> int:
        """An id for a feature to come."""
        self.next_id += 1
        return self.next_id - 1

    def add(self, layer: str, points_m: Floats, fid: int | None = None, /, **values: Value) -> int:
        """Adds a feature and returns its id."""
        fid = self.fresh() if fid is None else fid
        self.features.append(Feature(layer, fid, points_m, values))
        return fid


@dataclass(frozen=True)
class Lane:
    """A lane; ``lines_m`` ``[3, n, 2]`` is its left boundary, baseline and right boundary, in driving direction."""

    fid: int
    lines_m: Floats


@dataclass(frozen=True)
class Group:
    """Lanes of one direction between two crossroads, from left to right: nuPlan calls it a roadblock."""

    fid: int
    lanes: tuple[Lane, ...]


@dataclass(frozen=True)
class Street:
    """How a street lies and is divided.

    Attributes:
        at: function that gives points ``[..., 2]`` for distances along it and offsets to its left, of any shape.
        lanes_each_way: number of lanes on either side of the middle.
        lane_width_m: width of each lane.
        beside: layers and widths of what follows on either side, from the lanes outwards.
    """

    at: Callable[[ArrayLike, ArrayLike], Floats]
    lanes_each_way: int
    lane_width_m: float
    beside: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Leg:
    """A street where it meets a crossroads; ``inward`` is the unit vector ``[2]`` of those who arrive."""

    arriving: Group
    leaving: Group
    inward: Floats


def ring(left_m: Floats, right_m: Floats) -> Floats:
    """The outline, counter-clockwise, of the area between two lines of the same direction."""
    return np.concatenate([right_m, left_m[::-1]])


def steps(start_m: float, end_m: float, most_m: float = _STEP_M) -> Floats:
    """Equally spaced distances ``[n]`` from start to end, at most so far apart."""
    return np.linspace(start_m, end_m, math.ceil((end_m - start_m) / most_m) + 1)


def pave(sheet: Sheet, street: Street, along_m: Floats) -> tuple[Group, Group]:
    """Adds a stretch of a street; returns its lanes in the direction of ``along_m`` ``[n]`` and against it."""
    lanes, width = street.lanes_each_way, street.lane_width_m
    offsets = width * (lanes - np.arange(4 * lanes + 1) / 2)  # boundaries and baselines by turns, left to right
    lines = street.at(along_m[None], offsets[:, None])
    dashed = [0 < abs(offset) < offsets[0] - 1e-9 for offset in offsets[::2]]
    edges = [
        sheet.add("boundaries", line, boundary_type_fid=_DASHED if dash else _SOLID)
        for line, dash in zip(lines[::2], dashed, strict=True)
    ]
    ahead, against = (_group(sheet, lines, edges, sign) for sign in (1, -1))
    sheet.add("road_segments", ring(lines[0], lines[-1]))
    left, right, reach = lines[0], lines[-1], float(offsets[0])
    for layer, wide in street.beside:
        reach += wide
        beyond, further = street.at(along_m, reach), street.at(along_m, -reach)
        sheet.add(layer, ring(beyond, left))
        sheet.add(layer, ring(right, further))
        left, right = beyond, further
    return ahead, against


def _group(sheet: Sheet, lines: Floats, edges: Sequence[int], sign: int) -> Group:
    """The lanes of one direction, out of all lines from left to right; ``sign`` -1 drives against them."""
    group, middle, lanes = sheet.fresh(), len(lines) // 2, []
    for index in range(middle // 2):
        left, centre, right = (middle + sign * (2 * index + which) for which in range(3))
        lane = Lane(sheet.fresh(), lines[[left, centre, right], ::sign])
        sheet.add(
            "lanes_polygons", ring(lane.lines_m[0], lane.lines_m[2]), lane.fid, lane_fid=lane.fid,
            lane_group_fid=group, lane_index=index, speed_limit_mps=SPEED_LIMIT_MPS,
            left_boundary_fid=edges[left // 2], right_boundary_fid=edges[right // 2], lane_type_fid=0,
        )  # fmt: skip
        sheet.add("baseline_paths", lane.lines_m[1], lane_fid=lane.fid)
        lanes.append(lane)
    outline = ring(lanes[0].lines_m[0], lanes[-1].lines_m[2])
    outer = edges[(middle + sign * middle) // 2]
    sheet.add("lane_groups_polygons", outline, group, left_boundary_fid=edges[middle // 2], right_boundary_fid=outer)
    return Group(group, tuple(lanes))


@dataclass(frozen=True)
class Movement:
    """One way over a crossroads: the connector of lane groups, and those of their lanes."""

    fid: int
    connectors: tuple[int, ...]


def join(
    sheet: Sheet, legs: Sequence[Leg], crossroads: int, stop: str, own: Mapping[tuple[int, int], Floats] | None = None
) -> list[Movement]:
    """Adds the connectors of a crossroads: right turn, straight on and left turn from every leg.

    Args:
        sheet: features of the road, to which these are added.
        legs: four streets in counter-clockwise order.
        crossroads: id of the intersection.
        stop: id of the stop polygon at whose light the first leg stops; empty without a light.
        own: lines ``[k, 3, n, 2]`` of all lanes of a way, by the numbers of its legs, where it is a bend of the road.

    Returns:
        Right turn, straight on and left turn from the first leg.
    """
    ways = []
    for index, start in enumerate(legs):
        for further, turn in _TURNS.items():
            to = (index + further) % len(legs)
            lines = None if own is None else own.get((index, to))
            ways.append(_move(sheet, (start, legs[to]), turn, crossroads, "" if index else stop, lines))
    return ways[: len(_TURNS)]


def _move(
    sheet: Sheet, legs: tuple[Leg, Leg], turn: int, crossroads: int, stop: str, own: Floats | None = None
) -> Movement:
    arriving, leaving = legs[0].arriving.lanes, legs[1].leaving.lanes
    if own is None and turn != _STRAIGHT:  # from the lane next to the turn into the one next to it
        side = slice(0, 1) if turn == _LEFT else slice(-1, None)
        arriving, leaving = arriving[side], leaving[side]
    both = min(len(arriving), len(leaving))  # straight on from a wide road into a narrow one: from its outer lanes
    arriving, leaving = arriving[-both:], leaving[-both:]
    group, connectors, edges, outline = sheet.fresh(), [], [], []
    for number, (start, end) in enumerate(zip(arriving, leaving, strict=True)):
        if own is None:
            lines = bend(start.lines_m[:, -1], legs[0].inward, end.lines_m[:, 0], -legs[1].inward)
        else:
            lines = own[number]
        connector = sheet.add(
            "lane_connectors", lines[1], exit_lane_fid=start.fid, entry_lane_fid=end.fid,
            lane_group_connector_fid=group, traffic_light_stop_line_fids=stop, turn_type_fid=turn,
            speed_limit_mps=SPEED_LIMIT_MPS,
        )  # fmt: skip
        sheet.add("baseline_paths", lines[1], lane_connector_fid=connector)
        left, right = (sheet.add("boundaries", lines[which], boundary_type_fid=_UNSEEN) for which in (0, 2))
        sheet.add(
            "gen_lane_connectors_scaled_width_polygons", ring(lines[0], lines[2]), lane_connector_fid=connector,
            left_boundary_fid=left, right_boundary_fid=right,
        )  # fmt: skip
        connectors.append(connector)
        edges += [left, right]
        outline += [lines[0], lines[2]]
    sheet.add(
        "lane_group_connectors", ring(outline[0], outline[-1]), group, from_lane_group_fid=legs[0].arriving.fid,
        to_lane_group_fid=legs[1].leaving.fid, intersection_fid=crossroads, left_boundary_fid=edges[0],
        right_boundary_fid=edges[-1],
    )  # fmt: skip
    return Movement(group, tuple(connectors))


def bend(start_m: Floats, start_way: Floats, end_m: Floats, end_way: Floats) -> Floats:
    """Cubic curves between places ``[k, 2]`` that leave and arrive in given directions: ``[k, n, 2]``.

    The handles are those that come nearest to an arc of a circle (a third of the chord for a straight line). Vertices
    are at most about a metre apart, and nearer where there would be kinks.
    """
    turn = abs(math.atan2(start_way[0] * end_way[1] - start_way[1] * end_way[0], float(start_way @ end_way)))
    chord = np.linalg.norm(end_m - start_m, axis=1, keepdims=True)
    handle = chord / (3 * math.cos(turn / 4) ** 2)
    corners = np.stack([start_m, start_m + handle * start_way, end_m - handle * end_way, end_m])
    fine = np.linspace(0.0, 1.0, _FINE)
    hops = np.diff(_cubic(corners, fine), axis=1)
    turned = np.abs(np.diff(np.unwrap(np.arctan2(hops[..., 1], hops[..., 0]), axis=1), axis=1, prepend=np.nan))
    wanted = np.fmax(np.linalg.norm(hops, axis=2) / _STEP_M, turned / _STEP_RAD).max(axis=0)
    count = np.concatenate([[0.0], np.cumsum(wanted)])
    return _cubic(corners, np.interp(np.linspace(0.0, count[-1], math.ceil(count[-1]) + 1), count, fine))


def _cubic(corners: Floats, t: Floats) -> Floats:
    """Bezier curves ``[k, n, 2]`` with ``corners`` ``[4, k, 2]`` at parameters ``[n]``."""
    rest = 1 - t
    weights = np.stack([rest**3, 3 * t * rest**2, 3 * t**2 * rest, t**3])
    return np.einsum("cn,ckd->knd", weights, corners)


def mirrored(features: Sequence[Feature], axis_m: float) -> list[Feature]:
    """Features of right-hand traffic as left-hand traffic: their mirror image at the parallel of latitude ``axis_m``.

    Left and right change places in fields too: boundaries, turn types, and the lanes of a group, which are counted from
    left to right. Rings stay counter-clockwise.
    """
    lanes = Counter(one.values["lane_group_fid"] for one in features if one.layer == "lanes_polygons")
    return [_mirrored(one, axis_m, lanes) for one in features]


def _mirrored(one: Feature, axis_m: float, lanes: Counter[Value]) -> Feature:
    points_m = one.points_m * (1, -1) + (0.0, 2 * axis_m)
    values = dict(one.values)
    if "left_boundary_fid" in values:
        values |= {_EDGES[0]: values[_EDGES[1]], _EDGES[1]: values[_EDGES[0]]}
    if "turn_type_fid" in values:
        values["turn_type_fid"] = _OPPOSITE[values["turn_type_fid"]]
    if isinstance(index := values.get("lane_index"), int):
        values["lane_index"] = lanes[values["lane_group_fid"]] - 1 - index
    return replace(one, points_m=points_m if one.layer in _LINES else points_m[::-1], values=values)
