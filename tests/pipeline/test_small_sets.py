"""Small sets are made anew for other settings of their selectors, and for nothing else."""

import pytest
from made import picture_set

from roadstill.agents import AgentConfig
from roadstill.errors import UserError
from roadstill.imagesets import open_imageset
from roadstill.pipeline import Road
from roadstill.pipeline.jobs import workers_of
from roadstill.pipeline.measuring import lesson_inputs, lesson_of
from roadstill.pipeline.small_sets import make_small_sets
from roadstill.recipes import Arm, Recipe
from roadstill.runs import read_json


@pytest.fixture
def made(tmp_path):
    """Makes the sets of a recipe in one folder, and returns the stages that were not done yet."""
    picture_set(tmp_path / "sets" / "train", 12, px=16)

    def make(arms):
        said = []
        road = Road(Recipe("r", arms, per_class=2, features="pixels"), tmp_path, said.append, workers=1)
        road.stage("sets", {})
        with workers_of(road) as workers:
            make_small_sets(road, workers)
        return said[1:]

    return make


def test_another_arm_makes_its_sets_alone_and_other_settings_of_one_are_refused(made, tmp_path):
    arms = {"random": Arm("random", "x"), "s3": Arm("s3", "y", settings={"groups": 3})}
    assert len(made(arms)) == 6
    assert open_imageset(tmp_path / "arms" / "s3" / "seed1").about["method"]["groups"] == 3
    assert made(arms) == []
    with pytest.raises(UserError, match=r"stage set-s3-0, settings.groups: 3, now 4\)"):
        made(arms | {"s3": Arm("s3", "y", settings={"groups": 4})})
    again = made(arms | {"s3-4": Arm("s3", "y", settings={"groups": 4})})
    assert sorted(again) == [f"set-s3-4-{seed}" for seed in range(3)]
    assert open_imageset(tmp_path / "arms" / "s3-4" / "seed1").about["method"]["groups"] == 4


def test_agents_take_the_sets_of_an_arm_in_turn_where_it_has_fewer(made, tmp_path):
    arms = {"random": Arm("random", "x"), "costly": Arm("random", "y", sets=2)}
    assert sorted(made(arms)) == ["set-costly-0", "set-costly-1", *(f"set-random-{seed}" for seed in range(3))]
    road = Road(Recipe("r", arms, per_class=2), tmp_path)
    assert [road.set_of("costly", seed) for seed in range(4)] == [0, 1, 0, 1]
    assert lesson_inputs(road, "costly", 2, AgentConfig()) == ["sets", "set-costly-0"]
    taken = lesson_of(road, "costly", 2, AgentConfig())
    assert taken.digest == open_imageset(tmp_path / "arms" / "costly" / "seed0").digest


def test_a_stage_without_settings_has_the_key_that_it_had_before_there_were_any(made, tmp_path):
    made({"random": Arm("random", "x")})
    stage = read_json(tmp_path / "stages" / "set-random-1" / "stage.json")
    assert stage["key"] == "82950ce0efdd12cd"
    assert stage["config"] == {"kind": "random", "per_class": 2, "seed": 1}
