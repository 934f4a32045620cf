"""The car: as NAVSIM's simulates, and cases that can be computed by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from roadstill.driving.vehicle import WHEELBASE_M, Motion, corners, follow, moved, reference

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "tracker.safetensors")


def motion(**values):
    """One car that stands at the origin, but for these values."""
    return Motion(*(np.array([float(values.get(name, 0.0))]) for name in Motion._fields))


def plans(speeds_mps, bend=0.0, step_s=0.1):
    """Poses along an arc."""
    way = np.append(0, np.cumsum(np.asarray(speeds_mps) * step_s))
    yaw = way * bend
    if bend:
        return np.stack([np.sin(yaw) / bend, (1 - np.cos(yaw)) / bend, yaw], axis=-1)[None]
    return np.stack([way, 0 * way, 0 * way], axis=-1)[None]


def test_plans_are_driven_as_by_the_reference():
    found = follow(GOLDEN["plans"], Motion(*GOLDEN["start"]))
    for name, mine, theirs in zip(Motion._fields, found, GOLDEN["motion"], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9, err_msg=name)


def test_the_reference_covers_what_matters():
    speeds, bends = reference(GOLDEN["plans"])
    assert (GOLDEN["motion"][3] < 0.2).any()  # a car that stops
    assert (GOLDEN["motion"][4] < -2).any()  # one that brakes,
    assert np.abs(bends).max() > 0.05  # one that turns
    assert speeds.shape == bends.shape == (len(GOLDEN["plans"]), GOLDEN["plans"].shape[1] - 1)


def test_a_car_on_its_plan_stays_on_it():
    found = follow(plans([10.0] * 40), motion(speed_mps=10))
    np.testing.assert_allclose(found.x_m[0], np.arange(41.0), atol=0.15)  # the fit prefers less acceleration
    for name in ("y_m", "yaw_rad", "steer_rad"):
        np.testing.assert_array_equal(getattr(found, name), 0)


def test_a_car_that_shall_stand_stands():
    found = follow(plans([0.0] * 40), motion())
    assert all(not np.any(values) for values in found)


@pytest.mark.parametrize("bend", [0.05, -0.05])
def test_a_bend_is_driven_round(bend):
    plan = plans([6.0] * 40, bend)
    found = follow(plan, motion(speed_mps=6, steer_rad=math.atan(bend * WHEELBASE_M)))
    aside = np.hypot(*(found.poses[0, :, :2] - plan[0, :, :2]).T)
    assert aside.max() < 0.4
    assert found.yaw_rate_radps[0, 20] == pytest.approx(6 * bend, rel=0.03)


def test_a_car_beside_its_plan_comes_back():
    found = follow(plans([8.0] * 80), motion(y_m=1.0, speed_mps=8))
    assert abs(found.y_m[0, -1]) < 0.05
    assert found.y_m[0].min() > -0.2


def test_one_step_by_hand():
    after = moved(motion(speed_mps=10, steer_rad=0.1, accel_mps2=0.5), np.array([2.0]), np.array([0.3]))
    assert after.x_m[0] == pytest.approx(1.0)
    assert after.yaw_rad[0] == pytest.approx(0.1 * 10 * math.tan(0.1) / WHEELBASE_M)
    assert after.accel_mps2[0] == pytest.approx(0.5 + (2.0 - 0.5) / 3)  # a third of the way in 0.1 s
    assert after.speed_mps[0] == pytest.approx(10 + 0.1 * 1.0)
    assert after.steer_rad[0] == pytest.approx(0.1 + 0.03 * 2 / 3)
    assert moved(motion(steer_rad=1.0), np.zeros(1), np.array([9.0])).steer_rad[0] == pytest.approx(math.pi / 3)


def test_corners_lie_around_the_rear_axle():
    found = corners(np.array([[0.0, 0, 0], [5, 5, math.pi / 2]]))
    np.testing.assert_allclose(found[0], [[-1.127, -1.1485], [4.049, -1.1485], [4.049, 1.1485], [-1.127, 1.1485]])
    np.testing.assert_allclose(found[1][1], [5 + 1.1485, 9.049])
