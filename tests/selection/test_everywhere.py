"""Each selector by its name: as an arm of a recipe and on the command line."""

from dataclasses import replace

import numpy as np
import pytest

from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.imagesets import open_imageset
from roadstill.names import trusting
from roadstill.pipeline import Road
from roadstill.pipeline.data import make_index, make_sets, make_world
from roadstill.pipeline.generator import train_teacher
from roadstill.pipeline.small_sets import looked_at, make_small_set, needs_teacher, picked_with
from roadstill.recipes import Arm, parse_recipe, read_recipe
from roadstill.runs import plain, read_json
from roadstill.selection import SELECTORS

NAMES = [*SELECTORS, "distinct:0.999:herding", "own_selectors.ByFeatures"]
OTHERS = {
    "generated": {"kind": "generated", "label": "x", "candidates": 3, "choose": "herding"},
    "begun": {"kind": "generated", "label": "x", "start": "k_center"},
    "last": {"kind": "own_selectors.AtShare", "label": "x", "settings": {"share": 1.0}},
    "first": {"kind": "own_selectors.AtShare", "label": "x", "settings": {"share": 0}},
    "led": {
        "kind": "generated",
        "label": "x",
        "start": "own_selectors.ByFeatures",
        "start_settings": {"largest": True},
        "candidates": 2,
        "choose": "minimax",
        "choose_settings": {"memory_size": 3},
    },
}


def recipe(features):
    fields = {
        "name": "all",
        "world": {"drives": 6, "height_px": 72},
        "max_per_class": 8,
        "per_class": 2,
        "sampling": {"steps": 2},
        "agent": {"network": "convnet", "steps": 2, "image_px": 32},
        "full_agent": {
            "network": "convnet",
            "steps": 10,
            "image_px": 32,
            "batch_size": 20,
            "learning_rate": 0.001,
        },
        "features": features,
        "arms": {name.replace(":", "-"): {"kind": name, "label": name} for name in NAMES} | OTHERS,
    }
    with trusting():
        return parse_recipe(fields, where="test")


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    made = Road(recipe("agent"), tmp_path_factory.mktemp("run"), workers=1)
    for stage in (make_world, make_index, make_sets, train_teacher):
        stage(made)
    return made


@pytest.mark.parametrize("name", [*(name.replace(":", "-") for name in NAMES), *OTHERS])
def test_as_an_arm(road, name, trusted):
    make_small_set(road, name, 0)
    made = open_imageset(road.folder / "arms" / name / "seed0")
    assert made.counts() == {"not_brake": 2, "brake": 2}
    assert made.size_px == 128


@pytest.mark.parametrize("features", ["pixels", "dit"])
def test_other_features_need_no_teacher(road, features):
    other = Road(recipe(features), road.folder, workers=1)
    make_small_set(other, "medoids", 1)
    made = open_imageset(road.folder / "arms" / "medoids" / "seed1")
    assert made.about["method"]["teacher"].endswith(features)
    arms = other.recipe.arms
    assert not needs_teacher(arms["medoids"], features)
    assert needs_teacher(arms["medoids"], "agent")
    assert needs_teacher(arms["confident"], features)
    assert not any(needs_teacher(arms[name], "agent") for name in ("random", "dynamics", "forgetting"))
    assert looked_at(other, arms["medoids"])["features"] == features
    assert looked_at(road, arms["medoids"]) == {}


@pytest.mark.parametrize("name", NAMES)
def test_on_the_command_line(road, name, tmp_path, capsys, trusted):
    words = ["select", road.folder / "sets" / "train", tmp_path / "out", "--method", name, "--per_class", 2]
    if needs_teacher(Arm(name, "x"), "agent"):
        assert main([str(word) for word in words]) == 2
        assert "needs a teacher" in capsys.readouterr().err
        words += ["--teacher", road.folder / "teacher"]
    words += ["--agent.network", "convnet", "--agent.steps", 2, "--agent.image_px", 32]
    assert main([str(word) for word in words]) == 0, capsys.readouterr().err
    assert open_imageset(tmp_path / "out").counts() == {"not_brake": 2, "brake": 2}


