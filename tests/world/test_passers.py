"""Passers-by on a fixed course."""

import math
import random

import pytest

from roadstill.world.passers import FOREVER_S, Passer, crossing, things, waiting
from roadstill.world.routes import Route, layout_of
from roadstill.world.towns import PARKING_STRIP_M, TOWNS


def test_a_passer_stands_goes_and_stands_again():
    walker = Passer("0" * 16, "pedestrian", "crosser", (0, 0, 0), 10.0, -4.0, 0.0, 1.5, go_s=2.0, stop_s=4.0)
    assert walker.place(0.0) == (10.0, -4.0, 0.0)
    assert walker.place(3.0) == (10.0, -2.5, 1.5)
    assert walker.place(9.0) == (10.0, -1.0, 0.0)


def test_someone_waiting_looks_across_the_road_and_stays():
    walker = waiting(random.Random(0), "crosser", 20.0, -1, 4.0)
    assert walker.place(FOREVER_S / 2) == (20.0, -4.0, 0.0)
    assert walker.heading_rad == pytest.approx(1.5708, abs=1e-3)


def test_crossing_traffic_keeps_right():
    for direction in (-1, 1):
        vehicle = crossing(random.Random(0), 50.0, 9.0, direction, 6.0, "van")
        assert vehicle.place(9.0) == (50.0 + 1.9 * direction, 0.0, 6.0)
        assert vehicle.place(10.0)[1] == 6.0 * direction
        assert vehicle.place(vehicle.from_s)[1] == pytest.approx(-48.0 * direction)


def test_things_stand_on_the_parking_strip_where_nobody_parks():
    town, kinds, number = TOWNS["brickfield"], set(), 0
    inner_m = town.lanes_each_way * town.lane_width_m
    for seed in range(8):
        rng = random.Random(seed)
        route = Route(rng, 600.0, [])
        layout = layout_of(rng, town, route, [200.0], [300.0], [185.0])
        for thing in things(rng, layout, route, inner_m + PARKING_STRIP_M, [(400.0, 450.0)]):
            x, y, _ = route.at(thing.s_m, thing.offset_m)
            assert all(math.hypot(x - car.x_m, y - car.y_m) > 3.6 for car in layout.parked)
            assert inner_m + 1.3 < abs(thing.offset_m) < inner_m + PARKING_STRIP_M
            assert abs(thing.s_m - 200) > 9.5
            assert abs(thing.s_m - 300) > 2.0
            assert thing.offset_m > 0 or not 400.0 < thing.s_m < 450.0
            assert thing.place(0.0) == thing.place(1e6) == (thing.s_m, thing.offset_m, 0.0)
            kinds.add(thing.kind)
            number += 1
    assert kinds == {"bin", "crate", "trolley"}
    assert 20 < number < 100
