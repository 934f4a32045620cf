"""What stages share: keys that follow their inputs, products that are never mistaken for those of other settings."""

import pytest

from roadstill.errors import UserError
from roadstill.pipeline import Road
from roadstill.recipes import Arm, Recipe, World
from roadstill.weights import shipped

ARMS = {"random": Arm("random", "x"), "full": Arm("full", "y", seeds=4), "few": Arm("random", "z", per_class=2)}


@pytest.fixture
def road(tmp_path):
    return Road(Recipe("r", ARMS, per_class=5), tmp_path)


def test_a_stage_depends_on_the_stages_before_it(tmp_path):
    keys = []
    for drives in (3, 3, 4):
        road = Road(Recipe("r", ARMS), tmp_path)
        road.stage("world", World(drives=drives))
        road.stage("index", {}, "world")
        keys.append(road.stage("sets", {}, "index").key)
    assert keys[0] == keys[1] != keys[2]


def test_a_finished_stage_refuses_other_settings_and_other_inputs(road):
    said = []
    road.say = said.append
    road.stage("world", {"drives": 3}).finish()
    road.stage("index", {"rule": [1, 2]}, "world").finish()
    before = {path: path.read_bytes() for path in road.folder.rglob("*.json")}
    assert road.stage("world", {"drives": 3}).done
    with pytest.raises(UserError, match=r"other settings \(stage world, drives: 3, now 4 and 1 more\); name another"):
        road.stage("world", {"drives": 4, "more": 1})
    with pytest.raises(UserError, match=r"stage index, rule: \[1, 2\], now none and 1 more\)"):
        road.stage("index", {}, "world")
    with pytest.raises(UserError, match=r"stage index, world: [0-9a-f]{16}, now [0-9a-f]{16}\)"):
        road.stage("index", {"rule": [1, 2]}, "world")
    assert {path: path.read_bytes() for path in road.folder.rglob("*.json")} == before
    road.stage("agents", {}, later=True)
    assert said == ["world", "index"]


def test_a_stage_is_made_again_for_what_may_change_and_when_its_record_is_damaged(road):
    road.stage("agent", {"steps": 3, "judged_on": "dev"}).finish()
    record = road.folder / "stages" / "agent" / "stage.json"
    assert not road.stage("agent", {"steps": 3}).done
    assert not record.exists()  # a run that is killed now must not pass as finished
    for damaged in ('{"key": "', "[]"):
        record.write_text(damaged)
        assert not road.stage("agent", {"steps": 3}).done


def test_runs_go_seed_by_seed_and_each_arm_has_its_own_number(road):
    runs = [(name, seed) for name, _, seed in road.runs()]
    assert runs[:4] == [("random", 0), ("full", 0), ("few", 0), ("random", 1)]
    assert runs[-1] == ("full", 3)
    assert len(runs) == 3 + 4 + 3
    assert (road.per_class("random"), road.per_class("few")) == (5, 2)


def test_the_base_generator_is_known_by_its_weights(road, tmp_path):
    copy = tmp_path / "mine.safetensors"
    copy.write_bytes(shipped("dit.safetensors").read_bytes())
    named = Road(Recipe("r", ARMS, base=str(copy)), tmp_path)
    assert named.base_digest == road.base_digest
    assert Road(Recipe("r", ARMS, base="roadstill/edm-cifar10"), tmp_path).base_digest != road.base_digest
