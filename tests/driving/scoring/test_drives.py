"""Drives are checked before they are judged."""

import numpy as np
import pytest
from made_scenes import STEPS, drive

from roadstill.driving.scoring.drives import Drives
from roadstill.errors import UserError


def test_middles_and_corners():
    drives = Drives(drive(x_m=3, y_m=4, speed_mps=10))
    np.testing.assert_allclose(drives.middles_m[0, [0, -1]], [[3, 4], [43, 4]], atol=1e-9)
    np.testing.assert_allclose(drives.corners_m[0, 0].mean(0), [3, 4], atol=1e-9)
    assert drives.ahead.shape == (1, STEPS, 2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"speed_mps": np.zeros((2, STEPS))}, "speed_mps is an array"),
        ({"x_m": np.zeros(STEPS)}, "x_m is an array"),
        ({"yaw_rad": np.full((1, STEPS), np.nan)}, "not finite"),
    ],
)
def test_what_is_wrong_is_told(changes, says):
    with pytest.raises(UserError, match=says):
        Drives(drive()._replace(**changes))
