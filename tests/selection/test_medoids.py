"""Medoids: one image per cluster, of the set itself or of a reference, each once."""

import numpy as np
import pytest

from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.selection import Medoids, select


def save(folder, greys):
    """Grey pictures of one class, and one picture of another."""
    with ImageSetWriter(folder, ("many", "one"), 8) as writer:
        for grey in greys:
            writer.add(np.full((8, 8, 3), grey, np.uint8), 0, {"grey": grey})
        writer.add(np.zeros((8, 8, 3), np.uint8), 1, {"grey": 0})
    return open_imageset(folder)


def grey(images, rows):
    return images.pixels(rows).mean((1, 2, 3), keepdims=False)[:, None].astype(np.float32)


def chosen(images, method, count, seed=0):
    rows = np.flatnonzero(images.labels == 0)
    picked = method.choose(images, rows, count=count, rng=np.random.default_rng(seed))
    return sorted(images.facts[row]["grey"] for row in picked)


@pytest.mark.parametrize("seed", range(3))
def test_each_cluster_sends_its_middle_whatever_its_size(tmp_path, seed):
    images = save(tmp_path / "set", [9, 10, 11, 12, 13, 14, 15, 119, 120, 121, 250])
    assert chosen(images, Medoids(grey), 3, seed) == [12, 120, 250]


def test_candidates_are_held_against_the_reference(tmp_path):
    real = save(tmp_path / "real", [9, 10, 11, 199, 200, 201])
    made = save(tmp_path / "made", [90, 91, 92, 93, 94, 30, 180])
    assert chosen(made, Medoids(grey, reference=real), 2) == [30, 180]


def test_equal_images_are_picked_once_each(tmp_path):
    images = save(tmp_path / "set", [50] * 6)
    rows = np.flatnonzero(images.labels == 0)
    picked = Medoids(grey).choose(images, rows, count=4, rng=np.random.default_rng(0))
    assert len(set(picked.tolist())) == 4


def test_the_record_names_the_teacher_and_holds_no_set(tmp_path):
    images = save(tmp_path / "set", [1, 2, 3])
    found = select(images, Medoids(grey, reference=images, teacher="abc"), per_class=1, seed=0)
    assert found.about["method"] == {"type": "Medoids", "teacher": "abc"}
