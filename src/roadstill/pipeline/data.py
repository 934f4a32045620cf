"""The stages that make data: world, index, image sets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from roadstill.agents.networks import require_network
from roadstill.codecs.pixels import NAME as PIXELS
from roadstill.data.indexing import IndexConfig, hook_defaults, index_data
from roadstill.data.picture_store import PictureConfig
from roadstill.data.prepare import prepare_splits
from roadstill.data.privacy import describe, hook_of
from roadstill.data.sources import NAVSIM, SOURCES, SetRequest, describe_source, open_pictures_of, write_sets
from roadstill.errors import UserError
from roadstill.frames.splits import open_index
from roadstill.pipeline.road import Road
from roadstill.protocols import PROTOCOLS
from roadstill.recipes import Recipe
from roadstill.weights import require_findable


def require_data(recipe: Recipe) -> None:
    """Before any work: the built-in world stands in for NAVSIM logs only; models and networks can be had.

    Raises:
        UserError: the recipe is for another source and names no data, or data or models that are not there, or a
            network's package is not installed.
    """
    for other in (None, *recipe.others):
        for full in (False, True):
            require_network(recipe.agent_of(other, full=full).network)
    for name in recipe.arms:
        for network in recipe.refiners(name):
            require_network(network)
    for what, given in (("codec", recipe.codec), ("decoder", recipe.decoder), ("base", recipe.base)):
        if given not in (None, PIXELS):
            require_findable(str(given), what)
    if recipe.source != NAVSIM and recipe.data is None:
        raise UserError(f"recipe {recipe.name} reads the source {recipe.source}; give its folder with --data")
    if recipe.data is not None and not Path(recipe.data).exists():
        raise UserError(f"data {recipe.data[:200]!r} does not exist; give its folder with --data")


def make_world(road: Road) -> None:
    """The built-in world's logs, if the recipe names no data; pictures are drawn when they are wanted."""
    from roadstill.world.logs import write_world

    world = road.recipe.world
    stage = road.stage("world", road.recipe.data or world, product=[] if road.recipe.data else ["world"])
    if stage.done:
        return
    if not road.recipe.data:
        write_world(road.root, **vars(world))
    stage.finish()


def make_index(road: Road) -> None:
    """Frame table, funnel, split by drive."""
    recipe = road.recipe
    config: Any = recipe.index
    if recipe.protocol != "honest" or recipe.test_index:
        config = {"index": recipe.index, "protocol": recipe.protocol, "test": recipe.test_index}
    if recipe.source != NAVSIM or recipe.source_settings:
        own = describe_source(recipe.source, recipe.source_settings)
        config = {"index": recipe.index, "protocol": recipe.protocol} | own
    stage = road.stage("index", config, "world", product=[name for name, _ in _indexes(road)])
    if stage.done:
        return
    frames: dict[str, int] = {}
    for name, part in _indexes(road):
        out = road.folder / name
        index = index_data(
            road.root,
            out,
            part,
            source=recipe.source,
            settings=recipe.source_settings,
            protocol=recipe.protocol,
            workers=road.workers,
        )
        assert index  # only a shard has none
        frames |= index.frames
        for note in index.notes:
            road.say(note)
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
    """Image sets of pictures that are taken as they are."""
    recipe, out = road.recipe, road.folder / "sets"
    assert recipe.data is not None
    shares = PROTOCOLS[recipe.protocol].shares(recipe.index.shares)
    config: dict[str, Any] = {
        "source": recipe.source,
        "group": recipe.group,
        "max_per_class": recipe.max_per_class,
        "dev": "dev" in shares,
    }
    if recipe.source != "cifar10":  # whose pictures keep their size
        config["image_px"] = recipe.image_px
    if recipe.source not in SOURCES or recipe.source_settings:
        config |= describe_source(recipe.source, recipe.source_settings)
    stage = road.stage("sets", config, "world", product=["sets"])
    if stage.done:
        return
    source = open_pictures_of(recipe.source, road.root, recipe.source_settings, {"group": recipe.group})
    request = SetRequest(tuple(shares), PictureConfig(recipe.image_px), recipe.max_per_class, workers=road.workers)
    write_sets(source, recipe.source, out, request)
    for note in source.notes:
        road.say(note)
    stage.finish()


def make_sets(road: Road) -> None:
    """Pictures at prepared size, one image set per split."""
    recipe = road.recipe
    config: dict[str, Any] = {"image_px": recipe.image_px, "max_per_class": recipe.max_per_class}
    hook = None
    if recipe.hook:
        known = open_index(road.folder / "index")
        hook = hook_of(recipe.hook, recipe.hook_settings, defaults=hook_defaults(known))
        config["hook"] = describe(hook)  # with its source: a hook that was mended makes other pictures
    futures = any(
        recipe.agent_for(name, other).target == "poses" for name in recipe.arms for other in (None, *recipe.others)
    )
    if futures:
        config["futures"] = True
    stage = road.stage("sets", config, "index", product=["sets"])
    if stage.done:
        return
    for name, _ in _indexes(road):
        sensors = open_index(road.folder / name)["sensors"]
        if not sensors:
            where = "its logs have no sensor_blobs folder beside them" if recipe.source == NAVSIM else "sensors is None"
            raise UserError(f"{road.root}: no pictures, since {where}; see roadstill prepare --help")
        prepare_splits(
            road.folder / name,
            Path(sensors),
            road.folder / "sets",
            config=PictureConfig(recipe.image_px, hook=hook),
            max_per_class=recipe.max_per_class,
            futures=futures,
            workers=road.workers,
            world=None if recipe.data else road.root,
            say=road.say,
        )
    stage.finish()
