"""From the runs on disk to comparisons: one for each budget and agent, and nothing of an earlier recipe stays."""

import json

import pytest

from roadstill.evaluation.selftest import Simulation, World
from roadstill.pipeline import Road
from roadstill.pipeline.judging import judge
from roadstill.recipes import Arm, Recipe, at_budgets

ARMS = {"random": Arm("random", "random frames"), "other": Arm("herding", "herded"), "full": Arm("full", "all")}


@pytest.fixture
def saved(tmp_path):
    """Saves simulated runs of a recipe's arms; ``shift`` makes them better."""

    def save(recipe, shift, folder="runs"):
        world = World(Simulation(logs=12, images_per_log=12, log_sd=0.1, seed_sd=0.01, log_by_seed_sd=0.1), 0)
        for name in recipe.arms:
            for run in world.runs(name.partition("@")[0], range(recipe.seeds), shift.get(name, 0.0)):
                run.save(tmp_path / folder / recipe.judged_on / name / f"seed{run.seed}")
        return Road(recipe, tmp_path)

    return save


def test_one_comparison_names_its_arms_and_their_budget(saved, tmp_path):
    (tmp_path / "comparison-10.json").write_text("{}")  # of an earlier recipe with several budgets
    recipe = Recipe("r", ARMS, per_class=7, thesis={"random@7": "71 ± 2", "other@9": "80", "majority": "60"})
    (found,) = judge(saved(recipe, {"other": 3.0, "full": 3.0}))
    assert [path.name for path in tmp_path.glob("comparison*")] == ["comparison.json"]
    assert found.verdicts["other"].word == "better"
    assert found.verdicts["full"].word == "bound"
    about = json.loads((tmp_path / "comparison.json").read_text())["about"]
    assert about["per_class"] == {"random": 7, "other": 7, "full": None}
    assert about["labels"]["other"] == "herded"
    assert about["thesis"] == {"random": "71 ± 2", "majority": "60"}
    assert about["synthetic"]
    assert set(about["ranking"]) == {"random", "other"}


def test_comparisons_are_kept_if_new_ones_cannot_be_written(saved, tmp_path, monkeypatch):
    road = saved(Recipe("r", ARMS, per_class=7), {})
    judge(road)
    (tmp_path / "comparison-10.json").write_text("{}")
    before = {path.name: path.read_bytes() for path in tmp_path.glob("comparison*")}

    def full(path, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("roadstill.pipeline.judging.write_json", full)
    with pytest.raises(OSError, match="No space"):
        judge(road)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("comparison*")} == before


def test_every_budget_and_agent_has_its_own(saved, tmp_path):
    recipe = at_budgets(Recipe("r", ARMS, budgets=(2, 5), others={"tall": {"steps": 9}}, judged_on="dev"))
    road = saved(recipe, {"other@5": 3.0})
    saved(recipe, {"other@2": 3.0}, "runs-tall")
    found = dict(zip(("2", "2-tall", "5", "5-tall"), judge(road), strict=True))
    assert {path.stem.partition("-")[2] for path in tmp_path.glob("comparison*.json")} == set(found)
    gains = {name for name, comparison in found.items() if comparison.verdicts["other"].difference > 0.1}
    assert gains == {"2-tall", "5"}
    assert json.loads((tmp_path / "comparison-5-tall.json").read_text())["about"]["agent"] == "tall"
