"""Table 4.1 of the thesis at toy size, from files in the official layout to the verdict."""

import json

import pytest
from made_cifar import binary

from roadstill.cli import main
from roadstill.imagesets import open_imageset
from roadstill.recipes import read_recipe


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("table")
    data = binary(out / "cifar-10-batches-bin")
    call = ["run", "cifar10-table-4.1", "--size", "toy", "--data", str(data), "--out", str(out / "run")]
    assert main([*call, "--workers", "1"]) == 0
    return out / "run", call


def test_every_arm_is_judged_at_both_budgets(run):
    folder, _ = run
    for budget in (2, 3):
        found = json.loads((folder / f"comparison-{budget}.json").read_text())
        assert list(found["arms"]) == [
            "random", "herding", "medoids", "minimax-selection", "pretrained", "minimax", "full",
        ]  # fmt: skip
        assert found["about"]["synthetic"] is False
        assert found["num_clusters"] == found["num_images"]
        assert found["arms"]["minimax"]["budget"]["images"] == 10 * budget
        made = open_imageset(folder / "arms" / f"minimax@{budget}" / "seed0")
        assert set(made.counts().values()) == {budget}
        assert made.size_px == 32
    tuned, base = (
        json.loads((folder / where / "config.json").read_text()) for where in ("finetune/minimax@2", "pretrain")
    )
    assert tuned["base_digest"] not in ("none", base["base_digest"])
    page = (folder / "report.html").read_text()
    assert "not from driving logs" in page
    assert "each drawn by itself" in page


def test_a_second_call_trains_nothing_again(run, capsys):
    _, call = run
    assert main([*call, "--workers", "1", "--log-json"]) == 0
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert "say" not in events  # no stage was begun
    assert events[-1] == "end"


def test_the_grid_leaves_the_test_part_shut(run, tmp_path, capsys):
    folder, _ = run
    lines = [
        "like: cifar10-minimax-grid",
        "arms: {unguided: null, guidance-8: null, thesis: null, hundred: null, near: null, far: null}",
    ]
    (tmp_path / "choose.yaml").write_text("\n".join(lines))
    data = json.loads((folder / "stages" / "world" / "stage.json").read_text())["config"]
    call = ["study", str(tmp_path / "choose.yaml"), "--size", "toy", "--data", data, "--out", str(tmp_path / "out")]
    assert main([*call, "--workers", "1"]) == 0
    assert "measured on dev, to choose: no result" in capsys.readouterr().out
    run = tmp_path / "out" / "cifar10-minimax-grid"
    assert not (run / "test_ledger.jsonl").exists()
    assert not (run / "runs" / "test").exists()
    assert "Measured on dev." in (run / "report.html").read_text()


def test_it_says_what_it_wants_before_any_work(tmp_path, capsys):
    assert main(["run", "cifar10-table-4.1", "--size", "toy", "--out", str(tmp_path / "run")]) == 2
    assert "give its folder with --data" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert read_recipe("cifar10-table-4.1", "full").base == "edm-cifar10-32x32-cond-ve.pkl"
