"""Maps of nuPlan: GeoPackages, read with sqlite3, shapely and pyproj.

A GeoPackage is an SQLite file (OGC 12-128r18). Geometries are well-known binary behind a header of eight bytes and an
envelope; ids are the tables' primary keys. What nuPlan calls the "exit" of a connector is the lane that it leaves, and
the "entry" the lane that it enters.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadstill.driving.maps.kept import Kept
from roadstill.driving.maps.lanes import Lane, LaneMap, line_of
from roadstill.driving.maps.layers import Layer
from roadstill.driving.maps.projection import require_shapely
from roadstill.driving.maps.sqlite import Tables
from roadstill.errors import UserError, one_line
from roadstill.runs import require_file

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_WHAT = "a map of nuPlan (map.gpkg)"
_OUTLINES = ("lanes_polygons", "gen_lane_connectors_scaled_width_polygons")  # of lanes, of connectors
_BASELINES = "baseline_paths"
_BLOCKS = ("lane_groups_polygons", "lane_group_connectors")  # of lanes, of connectors
_CROSSROADS = "intersections"
_DRIVABLE = (_BLOCKS[0], _CROSSROADS, "carpark_areas")
_MOST_KEPT = 4096  # lanes in memory with their shapes


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is kept of every lane and connector of the map; the ids of its shapes are those of their layers."""

    block: str
    following: tuple[str, ...]
    speed_limit_mps: float | None
    connector: bool
    outline: int
    baseline: int


