import json
import math
import pickle
import sqlite3
import struct
from contextlib import closing
from itertools import pairwise

import numpy as np
import pytest

from roadstill.world.drive import drives_of, schedule, simulate
from roadstill.world.logs import namings_of, read_world, write_world
from roadstill.world.maps import LAYERS, map_path
from roadstill.world.places import IDS_PER_ROAD, LOCATIONS, place_of
from roadstill.world.roadmap import RoadMap
from roadstill.world.utm import lonlat_of

EDGES = "left_boundary_fid right_boundary_fid"
FIELDS = {  # what readers need, written down once more
    "lanes_polygons": f"lane_fid lane_group_fid lane_index speed_limit_mps {EDGES} lane_type_fid",
    "lane_connectors": "exit_lane_fid entry_lane_fid lane_group_connector_fid traffic_light_stop_line_fids "
    "speed_limit_mps",
    "gen_lane_connectors_scaled_width_polygons": f"lane_connector_fid {EDGES}",
    "lane_groups_polygons": EDGES,
    "lane_group_connectors": f"from_lane_group_fid to_lane_group_fid intersection_fid {EDGES}",
    "baseline_paths": "lane_fid lane_connector_fid",
    "boundaries": "boundary_type_fid",
    "intersections": "intersection_type_fid",
    "stop_polygons": "stop_polygon_type_fid lane_fids",
    **dict.fromkeys(("crosswalks", "walkways", "carpark_areas", "road_segments", "generic_drivable_areas"), ""),
}
LINES = {"lane_connectors", "baseline_paths", "boundaries"}
VERSIONS = {
    "sg-one-north": ("9.17.1964", "EPSG:32648"),
    "us-ma-boston": ("9.12.1817", "EPSG:32619"),
    "us-nv-las-vegas-strip": ("9.15.1915", "EPSG:32611"),
    "us-pa-pittsburgh-hazelwood": ("9.17.1937", "EPSG:32617"),
}


def utm_of(lonlat, zone):
    """Snyder 1987, equations 3-21 and 8-9 to 8-15: another series than the one that wrote the maps."""
    a, f, scale = 6378137.0, 1 / 298.257223563, 0.9996
    e2 = f * (2 - f)
    second = e2 / (1 - e2)
    lon, lat = np.radians(lonlat).T
    n = a / np.sqrt(1 - e2 * np.sin(lat) ** 2)
    t, c, x = np.tan(lat) ** 2, second * np.cos(lat) ** 2, (lon - math.radians(6 * zone - 183)) * np.cos(lat)
    arc = (1 - e2 / 4 - 3 * e2**2 / 64 - 5 * e2**3 / 256) * lat
    arc -= (3 * e2 / 8 + 3 * e2**2 / 32 + 45 * e2**3 / 1024) * np.sin(2 * lat)
    arc += (15 * e2**2 / 256 + 45 * e2**3 / 1024) * np.sin(4 * lat) - 35 * e2**3 / 3072 * np.sin(6 * lat)
    east = x + (1 - t + c) * x**3 / 6 + (5 - 18 * t + t**2 + 72 * c - 58 * second) * x**5 / 120
    north = x**2 / 2 + (5 - t + 9 * c + 4 * c**2) * x**4 / 24
    north += (61 - 58 * t + t**2 + 600 * c - 330 * second) * x**6 / 720
    return np.stack([500_000 + scale * n * east, scale * (a * arc + n * np.tan(lat) * north)], axis=1)


def points_of(wkb):
    """The vertices of a line, or of a polygon's only ring without its last point."""
    order, kind = struct.unpack_from("<BI", wkb)
    assert order == 1
    if kind == 3:
        rings, count = struct.unpack_from("<II", wkb, 5)
        points = np.frombuffer(wkb, "<f8", offset=13).reshape(-1, 2)
        assert (rings, count) == (1, len(points))
        assert count > 3
        assert (points[0] == points[-1]).all()
        return points[:-1]
    count = struct.unpack_from("<I", wkb, 5)[0]
    points = np.frombuffer(wkb, "<f8", offset=9).reshape(-1, 2)
    assert (kind, count) == (2, len(points))
    assert count > 1
    return points


