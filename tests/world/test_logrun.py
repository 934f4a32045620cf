"""One log in the making: what the ego does, and what comes and goes around it."""

import math
import random
from itertools import pairwise

import pytest

from roadstill.world.drive import drives_of
from roadstill.world.logrun import LogRun
from roadstill.world.traffic import DT_S, Car


@pytest.fixture
def run():
    """A log on a road with two lanes each way."""
    return next(run for spec in drives_of("demo", 9, 8) if len((run := LogRun(spec, 0, 40)).lanes) == 2)


def test_ego_place_speed_and_acceleration_agree():
    for spec in drives_of("demo", 3, 8):
        run = LogRun(spec, 0, 40)
        for _ in range(200):
            before_mps, (x, y, _) = run.speed_mps, run.route.at(run.rear_axle_m, run.offset_m)
            run.tick()
            assert run.accel_mps2 == pytest.approx((run.speed_mps - before_mps) / DT_S)
            to_x, to_y, _ = run.route.at(run.rear_axle_m, run.offset_m)
            assert math.hypot(to_x - x, to_y - y) == pytest.approx((before_mps + run.speed_mps) / 2 * DT_S, abs=0.02)


def test_key_frames_are_half_a_second_apart(run):
    times_s = [run.time_s for _ in run.key_frames()]
    assert len(times_s) == 40
    assert times_s[0] in (0.0, pytest.approx(0.1), pytest.approx(0.2))
    assert [b - a for a, b in pairwise(times_s)] == pytest.approx([0.5] * 39)


def test_the_lead_is_the_nearest_car_ahead_in_the_lane_of_the_ego(run):
    other, own = run.lanes[1 - run.lane], run.lanes[run.lane]

    def car(ahead_m):
        one = Car(random.Random(0), "car", 0.0, 0.0, 5.0, "lead")
        one.progress_m = run.front_m + ahead_m + one.half_m
        return one

    own[:], other[:] = [], [car(5.0)]
    assert run.lead() is None
    own[:] = [car(30.0), car(12.0), car(-9.0)]
    assert run.lead() is own[1]


def test_cars_come_and_go_out_of_sight(run):
    roles = set()
    for _ in range(400):
        before = {id(car) for lane in run.lanes for car in lane}
        run.tick()
        ego_m = run.rear_axle_m
        for lane in run.lanes:
            for car in lane:
                assert ego_m - 50.0 < car.progress_m < ego_m + 230.0
                if id(car) not in before:
                    roles.add(car.role)
        assert all(len(lane) > 0 and -car.progress_m > ego_m - 45.0 for lane in run.oncoming for car in lane)
    assert "neighbour" in roles


def test_people_who_cross_far_ahead_are_gone_before_the_ego_comes():
    number = 0
    for spec in drives_of("demo", 6, 8):
        run = LogRun(spec, 0, 60)
        for _ in run.key_frames():
            for walker in run.passers:
                if walker.role == "jaywalker" and run.front_m > walker.s_m:
                    assert abs(walker.place(run.time_s)[1]) > run.half_road_m
        number += sum(walker.role == "jaywalker" for walker in run.passers)
    assert number > 6


def test_curves_turn_by_turns():
    ways = [
        [bend.angle_rad > 0 for e in LogRun(spec, 0, 60).episodes if (bend := e.bend()) is not None]
        for spec in drives_of("demo", 30, 8)
    ]
    assert sum(len(way) for way in ways) > 20
    assert all(a != b for way in ways for a, b in pairwise(way))