class GeoPackageMap(LaneMap):
    """A map in nuPlan's layout.

    Args:
        path: the file.

    Raises:
        UserError: not a GeoPackage with nuPlan's layers, contradictions in it, or shapely or pyproj is missing.
    """

    def __init__(self, path: Path) -> None:
        require_shapely()
        self._path = require_file(path, _WHAT)
        self._tables = Tables(path, _WHAT)
        target = self._target()
        self._layers = {name: self._layer(name, target) for name in (*_OUTLINES, _BASELINES, *_BLOCKS, *_DRIVABLE)}
        self._entries = self._lanes() | self._connectors()
        self._kept: Kept[str, Lane] = Kept(self._read, _MOST_KEPT)
        self._lane_of = [
            {entry.outline: lane for lane, entry in self._entries.items() if entry.connector == bool(connector)}
            for connector in range(len(_OUTLINES))
        ]
        members: dict[str, list[str]] = defaultdict(list)
        for lane, entry in self._entries.items():
            members[entry.block].append(lane)
        self._members = dict(members)
        following: dict[str, list[str]] = defaultdict(list)
        for fid, before, after in self._ids("lane_group_connectors", "from_lane_group_fid", "to_lane_group_fid"):
            following[str(before)].append(str(fid))
            following[str(fid)].append(str(after))
        self.following = {block: tuple(each) for block, each in following.items()}

    def lanes_of(self, blocks: Iterable[str]) -> list[Lane]:
        """See `LaneMap.lanes_of`."""
        return list(self._kept.of(lane for block in blocks for lane in self._members.get(block, ())).values())

    def areas_of(self, blocks: Iterable[str]) -> "dict[str, BaseGeometry]":
        """See `LaneMap.areas_of`."""
        wanted = [block for block in blocks if block in self._members]
        found: dict[int, BaseGeometry] = {}
        for connectors, layer in enumerate(_BLOCKS):
            some = [int(block) for block in wanted if self._entries[self._members[block][0]].connector == connectors]
            found |= self._layers[layer].read(some)
        return {block: found[int(block)] for block in wanted}

    def blocks_near(self, x_m: float, y_m: float, radius_m: float) -> list[str]:
        """See `LaneMap.blocks_near`."""
        found = [str(fid) for layer in _BLOCKS for fid in self._layers[layer].near(x_m, y_m, radius_m)]
        return [block for block in found if block in self._members]

    def near(self, x_m: float, y_m: float, radius_m: float) -> list[Lane]:
        """See `LaneMap.near`."""
        found = (
            lane_of[outline]
            for lane_of, layer in zip(self._lane_of, _OUTLINES, strict=True)
            for outline in self._layers[layer].near(x_m, y_m, radius_m)
            if outline in lane_of
        )
        return list(self._kept.of(found).values())

    def drivable(self, x_m: float, y_m: float, radius_m: float) -> "list[BaseGeometry]":
        """See `LaneMap.drivable`."""
        return [area for layer in _DRIVABLE for area in self._layers[layer].near(x_m, y_m, radius_m).values()]

    def crossroads(self, x_m: float, y_m: float, radius_m: float) -> "list[BaseGeometry]":
        """See `LaneMap.crossroads`."""
        return list(self._layers[_CROSSROADS].near(x_m, y_m, radius_m).values())

    def _read(self, lanes: list[str]) -> dict[str, Lane]:
        """Lanes with their shapes, by id."""
        entries = {lane: self._entries[lane] for lane in lanes}
        lines = self._layers[_BASELINES].read(entry.baseline for entry in entries.values())
        areas = [
            self._layers[layer].read(entry.outline for entry in entries.values() if entry.connector == bool(connector))
            for connector, layer in enumerate(_OUTLINES)
        ]
        return {
            lane: Lane(
                lane,
                entry.block,
                line_of(lines[entry.baseline], f"{self._path}: {_BASELINES} {entry.baseline}"),
                areas[entry.connector][entry.outline],
                entry.following,
                entry.connector,
                entry.speed_limit_mps,
            )
            for lane, entry in entries.items()
        }

    def _lanes(self) -> dict[str, _Entry]:
        """All lanes, those of a block from left to right."""
        leaving: dict[int, list[str]] = defaultdict(list)
        for fid, exit_fid in self._ids("lane_connectors", "exit_lane_fid"):
            leaving[exit_fid].append(str(fid))
        lines = dict(self._pairs(_BASELINES, "lane_fid"))
        rows = sorted(self._ids("lanes_polygons", "lane_group_fid", "lane_index"), key=lambda row: row[2])
        limits = self._limits("lanes_polygons")
        return {
            str(fid): _Entry(
                str(group), tuple(leaving[fid]), limits[fid], False, fid, self._shape(lines, fid, _BASELINES)
            )
            for fid, group, _ in rows
        }

    def _connectors(self) -> dict[str, _Entry]:
        lines = dict(self._pairs(_BASELINES, "lane_connector_fid"))
        outlines = dict(self._pairs(_OUTLINES[1], "lane_connector_fid"))
        limits = self._limits("lane_connectors")
        return {
            str(fid): _Entry(
                str(block),
                (str(entry_fid),),
                limits[fid],
                True,
                self._shape(outlines, fid, _OUTLINES[1]),
                self._shape(lines, fid, _BASELINES),
            )
            for fid, block, entry_fid in self._ids("lane_connectors", "lane_group_connector_fid", "entry_lane_fid")
        }

    def _shape(self, shapes: dict[int, int], lane: int, layer: str) -> int:
        if lane not in shapes:
            raise UserError(f"{self._path}: {layer} has nothing for lane {lane}")
        return shapes[lane]

    def _limits(self, layer: str) -> dict[int, float | None]:
        """Speed limits in m/s by lane; none where the map has none, or one that is no speed."""
        return {
            fid: float(limit) if isinstance(limit, int | float) and 0 < limit < 1e3 else None
            for fid, limit in self._tables.rows(layer, ("fid", "speed_limit_mps"))
        }

    def _pairs(self, layer: str, field: str) -> Iterator[tuple[int, int]]:
        """Of each row that has the field, what stands in it and the row's own id."""
        for fid, named in self._tables.rows(layer, ("fid", field), f"{field} IS NOT NULL"):
            yield self._number(layer, field, named), self._number(layer, "fid", fid)

    def _ids(self, layer: str, *fields: str) -> Iterator[tuple[int, ...]]:
        """Own id and fields of each row, all of them whole numbers."""
        columns = ("fid", *fields)
        for row in self._tables.rows(layer, columns):
            yield tuple(self._number(layer, name, value) for name, value in zip(columns, row, strict=True))

    def _number(self, layer: str, field: str, value: Any) -> int:
        # GDAL writes some of these as real numbers.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int):
            raise UserError(f"{self._path}: {layer}.{field} is {one_line(repr(value))[:40]}, not a whole number")
        return value

    def _target(self) -> int:
        """EPSG code of the metres that the map's poses are told in."""
        told = {str(key): str(value) for key, value in self._tables.rows("meta", ("key", "value"))}
        code = re.fullmatch(r"EPSG:([0-9]{4,6})", told.get("projectedCoordSystem", ""), re.IGNORECASE)
        if code is None:
            raise UserError(f"{self._path}: meta does not tell projectedCoordSystem as EPSG:32611")
        return int(code[1])

    def _layer(self, name: str, target: int) -> Layer:
        described = self._tables.rows("gpkg_geometry_columns", ("table_name", "column_name", "srs_id"))
        found = [(column, srs) for table, column, srs in described if table == name]
        if len(found) != 1 or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,40}", str(found[0][0])):
            raise UserError(f"{self._path} has no layer {name}; it should be {_WHAT}")
        column, srs = found[0]
        codes = dict(self._tables.rows("gpkg_spatial_ref_sys", ("srs_id", "organization_coordsys_id")))
        return Layer(self._tables, name, column, self._number(name, "srs_id", codes.get(srs, srs)), target, self._path)