def inside(ring, place):
    """Whether a place lies in a polygon: how often a ray to the right crosses its outline."""
    a, b = ring - place, np.roll(ring, -1, axis=0) - place
    crossing = (a[:, 1] > 0) != (b[:, 1] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        right = a[:, 0] - a[:, 1] * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1]) > 0
    return bool((crossing & right).sum() % 2)


def area(ring):
    after = np.roll(ring, -1, axis=0)
    return float((ring[:, 0] * after[:, 1] - ring[:, 1] * after[:, 0]).sum() / 2)


class Map:
    """All layers of a file, read without any of the code that wrote it: by layer and id, with points in UTM metres."""

    def __init__(self, path, location):
        self.rows, self.points = {}, {}
        zone = int(VERSIONS[location][1][-2:])
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
            base.row_factory = sqlite3.Row
            self.columns = {row["table_name"]: row for row in base.execute("SELECT * FROM gpkg_geometry_columns")}
            for layer, column in self.columns.items():
                rows = base.execute(f"SELECT * FROM {layer}").fetchall()
                self.rows[layer] = {row["fid"]: dict(row) for row in rows}
                self.points[layer] = {
                    fid: utm_of(points_of(self.header(row.pop(column["column_name"]))), zone)
                    for fid, row in self.rows[layer].items()
                }

    @staticmethod
    def header(blob):
        magic, version, flags, srs = struct.unpack_from("<2sBBi", blob)
        assert (magic, version, flags, srs) == (b"GP", 0, 1, 4326)
        return blob[8:]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("m") / "world", drives=5, seed=11, frames=(48, 20, 14))


@pytest.fixture(scope="module")
def maps(world):
    return {name: Map(world / "maps" / name / version / "map.gpkg", name) for name, (version, _) in VERSIONS.items()}


@pytest.fixture(scope="module")
def logs(world):
    return [pickle.loads(path.read_bytes()) for path in sorted((world / "navsim_logs" / "mini").glob("*.pkl"))]


@pytest.fixture(scope="module")
def driven(maps):
    found = [one for one in maps.values() if one.rows["lanes_polygons"]]
    assert len(found) > 1
    return found


def test_projection_agrees_with_another_series():
    rng = np.random.default_rng(0)
    for zone in (11, 17, 19, 48):
        points = np.stack([rng.uniform(200_000, 800_000, 500), rng.uniform(0, 6_500_000, 500)], axis=1)
        assert utm_of(lonlat_of(points, zone), zone) == pytest.approx(points, abs=0.005)
    assert lonlat_of([[500_000, 0]], 31)[0] == pytest.approx([3.0, 0.0], abs=1e-12)
    assert lonlat_of([[331_000, 4_690_000]], 19)[0] == pytest.approx(
        [-71.05167171601136, 42.34391099679502], abs=1e-10
    )  # pyproj's


def test_projection_agrees_with_pyproj():
    pyproj = pytest.importorskip("pyproj")
    rng = np.random.default_rng(1)
    for zone in (11, 17, 19, 48):
        points = np.stack([rng.uniform(100_000, 900_000, 500), rng.uniform(0, 9_300_000, 500)], axis=1)
        back = pyproj.Transformer.from_crs("EPSG:4326", f"EPSG:{32600 + zone}", always_xy=True)
        again = np.stack(back.transform(*lonlat_of(points, zone).T), axis=1)
        assert again == pytest.approx(points, abs=1e-5)


def test_json_names_the_four_maps(world):
    stated = json.loads((world / "maps" / "nuplan-maps-v1.0.json").read_text())
    assert {name: one["version"] for name, one in stated.items()} == {name: v for name, (v, _) in VERSIONS.items()}
    assert all(type(one["layers"]) is dict for one in stated.values())
    assert {
        path.relative_to(world / "maps").as_posix() for path in (world / "maps").rglob("*.*") if path.is_file()
    } == {
        "nuplan-maps-v1.0.json",
        *(f"{name}/{version}/map.gpkg" for name, (version, _) in VERSIONS.items()),
    }


