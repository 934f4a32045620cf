"""Boxes from above: do they touch, and where are they from a car?"""

import numpy as np
from numpy.typing import NDArray

from roadstill.driving.poses import Floats, Pose, wrapped

_AHEAD_RAD, _BEHIND_RAD = np.radians(30), np.radians(150)


def box_corners(boxes: Floats) -> Floats:
    """Corners ``[..., 4, 2]`` of boxes, counter-clockwise from rear right.

    Args:
        boxes: x and y of the middle, length and width (m), and yaw (rad), ``[..., 5]``.
    """
    ahead = boxes[..., 2:3] / 2 * np.array([-1, 1, 1, -1])
    left = boxes[..., 3:4] / 2 * np.array([-1, -1, 1, 1])
    cos, sin = np.cos(boxes[..., 4:5]), np.sin(boxes[..., 4:5])
    return np.stack([boxes[..., :1] + ahead * cos - left * sin, boxes[..., 1:2] + ahead * sin + left * cos], axis=-1)


def touching(one: Floats, other: Floats) -> NDArray[np.bool_]:
    """Whether rectangles with corners ``[..., 4, 2]`` overlap or touch; shapes are broadcast.

    Two convex shapes are apart if and only if a line along an edge of one of them lies between them.
    """
    one, other = np.broadcast_arrays(one, other)
    edges = np.concatenate([each[..., 1:3, :] - each[..., :2, :] for each in (one, other)], axis=-2)
    mine, theirs = (edges @ corners.swapaxes(-1, -2) for corners in (one, other))
    meet = (mine.max(-1) >= theirs.min(-1)) & (theirs.max(-1) >= mine.min(-1))
    return np.asarray(meet.all(-1))


def ahead_of(pose: Pose | Floats, places_m: Floats) -> NDArray[np.bool_]:
    """Whether places ``[..., 2]`` lie within 30 degrees of where cars ``[..., 3]`` look: what nuPlan calls ahead."""
    return np.asarray(_bearing(pose, places_m) < _AHEAD_RAD)


def behind(pose: Pose | Floats, places_m: Floats) -> NDArray[np.bool_]:
    """Whether they lie more than 150 degrees from it: what nuPlan calls behind."""
    return np.asarray(_bearing(pose, places_m) > _BEHIND_RAD)


def _bearing(pose: Pose | Floats, places_m: Floats) -> Floats:
    poses = np.asarray(pose, np.float64)
    steps = places_m - poses[..., :2]
    return np.abs(wrapped(np.arctan2(steps[..., 1], steps[..., 0]) - poses[..., 2]))
