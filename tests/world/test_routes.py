"""The road in plain floats."""

import random

import pytest

from roadstill.world.routes import Bend, Route


def test_route_agrees_with_the_road():
    route = Route(random.Random(0), 200.0, [Bend(60.0, 18.0, 1.2)])
    for s, d in ((0.0, 0.0), (63.7, -2.0), (150.2, 5.0), (199.9, 1.0)):
        assert route.at(s, d) == pytest.approx(route.road.at(s, d), abs=1e-6)
    turned = route.road.yaw_rad[int(Bend(60.0, 18.0, 1.2).end_m) + 1] - route.road.yaw_rad[58]
    assert turned == pytest.approx(1.2, abs=0.08)
    assert route.ahead(58.0, 0.0, 20.0) > 2.0  # a left curve
