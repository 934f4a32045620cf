"""Jams, slow cars, cars that cut in and curves, each met by an ego that drives on and on."""

import math
import random
from itertools import pairwise

import pytest
from fake_traffic import FakeTraffic

from roadstill.world.driver import BRAKING_MPS2
from roadstill.world.following import Curve, CutIn, LaneChange, Queue, SlowLead, TurnOff
from roadstill.world.passers import FOREVER_S
from roadstill.world.traffic import DT_S, Car

SITE_M = 150.0


def made(kind, seed=1):
    return kind(random.Random(seed), SITE_M, 12.0)


@pytest.mark.parametrize("kind", [Queue, SlowLead, CutIn, Curve])
def test_what_is_in_the_lane_needs_no_wall(kind):
    episode = made(kind)
    episode.begun_s = 1.0
    assert episode.wall(2.0) is None
    assert episode.oncoming_wall(2.0) is None


@pytest.mark.parametrize("kind", [Queue, SlowLead, CutIn])
def test_it_never_happens_behind_another_car(kind):
    traffic = FakeTraffic(front_m=30.0)
    lead = Car(random.Random(1), "car", SITE_M - 20, traffic.lane_offset_m(0), 10.0, "neighbour")
    traffic.lanes[0].append(lead)
    episode = made(kind)
    traffic.run(episode, 10.0)
    assert episode.passive
    assert traffic.lanes == [[lead], []]


def test_a_jam_stands_over_all_lanes_with_its_lamps_lit():
    traffic, jam = FakeTraffic(front_m=40.0), made(Queue)
    in_the_way = Car(random.Random(1), "car", SITE_M + 20, traffic.lane_offset_m(1), 10.0, "neighbour")
    traffic.lanes[1].append(in_the_way)
    traffic.run(jam, DT_S)
    assert in_the_way not in traffic.lanes[1]
    for number, lane in enumerate(traffic.lanes):
        assert len(lane) == jam.rows
        assert all(car.speed_mps == 0 and car.braking and car.cause == "queue" for car in lane)
        assert all(car.offset_m == traffic.lane_offset_m(number) for car in lane)
        assert all(a.progress_m + a.half_m < b.tail_m for a, b in pairwise(lane))
        assert lane[0].kind != "truck"
        assert lane[0].tail_m == pytest.approx(SITE_M + 2.5, abs=1.0)
    assert traffic.lanes[0][0].tail_m == pytest.approx(SITE_M + 2.5)


def test_a_jam_dissolves_from_its_front_when_the_ego_is_slow():
    traffic, jam = FakeTraffic(front_m=60.0), made(Queue)
    traffic.run(jam, 1.0)
    assert {car.desired_mps for car in jam.cars} == {0.0}
    traffic.front_m, traffic.speed_mps = SITE_M - 8.0, jam.release_mps - 0.1
    traffic.run(jam, DT_S)
    lane = traffic.lanes[0]
    assert lane[-1].desired_mps > 0 == lane[0].desired_mps
    traffic.speed_mps = 0.0
    traffic.run(jam, 1.5)
    assert all(car.desired_mps > 0 for car in lane)
    assert all(car.brake_held for car in lane)  # they have not gathered speed yet
    for car in lane:
        car.speed_mps = 4.0
    traffic.run(jam, DT_S)
    assert not any(car.brake_held for car in lane)


@pytest.mark.parametrize(("outermost", "from_m"), [(False, -5.25), (True, -8.1)])
def test_a_slow_car_pulls_out_from_the_next_lane_or_the_kerb(outermost, from_m):
    traffic = FakeTraffic(front_m=SITE_M - 45.0, lane=int(outermost))
    traffic.run(made(SlowLead), DT_S)
    (car,) = traffic.lanes[traffic.lane]
    assert car.offset_m == pytest.approx(from_m)
    assert car.target_offset_m == traffic.lane_offset_m(traffic.lane)
    assert car.cause == "lead_brakes"


def test_a_slow_car_brakes_when_the_ego_is_near_and_leaves_when_it_is_slow():
    traffic, episode = FakeTraffic(front_m=SITE_M - 45.0), made(SlowLead)
    traffic.run(episode, DT_S)
    car = episode.car
    assert car.desired_mps > 4.0
    traffic.front_m = car.tail_m - 20.0
    traffic.run(episode, DT_S)
    assert episode.wary
    assert episode.brake_s == FOREVER_S
    traffic.front_m = car.tail_m - 15.0
    traffic.run(episode, DT_S)
    assert car.desired_mps == episode.low_mps
    assert car.brake_held
    car.speed_mps = traffic.speed_mps = 1.0
    traffic.run(episode, episode.hold_s - 0.3)
    assert car.desired_mps == episode.low_mps
    traffic.run(episode, 0.6)
    assert car.desired_mps > 15.0
    assert not car.brake_held