@pytest.mark.parametrize("location", VERSIONS)
def test_each_file_is_a_geopackage(world, location):
    version, system = VERSIONS[location]
    with closing(sqlite3.connect(f"file:{world}/maps/{location}/{version}/map.gpkg?mode=ro", uri=True)) as base:
        assert base.execute("PRAGMA application_id").fetchone()[0] == 0x47504B47
        assert base.execute("PRAGMA user_version").fetchone()[0] >= 10200
        assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert base.execute("PRAGMA foreign_key_check").fetchall() == []
        assert {-1, 0, 4326} <= {row[0] for row in base.execute("SELECT srs_id FROM gpkg_spatial_ref_sys")}
        contents = dict(base.execute("SELECT table_name, data_type FROM gpkg_contents"))
        assert contents == dict.fromkeys(LAYERS, "features") | {"meta": "attributes"}
        assert dict(base.execute("SELECT key, value FROM meta"))["projectedCoordSystem"] == system
        for name, kind, srs, z, m in base.execute(
            "SELECT table_name, geometry_type_name, srs_id, z, m FROM gpkg_geometry_columns"
        ):
            assert (srs, z, m) == (4326, 0, 0)
            assert kind == ("LINESTRING" if name in LINES else "POLYGON" if name in FIELDS else "POINT")
            columns = {row[1]: row for row in base.execute(f"PRAGMA table_info({name})")}
            assert columns["fid"][2] == "INTEGER"
            assert columns["fid"][5] == 1  # the primary key
            assert set(FIELDS.get(name, "").split()) <= set(columns)


def test_layers_hold_what_they_say(driven):
    empty = {"generic_drivable_areas", "dubins_nodes", "traffic_lights"}
    for one in driven:
        assert set(one.rows) == set(LAYERS)
        assert {name for name, rows in one.rows.items() if not rows} <= empty | {"crosswalks"}
        for name, rows in one.rows.items():
            for row in rows.values():
                missing = {field for field, value in row.items() if value is None}
                assert missing in ([{"lane_fid"}, {"lane_connector_fid"}] if name == "baseline_paths" else [set()])
            if name not in LINES:
                assert all(area(points) > 0.5 for points in one.points[name].values()), name
    assert any(one.rows["crosswalks"] for one in driven)


def test_ids_are_unique_over_all_layers(driven):
    for one in driven:
        ids = [fid for rows in one.rows.values() for fid in rows]
        assert len(ids) == len(set(ids))
        assert min(ids) >= IDS_PER_ROAD


def same(line, other):
    """The largest distance between lines of equally many points, whichever way the second one goes."""
    return min(np.abs(line - other).max(), np.abs(line - other[::-1]).max())


def test_lanes_lie_between_their_boundaries(driven):
    for one in driven:
        paths = {row["lane_fid"]: fid for fid, row in one.rows["baseline_paths"].items() if row["lane_fid"]}
        groups = one.rows["lane_groups_polygons"]
        members = {group: [] for group in groups}
        for fid, lane in one.rows["lanes_polygons"].items():
            assert lane["lane_fid"] == fid
            members[lane["lane_group_fid"]].append((lane["lane_index"], lane))
            ring, path = one.points["lanes_polygons"][fid], one.points["baseline_paths"][paths[fid]]
            right, left = np.split(ring, 2)
            assert same(one.points["boundaries"][lane["left_boundary_fid"]], left) < 1e-3
            assert same(one.points["boundaries"][lane["right_boundary_fid"]], right) < 1e-3
            assert path == pytest.approx((left[::-1] + right) / 2, abs=0.01)
            ahead = path[1] - path[0]
            aside = left[-1] - path[0]
            assert ahead[0] * aside[1] - ahead[1] * aside[0] > 0  # left is to the left of where it leads
            assert all(inside(ring, place) for place in (path[1:] + path[:-1]) / 2)
        for group, lanes in members.items():
            lanes.sort(key=lambda pair: pair[0])
            assert [index for index, _ in lanes] == list(range(len(lanes)))
            assert all(a["right_boundary_fid"] == b["left_boundary_fid"] for (_, a), (_, b) in pairwise(lanes))
            assert groups[group]["left_boundary_fid"] == lanes[0][1]["left_boundary_fid"]
            assert groups[group]["right_boundary_fid"] == lanes[-1][1]["right_boundary_fid"]
            whole = sum(area(one.points["lanes_polygons"][lane["fid"]]) for _, lane in lanes)
            assert area(one.points["lane_groups_polygons"][group]) == pytest.approx(whole, rel=1e-6)