@pytest.mark.parametrize("features", ["pixels", "dit"])
def test_features_on_the_command_line(road, features, tmp_path, capsys):
    words = ["select", str(road.folder / "sets" / "train"), str(tmp_path / "out"), "--per_class", "2"]
    words += ["--features", features, "--method"]
    assert main([*words, "k_center"]) == 0, capsys.readouterr().err
    assert open_imageset(tmp_path / "out").about["method"] == {"type": "KCenter", "teacher": features}
    assert main([*words, "random", "--teacher", str(road.folder / "teacher")]) == 2
    assert "does not take a teacher" in capsys.readouterr().err


def test_settings_reach_the_selector_of_an_arm_its_record_and_its_digest(road, trusted):
    train = road.split("train")
    for name, edge in (("first", slice(0, 2)), ("last", slice(-2, None))):
        make_small_set(road, name, 1)
        made = open_imageset(road.folder / "arms" / name / "seed1")
        assert made.column("token")[:2] == [
            train.column("token")[row] for row in np.flatnonzero(train.labels == 0)[edge]
        ]
        assert made.about["method"] == {"type": "AtShare", "share": road.recipe.arms[name].settings["share"]}
    make_small_set(road, "led", 1)
    led = open_imageset(road.folder / "arms" / "led" / "seed1").about
    assert led["method"]["memory_size"] == 3
    assert picked_with(road.recipe.arms["led"]) == {
        "start_settings": {"largest": True}, "choose_settings": {"memory_size": 3},
    }  # fmt: skip
    assert picked_with(road.recipe.arms["medoids"]) == {}
    assert plain(Arm("random", "x")) == plain(replace(Arm("random", "x"), settings=None))
    assert "settings" not in plain(Arm("random", "x"))


def test_settings_on_the_command_line(road, tmp_path, capsys):
    words = ["select", str(road.folder / "sets" / "train"), str(tmp_path / "out"), "--per_class", "2", "--method"]
    assert main([*words, "own_selectors.AtShare", "--settings", '{"share": 0.5}']) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert open_imageset(tmp_path / "out").about["method"] == {"type": "AtShare", "share": 0.5}
    assert main([*words, "own_selectors.AtShare", "--settings", '{"part": 0.5}']) == 2
    assert capsys.readouterr().err.splitlines() == [
        "roadstill: selector 'own_selectors.AtShare' has no setting 'part'; it takes share"
    ]
    index = [*words, "dynamics", "--from_index", "--settings", '{"quota": 1}']
    index[1] = str(road.folder / "index")
    index[2] = str(tmp_path / "chosen")
    assert main(index) == 0, capsys.readouterr().err
    assert read_json(tmp_path / "chosen" / "index.json")["selected"]["method"] == {"type": "Dynamics", "quota": 1}


def test_recipes_refuse_settings_that_no_selector_takes(tmp_path):
    recipe = tmp_path / "bad.yaml"
    recipe.write_text("name: bad\narms:\n  random: {kind: s3, label: x, settings: {group: 9}}\n")
    with pytest.raises(UserError, match="selector 's3' has no setting 'group'; it takes groups, near, far"):
        read_recipe(str(recipe))
    with pytest.raises(UserError, match="choose_settings are for a selector, but the arm 'x' has none there"):
        Arm("generated", "x", choose_settings={"memory_size": 3})
    with pytest.raises(UserError, match="settings are for a selector"):
        Arm("full", "x", settings={"groups": 3})


def test_recipes_refuse_names_that_are_none(tmp_path):
    (tmp_path / "bad.yaml").write_text("name: bad\narms:\n  random: {kind: rendom, label: x}\n")
    with pytest.raises(UserError, match=r"selector 'rendom' is unknown; choose one of random, per_drive"):
        read_recipe(str(tmp_path / "bad.yaml"))
    with pytest.raises(UserError, match="makes pictures"):
        Arm("generated", "x", start="rded")
    with pytest.raises(UserError, match="is unknown"):
        Arm("generated", "x", choose="best")
