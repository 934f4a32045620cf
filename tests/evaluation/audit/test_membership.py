"""Membership inference: right for scores whose figures are known, and intervals that hold what they should."""

import numpy as np
import pytest
from made_streets import changed, pictures, streets
from sklearn.metrics import roc_auc_score, roc_curve

from roadstill.evaluation.audit import membership
from roadstill.evaluation.audit.copies import find_copies
from roadstill.evaluation.audit.membership import attack, attacks_on_set
from roadstill.evaluation.audit.samples import real_frames
from roadstill.evaluation.audit.views import PixelView


def sides(members, others, per_group):
    """Whether each frame is a member, and its drive."""
    is_member = np.arange(members + others) < members
    return is_member, np.arange(members + others) // per_group


def test_worked_out_by_hand():
    is_member, groups = sides(100, 200, 10)
    scores = np.concatenate([np.arange(100) + 150.5, np.arange(200)])  # members 150.5 to 249.5, others 0 to 199
    found = attack("x", scores, is_member, groups)
    assert (found.members, found.member_groups, found.others, found.other_groups) == (100, 10, 200, 20)
    assert found.found == 0.53  # two of the others may be taken for members, 199 and 198; 53 members lie above 197
    assert found.auc == pytest.approx(1 - (50 * 49 / 2) / (100 * 200), abs=1e-3)
    assert found.interval[0] <= found.found <= found.interval[1]
    assert found.coarse


def test_figures_equal_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    is_member, groups = rng.random(500) < 0.3, np.arange(500)
    scores = rng.integers(0, 200, 500) + 30.0 * is_member
    found = attack("x", scores, is_member, groups, false_share=0.1)
    false, true, _ = roc_curve(is_member, scores, drop_intermediate=False)
    assert found.auc == pytest.approx(roc_auc_score(is_member, scores))
    assert found.found == pytest.approx(true[false <= 0.1].max())


def test_ties_are_not_taken_for_members():
    is_member, groups = sides(10, 10, 2)
    found = attack("x", np.zeros(20), is_member, groups)
    assert (found.found, found.auc) == (0.0, 0.5)
    assert found.frame_interval[0] == 0 < found.frame_interval[1]


def test_all_members_are_found_where_scores_tell_them_apart():
    is_member, groups = sides(30, 2000, 10)
    found = attack("x", is_member.astype(float), is_member, groups)
    assert (found.found, found.interval, found.auc) == (1.0, (1.0, 1.0), 1.0)
    assert not found.coarse


def test_the_interval_covers_the_truth_although_frames_of_a_drive_resemble_each_other(monkeypatch):
    """Scores of nobody's members: the share that is found at 1 % is 1 %."""
    monkeypatch.setattr(membership, "_DRAWS", 200)
    covered, narrow, runs = 0, 0, 40
    for seed in range(runs):
        is_member, groups = sides(600, 600, 10)
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=120)[groups] + rng.normal(size=1200)
        found = attack("x", scores, is_member, groups, seed=seed)
        covered += found.interval[0] <= 0.01 <= found.interval[1]
        narrow += found.auc_interval[0] <= 0.5 <= found.auc_interval[1]
    assert covered / runs >= 0.85
    assert narrow / runs >= 0.85


def test_members_are_found_by_a_set_of_their_copies_but_not_by_other_pictures(tmp_path):
    train, dev = streets(tmp_path / "train", range(24), 2), streets(tmp_path / "dev", range(100, 124), 2)
    real, rng = real_frames(train, dev), np.random.default_rng(0)
    rows = real.samples[0].rows
    copies = pictures(tmp_path / "copies", [changed(train.pixels([row])[0], "noisy", rng) for row in rows[::2]])
    others = streets(tmp_path / "others", range(200, 224), 1)
    for made, low, high in ((copies, 0.3, 1.0), (others, 0.0, 0.2)):
        usual = find_copies(made, real, [PixelView()]).usual
        (found,) = attacks_on_set(made, real, [PixelView()], usual)
        assert (found.name, found.members, found.others) == ("the set, by pixels", 48, 48)
        assert low <= found.found <= high
