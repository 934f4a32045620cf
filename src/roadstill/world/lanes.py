"""Streets in the terms of nuPlan's maps: lanes between boundaries, lane groups, and connectors from lane to lane."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadstill.world.geopackage import Value

Floats = NDArray[np.float64]

SPEED_LIMIT_MPS = 13.9  # 50 km/h; the ego never wants to be faster
_DASHED, _SOLID, _UNSEEN = 0, 2, 3  # nuPlan's boundary types
_STRAIGHT, _LEFT, _RIGHT = 0, 1, 2  # its turn types
_TURNS = {1: _RIGHT, 2: _STRAIGHT, 3: _LEFT}  # by how many legs further on, counter-clockwise


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


def join(sheet: Sheet, legs: Sequence[Leg], crossroads: int, stop: str) -> list[Movement]:
    """Adds the connectors of a crossroads: right turn, straight on and left turn from every leg.

    Args:
        sheet: features of the road, to which these are added.
        legs: four streets in counter-clockwise order.
        crossroads: id of the intersection.
        stop: id of the stop polygon at whose light the first leg stops; empty without a light.

    Returns:
        Right turn, straight on and left turn from the first leg.
    """
    ways = [
        _move(sheet, (start, legs[(index + further) % len(legs)]), turn, crossroads, "" if index else stop)
        for index, start in enumerate(legs)
        for further, turn in _TURNS.items()
    ]
    return ways[: len(_TURNS)]


def _move(sheet: Sheet, legs: tuple[Leg, Leg], turn: int, crossroads: int, stop: str) -> Movement:
    arriving, leaving = legs[0].arriving.lanes, legs[1].leaving.lanes
    if turn != _STRAIGHT:  # from the lane next to the turn into the one next to it
        side = slice(0, 1) if turn == _LEFT else slice(-1, None)
        arriving, leaving = arriving[side], leaving[side]
    group, connectors, edges, outline = sheet.fresh(), [], [], []
    for start, end in zip(arriving, leaving, strict=True):
        lines = bend(start.lines_m[:, -1], legs[0].inward, end.lines_m[:, 0], -legs[1].inward)
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

    The handles are those that come nearest to an arc of a circle (a third of the chord for a straight line).
    """
    turn = abs(math.atan2(start_way[0] * end_way[1] - start_way[1] * end_way[0], float(start_way @ end_way)))
    t = np.linspace(0.0, 1.0, 4 + round(turn / (math.pi / 2) * 4))[:, None]
    chord = np.linalg.norm(end_m - start_m, axis=1, keepdims=True)
    handle = chord / (3 * math.cos(turn / 4) ** 2)
    a, b, c, d = (p[:, None] for p in (start_m, start_m + handle * start_way, end_m - handle * end_way, end_m))
    return (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
