"""nuPlan's maps: what is read, what is not, and files that are none."""

import sqlite3
import struct
from contextlib import closing

import numpy as np
import pytest
from made_maps import CORNER_M, WIDTH_M, ZONE, crossroads

from roadstill.errors import UserError
from roadstill.world.maps import LAYERS

pytest.importorskip("shapely")
from roadstill.driving.maps import GeoPackageMap

MIDDLE = CORNER_M + np.array([50.0, 0])  # of block 1


@pytest.fixture
def path(tmp_path):
    return crossroads().write(tmp_path / "map.gpkg")


def test_lanes_have_places_in_metres_and_ways_on(path):
    road = GeoPackageMap(path)
    left, right = road.lanes_of(["1"])
    assert [left.id, right.id] == ["11", "12"]
    assert (left.block, left.connector, left.speed_limit_mps) == ("1", False, 13.9)
    assert left.following == ("21", "31")
    np.testing.assert_allclose(left.points_m[[0, -1]] - CORNER_M, [[0, WIDTH_M / 2], [100, WIDTH_M / 2]], atol=1e-3)
    assert left.length_m == pytest.approx(100, abs=1e-3)
    np.testing.assert_allclose(left.headings_rad, 0, atol=1e-5)
    assert left.outline.area == pytest.approx(100 * WIDTH_M, rel=1e-4)
    (across,) = road.lanes_of(["3"])
    assert (across.following, across.connector, across.speed_limit_mps) == (("61",), True, None)
    assert road.following["1"] == ("2", "3", "4")
    assert road.following["3"] == ("6",)
    assert road.preceding["5"] == ["2"]
    assert road.lanes_of(["nowhere", "6", "1"])[0].id == "61"
    assert list(road.areas_of(["6", "nowhere", "2"])) == ["6", "2"]


def test_what_is_near_is_found_and_nothing_else_is_read(path):
    road = GeoPackageMap(path)
    x, y = MIDDLE
    assert [lane.id for lane in road.near(x, y, 0.5)] == ["11", "12"]
    assert road.near(x, y + 20, 16) == []
    assert [lane.id for lane in road.near(x, y + 20, 17)] == ["11"]
    assert road.blocks_near(*(MIDDLE + np.array([50.0, 0])), 0.5) == ["1", "2", "3", "4"]
    assert len(road.drivable(x, y, 5)) == 1
    assert road.crossroads(x, y, 5) == []
    assert len(road._layers["lanes_polygons"]._kept._values) == 2


def test_only_so_much_is_kept(path, monkeypatch):
    monkeypatch.setattr("roadstill.driving.maps.geopackage._MOST_KEPT", 2)
    road = GeoPackageMap(path)
    lanes = {lane.id: lane for block in ("1", "5", "2", "1") for lane in road.lanes_of([block])}
    assert lanes.keys() == {"11", "12", "51", "52", "21", "22"}
    assert len(road._kept._values) == 2


def test_envelopes_and_both_orders_of_bytes_are_read(tmp_path):
    town = crossroads()
    plain = GeoPackageMap(town.write(tmp_path / "plain.gpkg"))
    with closing(sqlite3.connect(tmp_path / "plain.gpkg")) as base, base:
        for fid, blob in base.execute("SELECT fid, geom FROM lanes_polygons").fetchall():
            ring = np.frombuffer(blob[8 + 13 :], "<f8").reshape(-1, 2)
            low, high = ring.min(0), ring.max(0)
            wkb = struct.pack(">BIII", 0, 3, 1, len(ring)) + ring.astype(">f8").tobytes()
            box = struct.pack(">4d", low[0], high[0], low[1], high[1])
            other = struct.pack(">2sBBi", b"GP", 0, 2, 4326) + box + wkb
            base.execute("UPDATE lanes_polygons SET geom = ? WHERE fid = ?", (other, fid))
    other = GeoPackageMap(tmp_path / "plain.gpkg")
    x, y = MIDDLE
    for mine, theirs in zip(plain.near(x, y, 60), other.near(x, y, 60), strict=True):
        assert mine.outline.equals(theirs.outline)


