"""Poses and angles."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Pose(NamedTuple):
    """Where the rear axle is on a map, and where the vehicle looks: counter-clockwise from x."""

    x_m: float
    y_m: float
    yaw_rad: float


def wrapped(angle_rad: Floats | float) -> Floats:
    """Angles in -pi to pi, of any shape."""
    return np.asarray((np.asarray(angle_rad) + np.pi) % (2 * np.pi) - np.pi, dtype=np.float64)


def in_frame_of(poses: Floats, pose: Pose) -> Floats:
    """Poses ``[..., 3]`` (x and y in m, yaw in rad) of a map as one at ``pose`` sees them: x ahead, y to the left."""
    shifted = poses[..., :2] - np.array(pose[:2])
    cos, sin = np.cos(pose.yaw_rad), np.sin(pose.yaw_rad)
    ahead = shifted[..., 0] * cos + shifted[..., 1] * sin
    left = shifted[..., 1] * cos - shifted[..., 0] * sin
    return np.stack([ahead, left, wrapped(poses[..., 2] - pose.yaw_rad)], axis=-1)
