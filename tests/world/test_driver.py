"""The ego's driver: late, smooth, and in time."""

import random
from itertools import pairwise

import pytest

from roadstill.world.driver import FRONT_M, Driver, Hazard
from roadstill.world.traffic import DT_S


def calm(speed_mps=10.0):
    """A driver without noise, and steady at first."""
    driver = Driver(random.Random(2), speed_mps)
    driver.rng.gauss = lambda mean, deviation: 0.0
    driver.accel_mps2 = 0.0
    return driver


def drive(driver, seconds, hazards=(), wary=False, cruise_mps=12.0, s_m=0.0):
    """Drives on; returns the places of the rear axle after each tick."""
    places_m = []
    for _ in range(round(seconds / DT_S)):
        s_m += driver.tick(s_m, hazards, wary, cruise_mps)
        places_m.append(s_m)
    return places_m


def test_on_a_free_road_it_reaches_the_cruising_speed():
    driver = calm(4.0)
    drive(driver, 30.0)
    assert driver.speed_mps == pytest.approx(12.0, abs=0.3)
    assert driver.cause == "open_road"
    assert driver.since_braking_s > 99.0


def test_it_reacts_after_its_delay_and_no_sooner():
    wall = [Hazard(FRONT_M + 18.0, 0.0, "red_light", 0.6)]
    driver, unaware = calm(), calm()
    drive(driver, 1.0)
    drive(unaware, 1.0)
    drive(driver, driver.delay_s, wall)
    drive(unaware, driver.delay_s)
    assert driver.accel_mps2 == unaware.accel_mps2
    drive(driver, DT_S, wall)
    assert driver.accel_mps2 < unaware.accel_mps2
    assert (driver.cause, driver.since_braking_s) == ("red_light", 0.0)


def test_it_stops_shortly_before_a_wall_and_goes_on_once_it_is_gone():
    driver = calm()
    places_m = drive(driver, 15.0, [Hazard(50.0, 0.0, "red_light", 0.6)])
    assert driver.speed_mps < 0.3
    assert 47.0 < places_m[-1] + FRONT_M < 50.0
    drive(driver, 3.0)
    assert driver.speed_mps > 1.5


def test_it_slows_down_before_a_fixed_place_but_does_not_stop():
    driver, places_m = calm(), [0.0]
    while places_m[-1] + FRONT_M < 59.0:
        places_m += drive(driver, DT_S, [Hazard(60.0, 4.0, "curve", -1.0, fixed=True)], s_m=places_m[-1])
    assert 4.0 < driver.speed_mps < 8.5
    assert driver.cause == "curve"
    while places_m[-1] + FRONT_M < 65.0:
        places_m += drive(driver, DT_S, s_m=places_m[-1])
    assert driver.speed_mps > 4.0


def test_it_brakes_later_for_a_place_than_for_a_vehicle_and_harder():
    place, vehicle = calm(), calm()
    at_place, at_vehicle = [Hazard(52.0, 4.0, "curve", 2.2, fixed=True)], [Hazard(52.0, 4.0, "lead_brakes", 2.2)]
    drive(place, 0.8, at_place)
    drive(vehicle, 0.8, at_vehicle)
    assert place.accel_mps2 > vehicle.accel_mps2 + 0.2
    drive(place, 0.5, at_place, s_m=8.0)
    drive(vehicle, 0.5, at_vehicle, s_m=8.0)
    assert place.accel_mps2 < vehicle.accel_mps2 - 0.8


def test_wary_it_hardly_speeds_up():
    bold, wary = calm(4.0), calm(4.0)
    drive(bold, 2.0)
    drive(wary, 2.0, wary=True)
    assert wary.accel_mps2 == pytest.approx(0.45)
    assert bold.accel_mps2 > 1.0


def test_behind_a_vehicle_that_pulls_away_it_only_lifts_its_foot():
    slow, leaving = calm(9.0), calm(9.0)
    drive(slow, 1.5, [Hazard(20.0, 6.0, "lead_brakes", 2.2)])
    drive(leaving, 1.5, [Hazard(20.0, 6.0, "lead_brakes", 2.2, leaving=True)])
    assert slow.accel_mps2 < leaving.accel_mps2 == pytest.approx(-0.6)


def test_the_acceleration_changes_no_faster_than_a_foot_moves():
    driver, before_mps2 = calm(), 0.0
    for _ in range(10):
        drive(driver, DT_S, [Hazard(FRONT_M + 1.0, 0.0, "queue", 0.6)])
        assert before_mps2 - driver.accel_mps2 <= 6.0 * DT_S + 1e-9
        before_mps2 = driver.accel_mps2
    assert before_mps2 < -2.0


def test_it_is_never_quite_smooth():
    driver, accels = Driver(random.Random(2), 12.0), []
    for _ in range(100):
        drive(driver, DT_S)
        accels.append(driver.accel_mps2)
    rises = [after > before for before, after in pairwise(accels)]
    assert 20 < sum(rises) < 80
