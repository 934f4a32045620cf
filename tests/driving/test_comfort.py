"""Comfort: as NAVSIM judges it, and drives whose accelerations are known."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from roadstill.driving.comfort import BOUNDS, alike, comfort
from roadstill.driving.vehicle import STEP_S, Motion

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "tracker.safetensors")
TIMES = np.arange(41) * STEP_S


def drive(accel_mps2=0.0, jerk_mps3=0.0, turn_radps=0.0):
    """One car on a wide place: acceleration, its change, and a turn."""
    zeros = np.zeros((1, len(TIMES)))
    accel = zeros + accel_mps2 + jerk_mps3 * TIMES
    return Motion(zeros, zeros, zeros + turn_radps * TIMES, zeros + 5, accel, zeros)


def test_drives_are_judged_as_by_the_reference():
    found = comfort(Motion(*GOLDEN["motion"]))
    assert list(found) == list(BOUNDS)
    for name, theirs in zip(BOUNDS, GOLDEN["comfort"].T, strict=True):
        np.testing.assert_array_equal(found[name], theirs.astype(bool), err_msg=name)
    assert {bool(value) for value in GOLDEN["comfort"].ravel()} == {True, False}


@pytest.mark.parametrize(
    ("drive_of", "broken"),
    [
        ({}, set()),
        ({"accel_mps2": 2.3}, set()),
        ({"accel_mps2": 2.5}, {"longitudinal_mps2"}),
        ({"accel_mps2": -4.0}, set()),
        ({"accel_mps2": -4.1}, {"longitudinal_mps2"}),
        ({"accel_mps2": -4, "jerk_mps3": 1.5}, set()),
        ({"accel_mps2": -2, "jerk_mps3": 5.0}, {"longitudinal_mps2", "longitudinal_jerk_mps3"}),
        ({"jerk_mps3": 9.0}, {"longitudinal_mps2", "longitudinal_jerk_mps3", "jerk_mps3"}),
        ({"turn_radps": 0.9}, set()),
        ({"turn_radps": -1.0}, {"yaw_rate_radps"}),
        ({"turn_radps": 3.5}, {"yaw_rate_radps"}),  # over pi and on
    ],
)
def test_bounds_by_hand(drive_of, broken):
    held = comfort(drive(**drive_of))
    assert {name for name, ok in held.items() if not ok[0]} == broken


@pytest.mark.parametrize(
    ("other", "same"),
    [({}, True), ({"accel_mps2": 0.65}, True), ({"accel_mps2": 0.75}, False), ({"turn_radps": 0.09}, True),
     ({"turn_radps": 0.11}, False)],
)  # fmt: skip
def test_plans_one_after_the_other(other, same):
    assert alike(drive(), drive(**other)).tolist() == [same]
