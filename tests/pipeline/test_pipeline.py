"""A run that the layout before 0.1.0 finished is recognised as finished."""

import json
from pathlib import Path

import yaml

from roadstill.parallel import Workers
from roadstill.pipeline import Road, make_data, make_rest
from roadstill.pipeline import generator as generator_stages
from roadstill.pipeline.data import make_index, make_sets, make_world
from roadstill.pipeline.generator import encode, finetune_arms, pretrain
from roadstill.pipeline.jobs import Jobs
from roadstill.pipeline.measuring import train_agents
from roadstill.pipeline.small_sets import make_small_sets
from roadstill.pipeline.wholeness import Survey
from roadstill.recipes import read_recipe
from roadstill.runs import digest_of, plain, write_json

BEFORE = Path(__file__).parents[1] / "golden" / "run-before-0.1"


def products_of(recipe, folder):
    """What the stages of a recipe make."""
    road = Survey(recipe, folder)
    make_data(road)
    make_rest(road, Workers(1, road))
    return {name for stage in road.stages.values() for name in stage.product}


def test_a_run_of_the_old_layout_is_recognised_as_done(tmp_path, monkeypatch):
    """`recipe.yaml` and the keys of all stages as `roadstill demo` wrote them before the modules moved."""
    record = json.loads((BEFORE / "stages.json").read_text())
    for name, key in record["keys"].items():
        write_json(tmp_path / "stages" / name / "stage.json", {"key": key})
    # The weights that came with the package then; those that come with it now may be others.
    monkeypatch.setattr(Road, "base_digest", record["base"])
    monkeypatch.setattr(generator_stages, "digest_file", lambda path: record["codec"])
    recipe = read_recipe(str(BEFORE / "recipe.yaml"))
    for name in products_of(recipe, tmp_path):  # of which such a run tells only the folders
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "something").write_text("")
    said = []
    road = Road(recipe, tmp_path, said.append)
    for make in (make_world, make_index, make_sets, encode, pretrain):
        make(road)
    with Workers(1, Jobs(road)) as workers:
        for make in (finetune_arms, make_small_sets, train_agents):
            make(road, workers)
    assert {name: stage.key for name, stage in road.stages.items()} == record["keys"]
    assert said == []


def test_the_recipe_in_a_run_folder_reads_as_the_recipe_that_was_run(tmp_path):
    path = tmp_path / "recipe.yaml"
    for name in ("demo", "cifar10-table-4.1", "thesis-table-4.3"):
        recipe = read_recipe(name, "toy")
        path.write_text(yaml.safe_dump(plain(recipe, grouped=True), sort_keys=False))
        assert read_recipe(str(path)) == recipe
        path.write_text(yaml.safe_dump(plain(recipe), sort_keys=False))  # as runs before 0.1.0 wrote it
        assert digest_of(read_recipe(str(path))) == digest_of(recipe)
