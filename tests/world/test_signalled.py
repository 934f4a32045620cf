"""Jams at a light, and how its heads are drawn."""

import random

import numpy as np
import pytest
from fake_traffic import FakeTraffic

from roadstill.world.lamps import AMBER, GREEN, RED
from roadstill.world.meshes import LAMP
from roadstill.world.passers import FOREVER_S
from roadstill.world.scene import Layout, Road, TrafficLight
from roadstill.world.signalled import SignalQueue
from roadstill.world.signals import draw_light
from roadstill.world.towns import TOWNS

SITE_M = 120.0


def test_a_jam_still_stands_when_the_light_turns_green():
    queue, traffic = SignalQueue(random.Random(3), SITE_M, 12.0), FakeTraffic(front_m=SITE_M - 110.0, speed_mps=8.0)
    queue.green_m = 30.0
    queue.prepare(traffic)
    seen = set()
    for time_s in traffic.ticks(queue, 10.5):
        (light,) = queue.signals(time_s)
        stands = bool(queue.cars) and all(car.desired_mps == 0.0 for car in queue.cars)
        seen.add((light.state, stands))
        assert light.walk == "red"
    assert {("red", True), ("green", True)} <= seen
    assert queue.green_s < queue.free_s < FOREVER_S
    assert queue.stop_line_m > max(car.progress_m for car in queue.cars if car.offset_m == queue.cars[0].offset_m)


@pytest.mark.parametrize("town", ["brickfield", "palmstrip", "gardenia"])
def test_each_head_shows_its_own_state(town):
    layout = Layout(TOWNS[town], Road(np.array([[0.0, 0.0], [200.0, 0.0]]), np.zeros(2), 200.0), 1)
    for state, colour in (("red", RED), ("amber", AMBER), ("green", GREEN)):
        mesh, glows = draw_light(layout, TrafficLight(100.0, 80.0, state), dark=0.0)
        for_them = GREEN if state == "red" else RED
        assert {glow.colour for glow in glows} == {colour, for_them}
        lit = {tuple(float(f"{part:.3f}") for part in each) for each in mesh.colours[mesh.kinds == LAMP].tolist()}
        assert lit == {colour, for_them}
    _, turning = draw_light(layout, TrafficLight(100.0, 80.0, "green", turn="red", walk="red"), dark=0.0)
    _, plain = draw_light(layout, TrafficLight(100.0, 80.0, "green"), dark=0.0)
    assert sum(glow.colour == RED for glow in turning) == sum(glow.colour == RED for glow in plain) + 5
    _, both = draw_light(layout, TrafficLight(100.0, 80.0, "red_amber"), dark=1.0)
    assert {RED, AMBER} == {glow.colour for glow in both}
