"""Chances: each group counts once, and a further one never has a small chance more often than the chance says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from roadstill.evaluation.audit.chances import chances, clopper_pearson, least_chance, share_interval

VALUES, GROUPS = np.array([1.0, 2.0, 3.0, 4.0, 9.0, 9.0]), np.array([0, 0, 0, 0, 1, 2])


def test_worked_out_by_hand():
    # Shares at most 2.5: half of group 0, none of the others.
    found = chances(np.array([0.5, 2.5, 4.0, 9.0]), VALUES, GROUPS)
    np.testing.assert_allclose(found, [1 / 4, 1.5 / 4, 2 / 4, 1.0])
    assert least_chance(3) == 1 / 4


def test_its_own_group_is_left_out():
    own = np.array([0, 1, -1])
    np.testing.assert_allclose(chances(np.full(3, 3.0), VALUES, GROUPS, own), [1 / 3, (1 + 0.75) / 3, (1 + 0.75) / 4])


def test_frames_of_a_long_drive_count_no_more_than_those_of_a_short_one():
    long = np.concatenate([np.full(1000, 0.1), np.arange(1, 20)])
    groups = np.concatenate([np.zeros(1000, np.int64), np.arange(1, 20)])
    assert chances(np.array([0.1]), long, groups)[0] == pytest.approx(2 / 21)


def test_a_chance_is_no_larger_than_it_says_however_frames_of_a_drive_depend_on_each_other():
    rng, level, hits = np.random.default_rng(0), 0.1, 0
    for _ in range(2000):
        middle = rng.normal(size=31)  # of each drive; the last one is new
        sizes = rng.integers(1, 30, 30)
        groups = np.repeat(np.arange(30), sizes)
        reference = middle[groups] + 0.1 * rng.normal(size=len(groups))
        hits += chances(middle[-1:] + 0.1 * rng.normal(size=1), reference, groups)[0] <= level
    assert hits / 2000 < level + 0.02
    assert hits / 2000 > level / 2  # nor much too careful


@given(st.integers(0, 50), st.integers(1, 50))
def test_clopper_and_pearson(hits, more):
    trials = hits + more
    expected = binomtest(hits, trials).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose(clopper_pearson(hits, trials), (expected.low, expected.high), atol=1e-9)


def test_the_interval_of_a_share_counts_groups_not_frames():
    hits = np.concatenate([np.ones(100, bool), np.zeros(300, bool)])
    groups = np.arange(400) // 100
    share, interval = share_interval(hits, groups)
    assert share == 0.25
    assert interval == clopper_pearson(1, 4)
    alone = share_interval(hits, np.arange(400))
    assert alone[1][1] - alone[1][0] < 0.1 < interval[1] - interval[0]