def changed(path, *statements):
    with closing(sqlite3.connect(path)) as base, base:
        for statement in statements:
            base.execute(statement)
    return path


BROKEN = {
    "no SQLite": (None, "file is not a database"),
    "another SQLite file": (("DROP TABLE lanes_polygons", "DROP TABLE meta"), "has no table meta"),
    "no layer": (("DROP TABLE baseline_paths",), "has no table baseline_paths"),
    "a view": (
        ("ALTER TABLE lane_connectors RENAME TO other", "CREATE VIEW lane_connectors AS SELECT * FROM other"),
        "has no table lane_connectors",
    ),
    "no field": (("ALTER TABLE lanes_polygons DROP COLUMN lane_index",), "no such column: lane_index"),
    "no projection": (("DELETE FROM meta",), "does not tell projectedCoordSystem"),
    "a text for a projection": (("UPDATE meta SET value = '+proj=pipeline'",), "does not tell projectedCoordSystem"),
    "an unknown projection": (("UPDATE meta SET value = 'EPSG:999999'",), "PROJ knows no way from EPSG:4326"),
    "a text for an id": (("UPDATE lane_connectors SET exit_lane_fid = 'x' WHERE fid = 21",), "'x', not a whole number"),
    "no baseline": (("DELETE FROM baseline_paths WHERE lane_fid = 11",), "baseline_paths has nothing for lane 11"),
    "no outline": (
        ("DELETE FROM gen_lane_connectors_scaled_width_polygons WHERE lane_connector_fid = 21",),
        "has nothing for lane 21",
    ),
    "no geometry": (("UPDATE lanes_polygons SET geom = NULL WHERE fid = 11",), "lanes_polygons 11 is damaged"),
    "noise": (("UPDATE lanes_polygons SET geom = randomblob(99) WHERE fid = 11",), "lanes_polygons 11 is damaged"),
    "cut off": (
        ("UPDATE baseline_paths SET geom = substr(geom, 1, 60) WHERE lane_fid = 11",),
        "baseline_paths 10001 is damaged",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_one_line(case, path):
    statements, message = BROKEN[case]
    if statements is None:
        path.write_bytes(b"GPKG, but not really" * 99)
    else:
        changed(path, *statements)
    with pytest.raises(UserError, match=message) as caught:
        GeoPackageMap(path).near(*MIDDLE, 5)
    assert "\n" not in str(caught.value)


def test_a_place_that_is_not_finite_is_named(tmp_path):
    town = crossroads()
    nan = struct.pack("<2sBBi", b"GP", 0, 1, 4326) + struct.pack("<BII", 1, 2, 2)
    for row in town.rows["baseline_paths"][:1]:
        row["blob"] = nan + struct.pack("<4d", -71.06, 42.35, -71.05, float("nan"))
    with pytest.raises(UserError, match="baseline_paths 10001 has a place that is not finite"):
        GeoPackageMap(town.write(tmp_path / "map.gpkg")).lanes_of(["1"])


def test_a_question_without_end_is_ended(path, monkeypatch):
    monkeypatch.setattr("roadstill.driving.maps.sqlite._MOST_MOVES", 100)
    monkeypatch.setattr("roadstill.driving.maps.sqlite._BETWEEN", 10)
    with pytest.raises(UserError, match="interrupted"):
        GeoPackageMap(path)


def test_nothing_is_written_beside_the_map(path):
    path.chmod(0o444)
    GeoPackageMap(path).lanes_of(["1"])
    assert [each.name for each in path.parent.iterdir()] == ["map.gpkg"]


def test_the_files_own_reference_systems_count(tmp_path):
    # The same map stored in metres: nothing is left to do.
    town = crossroads()
    path = town.write(tmp_path / "map.gpkg")
    changed(path, f"UPDATE gpkg_geometry_columns SET srs_id = {32600 + ZONE} WHERE table_name = 'baseline_paths'")
    (lane, _) = GeoPackageMap(path).lanes_of(["1"])
    assert abs(lane.points_m[0, 0]) < 180  # degrees, taken for metres as the file says
    assert LAYERS.keys() == town.rows.keys()
