"""Lanelet2's maps (Poggenhans et al. 2018): OSM files whose relations are lanelets between two lines."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from roadstill.driving.maps.lanes import Lane, LaneMap, arc_of, without_repeats
from roadstill.driving.maps.osm import Element, elements_of
from roadstill.driving.maps.projection import require_shapely, transform_between, utm_of
from roadstill.driving.poses import Floats
from roadstill.errors import UserError, one_line
from roadstill.runs import require_file

if TYPE_CHECKING:
    from shapely import STRtree
    from shapely.geometry.base import BaseGeometry

_WHAT = "a map of Lanelet2 (.osm)"
_ROADS = {"road", "highway", "play_street"}  # subtypes that vehicles use, if no participants are told
_BOTH_WAYS = {"no", "false", "0"}
_STEP_M = 1.0
_DEGREES = 4326


@dataclass(frozen=True)
class _Lanelet:
    """Nodes of the bounds in driving direction."""

    left: tuple[str, ...]
    right: tuple[str, ...]

    @property
    def begin(self) -> tuple[str, str]:
        """Nodes where it begins."""
        return self.left[0], self.right[0]

    @property
    def end(self) -> tuple[str, str]:
        """Nodes where it ends."""
        return self.left[-1], self.right[-1]

    def reversed(self) -> "_Lanelet":
        """The lanelet against its direction."""
        return _Lanelet(self.right[::-1], self.left[::-1])


class Lanelet2Map(LaneMap):
    """A map of Lanelet2; lanelets for vehicles are lanes, and those side by side of one direction are a block.

    A lanelet for both directions is two lanes; that against its lines has the id with ``r`` behind. Lanelets of which
    several go on from one, or lead to one, count as connectors.

    Args:
        path: the file.

    Attributes:
        epsg: code of the UTM zone that places are told in.

    Raises:
        UserError: not such a file, no lanelet for vehicles in it, or shapely or pyproj is missing.
    """

    def __init__(self, path: Path) -> None:
        require_shapely()
        self._path = require_file(path, _WHAT)
        nodes, ways, lanelets = _read(path)
        if not lanelets:
            raise UserError(f"{path} has no lanelet for vehicles; it should be {_WHAT}")
        ids = list(nodes)
        lonlat = np.array([nodes[node] for node in ids], np.float64)
        self.epsg = utm_of(*np.median(lonlat, axis=0).tolist())
        metres = dict(zip(ids, transform_between(_DEGREES, self.epsg)(lonlat), strict=True))
        self._lanes = _Builder(path, ways, metres).lanes(lanelets)
        members: dict[str, list[Lane]] = defaultdict(list)
        following: dict[str, dict[str, None]] = defaultdict(dict)
        for lane in self._lanes.values():
            members[lane.block].append(lane)
            following[lane.block] |= {self._lanes[other].block: None for other in lane.following}
        self._members = dict(members)
        self.following = {block: tuple(each) for block, each in following.items() if each}

    def lanes_of(self, blocks: Iterable[str]) -> list[Lane]:
        """See `LaneMap.lanes_of`."""
        return [lane for block in blocks for lane in self._members.get(block, ())]

    def areas_of(self, blocks: Iterable[str]) -> "dict[str, BaseGeometry]":
        """See `LaneMap.areas_of`."""
        import shapely

        known = [block for block in blocks if block in self._members]
        return {block: shapely.union_all([lane.outline for lane in self._members[block]]) for block in known}

    def blocks_near(self, x_m: float, y_m: float, radius_m: float) -> list[str]:
        """See `LaneMap.blocks_near`."""
        lanes = self.near(x_m, y_m, radius_m)
        return list(dict.fromkeys(lane.block for lane in sorted(lanes, key=lambda lane: lane.connector)))

    def near(self, x_m: float, y_m: float, radius_m: float) -> list[Lane]:
        """See `LaneMap.near`."""
        import shapely

        place = shapely.Point(x_m, y_m)
        lanes = list(self._lanes.values())
        return [lanes[at] for at in np.sort(self._tree.query(place, predicate="dwithin", distance=radius_m))]

    def drivable(self, x_m: float, y_m: float, radius_m: float) -> "list[BaseGeometry]":
        """See `LaneMap.drivable`."""
        return [lane.outline for lane in self.near(x_m, y_m, radius_m)]

    def crossroads(self, x_m: float, y_m: float, radius_m: float) -> "list[BaseGeometry]":
        """See `LaneMap.crossroads`; the connectors stand for them."""
        return [lane.outline for lane in self.near(x_m, y_m, radius_m) if lane.connector]

    @cached_property
    def _tree(self) -> "STRtree":
        import shapely

        return shapely.STRtree([lane.outline for lane in self._lanes.values()])


def _read(path: Path) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[str, ...]], list[Element]]:
    """Places of nodes, nodes of ways, and the lanelets that vehicles use."""
    nodes: dict[str, tuple[float, float]] = {}
    ways: dict[str, tuple[str, ...]] = {}
    lanelets = []
    for element in elements_of(path):
        if element.place is not None:
            nodes[element.id] = element.place
        elif element.kind == "way":
            ways[element.id] = tuple(node for _, node, _ in element.refs)
        elif element.tags.get("type") == "lanelet" and _for_vehicles(element.tags):
            lanelets.append(element)
    return nodes, ways, lanelets


def _for_vehicles(tags: Mapping[str, str]) -> bool:
    """Whether vehicles use a lanelet: by its participants if any are told, else by its subtype."""
    told = {name: value for name, value in tags.items() if name.split(":")[0] == "participant"}
    if not told:
        return tags.get("subtype") in _ROADS
    return any(
        value == "yes" and name in ("participant:vehicle", "participant:vehicle:car") for name, value in told.items()
    )


@dataclass(frozen=True)
class _Builder:
    """Makes lanes of lanelets.

    Attributes:
        path: the file, for messages.
        ways: nodes of each way.
        metres: place of each node.
    """

    path: Path
    ways: Mapping[str, tuple[str, ...]]
    metres: Mapping[str, Floats]

    def lanes(self, lanelets: Sequence[Element]) -> dict[str, Lane]:
        """All lanes by id."""
        found: dict[str, _Lanelet] = {}
        limits: dict[str, float | None] = {}
        for relation in lanelets:
            lanelet = self._aligned(self._bound(relation, "left"), self._bound(relation, "right"))
            found[relation.id], limits[relation.id] = lanelet, _limit_mps(relation.tags)
            if relation.tags.get("one_way") in _BOTH_WAYS:
                against = f"{relation.id}r"
                found[against], limits[against] = lanelet.reversed(), limits[relation.id]
        begins: dict[tuple[str, str], list[str]] = defaultdict(list)
        ends: dict[tuple[str, str], list[str]] = defaultdict(list)
        for lane, lanelet in found.items():
            begins[lanelet.begin].append(lane)
            ends[lanelet.end].append(lane)
        return {
            lane: Lane(
                lane,
                block,
                self._middle(lane, found[lane]),
                self._outline(found[lane]),
                tuple(other for other in begins[found[lane].end] if not _turns_back(lane, other)),
                len(begins[found[lane].begin]) > 1 or len(ends[found[lane].end]) > 1,
                limits[lane],
            )
            for lane, block in _blocks(found).items()
        }

    def _bound(self, relation: Element, role: str) -> tuple[str, ...]:
        """Nodes of a bound, whose ways may be several, in any direction."""
        parts = [ref for kind, ref, each in relation.refs if kind == "way" and each == role]
        nodes: tuple[str, ...] = ()
        for part in parts:
            if part not in self.ways or len(self.ways[part]) < 2:
                raise self._wrong(relation.id, f"has way {part} for a {role} bound, which has no nodes")
            nodes = _chained(nodes, self.ways[part])
            if not nodes:
                raise self._wrong(relation.id, f"has ways for a {role} bound that do not meet")
        if not nodes:
            raise self._wrong(relation.id, f"has no {role} bound")
        missing = next((node for node in nodes if node not in self.metres), None)
        if missing is not None:
            raise self._wrong(relation.id, f"needs node {missing}, which is not there")
        return nodes

    def _aligned(self, left: tuple[str, ...], right: tuple[str, ...]) -> _Lanelet:
        """Both bounds in driving direction: the one in which the left one is on the left, as Lanelet2 aligns them."""
        a, b = self._places(left), self._places(right)
        if _side(a, b[len(b) // 2]) > 0:
            left, a = left[::-1], a[::-1]
        return _Lanelet(left, right if _side(b, a[len(a) // 2]) > 0 else right[::-1])

    def _middle(self, lane: str, lanelet: _Lanelet) -> Floats:
        """The line between the bounds ``[n, 2]``, a vertex every metre at least: of points at equal shares of each."""
        left, right = self._places(lanelet.left), self._places(lanelet.right)
        longest = max(arc_of(line)[-1] for line in (left, right))
        shares = np.linspace(0, 1, int(np.ceil(longest / _STEP_M)) + 1)
        points = without_repeats((_at(left, shares) + _at(right, shares)) / 2)
        if len(points) < 2:
            raise self._wrong(lane, "has no length")
        return points

    def _outline(self, lanelet: _Lanelet) -> "BaseGeometry":
        import shapely

        ring = np.concatenate([self._places(lanelet.right), self._places(lanelet.left)[::-1]])
        area = shapely.Polygon(ring)
        return area if area.is_valid else shapely.make_valid(area)

    def _places(self, nodes: Sequence[str]) -> Floats:
        return np.array([self.metres[node] for node in nodes])

    def _wrong(self, lane: str, why: str) -> UserError:
        return UserError(f"{self.path}: lanelet {one_line(lane)[:40]} {one_line(why)[:120]}")


def _blocks(lanelets: Mapping[str, _Lanelet]) -> dict[str, str]:
    """The block of each lane: its leftmost lane's id. Blocks and their lanes are in order, from left to right."""
    by_left = {lanelet.left: lane for lane, lanelet in lanelets.items()}
    beside = {lane: by_left[lanelet.right] for lane, lanelet in lanelets.items() if lanelet.right in by_left}
    rights = set(beside.values())
    blocks: dict[str, str] = {}
    # Chains from each lane that has none on its left; what is left over lies in a ring, if a map has that.
    for first in [*(lane for lane in lanelets if lane not in rights), *lanelets]:
        lane: str | None = first
        while lane is not None and lane not in blocks:
            blocks[lane] = first
            lane = beside.get(lane)
    return blocks


