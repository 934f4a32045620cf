"""Overlap of sets and nearest pictures, against loops over pairs and cases by hand."""

import numpy as np
import pytest

from roadstill.evaluation import neighbours
from roadstill.evaluation.neighbours import nearest, overlap


def by_loops(real, made):
    """Precision, recall, density and coverage as the papers write them, one pair at a time."""

    def reach(its, k):
        return [sorted(np.linalg.norm(its - row, axis=1))[k] for row in its]

    def inside(centres, radii, row):
        return [np.linalg.norm(centre - row) <= radius for centre, radius in zip(centres, radii, strict=True)]

    three, five, of_made = reach(real, 3), reach(real, 5), reach(made, 3)
    precision = np.mean([any(inside(real, three, row)) for row in made])
    recall = np.mean([any(inside(made, of_made, row)) for row in real])
    density = np.sum([inside(real, five, row) for row in made]) / (5 * len(made))
    coverage = np.mean([np.linalg.norm(made - row, axis=1).min() <= r for row, r in zip(real, five, strict=True)])
    return precision, recall, density, coverage


@pytest.mark.parametrize("memory", [64, 1e-3], ids=["one block", "a few rows a block"])
def test_overlap_by_loops(memory, monkeypatch):
    monkeypatch.setattr(neighbours, "_MEMORY_MIB", memory)
    rng = np.random.default_rng(0)
    real, made = rng.normal(size=(70, 3)).astype(np.float32), (rng.normal(size=(50, 3)) + 1).astype(np.float32)
    found = overlap(real, made)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(by_loops(real, made))
    assert 0 < found.precision < 1
    assert 0 < found.coverage < 1


def test_equal_sets_cover_each_other_and_distant_ones_do_not():
    real = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    same, far = overlap(real, real), overlap(real, real + 100)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)


def test_sets_too_small_for_their_balls_have_no_figure():
    real = np.random.default_rng(0).normal(size=(5, 2))
    assert overlap(real, real[:3]).recall is None
    assert overlap(real, real[:3]).density is None
    assert overlap(real, real[:3]).precision == 1
    assert overlap(real[:3], real).precision is None


def test_nearest_by_cosine_around_the_centre():
    centre = np.array([10.0, 10.0])
    among = centre + np.array([[1.0, 0], [0, 2], [-3, 0]])
    rows = centre + np.array([[5.0, 0], [-1, 1]])
    places, distances = nearest(rows, among, centre=centre)
    assert places[0] == 0
    assert distances == pytest.approx([0, 1 - np.sqrt(0.5)], abs=1e-12)
    groups = np.array([7, 8, 9])
    places, distances = nearest(among, among, centre=centre, groups=(groups, groups))
    assert distances == pytest.approx([1, 1, 1])
    _, none = nearest(among, among, centre=centre, groups=(groups * 0, groups * 0))
    assert np.isinf(none).all()
    _, itself = nearest(among, among, centre=centre)
    assert itself == pytest.approx(0, abs=1e-12)


def test_copies_in_single_precision_are_at_no_distance():
    features = np.random.default_rng(0).random((30, 1280)).astype(np.float32) + 50
    _, distances = nearest(features, features, centre=features.mean(0))
    assert distances.max() < 1e-6
