"""Where drives are on a road drawn by hand."""

import math

import numpy as np
import pytest
from made_maps import CORNER_M, crossroads
from made_scenes import ROUTE, drive, ground, lane, lanes

from roadstill.driving.maps import GeoPackageMap
from roadstill.driving.scoring import Ground
from roadstill.driving.scoring.drives import Drives


def places(**where):
    return ground().places(Drives(drive(**where)), ROUTE)


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        ({}, set()),
        ({"y_m": 3.5}, set()),
        ({"y_m": 1.7}, {"several_lanes"}),
        ({"y_m": 1.75}, {"several_lanes", "off_route"}),  # an edge belongs to none
        ({"y_m": 7}, {"off_route"}),
        ({"y_m": 5.0}, {"several_lanes"}),
        ({"y_m": 5.5}, {"several_lanes", "off_route"}),
        ({"y_m": -0.7}, {"off_road"}),  # one side hangs over; its corners there are in no lane
        ({"y_m": -3}, {"off_road", "off_route"}),
        ({"x_m": 110, "y_m": 12}, {"off_route", "crossing", "crossing_rear"}),
        ({"x_m": 110}, {"crossing", "crossing_rear"}),
        ({"x_m": 101}, {"crossing", "several_lanes"}),  # half of it is still in the lane before
        ({"y_m": 0.2, "yaw_rad": math.pi}, set()),
    ],
)
def test_places_by_hand(where, wrong):
    found = places(speed_mps=0, **where)
    assert {name for name, flags in found._asdict().items() if flags.any()} == wrong
    assert all(flags.shape == (1, 41) for flags in found)


def test_one_lane_that_holds_all_is_enough():
    beside = lane("beside", "1", (-50, 300), 1.0)
    for some, several in ((lanes(), False), ([*lanes(), beside], False), ([beside, *lanes()[3:]], False)):
        assert Ground(some, [], []).places(Drives(drive()), ROUTE).several_lanes.all() == several
    assert Ground([*lanes(), beside], [], []).places(Drives(drive(y_m=-0.7)), ROUTE).several_lanes.all()


def test_a_drive_over_the_crossroads():
    found = places(x_m=89.5, speed_mps=10)
    assert np.flatnonzero(found.crossing[0]).tolist() == list(range(11, 31))
    assert found.crossing_rear[0].sum() == 20
    assert not found.off_road.any()
    assert not found.off_route.any()


def test_far_from_everything_is_off_all():
    found = places(x_m=1000, y_m=1000)
    assert found.off_road.all()
    assert found.off_route.all()
    assert not found.crossing.any()


def test_ground_without_crossroads_and_without_anything():
    drives = Drives(drive(x_m=110))
    assert not Ground(lanes(), [], []).places(drives, ROUTE).crossing.any()
    assert Ground([], [], []).places(drives, ROUTE).off_road.all()


def test_ground_of_a_map(tmp_path):
    road = GeoPackageMap(crossroads().write(tmp_path / "map.gpkg"))
    x, y = CORNER_M + np.array([50.0, -1.75])
    found = Ground.around(road, x, y).places(Drives(drive(x_m=x, y_m=y, speed_mps=16)), {"1", "2"})
    # This map has no crossroads, and connectors alone are none of what NAVSIM counts as drivable.
    assert found.off_road[0].tolist() == [False] * 30 + [True] * 11
    assert not found.off_route.any()