def test_a_car_cuts_in_at_braking_distance_with_its_lamps_lit():
    traffic, episode = FakeTraffic(front_m=SITE_M - 80.0), made(CutIn)
    for _ in traffic.ticks(episode, 10.0):
        if episode.car is not None:
            break
    (car,) = traffic.lanes[0]
    assert (car.cause, car.braking, car.brake_held) == ("cut_in", True, True)
    assert 20.0 < SITE_M - traffic.front_m < 32.0
    assert episode.brake_s == episode.begun_s


def test_nobody_cuts_in_on_a_slow_ego():
    traffic, episode = FakeTraffic(front_m=SITE_M - 10.0, speed_mps=4.0), made(CutIn)
    traffic.run(episode, 1.0)
    assert episode.passive
    assert not episode.wary


def test_curves_take_turns():
    first, second = made(Curve, 1), made(Curve, 2)
    way = second.turn(first.turn(1))
    assert (first.sign, second.sign, way) == (-1, 1, 1)
    assert first.bend().angle_rad < 0 < second.bend().angle_rad


def test_a_curve_is_a_place_to_pass_slowly_once_that_is_worth_braking_for():
    curve = made(Curve)
    assert curve.hazards(FakeTraffic(front_m=SITE_M - 60.0)) == []
    (hazard,) = curve.hazards(FakeTraffic(front_m=SITE_M - 20.0))
    assert (hazard.s_m, hazard.speed_mps, hazard.cause, hazard.fixed) == (SITE_M, curve.over_mps, "curve", True)
    slow = FakeTraffic(front_m=SITE_M - 20.0, speed_mps=curve.over_mps)
    assert curve.hazards(slow) == []
    slow.cause, slow.accel_mps2 = "curve", BRAKING_MPS2 - 0.1
    assert len(curve.hazards(slow)) == 1  # it goes on braking, once begun
    assert curve.hazards(FakeTraffic(front_m=SITE_M)) == []


def test_the_ego_is_slow_in_a_curve_and_fast_again_before_its_end():
    curve = made(Curve)
    end_m = curve.bend().end_m
    assert curve.cruise(FakeTraffic(front_m=SITE_M - 1.0)) == curve.cruise_mps <= 12.5
    assert curve.cruise(FakeTraffic(front_m=SITE_M + 1.0)) == pytest.approx(curve.over_mps + 0.5)
    assert curve.cruise(FakeTraffic(front_m=end_m)) is None
    assert SITE_M + curve.after_m == pytest.approx(end_m + 3.0)


def test_a_turn_at_a_crossroads_is_a_quarter_of_a_circle():
    turn = made(TurnOff)
    begin_m, end_m = turn.corner_m
    assert abs(turn.bend().angle_rad) == pytest.approx(math.pi / 2)
    assert begin_m < SITE_M < end_m == turn.bend().end_m
    assert made(Curve).corner_m is None


def test_the_ego_changes_lane_where_that_is_free():
    episode, traffic = made(LaneChange), FakeTraffic(front_m=SITE_M + 1.0)
    assert episode.leave(0, 2) == 1
    neighbour = Car(random.Random(0), "car", SITE_M + 10.0, traffic.lane_offset_m(1), 9.0, "neighbour")
    traffic.lanes[1].append(neighbour)
    traffic.run(episode, 0.2)
    assert (traffic.lane, episode.passive) == (0, False)
    neighbour.progress_m += 40.0
    traffic.run(episode, 0.2)
    assert (traffic.lane, episode.passive) == (1, True)


def test_who_does_not_get_over_for_long_stays():
    episode, traffic = made(LaneChange), FakeTraffic(front_m=SITE_M + 1.0, speed_mps=8.0)
    episode.leave(0, 2)
    beside = Car(random.Random(0), "car", SITE_M, traffic.lane_offset_m(1), 8.0, "neighbour")
    traffic.lanes[1].append(beside)
    for _ in traffic.ticks(episode, 6.0):
        beside.progress_m = traffic.front_m
    beside.progress_m += 100.0
    traffic.run(episode, 1.0)
    assert (traffic.lane, episode.passive) == (0, True)
