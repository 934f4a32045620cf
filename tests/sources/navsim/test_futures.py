import math
import pickle

import numpy as np
import pytest

from roadstill.sources.navsim.futures import futures_of
from roadstill.sources.pickles.unpickle import BrokenLog


def write_log(path, count=12, *, yaw_of=lambda t: 0.3, gap_after=None, poses=True):
    """A car that drives 4 m/s along its heading, from far away."""
    entries, place, time = [], np.array([3e5, 4e6]), 1_000_000
    for row in range(count):
        yaw = yaw_of(row * 0.5)
        entry = {"token": f"t{row}", "timestamp": time}
        if poses:
            entry |= {"ego2global_translation": [*place, 0.0],
                      "ego2global_rotation": [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]}  # fmt: skip
        entries.append(entry)
        place = place + 2.0 * np.array([math.cos(yaw), math.sin(yaw)])
        time += 500_000 if row != gap_after else 2_000_000
    path.write_bytes(pickle.dumps(entries))
    return path


def test_a_straight_way_lies_ahead(tmp_path):
    found = futures_of(write_log(tmp_path / "a.pkl"), {"t0", "t3", "t4", "other"})
    assert set(found) == {"t0", "t3"}  # behind t3 there are just 8 frames
    poses = np.array(found["t0"]).reshape(8, 3)
    np.testing.assert_allclose(poses[:, 0], np.arange(1, 9) * 2.0, atol=1e-3)
    np.testing.assert_allclose(poses[:, 1:], 0, atol=1e-3)


def test_a_bend_to_the_left_has_positive_y_and_yaw(tmp_path):
    found = futures_of(write_log(tmp_path / "a.pkl", yaw_of=lambda t: 3.0 + 0.2 * t), {"t0"})
    poses = np.array(found["t0"]).reshape(8, 3)
    assert (np.diff(poses[:, 1]) > 0).all() or poses[0, 1] == 0
    np.testing.assert_allclose(poses[:, 2], np.arange(1, 9) * 0.1, atol=1e-3)  # across pi as well


def test_frames_before_a_gap_have_no_future(tmp_path):
    found = futures_of(write_log(tmp_path / "a.pkl", 24, gap_after=10), {f"t{row}" for row in range(24)})
    assert sorted(int(token[1:]) for token in found) == [0, 1, 2, *range(11, 16)]


def test_logs_without_poses_are_refused(tmp_path):
    with pytest.raises(BrokenLog, match="no poses or times"):
        futures_of(write_log(tmp_path / "a.pkl", poses=False), {"t0"})
    (tmp_path / "b.pkl").write_bytes(pickle.dumps({"no": "list"}))
    with pytest.raises(BrokenLog):
        futures_of(tmp_path / "b.pkl", {"t0"})
