"""What the verbs that judge say and leave."""

import json

import pytest
from made import picture_set

from roadstill.agents import AgentConfig
from roadstill.errors import UserError
from roadstill.evaluation import compare as judged
from roadstill.evaluation.selftest import Simulation, World
from roadstill.verbs.judge import compare, evaluate, table, train

AGENT = AgentConfig(network="convnet", steps=2, image_px=32)


@pytest.fixture
def arms():
    world = World(Simulation(logs=8, images_per_log=12), 0)
    return {name: world.runs(name, range(3)) for name in ("random", "other")}


def test_the_table_has_a_line_for_each_arm_and_verdict(arms):
    found = judged(arms, baseline="random")
    lines = table(found).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["arm", "random", "other"]
    assert f"{100 * found.arms['other'].balanced_accuracy.mean:5.1f} +-" in lines[2]
    assert lines[3].startswith(f"96 images, 8 logs, always {found.majority_class}: accuracy")
    assert lines[4:] == [found.verdicts["other"].sentence]


def test_runs_on_disk_are_compared_with_a_baseline_that_is_there(arms, tmp_path):
    for runs in arms.values():
        for run in runs:
            run.save(tmp_path / "runs" / f"{run.arm}-{run.seed}", book=tmp_path / "runs" / "records.jsonl")
    said = compare([tmp_path / "runs"], out=tmp_path / "found.json")
    assert "other" in json.loads((tmp_path / "found.json").read_text())["verdicts"]
    assert sorted(said.splitlines()) == sorted(table(judged(arms, baseline="random")).splitlines())
    with pytest.raises(UserError, match="has no arm 'herding'; it has other, random"):
        compare([tmp_path / "runs"], baseline="herding")
    with pytest.raises(UserError, match="name a folder of runs"):
        compare([])
    with pytest.raises(UserError, match="image sets need --test"):
        compare([tmp_path / "a", tmp_path / "b"])


def test_a_test_part_is_opened_through_the_ledger_and_others_are_not(tmp_path):
    sets = tmp_path / "sets"
    for seed, name in enumerate(("dev", "test")):
        made = picture_set(tmp_path / name, 8, px=32, seed=seed)
        made.subset(range(8), split=name).save(sets / name)
    said = train(sets / "dev", tmp_path / "agent", agent=AGENT, dev=sets / "dev", looks=1)
    assert said.startswith(f"{tmp_path / 'agent'}: convnet after 2 steps")
    assert said.endswith(f"{tmp_path / 'agent' / 'chosen'}: after 2")
    assert "8 images of the dev part, which is no result" in evaluate(tmp_path / "agent", sets / "dev")
    assert not (sets / "test_ledger.jsonl").exists()
    said = evaluate(tmp_path / "agent", sets / "test", out=tmp_path / "run", dev=sets / "dev")
    assert "8 images" in said
    assert "no result" not in said
    assert (sets / "test_ledger.jsonl").is_file()
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (run["arm"], run["seed"]) == ("agent", 0)
    assert set(run["thresholds"]) == {"0.05", "0.1"}
