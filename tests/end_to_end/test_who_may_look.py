"""Who may look at what: a whole recipe under each protocol, and what a changed test label may change."""

import json
import shutil

import numpy as np
import pytest
from made import copy_stages, unsealed

from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.evaluation import open_runs, read_ledger
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.pipeline import run_recipe
from roadstill.pipeline.studies import run_study
from roadstill.recipes import parse_recipe


def recipe(protocol="honest", **more):
    agent = {"network": "convnet-3", "steps": 6, "batch_size": 4, "learning_rate": 1e-2, "image_px": 32}
    fields = {
        "name": "tiny",
        "world": {"drives": 6, "height_px": 72},
        "image_px": 128,
        "max_per_class": 8,
        "per_class": 4,
        "protocol": protocol,
        "looks": 3,
        "agent": agent,
        "full_agent": agent,
        "arms": {
            "random": {"kind": "random", "label": "random"},
            "surest": {"kind": "confident", "label": "surest"},
            "full": {"kind": "full", "label": "all"},
        },
    }
    return parse_recipe(fields | more, where="test")


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    run = tmp_path_factory.mktemp("honest") / "run"
    run_recipe(recipe(), run, workers=1)
    return run


def with_other_labels(run, out, changed):
    """A copy of a run before any agent was trained, in which some test images have the other label."""
    shutil.copytree(run, out)
    shutil.rmtree(out / "runs")
    for stage in (out / "stages").glob("agent-*"):
        shutil.rmtree(stage)
    old = open_imageset(run / "sets" / "test")
    with ImageSetWriter(out / "new", old.class_names, old.size_px) as writer:
        for row, (label, fact) in enumerate(zip(old.labels, old.facts, strict=True)):
            writer.add(old.pixels([row])[0], int(label) ^ (row in changed), fact)
        writer.about.update(old.about)
    shutil.rmtree(out / "sets" / "test")
    (out / "new").rename(out / "sets" / "test")
    path = out / "stages" / "sets" / "stage.json"  # or the set would be made again as it was
    record = unsealed(path)
    del record["outputs"]["files"]
    path.write_text(json.dumps(record))
    return out


def choices(run, part="test"):
    """Everything that was chosen: sets, steps, thresholds."""
    found = open_runs(run / "runs" / part)
    return {
        (arm, its.seed): (its.about["set"], its.about["chosen"]["step"], dict(its.thresholds))
        for arm, runs in found.items()
        for its in runs
    }


def test_one_test_label_changes_no_choice(honest, tmp_path):
    other = with_other_labels(honest, tmp_path / "run", {0})
    run_recipe(recipe(), other, workers=1)
    assert choices(other) == choices(honest)
    for arm, runs in open_runs(honest / "runs" / "dev").items():
        for mine, theirs in zip(runs, open_runs(other / "runs" / "dev")[arm], strict=True):
            np.testing.assert_array_equal(mine.evaluation.probabilities, theirs.evaluation.probabilities)
    before, after = (json.loads((run / "comparison.json").read_text()) for run in (honest, other))
    assert before["images"] != after["images"]
    assert before["arms"]["full"]["accuracy"] != after["arms"]["full"]["accuracy"]


def test_where_selection_sees_the_test_its_labels_do_change_choices(honest, tmp_path):
    run_recipe(recipe("literature"), copy_stages(honest, tmp_path / "run", "world"), workers=1)
    assert not (tmp_path / "run" / "sets" / "dev").exists()
    rows = range(len(open_imageset(tmp_path / "run" / "sets" / "test")))
    other = with_other_labels(tmp_path / "run", tmp_path / "other", set(rows))
    run_recipe(recipe("literature"), other, workers=1)
    assert choices(other) != choices(tmp_path / "run")
    thresholds = {json.dumps(chosen[2]) for chosen in choices(other).values()}
    assert thresholds == {"{}"}  # there is no dev part to choose them on


