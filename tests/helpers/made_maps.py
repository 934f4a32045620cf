"""Small maps in nuPlan's layout, made by hand."""

import math
from pathlib import Path

import numpy as np
import shapely

from roadstill.world.geopackage import GeoPackage, blob_of
from roadstill.world.maps import LAYERS
from roadstill.world.utm import lonlat_of

ZONE, CORNER_M = 19, np.array([330_000.0, 4_690_000.0])
WIDTH_M = 3.5


class Town:
    """Lanes as dashes on paper: points are in metres from a corner of the map.

    Attributes:
        rows: rows of each layer, by its fields; ``fid`` and ``points`` besides.
    """

    def __init__(self):
        self.rows = {name: [] for name in LAYERS}
        self._next = 10_000

    def lane(self, fid, group, index, points, limit=13.9):
        """A lane of a group."""
        self._line(points, lane_fid=fid)
        self._add("lanes_polygons", fid, _outline(points), lane_fid=fid, lane_group_fid=group, lane_index=index,
                  speed_limit_mps=limit)  # fmt: skip
        self._block("lane_groups_polygons", group, points)

    def connector(self, fid, block, before, after, points):
        """A connector between two lanes; ``before`` and ``after`` are (lane, group)."""
        self._line(points, lane_connector_fid=fid)
        self._add("lane_connectors", fid, points, exit_lane_fid=before[0], entry_lane_fid=after[0],
                  lane_group_connector_fid=block)  # fmt: skip
        self._add("gen_lane_connectors_scaled_width_polygons", self._fresh(), _outline(points), lane_connector_fid=fid)
        self._block("lane_group_connectors", block, points, from_lane_group_fid=before[1], to_lane_group_fid=after[1])

    def write(self, path: Path, layers=LAYERS, meta=None) -> Path:
        """The file."""
        file = GeoPackage(path, layers, {"projectedCoordSystem": f"EPSG:{32600 + ZONE}"} if meta is None else meta)
        for name, layer in layers.items():
            for row in self.rows.get(name, ()):
                lonlat = lonlat_of(np.asarray(row["points"], float) + CORNER_M, ZONE)
                blob = row.get("blob", blob_of(layer.geometry, lonlat))
                file.add(name, [[row["fid"], blob, *(row.get(field) for field in layer.fields)]])
        file.close()
        return path

    def _fresh(self):
        self._next += 1
        return self._next

    def _add(self, layer, fid, points, **fields):
        self.rows[layer].append({"fid": fid, "points": points, **fields})

    def _line(self, points, **fields):
        self._add("baseline_paths", self._fresh(), points, **fields)

    def _block(self, layer, fid, points, **fields):
        known = [row for row in self.rows[layer] if row["fid"] == fid]
        if known:
            both = shapely.union_all([shapely.Polygon(known[0]["points"]), shapely.Polygon(_outline(points))])
            known[0]["points"] = np.array(both.convex_hull.exterior.coords)[:-1]
        else:
            self._add(layer, fid, _outline(points), **fields)


def _outline(points):
    outline = shapely.LineString(points).buffer(WIDTH_M / 2, cap_style="flat", join_style="mitre")
    return np.array(outline.exterior.coords)[:-1]


def straight(start, end, step_m=1.0):
    """Points of a line, about a metre apart."""
    count = max(2, round(math.dist(start, end) / step_m) + 1)
    return np.linspace(start, end, count)


def arc(start, heading_rad, radius_m, turn_rad, steps=24):
    """Points of an arc: to the left where ``turn_rad`` is positive."""
    sign = math.copysign(1, turn_rad)
    centre = np.array(start) + sign * radius_m * np.array([-math.sin(heading_rad), math.cos(heading_rad)])
    angles = heading_rad - sign * math.pi / 2 + np.linspace(0, turn_rad, steps)
    return centre + radius_m * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def crossroads() -> Town:
    """A street of two lanes to the east, that goes on straight, or turns to the left or to the right.

    Blocks: 1 (lanes 11 left, 12 right) from x 0 to 100; connectors 2 straight (21, 22), 3 left (31), 4 right (42);
    then 5 straight on (51, 52), 6 north (61), 7 south (72).
    """
    town = Town()
    left, right = WIDTH_M / 2, -WIDTH_M / 2
    town.lane(11, 1, 0, straight((0, left), (100, left)))
    town.lane(12, 1, 1, straight((0, right), (100, right)))
    town.lane(51, 5, 0, straight((120, left), (220, left)))
    town.lane(52, 5, 1, straight((120, right), (220, right)))
    town.connector(21, 2, (11, 1), (51, 5), straight((100, left), (120, left)))
    town.connector(22, 2, (12, 1), (52, 5), straight((100, right), (120, right)))
    north, south = arc((100, left), 0, 12, math.pi / 2), arc((100, right), 0, 8, -math.pi / 2)
    town.lane(61, 6, 0, straight(north[-1], north[-1] + (0, 60)))
    town.lane(72, 7, 0, straight(south[-1], south[-1] - (0, 60)))
    town.connector(31, 3, (11, 1), (61, 6), north)
    town.connector(42, 4, (12, 1), (72, 7), south)
    return town
