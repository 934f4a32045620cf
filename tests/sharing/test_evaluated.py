"""What a card tells of a run: the arm's figures, if the run judged this very set."""

import json
import shutil

import pytest
from made import tiny_run, unsealed

from roadstill.errors import UserError
from roadstill.imagesets import open_imageset
from roadstill.sharing import share
from roadstill.sharing.evaluated import results_of


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def test_a_row_and_the_verdict_in_words(run, tmp_path):
    root = run / "arms" / "medoids" / "seed1"
    table, remarks = results_of(root, open_imageset(root).digest)
    head, _, row = table.splitlines()
    assert head.startswith("| agent | judged on | balanced accuracy of this arm |")
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "convnet"
    assert cells[1].startswith("test (")
    assert cells[2].endswith("% (3 seeds)")
    assert cells[3].endswith("(random)")
    assert cells[5] in ("better", "worse", "cannot be told apart")
    assert "medoids" in remarks
    share(root, tmp_path / "out")
    assert table in (tmp_path / "out" / "README.md").read_text()


def test_the_baseline_is_said_to_be_one(run):
    root = run / "arms" / "random" / "seed0"
    table, *_ = results_of(root, open_imageset(root).digest)
    assert table.endswith("|  | baseline |")


def test_sets_that_the_run_did_not_judge_have_no_results(run, tmp_path):
    root = run / "arms" / "medoids" / "seed1"
    digest = open_imageset(root).digest
    assert results_of(root, "0" * 16) == []
    assert results_of(run / "sets" / "train", open_imageset(run / "sets" / "train").digest) == []
    shutil.copytree(root, tmp_path / "arms" / "medoids" / "seed1")
    assert results_of(tmp_path / "arms" / "medoids" / "seed1", digest) == []
    shutil.rmtree(run / "runs")
    assert results_of(root, digest) == []


def test_a_damaged_comparison_is_named(run):
    root = run / "arms" / "medoids" / "seed1"
    record = unsealed(run / "comparison.json")
    record["arms"]["medoids"]["balanced_accuracy"]["mean"] = 7
    (run / "comparison.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"comparison\.json, arms.*run the recipe again"):
        results_of(root, open_imageset(root).digest)
