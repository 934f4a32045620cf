"""One case each, worked out by hand, that pins a selector's definition; and each against its plain loop."""

import numpy as np
import pytest
from toys import of, pick_one, pictureless

from roadstill.bench import selection as plain
from roadstill.errors import UserError
from roadstill.selection import (
    S3,
    Distinct,
    Entropy,
    FacilityLocation,
    Forgetting,
    Herding,
    KCenter,
    Learnability,
    LeastConfidence,
    Margin,
    Minimax,
    MomentGroup,
    Random,
    select,
)
from roadstill.selection.distinct import distinct
from roadstill.selection.groups import draw_groups
from roadstill.selection.moment_group import moment_distance


def line(*values):
    """Features in one dimension."""
    return of(np.array(values, float)[:, None])


def test_herding_keeps_the_mean():
    # The mean is 6: first 5; with it 9 makes a mean of 7, 4 only one of 4.5; a mean of 6 then wants 18 - 14 = 4.
    assert pick_one(Herding(line(0, 4, 5, 9, 12)), 5, 3) == [2, 3, 1]


def test_herding_towards_a_reference():
    images = pictureless([0, 0, 0])
    real = pictureless([0, 0], digest="real")

    def features(these, rows):
        return np.array([[0.0], [5.0], [9.0]] if these is images else [[8.0], [10.0]])[rows]

    assert select(images, Herding(features, reference=real), per_class=1, seed=0).files == ("2.png",)


def test_k_center_begins_in_the_middle_and_goes_to_the_farthest():
    # Mean 4: begins at 3; farthest is 10 (7), then 0 (3), then 6 (3 to both sides).
    assert pick_one(KCenter(line(0, 1, 3, 6, 10)), 5, 4) == [2, 4, 0, 3]


def test_facility_location_covers_each_direction():
    # Three images point right, two up, one left. (1 + cosine) / 2: right covers 3 + 1 + 0 = 4, up 2 + 1.5 + 0.5 = 4,
    # so the first of them (0); then up adds 2 * 0.5 + 0.5 = 1.5, left 1: up (3), then left (5).
    directions = [[1, 0], [2, 0], [1, 0], [0, 1], [0, 3], [-1, 0]]
    assert pick_one(FacilityLocation(of(directions)), 6, 3) == [0, 3, 5]


def test_minimax_takes_the_typical_then_what_differs():
    # Angles 0, 10, 20, 90: smallest cosines to all are those to the other end: 90 (0), 80, 70, 90: the third is best.
    # Then 0: 0 - cos 20, 1: cos 80 - cos 10, 3: 0 - cos 70: the fourth; then 0: -0.94, 1: 0.17 - 0.98.
    angles = np.deg2rad([0, 10, 20, 90])
    features = of(np.stack([np.cos(angles), np.sin(angles)], 1))
    assert pick_one(Minimax(features), 4, 3) == [2, 3, 1]
    assert pick_one(Minimax(features, diversity=0), 4, 2) == [2, 1]


def test_moments_of_a_group():
    own = np.array([[-1.0], [0.0], [0.0], [1.0], [4.0]])
    members = np.array([[0, 3], [1, 2], [1, 4]])
    # -1, 1: mean 0, deviation 1, skewness 0. 0, 0: no spread. 0, 4: mean 2, deviation 2.
    assert moment_distance(own, members, np.array([0.5])).tolist() == [0.25, 1.25, 3.25]
    # Of 0 0 0 9 and two images, the group that holds one of each sort is nearest: mean 2.25, deviation 3.9.
    assert 3 in pick_one(MomentGroup(line(0, 0, 0, 9), groups=200), 4, 2)


def test_s3_is_near_its_own_class_and_far_from_the_other():
    # Class 0 lies around 20 degrees, class 1 at 60. Single images as groups: cosines to the own centre are largest at
    # 20; far from 60 is 0 degrees. Without the far term the middle is chosen, with it alone the edge.
    angles = np.deg2rad([0, 20, 40, 60, 60])
    images = pictureless([0, 0, 0, 1, 1])
    features = of(np.stack([np.cos(angles), np.sin(angles)], 1))

    def first(**weights):
        return select(images, S3(features, groups=50, **weights), per_class=1, seed=0).files[0]

    assert first(far=0.0) == "1.png"
    assert first(near=0.0) == "0.png"


class Numbers:
    """Stands for a set whose picture i has the pixel value i."""

    root = "numbers"

    def __init__(self, labels):
        self.labels = np.asarray(labels)
        self.seen = []

    def pixels(self, rows):
        return np.asarray(rows)[:, None, None, None] * np.ones((1, 1, 1, 3), np.int64)

    def subset(self, rows, **about):
        self.seen.append(np.asarray(rows).tolist())
        return self


def table(rows):
    return lambda pixels: np.array(rows, np.float32)[pixels[:, 0, 0, 0]]


