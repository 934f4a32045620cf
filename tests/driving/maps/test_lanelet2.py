"""Lanelet2's maps: directions, neighbours, ways on, and files that are none."""

import math

import numpy as np
import pytest

from roadstill.driving.poses import Pose
from roadstill.errors import UserError

pytest.importorskip("shapely")
from roadstill.driving.centerline import Routes
from roadstill.driving.maps import Lanelet2Map, open_map
from roadstill.driving.maps.projection import transform_between

CORNER = np.array([456_000.0, 5_427_000.0])  # EPSG:32632
ROAD = {"type": "lanelet", "subtype": "road"}


class Sheet:
    """An OSM file: nodes by name at metres from a corner, ways by name, lanelets as (left, right, tags)."""

    def __init__(self):
        self.nodes, self.ways, self.relations = {}, {}, []

    def way(self, name, *points):
        for point in points:
            self.nodes.setdefault(point, str(len(self.nodes) + 1))
        self.ways[name] = [self.nodes[point] for point in points]

    def lanelet(self, name, left, right, **tags):
        members = [(role, way) for role, ways in (("left", left), ("right", right)) for way in ways.split()]
        named = {key.replace("participant_", "participant:"): value for key, value in tags.items()}
        self.relations.append((name, members, ROAD | named))

    def text(self):
        lonlat = transform_between(32632, 4326)(np.array(list(self.nodes), float) + CORNER)
        numbers = {way: str(1000 + at) for at, way in enumerate(self.ways)}
        lines = ["<?xml version='1.0'?>", "<osm version='0.6'>"]
        for (longitude, latitude), node in zip(lonlat, self.nodes.values(), strict=True):
            lines.append(f"<node id='{node}' lat='{latitude:.12f}' lon='{longitude:.12f}'/>")
        for way, nodes in self.ways.items():
            inside = "".join(f"<nd ref='{node}'/>" for node in nodes)
            lines.append(f"<way id='{numbers[way]}'>{inside}</way>")
        for name, members, tags in self.relations:
            inside = "".join(f"<member type='way' ref='{numbers[way]}' role='{role}'/>" for role, way in members)
            inside += "".join(f"<tag k='{key}' v='{value}'/>" for key, value in tags.items())
            lines.append(f"<relation id='{name}'>{inside}</relation>")
        return "\n".join([*lines, "</osm>"])

    def write(self, folder):
        path = folder / "map.osm"
        path.write_text(self.text())
        return path


@pytest.fixture
def sheet():
    """Two lanes to the east, side by side; the left one forks straight on and to the left."""
    sheet = Sheet()
    sheet.way("top", (0, 8), (50, 8))
    sheet.way("middle", (50, 4), (0, 4))  # drawn against the direction of driving
    sheet.way("bottom", (0, 0), (20, 0), (50, 0))
    sheet.way("top_on", (50, 8), (100, 8))
    sheet.way("middle_on", (50, 4), (100, 4))
    sheet.way("turn_left", (50, 8), (60, 20))
    sheet.way("turn_right", (50, 4), (70, 20))
    sheet.lanelet("1", "top", "middle", speed_limit="30 km/h")
    sheet.lanelet("2", "middle", "bottom")
    sheet.lanelet("3", "top_on", "middle_on")
    sheet.lanelet("4", "turn_left", "turn_right")
    return sheet


def test_lanes_of_a_map_in_osm(sheet, tmp_path):
    road = open_map(sheet.write(tmp_path))
    assert isinstance(road, Lanelet2Map)
    assert road.epsg == 32632
    first, second = road.lanes_of(["1"])  # side by side: one block, from left to right
    assert (first.id, second.id) == ("1", "2")
    assert first.following == ("3", "4")
    assert second.following == ()
    assert first.speed_limit_mps == pytest.approx(30 / 3.6)
    assert second.speed_limit_mps is None
    np.testing.assert_allclose(first.points_m[[0, -1]] - CORNER, [[0, 6], [50, 6]], atol=1e-5)
    np.testing.assert_allclose(second.points_m[[0, -1]] - CORNER, [[0, 2], [50, 2]], atol=1e-5)
    assert np.diff(first.points_m[:, 0]).max() <= 1 + 1e-6
    assert first.outline.area == pytest.approx(200, rel=1e-6)
    assert [lane.connector for lane in road.lanes_of(["1", "3", "4"])] == [False, False, True, True]
    assert road.following == {"1": ("3", "4")}
    assert road.areas_of(["1", "nowhere"])["1"].area == pytest.approx(400, rel=1e-6)
    assert road.blocks_near(*(CORNER + np.array([52.0, 6])), 0.5) == ["3", "4"]
    assert [lane.id for lane in road.near(*(CORNER + np.array([10.0, -3])), 3.5)] == ["2"]
    assert len(road.drivable(*(CORNER + np.array([10.0, 4])), 1)) == 2
    assert {area.wkb for area in road.crossroads(*CORNER, 500)} == {
        lane.outline.wkb for lane in road.near(*CORNER, 500) if lane.connector
    }
    assert 0 < len(road.crossroads(*CORNER, 500)) < len(road.near(*CORNER, 500))


