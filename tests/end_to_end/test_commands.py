"""Recipes whose agents answer more than brake or not: commands, accelerations, poses; with the status as an input."""

import json

import pytest

from roadstill.pipeline import run_recipe
from roadstill.recipes import parse_recipe
from roadstill.report import write_report

AGENT = {"network": "convnet", "steps": 2, "image_px": 16}
FIELDS = {
    "name": "commands",
    "world": {"drives": 6, "seed": 3, "height_px": 72},
    "image_px": 32,
    "max_per_class": 8,
    "per_class": 2,
    "looks": 1,
    "arms": {"random": {"kind": "random", "label": "random"}, "full": {"kind": "full", "label": "all", "seeds": 3}},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Run folders by target; they share one world."""
    runs = {}

    def of(target, **fields):
        if target not in runs:
            run = tmp_path_factory.mktemp("commands") / target
            agent = AGENT | {"target": target} | fields.pop("agent", {})
            recipe = parse_recipe(FIELDS | {"agent": agent, "full_agent": agent} | fields, where="test")
            runs[target] = (run, run_recipe(recipe, run, workers=1))
        return runs[target]

    return of


def test_three_commands_tell_brake_recall(made):
    index = {"filter": {"min_abs_accel_mps2": None}, "label": {"edges_mps2": [-1, 1]}}
    run, (found,) = made("class", index=index)
    assert list(found.arms["random"].class_accuracy) == ["throttle", "hold", "brake"]
    assert found.arms["full"].brake_recall is not None
    page = write_report(run).read_text()
    assert "brake recall" in page
    assert "false brakes" in page
    about = json.loads((run / "sets" / "dev" / "set.json").read_text())["about"]
    assert (about["brakes"], about["edges_mps2"]) == (1, [-1.0, 1.0])


def test_poses_and_status_have_errors_and_a_blind_arm(made):
    run, (found,) = made("poses", agent={"ego": True})
    assert list(found.arms) == ["random", "full", "blind"]
    assert found.verdicts["blind"].word == "bound"
    assert set(found.errors) == {"full", "blind"}
    assert found.arms["random"].mae.mean > 0
    page = write_report(run).read_text()
    assert "mean error" in page
    assert ", the mean of numbers" in page
    assert f"<td>{found.mean_errors[0]:.2f}</td>" in page
    assert "status alone" in page
    first = json.loads((run / "sets" / "train" / "metadata.jsonl").read_text().splitlines()[0])
    assert len(first["future"]) == 24
    # The recipe on disk holds the arm, and reads as the same recipe.
    again = run_recipe(parse_recipe(FIELDS | {
        "agent": AGENT | {"target": "poses", "ego": True}, "full_agent": AGENT | {"target": "poses", "ego": True}
    }, where="test"), run, workers=1)  # fmt: skip
    assert again[0].arms["blind"].mae == found.arms["blind"].mae


def test_generated_pictures_have_no_status():
    agent = AGENT | {"ego": True}
    arms = FIELDS["arms"] | {"base": {"kind": "generated", "label": "base"}}
    with pytest.raises(Exception, match="generated pictures have no speed and command, which agents with ego look at"):
        parse_recipe(FIELDS | {"agent": agent, "full_agent": agent, "arms": arms}, where="test")
