"""Each selector's cost: by hand where it is easy, and lower for the selector's choice than for most random ones."""

import numpy as np
import pytest
from toys import of, pictureless

from roadstill.selection import S3, FacilityLocation, Herding, KCenter, Medoids, Minimax, MomentGroup, Random
from roadstill.selection.base import choose_each
from roadstill.selection.costs import cost_of

LINE = np.array([[0.0], [1.0], [2.0], [7.0]])
ROWS = np.arange(4)


def cost(method, chosen, features=LINE):
    images = pictureless([0] * len(features))
    found = cost_of(method, images, np.arange(len(features)), [], np.random.default_rng(0))
    return found(np.asarray(chosen))


@pytest.mark.parametrize(
    ("method", "chosen", "expected"),
    [
        (Herding(of(LINE)), [0, 3], (3.5 - 2.5) ** 2),
        (Herding(of(LINE)), [1, 2], (1.5 - 2.5) ** 2),
        (KCenter(of(LINE)), [0, 3], 2.0),
        (KCenter(of(LINE)), [1], 6.0),
        (Medoids(of(LINE)), [1, 3], (1 + 0 + 1 + 0) / 4),
    ],
)
def test_by_hand(method, chosen, expected):
    assert cost(method, chosen) == pytest.approx(expected)


def test_facility_location_counts_the_angle_to_the_nearest():
    plane = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert cost(FacilityLocation(of(plane)), [0], plane) == pytest.approx((0 + 0.5 + 1) / 3)
    assert cost(FacilityLocation(of(plane)), [0, 2], plane) == pytest.approx((0 + 0.5 + 0) / 3)


@pytest.mark.parametrize("kind", [Herding, KCenter, Medoids, FacilityLocation, Minimax, MomentGroup, S3])
def test_a_selectors_own_choice_costs_less_than_random_ones(kind):
    features = np.random.default_rng(3).normal(size=(60, 5)) + 1
    images, rows = pictureless([0] * 60), np.arange(60)
    method = kind(of(features))
    if kind is S3:  # it weighs classes against each other, so it needs a second one
        features = np.concatenate([features, np.random.default_rng(4).normal(size=(60, 5)) - 1])
        images, method = pictureless([0] * 60 + [1] * 60), S3(of(features))
        both = [rows, rows + 60]
        rngs = [np.random.default_rng(seed) for seed in (0, 1)]
        own, others = choose_each(method, images, both, count=6, rngs=rngs)[0], [rows + 60]
    else:
        own, others = choose_each(method, images, [rows], count=6, rngs=[np.random.default_rng(0)])[0], []
    found = cost_of(method, images, rows, others, np.random.default_rng(0))
    drawn = np.random.default_rng(5)
    random = [found(drawn.choice(60, 6, replace=False)) for _ in range(50)]
    assert found(np.sort(own)) < np.quantile(random, 0.1)


def test_the_order_of_a_choice_does_not_matter():
    features = np.random.default_rng(0).normal(size=(20, 3))
    for kind in (Herding, KCenter, Medoids, FacilityLocation, Minimax, MomentGroup):
        assert cost(kind(of(features)), [3, 9, 1], features) == pytest.approx(
            cost(kind(of(features)), [9, 1, 3], features)
        )


def test_what_has_no_cost_says_so():
    assert cost_of(Random(), pictureless([0, 0]), np.arange(2), [], np.random.default_rng(0)) is None
