"""Cars that follow each other."""

import random

import pytest

from roadstill.world.routes import Bend, Route
from roadstill.world.traffic import DT_S, HARDEST_BRAKING_MPS2, Car, step_lane


def test_a_lane_stops_at_a_wall_and_goes_on():
    rng = random.Random(1)
    cars = [Car(rng, "car", p, -1.7, 8.0, "neighbour") for p in (0.0, 15.0)]
    for _ in range(150):
        step_lane(cars, [60.0])
    front, behind = max(c.progress_m for c in cars), min(c.progress_m for c in cars)
    assert 50.0 < front + 2.25 <= 61.0
    assert behind + 2.25 < front - 2.25
    assert all(c.speed_mps < 0.5 and c.braking for c in cars)
    for _ in range(40):
        step_lane(cars, [])
    assert max(c.progress_m for c in cars) > 65.0
    assert not any(c.braking for c in cars)


def car_at(progress_m=0.0, speed_mps=10.0, offset_m=-1.7):
    return Car(random.Random(0), "car", progress_m, offset_m, speed_mps, "neighbour")


def test_nobody_brakes_harder_than_possible_or_drives_backwards():
    car = car_at()
    for _ in range(30):
        car.step(0.1, 0.0)
        assert -HARDEST_BRAKING_MPS2 - 1e-9 <= car.accel_mps2 <= 0.0
    assert car.speed_mps == 0.0


def test_a_free_car_reaches_its_desired_speed_without_lamps():
    car = car_at(speed_mps=2.0)
    car.desired_mps = 12.0
    for _ in range(200):
        car.step(1e9, 0.0)
        assert not car.braking
    assert car.speed_mps == pytest.approx(12.0, abs=0.1)


def test_a_held_brake_is_lit_at_any_speed():
    car = car_at()
    car.brake_held = True
    car.step(1e9, 0.0)
    assert car.braking
    assert car.accel_mps2 == pytest.approx(0.0)


def test_a_car_moves_to_its_offset_and_turns_on_the_way():
    car = car_at(offset_m=-5.0)
    car.target_offset_m, car.lateral_mps = -3.0, 2.0
    car.step(1e9, 0.0)
    assert car.offset_m == pytest.approx(-5.0 + 2.0 * DT_S)
    assert car.yaw_rad > 0
    for _ in range(12):
        car.step(1e9, 0.0)
    assert (car.offset_m, car.yaw_rad) == (-3.0, 0.0)


def test_a_standing_car_does_not_move_sideways():
    car = car_at(speed_mps=0.0, offset_m=-5.0)
    car.desired_mps, car.target_offset_m = 0.0, -3.0
    car.step(1e9, 0.0)
    assert (car.offset_m, car.braking) == (-5.0, True)


def test_who_could_not_stop_at_a_wall_drives_on():
    for far_m, stops in ((30.0, True), (5.0, False)):
        car = car_at()
        step_lane([car], [car.half_m + far_m])
        assert (car.accel_mps2 < -0.1) is stops


def test_on_the_outer_side_of_a_bend_progress_is_slower():
    route = Route(random.Random(0), 200.0, [Bend(60.0, 18.0, 1.5)])
    for offset_m, longer in ((-5.0, True), (5.0, False)):
        car = car_at(progress_m=75.0, offset_m=offset_m)
        step_lane([car], [], route)
        assert (car.progress_m - 75.0 < 10.0 * DT_S) is longer


def test_nobody_drives_into_the_ego_from_behind():
    car = Car(random.Random(0), "car", 0.0, 0.0, 12.0, "neighbour")
    for _ in range(200):
        step_lane([car], [], ego=(40.0, 0.0))
    assert 36.0 < car.progress_m + car.half_m < 40.0
    ahead = Car(random.Random(0), "car", 60.0, 0.0, 8.0, "neighbour")
    step_lane([ahead], [], ego=(40.0, 0.0))
    assert ahead.accel_mps2 > -0.1


def test_cars_slow_down_before_a_sharp_bend_and_speed_up_after_it():
    route = Route(random.Random(0), 300.0, [Bend(120.0, 18.0, 1.5)])
    for sign, start_m in ((1, 60.0), (-1, -220.0)):
        car, states = car_at(progress_m=start_m, offset_m=-1.7 * sign), []
        car.role = "neighbour" if sign > 0 else "oncoming"
        for _ in range(250):
            step_lane([car], [], route, sign)
            states.append((car.progress_m * sign, car.speed_mps, car.offset_m))
        inside = [(speed_mps, offset_m) for s_m, speed_mps, offset_m in states if 124.0 < s_m < 146.0]
        assert max(speed_mps for speed_mps, _ in inside) < 7.0
        assert min(offset_m for _, offset_m in inside) >= (-1.7 if sign > 0 else 2.2)  # away from the middle
        assert car.speed_mps > 9.0
        assert car.offset_m == -1.7 * sign
