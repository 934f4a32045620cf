"""Agents of all arms: trained once, measured where the recipe allows, and the test part opened through the ledger."""

import json
import shutil
from dataclasses import replace

import pytest
from made import picture_set

from roadstill.agents import AgentConfig
from roadstill.errors import UserError
from roadstill.evaluation import open_run
from roadstill.pipeline import Road
from roadstill.pipeline.jobs import workers_of
from roadstill.pipeline.judging import judge
from roadstill.pipeline.measuring import require_apart, train_agents
from roadstill.pipeline.small_sets import make_small_sets
from roadstill.recipes import Arm, Recipe
from roadstill.recipes.recipe import World

AGENT = AgentConfig(network="convnet", steps=3, image_px=32)


@pytest.fixture
def measured(tmp_path):
    """Trains the agents of a recipe that is judged on ``part``, and returns what was said."""
    for seed, part in enumerate(("train", "dev", "test")):
        picture_set(tmp_path / "sets" / part, 16, px=32, seed=seed)

    def train(part, **fields):
        said = []
        arms = {"random": Arm("random", "x"), "full": Arm("full", "y")}
        recipe = Recipe("r", arms, per_class=2, agent=AGENT, full_agent=AGENT, judged_on=part, looks=1, **fields)
        road = Road(recipe, tmp_path, said.append, workers=1)
        road.stage("sets", {})
        with workers_of(road) as workers:
            make_small_sets(road, workers)
            train_agents(road, workers)
        return said

    return train


def test_parts_that_share_something_are_refused_unless_that_is_allowed(tmp_path):
    picture_set(tmp_path / "sets" / "train", 16, px=32)
    picture_set(tmp_path / "sets" / "dev", 8, px=32, seed=1)
    shutil.copytree(tmp_path / "sets" / "train", tmp_path / "sets" / "test")
    arms = {"full": Arm("full", "y"), "random": Arm("random", "x")}
    recipe = Recipe("r", arms, per_class=2, agent=AGENT, full_agent=AGENT, looks=1)
    with pytest.raises(
        UserError, match=r"recipe r: the training set is made from the test part itself and shares 4 logs"
    ):
        require_apart(Road(recipe, tmp_path))
    require_apart(Road(replace(recipe, judged_on="dev"), tmp_path))
    road = Road(recipe, tmp_path, workers=1, allow_leak=True)
    require_apart(road)
    road.stage("sets", {})
    with workers_of(road) as workers:
        make_small_sets(road, workers)
        train_agents(road, workers)
    runs = [json.loads(path.read_text()) for path in (tmp_path / "runs" / "test").rglob("run.json")]
    assert len(runs) == 6
    assert all("--allow_leak let it pass" in run["about"]["caveat"] for run in runs)
    (found,) = judge(road)
    assert any(said.startswith("full: the training set") for said in found.caveats)


def test_a_recipe_that_chooses_leaves_the_test_part_shut(measured, tmp_path):
    said = measured("dev")
    assert sum(line.startswith("agent-") for line in said) == 6
    assert not (tmp_path / "test_ledger.jsonl").exists()
    assert not (tmp_path / "runs" / "test").exists()
    run = open_run(tmp_path / "runs" / "dev" / "random" / "seed1")
    assert (run.about["num_images"], run.about["steps"]) == (4, 3)
    assert run.about["chosen"]["step"] == 3


def test_a_folder_that_was_judged_on_dev_may_be_judged_on_test(measured, tmp_path):
    measured("dev")
    assert sum(line.startswith("agent-") for line in measured("test")) == 6
    assert len(list((tmp_path / "runs" / "test").rglob("run.json"))) == 6


def test_the_test_part_is_opened_once_for_all_agents_and_not_again(measured, tmp_path):
    measured("test")
    lines = [json.loads(line) for line in (tmp_path / "test_ledger.jsonl").read_text().splitlines()]
    assert sum("opening" in line.values() or "opening" in line for line in lines) == 1
    assert len(list((tmp_path / "runs" / "test").rglob("run.json"))) == 6
    ledger = (tmp_path / "test_ledger.jsonl").read_text()
    assert not any(line.startswith(("agent-", "set-")) for line in measured("test"))
    assert (tmp_path / "test_ledger.jsonl").read_text() == ledger


def test_the_ledger_tells_a_confirmation_on_a_reserved_world(measured, tmp_path):
    measured("test", world=World().confirming(9003))
    opening = json.loads((tmp_path / "test_ledger.jsonl").read_text().splitlines()[0])
    assert opening["what"].endswith("; confirmation on the reserved world 9003")
