"""Passers-by on a fixed course."""

import random

import pytest

from roadstill.world.passers import FOREVER_S, Passer, crossing, waiting


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
