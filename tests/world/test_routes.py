"""The road in plain floats."""

import random

import pytest

from roadstill.world.routes import Bend, LaneShift, Route


def test_route_agrees_with_the_road():
    route = Route(random.Random(0), 200.0, [Bend(60.0, 18.0, 1.2)])
    for s, d in ((0.0, 0.0), (63.7, -2.0), (150.2, 5.0), (199.9, 1.0)):
        assert route.at(s, d) == pytest.approx(route.road.at(s, d), abs=1e-6)
    turned = route.road.yaw_rad[int(Bend(60.0, 18.0, 1.2).end_m) + 1] - route.road.yaw_rad[58]
    assert turned == pytest.approx(1.2, abs=0.08)
    assert route.ahead(58.0, 0.0, 20.0) > 2.0  # a left curve


def test_a_change_of_lane_is_smooth_at_both_ends():
    shift, step_m = LaneShift(-1.75, -5.25, 100.0, 30.0), 1e-4
    assert [shift.offset_m(s) for s in (50.0, 100.0, 115.0, 130.0, 180.0)] == [-1.75, -1.75, -3.5, -5.25, -5.25]
    for s in (99.0, 107.0, 122.0, 131.0):
        assert shift.slope(s) == pytest.approx((shift.offset_m(s + step_m) - shift.offset_m(s)) / step_m, abs=1e-4)
        assert shift.curvature(s) == pytest.approx((shift.slope(s + step_m) - shift.slope(s)) / step_m, abs=1e-4)
    assert shift.slope(130.0) == shift.curvature(100.0) == 0.0


def test_what_lies_aside_counts_a_change_of_lane():
    route = Route(random.Random(0), 200.0, [])
    assert route.ahead(50.0, -5.25, 20.0, 3.5) - route.ahead(50.0, -5.25, 20.0) == pytest.approx(3.5, abs=0.1)
