"""The maps of a world: ``nuplan-maps-v1.0.json`` and a GeoPackage for each of nuPlan's four locations."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from roadstill.runs import write_json
from roadstill.world.geopackage import GeoPackage, Layer, Value, blob_of
from roadstill.world.places import LOCATIONS, MAP_VERSION
from roadstill.world.roadmap import RoadMap
from roadstill.world.utm import lonlat_of

_EDGES = {"left_boundary_fid": "INTEGER", "right_boundary_fid": "INTEGER"}

LAYERS: dict[str, Layer] = {
    "lanes_polygons": Layer(
        "POLYGON",
        {
            "lane_fid": "INTEGER",
            "lane_group_fid": "INTEGER",
            "lane_index": "INTEGER",
            "speed_limit_mps": "REAL",
            **_EDGES,
            "lane_type_fid": "INTEGER",
        },
    ),
    "lane_connectors": Layer(
        "LINESTRING",
        {
            "exit_lane_fid": "INTEGER",  # the lane that it leaves
            "entry_lane_fid": "INTEGER",  # the lane that it enters
            "lane_group_connector_fid": "INTEGER",
            "traffic_light_stop_line_fids": "TEXT",
            "turn_type_fid": "INTEGER",
            "speed_limit_mps": "REAL",
        },
    ),
    "gen_lane_connectors_scaled_width_polygons": Layer("POLYGON", {"lane_connector_fid": "INTEGER", **_EDGES}),
    "lane_groups_polygons": Layer("POLYGON", _EDGES),
    "lane_group_connectors": Layer(
        "POLYGON",
        {"from_lane_group_fid": "INTEGER", "to_lane_group_fid": "INTEGER", "intersection_fid": "INTEGER", **_EDGES},
    ),
    "baseline_paths": Layer("LINESTRING", {"lane_fid": "INTEGER", "lane_connector_fid": "INTEGER"}),
    "boundaries": Layer("LINESTRING", {"boundary_type_fid": "INTEGER"}),
    "intersections": Layer("POLYGON", {"intersection_type_fid": "INTEGER"}),
    "stop_polygons": Layer("POLYGON", {"stop_polygon_type_fid": "INTEGER", "lane_fids": "TEXT"}),
    "crosswalks": Layer("POLYGON"),
    "walkways": Layer("POLYGON"),
    "carpark_areas": Layer("POLYGON"),
    "road_segments": Layer("POLYGON"),
    "generic_drivable_areas": Layer("POLYGON"),  # empty, as the next two; readers ask for them
    "dubins_nodes": Layer("POINT"),
    "traffic_lights": Layer("POINT"),
}
"""The layers of nuPlan's maps and those of their fields that readers use."""


def map_path(root: Path, location: str) -> Path:
    """Where the map of a location lies below the folder ``maps``."""
    return root / location / LOCATIONS[location].version / "map.gpkg"


class MapWriter:
    """Writes all four maps, road by road; a location without drives gets an empty one, as readers open all four.

    Args:
        root: folder ``maps``, made here.
    """

    def __init__(self, root: Path) -> None:
        self._files: dict[str, GeoPackage] = {}
        for name, location in LOCATIONS.items():
            path = map_path(root, name)
            path.parent.mkdir(parents=True)
            meta = {"projectedCoordSystem": f"EPSG:{32600 + location.zone}"}
            self._files[name] = GeoPackage(path, LAYERS, meta)
        versions = {name: {"version": location.version, "layers": {}} for name, location in LOCATIONS.items()}
        write_json(root / f"{MAP_VERSION}.json", versions, sealed=False)

    def add(self, road: RoadMap) -> None:
        """Adds the features of a road to the map of its location."""
        lonlat = lonlat_of(np.concatenate([one.points_m for one in road.features]), LOCATIONS[road.location].zone)
        ends = np.cumsum([len(one.points_m) for one in road.features])
        rows: dict[str, list[list[Value | bytes]]] = defaultdict(list)
        for one, end in zip(road.features, ends.tolist(), strict=True):
            layer = LAYERS[one.layer]
            blob = blob_of(layer.geometry, lonlat[end - len(one.points_m) : end])
            rows[one.layer].append([one.fid, blob, *(one.values.get(name) for name in layer.fields)])
        for name, some in rows.items():
            self._files[road.location].add(name, some)

    def close(self) -> None:
        """Finishes the files."""
        for file in self._files.values():
            file.close()