def test_vertices_are_a_metre_apart_and_hardly_turn(driven):
    for one in driven:
        for layer in LINES:
            for line in one.points[layer].values():
                steps = np.diff(line, axis=0)
                assert np.linalg.norm(steps, axis=1).max() < 1.8  # a metre on the centre line, in bends more outside
                if layer != "boundaries":  # inner ones of right turns are shorter than a metre
                    kinks = np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))
                    assert np.abs(kinks).max(initial=0.0) < 0.13


def test_traffic_keeps_to_its_side(maps):
    """The line that two directions share is left of both, or with traffic on the left, right of both."""
    for name, one in maps.items():
        inner, outer = ("right", "left") if name == "sg-one-north" else ("left", "right")
        sides = {
            side: [g[f"{side}_boundary_fid"] for g in one.rows["lane_groups_polygons"].values()]
            for side in ("left", "right")
        }
        shared = sides[inner]
        assert {fid: shared.count(fid) for fid in shared} == dict.fromkeys(shared, 2)
        assert not set(shared) & set(sides[outer])
        assert len(sides[outer]) == len(set(sides[outer]))


def test_connectors_lead_from_lane_to_lane(driven):
    for one in driven:
        rows, points = one.rows, one.points
        lane_paths = {row["lane_fid"]: points["baseline_paths"][f] for f, row in rows["baseline_paths"].items()}
        paths = {row["lane_connector_fid"]: points["baseline_paths"][f] for f, row in rows["baseline_paths"].items()}
        shapes = {
            row["lane_connector_fid"]: fid for fid, row in rows["gen_lane_connectors_scaled_width_polygons"].items()
        }
        assert len(shapes) == len(rows["lane_connectors"])
        for fid, connector in rows["lane_connectors"].items():
            path = points["lane_connectors"][fid]
            before, after = lane_paths[connector["exit_lane_fid"]], lane_paths[connector["entry_lane_fid"]]
            assert (path == paths[fid]).all()
            assert path[0] == pytest.approx(before[-1], abs=1e-3)
            assert path[-1] == pytest.approx(after[0], abs=1e-3)
            joint = [before[-1] - before[-2], path[1] - path[0], path[-1] - path[-2], after[1] - after[0]]
            ways = [math.atan2(way[1], way[0]) for way in joint]
            assert abs(math.remainder(ways[1] - ways[0], math.tau)) < 0.1  # no kink, but for the chords
            assert abs(math.remainder(ways[3] - ways[2], math.tau)) < 0.1
            turned = math.remainder(ways[2] - ways[1], math.tau)
            kind = 0 if abs(turned) < 0.4 else 1 if turned > 0 else 2
            assert connector["turn_type_fid"] == kind
            shape = rows["gen_lane_connectors_scaled_width_polygons"][shapes[fid]]
            assert {shape["left_boundary_fid"], shape["right_boundary_fid"]} <= set(rows["boundaries"])
            ring = points["gen_lane_connectors_scaled_width_polygons"][shapes[fid]]
            assert all(inside(ring, place) for place in (path[1:] + path[:-1]) / 2)
            group = rows["lane_group_connectors"][connector["lane_group_connector_fid"]]
            lanes = rows["lanes_polygons"]
            assert lanes[connector["exit_lane_fid"]]["lane_group_fid"] == group["from_lane_group_fid"]
            assert lanes[connector["entry_lane_fid"]]["lane_group_fid"] == group["to_lane_group_fid"]
        for group in rows["lane_group_connectors"].values():
            assert group["intersection_fid"] in rows["intersections"]
            assert {group["left_boundary_fid"], group["right_boundary_fid"]} <= set(rows["boundaries"])