def _turns_back(lane: str, other: str) -> bool:
    """Whether two lanes are the directions of one lanelet."""
    return lane.removesuffix("r") == other.removesuffix("r")


def _limit_mps(tags: Mapping[str, str]) -> float | None:
    """The speed limit that a lanelet tells itself, in m/s."""
    number = tags.get("speed_limit", "").removesuffix("km/h").removesuffix("kmh").strip()
    try:
        limit = float(number) / 3.6
    except ValueError:
        return None
    return limit if 0 < limit < 100 else None


def _chained(nodes: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Two lines as one; empty if they have no end in common."""
    for first in (nodes, nodes[::-1]):
        for second in (more, more[::-1]):
            if not nodes or first[-1] == second[0]:
                return second if not nodes else first + second[1:]
    return ()


def _side(line: Floats, point: Floats) -> float:
    """Where a point is from a line ``[n, 2]``: positive on its left."""
    starts, steps = line[:-1], np.diff(line, axis=0)
    lengths = np.maximum((steps**2).sum(1), 1e-12)
    shares = np.clip(((point - starts) * steps).sum(1) / lengths, 0, 1)
    away = point - (starts + shares[:, None] * steps)
    nearest = int((away**2).sum(1).argmin())
    step = steps[nearest]
    return float(step[0] * away[nearest, 1] - step[1] * away[nearest, 0])


def _at(line: Floats, shares: Floats) -> Floats:
    """Points of a line ``[n, 2]`` at shares ``[m]`` of its length."""
    arc = arc_of(line)
    return np.stack([np.interp(shares * arc[-1], arc, line[:, axis]) for axis in (0, 1)], axis=1)
