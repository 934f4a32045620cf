"""The stages that make data: world, index, image sets."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from roadstill.data.cifar10 import DEV_IMAGES, prepare_cifar10
from roadstill.data.folders import prepare_folder
from roadstill.data.indexing import IndexConfig, hook_defaults, index_data, open_index
from roadstill.data.picture_store import PictureConfig
from roadstill.data.prepare import prepare_splits
from roadstill.data.privacy import describe, hook_of
from roadstill.errors import UserError
from roadstill.pipeline.road import Road
from roadstill.protocols import PROTOCOLS
from roadstill.recipes import Recipe

_WANTED = {"cifar10": "CIFAR-10 (its folder or archive)", "folder": "a folder of class folders"}


def require_data(recipe: Recipe) -> None:
    """Before any work: the built-in world stands in for driving logs only.

    Raises:
        UserError: the recipe is for other pictures and names none.
    """
    if recipe.source in _WANTED and recipe.data is None:
        raise UserError(f"recipe {recipe.name} is for {_WANTED[recipe.source]}; say where it lies with --data")


def make_world(road: Road) -> None:
    """The built-in world's logs, if the recipe names no data; pictures are drawn when they are wanted."""
    from roadstill.world.logs import write_world

    world = road.recipe.world
    stage = road.stage("world", road.recipe.data or world)
    if stage.done:
        return
    if not road.recipe.data:
        shutil.rmtree(road.root, ignore_errors=True)
        write_world(road.root, drives=world.drives, seed=world.seed, group=world.group, height_px=world.height_px)
    stage.finish()


def make_index(road: Road) -> None:
    """Frame table, funnel, split by drive."""
    recipe = road.recipe
    config: Any = recipe.index
    if recipe.protocol != "honest" or recipe.test_index:
        config = {"index": recipe.index, "protocol": recipe.protocol, "test": recipe.test_index}
    stage = road.stage("index", config, "world")
    if stage.done:
        return
    frames: dict[str, int] = {}
    for name, part in _indexes(road):
        if not recipe.data:  # an older index may hold logs of another world under the same names
            shutil.rmtree(road.folder / name, ignore_errors=True)
        out = road.folder / name
        index = index_data(road.root, out, part, protocol=recipe.protocol, workers=road.workers)
        assert index  # only a shard has none
        frames |= index.frames
    stage.finish(frames=frames)


def _indexes(road: Road) -> list[tuple[str, IndexConfig]]:
    """Folder and settings of the index, and of a second one where the test part is a selection of its own."""
    index, test = road.recipe.index, road.recipe.test_index
    if test is None:
        return [("index", index)]
    train, dev, _ = index.shares
    return [
        ("index", replace(index, shares=(train, dev, 0.0))),
        ("index-test", replace(test, shares=(0.0, 0.0, 1.0))),
    ]


def make_pictures(road: Road) -> None:
    """Image sets of pictures that are there as they are: CIFAR-10 or class folders."""
    recipe, out = road.recipe, road.folder / "sets"
    assert recipe.data is not None
    has_dev = "dev" in PROTOCOLS[recipe.protocol].shares(recipe.index.shares)
    config = {"source": recipe.source, "group": recipe.group, "max_per_class": recipe.max_per_class, "dev": has_dev}
    config |= {"image_px": recipe.image_px} if recipe.source == "folder" else {}
    stage = road.stage("sets", config, "world")
    if stage.done:
        return
    shutil.rmtree(out, ignore_errors=True)
    if recipe.source == "cifar10":
        dev_images = (min(DEV_IMAGES, 10 * (recipe.max_per_class or DEV_IMAGES))) if has_dev else 0
        made = prepare_cifar10(Path(recipe.data), out, dev_images=dev_images, max_per_class=recipe.max_per_class).notes
    elif not has_dev:
        raise UserError(f"protocol {recipe.protocol} has no dev part, but class folders get one; take honest")
    else:
        pictures = PictureConfig(recipe.image_px)
        made = prepare_folder(
            Path(recipe.data),
            out,
            config=pictures,
            group=recipe.group,
            max_per_class=recipe.max_per_class,
            workers=road.workers,
        ).notes
    for note in made:
        road.say(note)
    stage.finish()


def make_sets(road: Road) -> None:
    """Pictures at prepared size, one image set per split."""
    recipe = road.recipe
    config: dict[str, Any] = {"image_px": recipe.image_px, "max_per_class": recipe.max_per_class}
    known, hook = open_index(road.folder / "index"), None
    if recipe.hook:
        hook = hook_of(recipe.hook, recipe.hook_settings, defaults=hook_defaults(known))
        config["hook"] = describe(hook)  # with its source: a hook that was mended makes other pictures
    stage = road.stage("sets", config, "index")
    if stage.done:
        return
    for name, _ in _indexes(road):
        sensors = open_index(road.folder / name)["sensors"]
        if not sensors:
            raise UserError(
                f"{road.root} has logs but no sensor_blobs folder beside them; see roadstill prepare --help"
            )
        prepare_splits(
            road.folder / name,
            Path(sensors),
            road.folder / "sets",
            config=PictureConfig(recipe.image_px, hook=hook),
            max_per_class=recipe.max_per_class,
            workers=road.workers,
            world=None if recipe.data else road.root,
            say=road.say,
        )
    stage.finish()