def test_stops_belong_to_lanes_and_lights(driven):
    seen = set()
    for one in driven:
        connectors, stops = one.rows["lane_connectors"], one.rows["stop_polygons"]
        ruled = {fid: row["traffic_light_stop_line_fids"] for fid, row in connectors.items()}
        for fid, stop in stops.items():
            lanes = [int(lane) for lane in stop["lane_fids"].split(",")]
            assert set(lanes) <= set(one.rows["lanes_polygons"])
            mine = [connector for connector, text in ruled.items() if text == str(fid)]
            leaving = [connector for connector, row in connectors.items() if row["exit_lane_fid"] in lanes]
            groups = {connectors[connector]["lane_group_connector_fid"] for connector in leaving}
            crossings = {one.rows["lane_group_connectors"][group]["intersection_fid"] for group in groups}
            assert len(crossings) == 1
            lit = one.rows["intersections"][crossings.pop()]["intersection_type_fid"] == 1
            assert stop["stop_polygon_type_fid"] == (2 if lit else 4)
            assert sorted(mine) == (sorted(leaving) if lit else [])
            seen.add(lit)
        assert {text for text in ruled.values() if text} <= {str(fid) for fid in stops}
    assert seen == {True, False}


def test_frames_are_on_the_map_that_they_name(maps, logs):
    """Poses lie in a lane or connector of their route, facing along it; routes and lights exist."""
    on = {"lane": 0, "connector": 0, "light": 0, "routeless": 0, "changes": 0}
    for frames in logs:
        one = maps[frames[0]["map_location"]]
        links = {
            fid: (g["from_lane_group_fid"], g["to_lane_group_fid"])
            for fid, g in one.rows["lane_group_connectors"].items()
        }
        lane_paths = {row["lane_fid"] or row["lane_connector_fid"]: f for f, row in one.rows["baseline_paths"].items()}
        for frame in frames:
            route = [int(block) for block in frame["roadblock_ids"]]
            assert (not route) == (frame["driving_command"].argmax() == 3)
            if not route:
                on["routeless"] += 1
                continue
            assert len(route) == len(set(route))
            assert all(block in one.rows["lane_groups_polygons"] for block in route[::2]) or route[0] in links
            for before, after in pairwise(route):
                assert links[before][1] == after if before in links else links[after][0] == before
            place = frame["ego2global_translation"][:2]
            lanes = {fid: row["lane_group_fid"] for fid, row in one.rows["lanes_polygons"].items()}
            lanes = {fid: group for fid, group in lanes.items() if inside(one.points["lanes_polygons"][fid], place)}
            ways = {
                row["lane_connector_fid"]: one.rows["lane_connectors"][row["lane_connector_fid"]][
                    "lane_group_connector_fid"
                ]
                for fid, row in one.rows["gen_lane_connectors_scaled_width_polygons"].items()
                if inside(one.points["gen_lane_connectors_scaled_width_polygons"][fid], place)
            }
            mine = {fid: group for fid, group in (lanes | ways).items() if group in route}
            assert len(mine) == 1
            assert len(lanes) + bool(ways) == 1
            on["connector" if ways else "lane"] += 1
            path = one.points["baseline_paths"][lane_paths[next(iter(mine))]]
            chords = np.diff(path, axis=0)
            lengths = np.linalg.norm(chords, axis=1, keepdims=True)
            ways_m = chords / lengths
            along = np.clip(((place - path[:-1]) * ways_m).sum(1, keepdims=True), 0, lengths)
            away = np.linalg.norm(path[:-1] + along * ways_m - place, axis=1)
            if away.min() > 0.02:  # not in the middle of the lane: it changes to another one
                on["changes"] += 1
                continue
            way = ways_m[away.argmin()]
            facing = frame["ego2global"][:2, 0]
            assert float(way @ facing) > math.cos(0.06)
            for connector, red in frame["traffic_lights"]:
                assert one.rows["lane_connectors"][connector]["traffic_light_stop_line_fids"]
                assert type(red) is bool
                on["light"] += 1
    assert on.pop("routeless") in (0, 14, 20, 28)  # scenes of logs, one of thirty
    assert on.pop("changes") < 0.05 * sum(on.values())
    assert min(on.values()) > 20


def test_red_is_ahead_of_the_lane_of_the_ego(maps, logs):
    for frames in logs:
        one = maps[frames[0]["map_location"]]
        for frame in frames:
            for connector, _ in frame["traffic_lights"]:
                start = one.points["lane_connectors"][connector][0] - frame["ego2global_translation"][:2]
                assert -30 < float(start @ frame["ego2global"][:2, 0]) < 170
                if not frame["roadblock_ids"]:
                    continue
                block = one.rows["lane_connectors"][connector]["exit_lane_fid"]
                assert str(one.rows["lanes_polygons"][block]["lane_group_fid"]) in {
                    *frame["roadblock_ids"],
                    *(frames[0]["roadblock_ids"]),
                }


