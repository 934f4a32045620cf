"""The centerline of a route: cases that can be drawn on paper."""

import math

import numpy as np
import pytest
from made_maps import CORNER_M, WIDTH_M, Town, arc, crossroads, straight

from roadstill.driving.centerline import Centerline, Routes
from roadstill.driving.poses import Pose, in_frame_of
from roadstill.errors import UserError

pytest.importorskip("shapely")
from roadstill.driving.maps import GeoPackageMap

LEFT, RIGHT = WIDTH_M / 2, -WIDTH_M / 2


def routes(town, folder):
    return Routes(GeoPackageMap(town.write(folder / "map.gpkg")))


@pytest.fixture
def town(tmp_path):
    return routes(crossroads(), tmp_path)


def pose(x, y, yaw_deg=0.0):
    return Pose(*(np.array([x, y]) + CORNER_M), math.radians(yaw_deg))


def ends(line):
    return (line.points_m[[0, -1]] - CORNER_M).round(2).tolist()


def test_straight_on_in_the_lane_that_the_vehicle_is_on(town):
    line = town.centerline(["1", "2", "5"], pose(30, RIGHT))
    assert line.lanes == ("12", "22", "52")
    assert ends(line) == [[0, RIGHT], [220, RIGHT]]
    assert line.length_m == pytest.approx(220, abs=1e-3)
    assert line.complete
    place = line.project(np.array([[30, RIGHT], [150, 3.0], [-5, 0], [500, 0]]) + CORNER_M)
    np.testing.assert_allclose(place, [30, 150, 0, 220], atol=1e-3)
    np.testing.assert_allclose(line.at([[30.5], [400]]) - [[[*CORNER_M, 0]]], [[[30.5, RIGHT, 0]], [[220, RIGHT, 0]]],
                               atol=1e-3)  # fmt: skip


@pytest.mark.parametrize(
    ("route", "lanes", "start", "radius_m", "turned"),
    [(["1", "3", "6"], ("11", "31", "61"), LEFT, 12, 90), (["1", "4", "7"], ("12", "42", "72"), RIGHT, 8, -90)],
)
def test_turns(town, route, lanes, start, radius_m, turned):
    line = town.centerline(route, pose(60, start))
    assert line.lanes == lanes
    # An arc of 23 chords is a little shorter than it would be round.
    chords = 23 * 2 * radius_m * math.sin(math.pi / 2 / 23 / 2)
    assert line.length_m == pytest.approx(100 + chords + 60, abs=1e-3)
    assert math.degrees(line.at(line.length_m)[2]) == pytest.approx(turned, abs=0.01)
    middle = in_frame_of(line.at(100 + chords / 2), pose(100, start))
    side = math.copysign(radius_m, turned)
    np.testing.assert_allclose(middle[:2], [radius_m * math.sqrt(0.5), side * (1 - math.sqrt(0.5))], atol=0.02)


def test_where_the_lane_does_not_lead_to_the_goal_the_line_goes_as_far_as_lanes_do(town):
    # From the right lane nobody turns left: a change of lane, which no line draws.
    line = town.centerline(["1", "3", "6"], pose(60, RIGHT))
    assert line.lanes == ("12",)
    assert not line.complete


def test_of_two_ways_the_shorter_one_is_taken(tmp_path):
    town = crossroads()
    detour = np.concatenate([straight((100, LEFT), (110, 30)), straight((110, 30), (120, RIGHT))[1:]])
    town.connector(23, 2, (11, 1), (52, 5), detour)
    town.connector(24, 2, (11, 1), (52, 5), straight((100, LEFT), (120, RIGHT)))
    town.rows["lane_connectors"] = [row for row in town.rows["lane_connectors"] if row["fid"] != 21]
    assert routes(town, tmp_path).centerline(["1", "2", "5"], pose(60, LEFT)).lanes == ("11", "24", "52")


def test_the_lane_that_points_our_way_is_the_one_we_are_on(tmp_path):
    town = crossroads()
    town.lane(81, 8, 0, straight((50, -40), (50, 40)))  # crosses at the same height
    assert routes(town, tmp_path).centerline(["1", "8"], pose(50, LEFT, 80)).lanes == ("81",)


