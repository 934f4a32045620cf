import json
import shutil

import numpy as np
import pytest

from roadstill.agents import AgentConfig
from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.evaluation import compare_sets, read_ledger
from roadstill.imagesets import ImageSetWriter, open_imageset

NAMES = ("not_brake", "brake")
SMALL = AgentConfig(network="convnet", steps=8, image_px=16, learning_rate=3e-3)


def save_set(folder, per_class, *, contrast, seed=0, names=NAMES, **about):
    """Brake pictures are darker below by ``contrast``."""
    rng = np.random.default_rng(seed)
    with ImageSetWriter(folder, names, 16) as writer:
        for index in range(2 * per_class):
            label = index % 2
            pixels = rng.integers(90, 160, (16, 16, 3))
            pixels[8:] -= contrast * label
            facts = {"log": f"log{seed}-{index % 12}", "light": ("day", "night")[index % 4 // 2]}
            writer.add(pixels.clip(0, 255).astype(np.uint8), label, facts)
        writer.about.update(about)
    return folder


@pytest.fixture
def sets(tmp_path):
    return [
        save_set(tmp_path / "blind", 8, contrast=0),
        save_set(tmp_path / "clear", 8, contrast=80, seed=1),
        save_set(tmp_path / "test", 36, contrast=80, seed=2, split="test"),
        save_set(tmp_path / "dev", 20, contrast=80, seed=3, split="dev"),
    ]


def test_sets_are_judged_by_agents_trained_on_each(sets):
    blind, clear, test, dev = sets
    found = compare_sets([blind, clear], test, dev=dev, config=SMALL, seeds=4, workers=1)
    assert (found.baseline, list(found.arms)) == ("blind", ["blind", "clear"])
    assert found.verdicts["clear"].difference > 0.1
    assert "this speaks of the sets" in found.verdicts["clear"].sentence
    assert set(found.arms["clear"].miss_rate) == {"0.05", "0.1"}
    assert found.arms["clear"].strata["light"]["night"].images == 36
    assert (found.arms["clear"].budget.images, found.arms["clear"].budget.steps) == (16, 8)
    rows = read_ledger(test.parent / "test_ledger.jsonl")
    assert [row["what"] for row in rows] == ["compare blind, clear"]
    assert rows[0]["outcome"] == {"clear": found.verdicts["clear"].word}


def test_the_verb_takes_sets_as_they_are_typed(sets, tmp_path, capsys):
    blind, clear, test, _ = map(str, sets)
    options = ["--agent.network", "convnet", "--agent.steps", "4", "--agent.image_px", "16", "--seeds", "3"]
    options += ["--workers", "1"]
    out = tmp_path / "comparison.json"
    assert main(["compare", clear, blind, "--test", test, *options, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "blind" in told
    assert "images      kB   steps" in told
    assert json.loads(out.read_text())["baseline"] == "clear"
    assert main(["compare", clear, "--seeds", "3"]) == 2
    assert "need --test" in capsys.readouterr().err
    assert main(["compare", clear, clear, "--test", test, "--seeds", "3"]) == 2
    assert "different names" in capsys.readouterr().err
    assert main(["compare", clear, blind]) == 2
    assert "need --test" in capsys.readouterr().err


def test_a_plain_folder_of_somebody_else_is_judged(sets, tmp_path, capsys):
    blind, clear, test, _ = sets
    foreign = tmp_path / "foreign"
    for folder in ("0_not_brake", "1_brake"):
        shutil.copytree(clear / folder, foreign / folder.partition("_")[2])
    options = ["--agent.network", "convnet", "--agent.steps", "8", "--agent.image_px", "16", "--seeds", "3"]
    options += ["--agent.learning_rate", "0.003", "--workers", "1"]
    assert main(["compare", str(blind), str(foreign), str(clear), "--test", str(test), *options]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["foreign"][:3] == lines["clear"][:3]  # the same pictures in the same order


def test_sets_that_share_something_with_the_test_part(sets, tmp_path, capsys):
    blind, _, test, _ = map(str, sets)
    part = str(open_imageset(test).subset(range(24)).save(tmp_path / "part").root)
    options = ["--agent.network", "convnet", "--agent.steps", "2", "--agent.image_px", "16", "--seeds", "3"]
    call = ["compare", blind, part, "--test", test, *options, "--workers", "1"]
    assert main(call) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "part: the training set shares 12 logs (the first: log2-0), 24 pictures (the first: 0_not_brake" in said
    assert "--allow_leak" in said
    assert not (tmp_path / "test_ledger.jsonl").exists()
    assert main([*call, "--allow_leak", "--out", str(tmp_path / "found.json")]) == 0
    said = capsys.readouterr().out
    assert "Note: part: the training set shares 12 logs" in said
    assert "--allow_leak let it pass (seeds 0, 1, 2)." in said
    assert len(json.loads((tmp_path / "found.json").read_text())["caveats"]) == 1
    assert read_ledger(tmp_path / "test_ledger.jsonl")[0]["allow_leak"] is True


def test_what_cannot_be_compared_is_refused(sets, tmp_path):
    blind, clear, test, _ = sets
    with pytest.raises(UserError, match="at least 3"):
        compare_sets([blind, clear], test, seeds=2)
    with pytest.raises(UserError, match="is the test part itself"):
        compare_sets([blind, test], test, seeds=3)
    other = save_set(tmp_path / "other", 4, contrast=0, names=("a", "b"))
    with pytest.raises(UserError, match="other has the classes"):
        compare_sets([blind, other], test, seeds=3)
    assert not (test.parent / "test_ledger.jsonl").exists()