def test_one_scene_has_one_route(logs):
    for frames in logs:
        routes = {
            frame["scene_token"]: {
                tuple(f["roadblock_ids"]) for f in frames if f["scene_token"] == frame["scene_token"]
            }
            for frame in frames
        }
        assert all(len(found) == 1 for found in routes.values())


def test_maps_lie_in_their_towns(maps):
    """Near enough for a map viewer: within a few hundred kilometres of the place they are called after."""
    near = {
        "sg-one-north": (103.8, 1.3),
        "us-ma-boston": (-71.06, 42.35),
        "us-nv-las-vegas-strip": (-115.17, 36.12),
        "us-pa-pittsburgh-hazelwood": (-79.95, 40.42),
    }
    for name, (lon, lat) in near.items():
        zone, origin = LOCATIONS[name].zone, LOCATIONS[name].origin_m
        assert lonlat_of([origin], zone)[0] == pytest.approx([lon, lat], abs=0.3)


def test_no_two_roads_meet():
    for frames in ((), (200, 14)):
        spots = {}
        for spec in drives_of("demo", 130, 3, frames):
            for number, (_, count) in enumerate(schedule(spec)):
                place = place_of(spec, number)
                reach = count * 0.5 * 13 + 700
                spots.setdefault(place.location, []).append((*place.origin_m, reach))
                assert 100_000 < place.origin_m[0] < 900_000
        for found in spots.values():
            x, y, reach = np.array(found).T
            apart = np.hypot(x[:, None] - x, y[:, None] - y) + 1e9 * np.eye(len(x))
            assert (apart >= reach[:, None] + reach).all()
    spec = drives_of("demo", 1, 3)[0]
    assert len({place_of(spec, number).first_id for number in range(len(schedule(spec)))}) == len(schedule(spec))


def test_roads_are_not_longer_than_their_tiles():
    for spec in drives_of("pretrain", 3, 5):
        for number, scene in {int(scene.facts["log"]): scene for scene in simulate(spec)}.items():
            count = schedule(spec)[number][1]
            assert scene.layout.road.length_m < count * 0.5 * 13 + 600
            road = RoadMap(scene.layout, place_of(spec, number))
            ids = [one.fid for one in road.features]
            assert max(ids) - min(ids) < IDS_PER_ROAD / 20
            assert (
                np.concatenate([one.points_m for one in road.features])
                == np.concatenate([one.points_m for one in RoadMap(scene.layout, place_of(spec, number)).features])
            ).all()


def test_logs_lie_where_their_place_says(world):
    for spec in read_world(world).specs()[:2]:
        for number, naming in enumerate(namings_of(spec)):
            frames = pickle.loads((world / "navsim_logs" / "mini" / f"{naming.log}.pkl").read_bytes())
            away = frames[0]["ego2global_translation"][:2] - place_of(spec, number).origin_m
            assert 55 < np.hypot(*away) < 75  # 60 m into the road


def test_gdal_reads_the_same(world, maps):
    pyogrio = pytest.importorskip("pyogrio")
    for name, one in maps.items():
        path = map_path(world / "maps", name)
        assert {layer for layer, _ in pyogrio.list_layers(path)} == {*LAYERS, "meta"}
        for layer in LAYERS:
            facts, fids, blobs, values = pyogrio.raw.read(path, layer=layer, return_fids=True)
            assert facts["crs"] == "EPSG:4326"
            assert fids.tolist() == list(one.rows[layer])
            for index, fid in enumerate(fids.tolist()):
                zone = int(VERSIONS[name][1][-2:])
                assert (utm_of(points_of(blobs[index]), zone) == one.points[layer][fid]).all()
                for field, column in zip(facts["fields"], values, strict=True):
                    stored, read = one.rows[layer][fid][field], column[index]
                    assert read == stored or (stored is None and np.isnan(read))
        facts, _, _, values = pyogrio.raw.read(path, layer="meta")
        assert [column.tolist() for column in values] == [["projectedCoordSystem"], [VERSIONS[name][1]]]
