"""In which frame velocities are: told by the poses, whatever the heading."""

import numpy as np
import pytest
from moving_logs import moving_log

from roadstill.sources.navsim.logs import frames_of
from roadstill.sources.navsim.poses import frame_of_velocities
from roadstill.sources.pickles.unpickle import BrokenLog


def told(entries):
    """What the poses of a log say."""
    motion = np.array([entry["ego_dynamic_state"][:2] for entry in entries])
    return frame_of_velocities(entries, np.array([entry["timestamp"] for entry in entries]), motion)


@pytest.mark.parametrize("poses", [True, "matrix"])
@pytest.mark.parametrize("heading_deg", [30, 60, 90, 150, 180, 270, 359 - 90])
def test_each_heading(heading_deg, poses):
    assert told(moving_log("a", heading_deg, poses=poses)) == "ego"
    assert told(moving_log("a", heading_deg, poses=poses, axes="map")) == "map"


def test_along_the_maps_x_axis_both_are_the_same():
    assert told(moving_log("a", 0, axes="map")) == "ego"


def test_what_is_neither_is_left_open():
    assert told(moving_log("a", 40, axes="left")) is None


@pytest.mark.parametrize("poses", [False, "wrong"])
def test_without_poses_nothing_is_said(poses):
    assert told(moving_log("a", 60, axes="map", poses=poses)) is None


def test_other_poses_that_fit_are_taken():
    entries = moving_log("a", 60, axes="map", poses="matrix")
    for entry in entries:
        entry["ego2global_translation"], entry["ego2global_rotation"] = np.zeros(3), np.array([1.0, 0, 0, 0])
    assert told(entries) == "map"


@pytest.mark.parametrize(
    "value",
    [None, "abc", [1.0, 2.0], [1.0, 2.0, "3"], [1.0, 2.0, float("nan")], np.zeros((3, 1)), np.array(["a", "b", "c"]),
     [10**400] * 3, {}, np.zeros(10**6), [[1.0]] * 3, [True, False, True]],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_poses_of_any_kind_are_no_error(value):
    entries = moving_log("a", 60, axes="map")
    entries[7]["ego2global_translation"] = value
    assert told(entries) is None
    for entry in entries:
        entry["ego2global_translation"] = value
    assert told(entries) is None


def test_a_log_in_the_maps_frame_is_broken():
    with pytest.raises(BrokenLog, match=r"^a\.pkl: its velocities lie along the axes of the map"):
        frames_of("a", moving_log("a", 60, axes="map"))
    assert frames_of("a", moving_log("a", 60))[1].fits_poses
    assert not frames_of("a", moving_log("a", 60, poses=False))[1].fits_poses


def test_a_short_log_is_left_open():
    assert not frames_of("a", moving_log("a", 60, axes="map", frames=5))[1].fits_poses
    assert not frames_of("a", moving_log("a", 60, axes="map", frames=1))[1].fits_poses
