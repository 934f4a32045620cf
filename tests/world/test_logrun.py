"""One log in the making: what the ego does, and what comes and goes around it."""

import math
import random
from itertools import pairwise

import numpy as np
import pytest

from roadstill.world.capture import scene_of
from roadstill.world.drive import drives_of
from roadstill.world.following import LaneChange
from roadstill.world.logrun import LogRun
from roadstill.world.orders import Narrows
from roadstill.world.traffic import DT_S, Car
from roadstill.world.visible import VEHICLES


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
    for spec in drives_of("demo", 12, 8):
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
    assert sum(len(way) for way in ways) > 15
    assert all(a != b for way in ways for a, b in pairwise(way))


def test_the_ego_moves_as_fast_sideways_as_its_heading_says():
    changes = 0
    for spec in drives_of("demo", 40, 8):
        run = LogRun(spec, 0, 60)
        if not any(isinstance(episode, LaneChange) for episode in run.episodes):
            continue
        for _ in run.key_frames():
            (x, y, road_rad), heading_rad = run.route.at(run.rear_axle_m, run.offset_m), run.heading_rad
            before_mps = run.speed_mps
            run.tick()
            to_x, to_y, _ = run.route.at(run.rear_axle_m, run.offset_m)
            way = math.atan2(to_y - y, to_x - x) - road_rad
            if before_mps > 2.0:
                assert math.remainder(way - heading_rad, 2 * math.pi) == pytest.approx(0.0, abs=0.05)
            driven_m = math.hypot(to_x - x, to_y - y)
            assert driven_m == pytest.approx((before_mps + run.speed_mps) / 2 * DT_S, abs=0.03)
            changes += abs(heading_rad) > 0.03
    assert changes > 3


def test_what_stands_in_our_lane_stands_in_the_one_that_we_shall_have():
    for spec in drives_of("demo", 40, 8):
        run = LogRun(spec, 0, 60)
        lane = run.lane
        for episode in run.episodes:
            if isinstance(episode, Narrows):
                assert episode.lane == lane
            lane = episode.lane if isinstance(episode, LaneChange) else lane


def gap_m(one, other):
    """Distance of two boxes ``(x, y, yaw, front, rear, half width)``; 0 if they overlap: the widest gap of the axes."""
    corners = []
    for x, y, yaw, front, rear, half in (one, other):
        ahead, left = np.array([math.cos(yaw), math.sin(yaw)]), np.array([-math.sin(yaw), math.cos(yaw)])
        corners.append([np.array([x, y]) + a * ahead + b * left for a in (front, -rear) for b in (half, -half)])
    mine, theirs = np.array(corners)
    gaps = []
    for yaw in (one[2], one[2] + math.pi / 2, other[2], other[2] + math.pi / 2):
        axis = np.array([math.cos(yaw), math.sin(yaw)])
        a, b = mine @ axis, theirs @ axis
        gaps.append(max(a.min() - b.max(), b.min() - a.max()))
    return max(*gaps, 0.0)


def test_there_is_room_in_sharp_bends():
    """The vehicle of the data set (a Pacifica, 5.18 x 2.30 m) keeps clear of everybody else there."""
    frames, gaps_m = 0, {False: [], True: []}  # to those that stand, and to those that drive
    for spec in drives_of("demo", 24, 8):
        run = LogRun(spec, 0, 60)
        bends = [bend for e in run.episodes if (bend := e.bend()) is not None]
        if not bends:
            continue
        for frame in run.key_frames():
            if not any(bend.start_m < run.rear_axle_m + 4 and run.rear_axle_m < bend.end_m for bend in bends):
                continue
            scene = scene_of(run, frame)
            frames += 1
            ego = (scene.ego_x_m, scene.ego_y_m, scene.ego_yaw_rad, 4.049, 1.127, 1.149)
            for thing in (*scene.objects, *scene.layout.parked):
                if thing.kind in VEHICLES and math.hypot(thing.x_m - ego[0], thing.y_m - ego[1]) < 20:
                    half = thing.length_m / 2
                    place = (thing.x_m, thing.y_m, thing.yaw_rad, half, half, thing.width_m / 2)
                    gaps_m[thing.speed_mps > 0].append(gap_m(ego, place))
    assert frames > 40
    assert min(gaps_m[False]) > 0.6  # a parked van beside a lane of 3.5 m
    assert min(gaps_m[True]) > 0.8  # two lanes of 3.3 m, side by side in a turn
