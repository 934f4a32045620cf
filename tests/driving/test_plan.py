"""Plans: profiles that can be computed by hand, and poses along lines."""

import math

import numpy as np
import pytest

from roadstill.driving.centerline import Centerline
from roadstill.driving.plan import POSES, Driver, filled
from roadstill.driving.poses import Pose
from roadstill.errors import UserError

EAST = Centerline(np.stack([np.arange(0.0, 301), np.zeros(301)], axis=1))


def profile(wish, speed, accel=0.0, **more):
    ways, speeds, accels = Driver(**more).profile([wish], [speed], [accel])
    return ways[0], speeds[0], accels[0]


def test_a_brake_comes_gently_and_ends_at_a_stand():
    ways, speeds, accels = profile(-1, 3.0)
    assert accels[:7].round(3).tolist() == [0, -0.4, -0.8, -1.2, -1.6, -2.0, -2.0]  # 4 m/s3
    assert np.abs(np.diff(accels[:-1]))[speeds[1:-1] > 0].max() < 0.4 + 1e-9
    assert speeds.min() == 0
    assert speeds[-1] == accels[-1] == 0
    # Half a second to the full brake costs half of it: 3 m/s are gone after 0.2 s more than 1.5 s.
    assert np.flatnonzero(speeds == 0)[0] in (17, 18)
    assert ways[-1] == pytest.approx(3 * 0.2 + 3**2 / 2 / 2, abs=0.05)
    assert (np.diff(ways) >= 0).all()


def test_a_throttle_fades_at_the_limit():
    _, speeds, accels = profile(1, 14.0, 1.0)
    assert accels[-1] == pytest.approx(1.5 * (1 - (speeds[-2] / 15) ** 10), abs=1e-9)
    assert 14.5 < speeds[-1] < 15
    assert 15 < profile(1, 20.0)[1][-1] < 15.2  # above it the car slows down, as hard as it brakes at most
    assert profile(1, 20.0)[2].min() == pytest.approx(-2.0)


def test_a_hold_holds_and_ends_what_was_begun():
    ways, speeds, _ = profile(0, 8.0)
    assert (speeds == 8).all()
    assert ways[-1] == pytest.approx(32)
    assert profile(0, 8.0, 1.0)[2].round(3).tolist()[:4] == [1, 0.6, 0.2, 0]


def test_half_a_wish_is_half_a_brake_and_cars_do_not_know_each_other():
    _, _, accels = Driver().profile([-0.5, 1, -1], [10, 10, 10], [0, 0, 0], limit_mps=[15, 10, 15])
    assert accels[:, -1].round(6).tolist() == [-1.0, 0.0, -2.0]


def test_a_plan_is_what_the_car_sees():
    pose = Pose(50.0, 0.0, 0.0)
    plan = Driver().plan(0, EAST, pose, speed_mps=8, accel_mps2=0)
    np.testing.assert_allclose(plan, [[4.0 * k, 0, 0] for k in range(1, POSES + 1)], atol=1e-9)
    turned = Driver().plan(0, EAST, Pose(50.0, 0.0, math.pi / 2), speed_mps=8, accel_mps2=0)
    np.testing.assert_allclose(turned[:, 1], -plan[:, 0], atol=1e-9)
    np.testing.assert_allclose(turned[:, 2], -math.pi / 2)


def test_a_car_beside_its_line_comes_back():
    poses = Driver(aside_m=15).along(EAST, Pose(50.0, 1.5, 0.1), np.array([0.0, 15, 30]))
    np.testing.assert_allclose(poses[:, 0], [50, 65, 80])
    np.testing.assert_allclose(poses[:, 1], [1.5, 1.5 / math.e, 1.5 / math.e**2])
    np.testing.assert_allclose(poses[:, 2], 0)


def test_behind_the_end_of_its_line_the_car_goes_straight_on():
    poses = Driver().along(EAST, Pose(295.0, 0.0, 0.0), np.array([0.0, 5, 15]))
    np.testing.assert_allclose(poses[:, 0], [295, 300, 310])


def test_poses_between_poses():
    poses = np.array([[[0.0, 0, math.pi - 0.1], [2, 1, -math.pi + 0.1]]])
    found = filled(poses, np.array([0.0, 0.5]))
    assert found.shape == (1, 6, 3)
    np.testing.assert_allclose(found[0, :, 0], np.linspace(0, 2, 6))
    np.testing.assert_allclose(np.abs(found[0, :, 2]), [math.pi - 0.1, math.pi - 0.06, math.pi - 0.02] * 1 + [
        math.pi - 0.02, math.pi - 0.06, math.pi - 0.1])  # fmt: skip
    assert poses[0, 1, 2] == -math.pi + 0.1  # unchanged


@pytest.mark.parametrize("name", ["brake_mps2", "throttle_mps2", "jerk_mps3", "limit_mps", "aside_m", "exponent"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_settings_without_sense_are_refused(name, value):
    with pytest.raises(UserError, match=f"{name} is"):
        Driver(**{name: value})
