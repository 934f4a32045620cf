"""The search in one pass equals a plain one over all frames at once, wherever blocks and drives end."""

import numpy as np
import pytest
from toys import greys

from roadstill.errors import UserError
from roadstill.evaluation.audit import search
from roadstill.evaluation.audit.search import Question, centres_of, nearest_frames
from roadstill.evaluation.audit.views import View


class Table(View):
    """Features by a picture's grey value: those of frames in one table, those of variants in another."""

    name = "table"

    def __init__(self, frames, variants):
        self.of_frames, self.of_variants = np.asarray(frames, np.float32), np.asarray(variants, np.float32)
        self.most = 0

    def frames(self, pixels):
        self.most = max(self.most, len(pixels))
        return self.of_frames[pixels[:, 0, 0, 0]]

    def kept(self, pixels):
        return pixels[:, 0, 0, :1].astype(np.float32)

    def variants(self, kept):
        return self.of_variants[kept[:, 0].astype(int)]


def plainly(view, groups, own, others):
    """Row, distance and mean of the next groups for each question, from all distances at once."""
    centre = view.of_frames.mean(0)

    def unit(x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    cosines = np.einsum("qvd,nd->qvn", unit(view.of_variants - centre), unit(view.of_frames - centre))
    distances = 1 - cosines.max(1)
    rows, nearest, means = [], [], []
    for of_one, its in zip(distances, own, strict=True):
        groups_left = set(groups) - {its}
        best = sorted(min((of_one[row], row) for row in np.flatnonzero(groups == group)) for group in groups_left)
        rows.append(best[0][1])
        nearest.append(best[0][0])
        means.append(np.mean([distance for distance, _ in best[1 : 1 + others]]))
    return rows, nearest, means


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_blocks_make_no_difference(tmp_path, monkeypatch, block):
    rng, count = np.random.default_rng(0), 40
    view = Table(rng.normal(size=(count, 6)), rng.normal(size=(20, 3, 6)))
    real = greys(tmp_path / "real", range(count), [0] * count)
    asked = greys(tmp_path / "asked", range(20), [0] * 20)
    groups, own = rng.integers(0, 9, count), rng.integers(-1, 9, 20)
    monkeypatch.setattr(search, "_BLOCK_FRAMES", block)
    monkeypatch.setattr(search, "_DISTANCES", 50)
    parts = np.arange(5), np.arange(5, 20)
    questions = [Question(asked, rows, own[rows]) for rows in parts]
    found = nearest_frames([view], real, groups, questions, others=4)
    assert view.most <= block
    rows, nearest, means = plainly(view, groups, own, 4)
    for near, part in zip(found, parts, strict=True):
        np.testing.assert_array_equal(near.rows[:, 0], np.array(rows)[part])
        np.testing.assert_allclose(near.distance[:, 0], np.array(nearest)[part], atol=1e-6)
        np.testing.assert_allclose(near.others[:, 0], np.array(means)[part], atol=1e-6)


def test_memory_does_not_grow_with_the_frames(tmp_path, monkeypatch):
    """What is held of the frames is a block; of a picture that is asked about, its nearest few."""
    kept = []
    view = Table(np.random.default_rng(0).normal(size=(200, 4)), np.ones((1, 1, 4)))
    real, asked = greys(tmp_path / "real", range(200), [0] * 200), greys(tmp_path / "asked", [0], [0])
    meet = search._Asked.meet
    monkeypatch.setattr(search, "_BLOCK_FRAMES", 16)

    def watched(self, *given):
        meet(self, *given)
        kept.append(sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray)))

    monkeypatch.setattr(search._Asked, "meet", watched)
    nearest_frames([view], real, np.arange(200), [Question(asked, np.arange(1), np.array([-1]))])
    assert len(kept) == 13
    assert set(kept) == {kept[0]}


def test_without_other_groups_there_is_nothing_to_compare_with(tmp_path):
    view = Table(np.eye(3), np.eye(3)[:, None])
    real = greys(tmp_path / "real", range(3), [0] * 3)
    alone = Question(real, np.arange(3), np.array([0, -1, -1]))
    (near,) = nearest_frames([view], real, np.zeros(3, np.int64), [alone], others=0)
    assert near.rows[:, 0].tolist() == [-1, 1, 2]
    assert np.isinf(near.distance[0, 0])
    assert np.isnan(near.others).all()


def test_a_centre_may_be_given(tmp_path):
    view = Table([[1, 0], [0, 1]], [[[1, 0.2]], [[0.2, 1]]])
    real = greys(tmp_path / "real", range(2), [0] * 2)
    question = Question(real, np.arange(2), np.full(2, -1))
    (near,) = nearest_frames([view], real, np.arange(2), [question], centres=[np.zeros(2, np.float32)])
    assert near.distance[0, 0] == pytest.approx(1 - 1 / np.sqrt(1.04), abs=1e-6)
    np.testing.assert_allclose(centres_of([view], real)[0], [0.5, 0.5])


def test_features_that_are_not_finite_are_named(tmp_path):
    view = Table([[1, 0], [np.nan, 1]], [[[1, 0]], [[0, 1]]])
    real = greys(tmp_path / "real", range(2), [0] * 2)
    question = Question(real, np.arange(1), np.full(1, -1))
    with pytest.raises(UserError, match="features of image 1"):
        nearest_frames([view], real, np.arange(2), [question], centres=[np.zeros(2, np.float32)])