def test_beside_the_road_the_nearest_lane_of_the_route_is_taken(town):
    assert town.centerline(["1", "2", "5"], pose(50, -6)).lanes[0] == "12"
    assert town.centerline(["1", "2", "5"], pose(50, 30)).lanes[0] == "11"


@pytest.mark.parametrize(
    ("told", "whole"),
    [
        (["1", "5"], ["1", "2", "5"]),  # a gap
        (["1", "1", "2", "2", "5"], ["1", "2", "5"]),  # every frame's block
        (["1", "2", "99", "5"], ["1", "2", "5"]),  # one that the map does not have
        (["5"], ["1", "2", "5"]),  # begins ahead of us
        (["1"], ["1"]),
    ],
)
def test_broken_routes_are_mended(town, told, whole):
    line = town.centerline(told, pose(60, LEFT))
    assert town._repair.of(told, pose(60, LEFT)) == tuple(whole)
    assert line.complete


def test_a_route_that_we_have_left_is_met_again_ahead(tmp_path):
    # A side street joins block 5; the route comes from block 1.
    town = crossroads()
    town.lane(91, 9, 0, straight((112, -80), (112, -20)))
    town.connector(92, 10, (91, 9), (52, 5), straight((112, -20), (120, RIGHT)))
    town.rows["lane_group_connectors"] = [row for row in town.rows["lane_group_connectors"] if row["fid"] != 4]
    town.rows["lane_connectors"] = [row for row in town.rows["lane_connectors"] if row["fid"] != 42]
    found = routes(town, tmp_path)
    line = found.centerline(["1", "2", "5"], pose(112, -60, 90))
    assert line.lanes == ("91", "92", "52")


def test_a_gap_that_no_way_closes_ends_the_line(town):
    line = town.centerline(["6", "7"], pose(112, 40, 90))
    assert (line.lanes, line.complete) == (("61",), False)


def test_a_route_that_comes_back_to_a_crossroads_ends_before(tmp_path):
    town = Town()
    ring = [arc((0, 0), k * math.pi / 2, 30, math.pi / 2, 40) for k in range(4)]
    begin = (0.0, 0.0)
    for k in range(4):
        points = arc(begin, k * math.pi / 2, 30, math.pi / 2, 40)
        begin = tuple(points[-1])
        ring[k] = points
    town.lane(1, 101, 0, straight((-60, 0), (-20, 0)))
    town.lane(3, 103, 0, ring[1])
    town.lane(5, 105, 0, straight((0, 0), (40, 0)))
    town.connector(2, 102, (1, 101), (3, 103), np.concatenate([straight((-20, 0), (0, 0)), ring[0][1:]]))
    town.connector(4, 104, (3, 103), (5, 105), np.concatenate([ring[2], ring[3][1:]]))
    found = routes(town, tmp_path)
    assert found._repair.of(["101", "102", "103", "104", "105"], pose(-50, 0)) == ("101", "102", "103")


def test_what_cannot_be_followed_is_said(town):
    with pytest.raises(UserError, match="no block of the route is in the map"):
        town.centerline(["98", "99"], pose(60, LEFT))
    with pytest.raises(UserError, match="no block of the route"):
        town.centerline([], pose(60, LEFT))
    with pytest.raises(UserError, match="no road is within 50 m"):
        town.centerline(["1"], pose(60, 900))


def test_questions_of_any_shape_are_answered_at_once():
    line = Centerline(np.array([[0.0, 0], [10, 0], [10, 0], [10, 10]]))
    assert line.points_m.tolist() == [[0, 0], [10, 0], [10, 10]]
    points = np.array([[[2.0, 1], [9, 5]], [[20, 20], [10, -3]]])
    np.testing.assert_allclose(line.project(points), [[2, 15], [20, 10]])
    np.testing.assert_allclose(line.at(line.project(points))[..., :2], [[[2, 0], [10, 5]], [[10, 10], [10, 0]]])
    assert line.at([]).shape == (0, 3)