def test_a_centerline_over_lanelets(sheet, tmp_path):
    line = Routes(Lanelet2Map(sheet.write(tmp_path))).centerline(["1", "4"], Pose(*(CORNER + np.array([10.0, 6])), 0.0))
    assert line.lanes == ("1", "4")
    np.testing.assert_allclose(line.points_m[-1] - CORNER, [65, 20], atol=1e-5)
    assert line.length_m == pytest.approx(50 + math.hypot(15, 14), abs=0.1)


def test_a_lanelet_for_both_directions_is_two_lanes(tmp_path):
    sheet = Sheet()
    sheet.way("a", (0, 4), (50, 4))
    sheet.way("b", (0, 0), (50, 0))
    sheet.way("c", (50, 4), (90, 4))
    sheet.way("d", (50, 0), (90, 0))
    sheet.lanelet("7", "a", "b", one_way="no")
    sheet.lanelet("8", "c", "d", one_way="no")
    lanes = {lane.id: lane for lane in Lanelet2Map(sheet.write(tmp_path)).lanes_of(["7", "7r", "8", "8r"])}
    assert {lane: each.following for lane, each in lanes.items()} == {"7": ("8",), "7r": (), "8": (), "8r": ("7r",)}
    np.testing.assert_allclose(lanes["7r"].points_m, lanes["7"].points_m[::-1], atol=1e-6)


@pytest.mark.parametrize("turned", ["a", "b", "a b"])
def test_directions_follow_from_which_bound_is_left(turned, tmp_path):
    sheet = Sheet()
    points = {"a": [(0, 4), (50, 4)], "b": [(0, 0), (50, 0)]}
    for name, line in points.items():
        sheet.way(name, *(line[::-1] if name in turned else line))
    sheet.lanelet("1", "b", "a")  # the left one is the southern one: to the west
    (lane,) = Lanelet2Map(sheet.write(tmp_path)).lanes_of(["1"])
    np.testing.assert_allclose(lane.points_m[[0, -1]] - CORNER, [[50, 2], [0, 2]], atol=1e-5)


def test_bounds_may_be_of_several_ways(tmp_path):
    sheet = Sheet()
    sheet.way("a", (0, 4), (20, 4))
    sheet.way("b", (50, 4), (20, 4))
    sheet.way("c", (0, 0), (50, 0))
    sheet.lanelet("1", "a b", "c")
    (lane,) = Lanelet2Map(sheet.write(tmp_path)).lanes_of(["1"])
    assert lane.length_m == pytest.approx(50, abs=1e-5)


@pytest.mark.parametrize(
    ("tags", "taken"),
    [
        ({}, True),
        ({"subtype": "walkway"}, False),
        ({"subtype": "highway"}, True),
        ({"participant_vehicle": "yes", "subtype": "other"}, True),
        ({"participant_bicycle": "yes"}, False),
        ({"participant_vehicle": "no"}, False),
    ],
)
def test_only_lanelets_for_vehicles_count(tags, taken, tmp_path):
    sheet = Sheet()
    sheet.way("a", (0, 4), (50, 4))
    sheet.way("b", (0, 0), (50, 0))
    sheet.lanelet("1", "a", "b")
    sheet.lanelet("2", "b", "a", **tags)
    assert bool(Lanelet2Map(sheet.write(tmp_path)).lanes_of(["2"])) == taken


BROKEN = {
    "no XML": (lambda text: "lanes", "no map in OpenStreetMap's XML .syntax error"),
    "cut off": (lambda text: text[:300], "no map in OpenStreetMap's XML"),
    "another XML": (lambda text: "<svg/>", "begins with <svg>"),
    "a document type": (
        lambda text: text.replace("<osm", "<!DOCTYPE osm [<!ENTITY a 'aaaa'>]><osm", 1),
        "a document type, which maps have not",
    ),
    "no lanelets": (lambda text: text.replace("lanelet", "multipolygon"), "has no lanelet for vehicles"),
    "no place": (lambda text: text.replace("lat=", "x=", 1), "node 1 has no lon and lat"),
    "off the earth": (lambda text: text.replace("lat='48", "lat='149", 1), "node 1 lies at lon"),
    "no number": (lambda text: text.replace("lat='48", "lat='x", 1), "node 1 has no lon and lat"),
    "no node": (lambda text: text.replace("<nd ref='2'/>", "<nd ref='99'/>", 1), "lanelet 1 needs node 99"),
    "no way": (lambda text: text.replace("ref='1000'", "ref='7'"), "lanelet 1 has way 7 for a left bound"),
    "no bound": (lambda text: text.replace("role='right'", "role='x'", 1), "lanelet 1 has no right bound"),
    "apart": (
        lambda text: text.replace("<member type='way' ref='1001' role='right'/>",
                                  "<member type='way' ref='1001' role='right'/>"
                                  "<member type='way' ref='1000' role='right'/>", 1),
        "lanelet 1 has ways for a right bound that do not meet",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_one_line(case, sheet, tmp_path):
    change, message = BROKEN[case]
    path = sheet.write(tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=message) as caught:
        Lanelet2Map(path)
    assert "\n" not in str(caught.value)


def test_a_file_without_end_is_refused(sheet, tmp_path, monkeypatch):
    monkeypatch.setattr("roadstill.driving.maps.osm._MOST_ELEMENTS", 10)
    with pytest.raises(UserError, match="more than 10 elements"):
        Lanelet2Map(sheet.write(tmp_path))
