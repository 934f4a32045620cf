"""Boxes from above, beside shapely's judgement."""

import math

import numpy as np
import pytest

from roadstill.driving.boxes import ahead_of, behind, box_corners, touching
from roadstill.driving.poses import Pose


def test_corners_go_round_from_rear_right():
    found = box_corners(np.array([[10.0, 5, 4, 2, 0], [0, 0, 4, 2, math.pi / 2]]))
    np.testing.assert_allclose(found[0], [[8, 4], [12, 4], [12, 6], [8, 6]])
    np.testing.assert_allclose(found[1], [[1, -2], [1, 2], [-1, 2], [-1, -2]], atol=1e-12)


def test_boxes_touch_where_shapely_says_so():
    shapely = pytest.importorskip("shapely")
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(-6, 6, (2, 4000, 2)), rng.uniform(0.3, 6, (2, 4000, 2)),
                            rng.uniform(-4, 4, (2, 4000, 1))], axis=-1)  # fmt: skip
    one, other = box_corners(boxes)
    expected = shapely.intersects(shapely.polygons(one), shapely.polygons(other))
    assert 0.2 < expected.mean() < 0.8
    np.testing.assert_array_equal(touching(one, other), expected)
    np.testing.assert_array_equal(touching(other, one), expected)


def test_a_touch_counts_and_shapes_are_broadcast():
    row = box_corners(np.array([[0.0, 0, 4, 2, 0], [4, 0, 4, 2, 0], [9, 0, 4, 2, 0]]))
    assert touching(row[:, None], row).tolist() == [[True, True, False], [True, True, False], [False, False, True]]


@pytest.mark.parametrize(
    ("place", "is_ahead", "is_behind"),
    [((10, 5.7), True, False), ((10, 5.8), False, False), ((0, 3), False, False), ((-10, 5.8), False, False),
     ((-10, -5.7), False, True)],
)  # fmt: skip
def test_ahead_and_behind(place, is_ahead, is_behind):
    turned = np.array([[0, -1], [1, 0]]) @ np.array(place)
    for pose, where in ((Pose(0, 0, 0), np.array(place)), (Pose(3, 4, math.pi / 2), turned + np.array([3, 4]))):
        assert bool(ahead_of(pose, where)) == is_ahead
        assert bool(behind(pose, where)) == is_behind
