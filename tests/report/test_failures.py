import shutil

import numpy as np
import pytest
from made_run import ARMS, fake_run

from roadstill.errors import UserError
from roadstill.evaluation import open_run
from roadstill.imagesets import open_imageset
from roadstill.report.failures import TILES, failures

LABELS = {name: label for name, (label, *_) in ARMS.items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake_run(tmp_path_factory.mktemp("runs") / "demo")


def test_shares_and_counts_are_those_of_the_predictions(run):
    found = failures(run, LABELS, "honest", None)
    assert (found.part, found.kind, found.agents) == ("dev", "cause", 15)
    assert list(found.arms.values()) == list(LABELS.values())
    images = open_imageset(run / "sets" / "dev")
    wrong = {
        arm: np.stack([~open_run(path).evaluation.correct for path in sorted((run / "runs" / "dev" / arm).iterdir())])
        for arm in ARMS
    }
    share = np.mean([each.mean(0) for each in wrong.values()], axis=0)
    for label, name in enumerate(images.class_names):
        for cause in found.classes[name.replace("_", " ")]:
            rows = [row for row in range(len(images)) if images.labels[row] == label
                    and images.facts[row]["cause"].replace("_", " ") == cause.name]  # fmt: skip
            assert cause.frames == len(rows)
            assert cause.wrong == pytest.approx(share[rows].mean())
            counts = [int(dict(tile.lines)["wrong answers"].partition(" of ")[0]) for tile in cause.tiles]
            assert counts == sorted(counts, reverse=True)
            assert counts[0] == max(sum(int(each[:, row].sum()) for each in wrong.values()) for row in rows)
            assert 0 < len(cause.tiles) <= TILES


def test_marks_name_the_arms_most_of_whose_agents_are_wrong(run):
    found = failures(run, LABELS, "honest", None)
    tiles = [tile for causes in found.classes.values() for cause in causes for tile in cause.tiles]
    for tile in tiles:
        lines = dict(tile.lines)
        for mark, label in found.arms.items():
            assert (mark in tile.marks) == (int(lines[label][0]) >= 2)


def test_test_frames_are_shown_only_where_the_protocol_looks_at_them(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "runs" / "dev").rename(copy / "runs" / "test")
    (copy / "sets" / "dev").rename(copy / "sets" / "test")
    assert failures(copy, LABELS, "honest", None) is None
    assert failures(copy, LABELS, None, None) is None
    assert failures(copy, LABELS, "literature", None).part == "test"


def test_of_several_budgets_one_is_shown(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    folder = copy / "runs" / "dev"
    for arm in ("random", "base"):
        (folder / arm).rename(folder / f"{arm}@10")
    assert list(failures(copy, LABELS, "honest", 10).arms.values()) == list(LABELS.values())
    assert "Random real frames" not in failures(copy, LABELS, "honest", 50).arms.values()


def test_predictions_of_another_set_are_refused(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "sets" / "dev")
    shutil.copytree(run / "sets" / "train", copy / "sets" / "dev")
    with pytest.raises(UserError, match="predictions of Random real frames, seed 0, are not of"):
        failures(copy, LABELS, "honest", None)