@pytest.mark.parametrize("protocol", ["thesis-honest", "thesis"])
def test_the_protocols_of_the_thesis(honest, tmp_path, protocol):
    run = copy_stages(honest, tmp_path / "study" / "tiny", "world")
    run_study([recipe(protocol)], tmp_path / "study", workers=1)
    parts = {path.name: set(open_imageset(path).column("drive")) for path in (run / "sets").iterdir()}
    assert set(parts) == ({"train", "dev", "test"} if protocol == "thesis-honest" else {"train", "test"})
    assert sum(map(len, parts.values())) == len(set().union(*parts.values()))
    told = (tmp_path / "study" / "study.md").read_text()
    assert f"Protocol {protocol} (" in told
    assert ("best step on test (oracle)" in told) == (protocol == "thesis")
    assert f"protocol {protocol}" in read_ledger(run / "test_ledger.jsonl")[0]["what"]
    page = (run / "report.html").read_text()
    assert f"<code>{protocol}</code>" in page
    assert ("selection sees the test" in page) == (protocol == "thesis")


def test_further_agents_have_tables_of_their_own(honest, tmp_path, capsys):
    shutil.copytree(honest, tmp_path / "study" / "tiny")
    others = {"soft": {"labels": "soft"}, "moved": {"augment": "flip_crop"}, "deep": {"network": "convnet-3"}}
    said = []
    rows = run_study([recipe(others=others)], tmp_path / "study", say=said.append, workers=1)
    assert {line.split("+")[1].split("-")[0] for line in said if line.startswith("agent-")} == set(others)
    run = tmp_path / "study" / "tiny"
    assert sorted(path.name for path in run.glob("comparison*.json")) == [
        "comparison-deep.json", "comparison-moved.json", "comparison-soft.json", "comparison.json",
    ]  # fmt: skip
    assert [row.agent for row in rows] == [name for name in ("", "deep", "moved", "soft") for _ in range(4)]
    by_name = {(row.agent, row.arm): row for row in rows}
    plain, soft = by_name["", "surest"], by_name["soft", "surest"]
    assert plain.budget[0] == soft.budget[0] == 8
    assert soft.budget[1] == plain.budget[1] + 8 * 2 * 4  # two floats per image
    assert set(plain.ranking) == {"LRS", "ARS"}
    assert by_name["", "full"].ranking == {}
    told = (tmp_path / "study" / "study.md").read_text()
    for title in ("### tiny, 4 images per class\n", ", agent deep\n", ", agent moved\n", ", agent soft\n"):
        assert title in told
    across = told.partition("### tiny, 4 images per class, by agent")[2].splitlines()
    assert across[2] == "| trained on | convnet-3 (the recipe's agent) | deep | moved | soft |"
    assert len(across[4:]) == 3
    page = (run / "report.html").read_text()
    assert "4 images per class, agent soft" in page
    assert '<th scope="col">LRS</th>' in page


def test_a_method_without_chance_counts_as_one_set(honest):
    found = json.loads((honest / "comparison.json").read_text())
    assert found["arms"]["random"]["num_sets"] == 3
    assert found["arms"]["surest"]["num_sets"] == 1
    assert "speaks of the sets" in found["verdicts"]["surest"]["sentence"]
    assert "speaks of the sets" not in found["verdicts"]["full"]["sentence"]
    assert found["arms"]["random"]["budget"] == {"type": "Budget", "images": 8, "steps": 6} | {
        "bytes": found["arms"]["random"]["budget"]["bytes"]
    }
    assert len(found["arms"]["random"]["chosen"]["values"]) == 3


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"others": {"soft": {"label": "soft"}}}, "holds fields of an agent"),
        ({"others": {"So/ft": {}}}, "becomes a folder's name"),
        ({"others": {"none": {"network": "nothing"}}}, "is unknown"),
        ({"looks": 0}, "looks is 0; it must be a whole number, at least 1"),
        ({"protocol": "other"}, "protocol"),
    ],
)
def test_what_cannot_be_is_refused(fields, why):
    with pytest.raises(UserError, match=why):
        recipe(**fields)


def test_an_index_has_the_parts_of_its_protocol(honest, tmp_path, capsys):
    world = str(honest / "world")
    call = ["index", world, str(tmp_path / "index"), "--protocol"]
    assert main([*call, "honest"]) == 0
    assert (tmp_path / "index" / "dev.parquet").exists()
    assert main([*call, "literature"]) == 0
    assert not (tmp_path / "index" / "dev.parquet").exists()
    assert " dev" not in capsys.readouterr().out.splitlines()[-1]
    assert main([*call, "strict"]) == 2
