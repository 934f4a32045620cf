"""The demo at toy size: the whole road, once, and a second time from what lies on disk."""

import json
import re
from pathlib import Path

import pytest
from made import copy_stages

from roadstill.agents import open_agent
from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.imagesets import open_imageset
from roadstill.pipeline import Road
from roadstill.recipes import read_recipe

ARMS = {"random", "base", "difffit-lora", "difffit-lora-minimax", "difffit-lora-refined"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "run"
    assert main(["demo", "--out", str(out), "--size", "toy", "--workers", "1"]) == 0
    return out


def test_every_product_is_there(demo):
    comparison = json.loads((demo / "comparison.json").read_text())
    assert set(comparison["arms"]) == ARMS | {"full"}
    assert set(comparison["verdicts"]) == ARMS - {"random"} | {"full"}
    assert comparison["about"]["synthetic"] is True
    for arm in ARMS:
        for seed in range(3):
            assert open_imageset(demo / "arms" / arm / f"seed{seed}").counts() == {"not_brake": 2, "brake": 2}
    drives = {name: set(open_imageset(demo / "sets" / name).column("drive")) for name in ("train", "dev", "test")}
    assert not drives["train"] & drives["test"]
    assert not drives["train"] & drives["dev"]
    assert not drives["dev"] & drives["test"]


def test_random_is_drawn_anew_for_each_seed_and_generated_sets_are_too(demo):
    for arm in ARMS:
        digests = {open_imageset(demo / "arms" / arm / f"seed{seed}").digest for seed in range(3)}
        assert len(digests) == 3


def test_the_report_asks_the_network_for_nothing(demo):
    page = (demo / "report.html").read_text(encoding="utf-8")
    assert "Synthetic data" in page
    assert page.count("<script") == 1  # its own, which the policy names by its digest
    assert "script-src 'sha256-" in page
    for tag in ('src="http', 'href="http', "url(http", "@import"):
        assert tag not in page


def test_the_test_part_was_opened_once(demo):
    openings = [line for line in (demo / "test_ledger.jsonl").read_text().splitlines() if '"opening"' in line]
    assert len(openings) == 1


def test_a_second_call_does_nothing_again(demo, capsys):
    before = {path: path.stat().st_mtime_ns for path in demo.rglob("*.json")}
    before.pop(demo / "comparison.json")
    assert main(["demo", "--out", str(demo), "--size", "toy", "--log-json"]) == 0
    captured = capsys.readouterr()
    assert "say" not in [json.loads(line)["event"] for line in captured.err.splitlines()]  # no stage was begun
    assert "report.html" in captured.out
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_other_settings_make_only_what_depends_on_them(demo, capsys):
    assert main(["demo", "--out", str(demo), "--size", "toy", "--seeds", "4", "--workers", "1", "--log-json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    stages = [each["text"] for each in told if each["event"] == "say"]
    assert stages
    assert all(stage.endswith("-3") for stage in stages), stages


PICKED = """
name: picked
world: {drives: 6, seed: 1, height_px: 72}
max_per_class: 8
per_class: 2
seeds: 3
sampling: {steps: 2}
agent: &agent {network: convnet, steps: 3, image_px: 16}
full_agent: *agent
arms:
  random: {kind: random, label: random}
  sure: {kind: confident, label: sure}
  begun: {kind: generated, label: begun, start: confident, candidates: 2, sampling: {steps: 5, strength: 0.4}}
  led: {kind: generated, label: led, guided: true}
  moved: {kind: generated, label: moved, candidates: 2, refine: {steps: 1, score: 0.5, looks: 1, networks: [convnet-3]}}
"""


def test_a_teacher_picks_real_frames_candidates_and_starts_and_leads(demo, tmp_path):
    (tmp_path / "picked.yaml").write_text(PICKED)
    out = tmp_path / "run"
    copy_stages(demo, out, "world", "index")
    assert main(["run", str(tmp_path / "picked.yaml"), "--out", str(out), "--workers", "1"]) == 0
    sure, begun = (open_imageset(out / "arms" / arm / "seed0") for arm in ("sure", "begun"))
    assert sure.counts() == begun.counts() == {"not_brake": 2, "brake": 2}
    # The four surest frames of a class serve as starts, and the two surest are an arm of their own.
    starts = open_imageset(out / "candidates" / "begun" / "seed0").column("start")
    assert set(sure.column("token")) < set(starts)
    assert len(set(starts)) == 8
    assert set(begun.column("start")) < set(starts)
    assert set(begun.column("strength")) == {0.4}
    moved = open_imageset(out / "arms" / "moved" / "seed0")
    assert moved.counts() == sure.counts()
    assert len(set(moved.column("refined"))) == 1
    assert moved.about["refined"]["dev"] == open_imageset(out / "sets" / "dev").digest
    led = open_imageset(out / "arms" / "led" / "seed0")
    assert set(led.column("teacher")) == {open_agent(out / "teacher").digest}


def test_too_few_seeds_are_refused_before_any_work(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "run"), "--size", "toy", "--seeds", "2"]) == 2
    assert "needs at least 3" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_base_may_be_a_folder_of_diffusers(tmp_path, capsys):
    assert main(["export", str(tmp_path / "dit")]) == 0
    recipe = read_recipe("demo", "toy", base=str(tmp_path / "dit"))
    assert len(Road(recipe, tmp_path / "run").base_digest) == 16
    missing = read_recipe("demo", "toy", base=str(tmp_path / "none"))
    with pytest.raises(UserError, match="none does not exist"):
        _ = Road(missing, tmp_path / "run").base_digest


BUDGETS = """
name: budgets
budgets: [1, 2]
world: {drives: 6, height_px: 72}
image_px: 128
max_per_class: 4
sampling: {steps: 2, solver: dpm}
agent: &tiny {network: convnet, steps: 2, image_px: 16}
full_agent: *tiny
arms:
  random: {kind: random, label: random real frames}
  tuned: {kind: generated, label: tuned, finetune: {steps: 2, batch_size: 4}}
  again: {kind: generated, label: again, of: tuned, candidates: 2}
  full: {kind: full, label: all}
"""


def test_several_budgets_share_a_fine_tuning_and_are_compared_apart(demo, tmp_path, capsys):
    (tmp_path / "budgets.yaml").write_text(BUDGETS)
    out = tmp_path / "run"
    copy_stages(demo, out, "world", "index", "sets", "encode")
    assert main(["run", str(tmp_path / "budgets.yaml"), "--out", str(out), "--workers", "1"]) == 0
    assert "· sets\n" not in capsys.readouterr().err
    assert [path.name for path in (out / "finetune").iterdir()] == ["tuned@1"]
    for budget in (1, 2):
        for arm in ("random", "tuned", "again"):
            assert open_imageset(out / "arms" / f"{arm}@{budget}" / "seed0").counts() == {
                "not_brake": budget,
                "brake": budget,
            }
        found = json.loads((out / f"comparison-{budget}.json").read_text())
        assert list(found["arms"]) == ["random", "tuned", "again", "full"]
        assert found["about"]["per_class"] == {"random": budget, "tuned": budget, "again": budget, "full": None}
        assert found["verdicts"]["full"]["word"] == "bound"
    html = (out / "report.html").read_text()
    assert "2 images per class" in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
