"""The latents of a recipe keep the attributes that its trainings name, and no others."""

import pytest
from made import picture_set

from roadstill.codecs.latents import open_latents
from roadstill.denoisers.base import Sampling
from roadstill.generator.config import Attributes, FinetuneConfig
from roadstill.pipeline import Road
from roadstill.pipeline.generator import encode
from roadstill.recipes import Arm, Recipe, read_recipe
from roadstill.runs import read_json


@pytest.mark.parametrize("names", [("weather", "light"), ()])
def test_attributes_of_all_arms_are_encoded_together(tmp_path, names):
    columns = {"light": ["day", "night"] * 4, "weather": ["rain"] * 8, "town": ["a"] * 8}
    picture_set(tmp_path / "sets" / "train", 8, **columns)
    arms = {"random": Arm("random", "x")}
    arms |= {name: Arm("generated", name, FinetuneConfig(attributes=Attributes((name,)))) for name in names}
    road = Road(Recipe("r", arms), tmp_path, workers=1)
    road.stage("sets", {})
    encode(road)
    assert tuple(open_latents(tmp_path / "encode").attributes) == tuple(sorted(names))
    told = read_json(tmp_path / "stages" / "encode" / "stage.json")["config"]
    assert told.get("attributes") == (sorted(names) or None)


def test_a_recipe_asks_for_attributes(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "like: demo\narms:\n  night: {kind: generated, label: night, finetune: {attributes: {names: [light, weather]}},"
        " sampling: {where: {light: night}, strata: [weather]}}\n"
    )
    arm = read_recipe(str(path)).arms["night"]
    assert arm.sampling == Sampling(where={"light": "night"}, strata=("weather",))
    assert arm.finetune.attributes.names == ("light", "weather")
