"""The whole pipeline of a recipe, stage by stage; a stage whose inputs and settings are unchanged is not run again.

A run folder::

    recipe.yaml  stages/<name>/stage.json  world/  index/  sets/{train,dev,test}/  encode/  finetune/<arm>/
    arms/<arm>/seed<k>/  runs/{dev,test}/<arm>/seed<k>/  figures/  comparison.json  test_ledger.jsonl  report.html

Further agents have ``runs-<name>/`` and, like further budgets, comparisons of their own.
"""

from collections.abc import Callable
from pathlib import Path

import yaml

from roadstill.data.sources import has_pictures_only
from roadstill.evaluation import Comparison
from roadstill.parallel import Workers
from roadstill.pipeline.changes import require_unchanged
from roadstill.pipeline.data import make_index, make_pictures, make_sets, make_world, require_data
from roadstill.pipeline.generator import encode, finetune_arms, pretrain
from roadstill.pipeline.jobs import workers_of
from roadstill.pipeline.judging import judge
from roadstill.pipeline.measuring import require_apart, train_agents
from roadstill.pipeline.road import Road, silent
from roadstill.pipeline.small_sets import make_small_sets
from roadstill.recipes import Recipe
from roadstill.report import write_report
from roadstill.runs import atomic_path, holding, plain, require_own

__all__ = ["Road", "run_recipe"]


@holding("folder")
def run_recipe(
    recipe: Recipe,
    folder: Path,
    *,
    say: Callable[[str], None] = silent,
    workers: int = 2,
    allow_leak: bool = False,
    deep: bool = False,
) -> list[Comparison]:
    """Runs every stage of a recipe that is not done, or whose product was deleted or damaged since.

    Args:
        recipe: experiment to run.
        folder: the run folder.
        say: takes one line of progress.
        workers: processes for pictures, fine-tunings, small sets and agents.
        allow_leak: whether a train part that shares something with the test part is judged all the same; the runs'
            records and the report say so.
        deep: whether every byte of what is done is read to see whether it is whole, as `roadstill doctor` does.

    Returns:
        The comparisons, one for each budget and kind of agent.

    Raises:
        UserError: what the recipe needs is not there; the folder was begun with other settings (`MAY_CHANGE` lists what
            may differ), or another process holds it; the train part shares something with the test part.
    """
    require_data(recipe)
    require_own(folder, own="recipe.yaml")
    require_unchanged(recipe, folder)
    road = Road(recipe, folder, say, workers, allow_leak, deep)
    with atomic_path(folder / "recipe.yaml") as path:
        path.write_text(yaml.safe_dump(plain(recipe, grouped=True), sort_keys=False), encoding="utf-8")
    make_data(road)
    require_apart(road)
    with workers_of(road) as shared:
        make_rest(road, shared)
    comparisons = judge(road)
    write_report(folder)
    return comparisons


def make_data(road: Road) -> None:
    """The stages up to the image sets."""
    make_world(road)
    if has_pictures_only(road.recipe.source):
        make_pictures(road)
    else:
        make_index(road)
        make_sets(road)


def make_rest(road: Road, workers: Workers) -> None:
    """The stages from the image sets to the runs."""
    if any(arm.kind == "generated" for arm in road.recipe.arms.values()):
        encode(road)
        pretrain(road)
    finetune_arms(road, workers)
    make_small_sets(road, workers)
    train_agents(road, workers)
    if road.recipe.drive is not None:
        from roadstill.pipeline.driving import drive  # here alone: it needs the extra map

        drive(road, workers)