def chosen(method, labels, count):
    return method.choose(Numbers(labels), np.arange(len(labels)), count=count, rng=np.random.default_rng(0)).tolist()


def test_the_three_uncertainties_differ():
    # Own class 0. Least sure of it: 1, 0, 2. Closest two classes: 2 (0.01), 0 (0.05), 1. Most spread: 0, then 2.
    found = table([[0.35, 0.35, 0.30], [0.1, 0.8, 0.1], [0.49, 0.48, 0.03]])
    found_tied = table([[0.36, 0.34, 0.30], [0.1, 0.8, 0.1], [0.49, 0.48, 0.03]])
    assert chosen(LeastConfidence(found), [0, 0, 0], 3) == [1, 0, 2]
    assert chosen(LeastConfidence(found, correct=True), [0, 0, 0], 3) == [0, 2, 1]
    assert chosen(Margin(found_tied), [0, 0, 0], 3) == [2, 0, 1]
    assert chosen(Entropy(found), [0, 0, 0], 3) == [0, 2, 1]


def test_the_most_forgotten():
    assert pick_one(Forgetting(lambda images: np.array([0, 3, 1, 5])), 4, 3) == [3, 1, 2]


def test_learnable_is_hard_for_the_student_and_easy_for_the_teacher():
    # Teacher's losses: small for 0, 1, 2, large for 3 (noise). The student knows 0 and 3 fails: 3 is hard for it, too.
    teacher = table([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [1e-4, 1]])
    student = table([[0.99, 0.01], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    images = Numbers([0, 0, 0, 0])
    calls = []

    def train(subset, seed):
        calls.append(subset.seen[-1])
        return student

    method = Learnability(teacher, train, increments=2, candidates=4)
    (found,) = method.choose_all(images, [np.arange(4)], count=2, rngs=[np.random.default_rng(0)])
    # First what the teacher is surest of (0); then losses 0.11 - 0.11, 1.61 - 0.18 and 2.30 - 4.61: 2.
    assert found.tolist() == [0, 2]
    assert calls == [[0]]


def test_near_duplicates_of_kept_images_go_and_later_ones_stay():
    # 0, 10, 20 degrees with a threshold at 15: 10 goes with 0, but 20 is only near 10, which is gone.
    angles = np.deg2rad([0, 10, 20, 90])
    features = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    limit = float(np.cos(np.deg2rad(15)))
    assert distinct(features, limit).tolist() == [0, 2, 3]


def test_near_duplicates_are_judged_around_the_mean():
    # Seen from the mean (10, 0), these lie right, a little above right, left, left.
    features = of([[12, 0], [13, 0.1], [8, 0], [7, -0.1]])
    assert sorted(pick_one(Distinct(Random(), features), 4, 2)) == [0, 2]
    with pytest.raises(UserError, match=r"of 4 images of a class 2 are left .* raise the threshold of 0.9 "):
        pick_one(Distinct(Random(), features), 4, 3)
    assert sorted(pick_one(Distinct(Random(), features, threshold=1.1), 4, 4)) == [0, 1, 2, 3]
    with pytest.raises(UserError, match="of 4 images of a class 1 are left"):
        pick_one(Distinct(Random(), of(np.ones((4, 2)))), 4, 2)


def test_near_duplicates_across_blocks():
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(0, 1, (700, 32)), 2, axis=0)[rng.permutation(1400)].astype(np.float32)
    kept = distinct(rows, 0.99)
    assert len(kept) == 700
    assert kept.tolist() == plain.plain_distinct(rows.astype(float), 0.99)


def test_groups_reach_every_subset_equally_often():
    drawn = np.sort(draw_groups(5, groups=6000, count=2, rng=np.random.default_rng(0)), axis=1)
    _, times = np.unique(drawn, axis=0, return_counts=True)
    assert len(times) == 10
    assert times.min() > 500  # expected 600, sd 23
    assert (drawn[:, 0] < drawn[:, 1]).all()


@pytest.mark.parametrize("seed", range(3))
def test_each_greedy_selector_is_its_plain_loop(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(1, 1, (300, 16))
    features, n = of(x), len(x)
    wide = x.astype(np.float32).astype(float)
    assert pick_one(Herding(features), n, 12) == plain.plain_herding(wide, 12)
    assert pick_one(KCenter(features), n, 12) == plain.plain_k_center(wide, 12)
    assert pick_one(FacilityLocation(features), n, 12) == plain.plain_facility(wide, 12, n)
    assert pick_one(Minimax(features, memory_size=n), n, 12) == plain.plain_minimax(wide, wide, 12)


def test_lazy_gains_over_several_blocks_are_exact():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (700, 8))
    assert pick_one(FacilityLocation(of(x)), 700, 6) == plain.plain_facility(x, 6, 700)
