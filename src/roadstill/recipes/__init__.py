"""Recipes: one experiment each, a YAML file read into frozen dataclasses; every size runs the same code.

A recipe file holds the fields of `Recipe` and a block ``sizes`` whose entries (toy, small, full) override them.
"""

from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from roadstill.agents import AgentConfig
from roadstill.denoisers.base import Sampling
from roadstill.errors import UserError
from roadstill.finetune import FinetuneConfig
from roadstill.indexing import IndexConfig
from roadstill.refine import Refinement

Size = Literal["toy", "small", "full"]
Pick = Literal["random", "per_drive", "confident", "medoids"]


@dataclass(frozen=True)
class World:
    """The built-in world as the source of frames.

    Attributes:
        drives: number of drives, several logs each.
        seed: of the world; 9000 and above are reserved for confirmation.
        group: "demo" or "pretrain": towns, lights and weathers.
        height_px: of the pictures, 16:9.
    """

    drives: int = 24
    seed: int = 1
    group: str = "demo"
    height_px: int = 144


@dataclass(frozen=True)
class Arm:
    """One column of the comparison: a way to get a small set.

    Attributes:
        kind: "random", "per_drive", "confident" and "medoids" pick real frames, "generated" draws from a generator,
            "full" takes all frames.
        label: how tables name it.
        finetune: adapters and criteria; without it, a generated arm draws from the base as it was shipped.
        of: another generated arm whose checkpoint this one draws from, instead of a fine-tuning of its own.
        start: how the real frames are picked that a generated arm's images start from, noised by the sampling's
            strength; without it they start from pure noise.
        guided: whether a teacher trained on the train part leads a generated arm's images to their classes.
        sampling: the recipe's if not given.
        candidates: so many times the images are made, and a teacher trained on the train part chooses among them.
        choose: "confident" keeps the candidates of whose class the teacher is surest, "medoids" those nearest to the
            clusters of the real frames in the teacher's features.
        refine: moves the images, however they were made, until training on them pulls an agent where all training
            frames would.
        seeds: number of agents; the recipe's number if not given.
        per_class: images per class; the recipe's if not given.
    """

    kind: Pick | Literal["generated", "full"]
    label: str
    finetune: FinetuneConfig | None = None
    of: str | None = None
    start: Pick | None = None
    guided: bool = False
    sampling: Sampling | None = None
    candidates: int = 1
    choose: Literal["confident", "medoids"] = "confident"
    refine: Refinement | None = None
    seeds: int | None = None
    per_class: int | None = None


@dataclass(frozen=True)
class Recipe:
    """One experiment.

    Attributes:
        name: also the name of the run folder.
        arms: by a short name that serves as folder name.
        world: source of the frames if ``data`` is not given.
        data: folder of NAVSIM logs and sensors.
        index: which frames count, and how they are split.
        image_px: side of the prepared pictures.
        max_per_class: most train / dev / test images of a class; all if not given.
        per_class: images per class of a small set (IPC).
        budgets: several numbers of images per class instead: every small arm is made at each, as ``<arm>@<number>``;
            fine-tunings are shared, and each budget is compared by itself.
        seeds: paired seeds: each draws or generates its own sets and trains its own agents.
        sampling: of the generated arms that have none of their own.
        codec: a codec file, or a diffusers autoencoder (folder or hub name); the shipped one if not given.
        decoder: a second diffusers autoencoder that decodes what the first one encodes.
        base: a base generator; the shipped one if not given.
        agent: of the small arms.
        full_agent: of the full arm, and of the teacher that some arms need.
        baseline: the arm that verdicts compare with.
        cluster_by: what the interval resamples: "log" or "drive".
    """

    name: str
    arms: dict[str, Arm]
    world: World = field(default_factory=World)
    data: str | None = None
    index: IndexConfig = field(default_factory=IndexConfig)
    image_px: int = 128
    max_per_class: int | None = None
    per_class: int = 10
    budgets: tuple[int, ...] = ()
    seeds: int = 3
    sampling: Sampling = field(default_factory=Sampling)
    codec: str | None = None
    decoder: str | None = None
    base: str | None = None
    agent: AgentConfig = field(default_factory=AgentConfig)
    full_agent: AgentConfig = field(default_factory=AgentConfig)
    baseline: str = "random"
    cluster_by: Literal["log", "drive"] = "log"

    def __post_init__(self) -> None:
        if (fewest := min([self.seeds, *(arm.seeds or self.seeds for arm in self.arms.values())])) < 3:
            raise UserError(f"seeds is {fewest}; a verdict needs at least 3, better 10 or more")


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.name.removesuffix(".yaml") for path in files(__name__).iterdir() if path.name.endswith(".yaml"))


def read_recipe(source: str, size: Size | None = None, **overrides: Any) -> Recipe:
    """Reads a shipped recipe by name, or a YAML file by path.

    Args:
        source: name or path.
        size: which entry of ``sizes`` to lay over the recipe.
        overrides: top-level fields that replace the recipe's.

    Raises:
        UserError: no such recipe, no such size, a misspelt key or a value of the wrong type.
    """
    path = Path(source)
    if source in shipped_recipes():
        path = Path(str(files(__name__) / f"{source}.yaml"))
    elif not path.is_file():
        raise UserError(f"there is no recipe {source!r}; give a YAML file or one of {', '.join(shipped_recipes())}")
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(fields, dict):
        raise UserError(f"{path} holds no recipe; it should be a mapping with the fields of a recipe")
    sizes = fields.pop("sizes", {})
    if size is not None:
        if size not in sizes:
            raise UserError(f"{path} has no size {size!r}; it has {', '.join(sizes) or 'none'}")
        fields = _overlay(fields, sizes[size])
    recipe = parse_recipe(fields | overrides, where=str(path))
    for name, arm in recipe.arms.items():
        if arm.of is not None and (arm.of not in recipe.arms or not recipe.arms[arm.of].finetune):
            raise UserError(f"{path}: arm {name!r} is of {arm.of!r}, which is no arm with a fine-tuning")
    if recipe.baseline not in recipe.arms:
        raise UserError(f"{path}: baseline {recipe.baseline!r} is not one of the arms {', '.join(recipe.arms)}")
    return at_budgets(recipe)


def at_budgets(recipe: Recipe) -> Recipe:
    """The recipe with every small arm at each of its budgets."""
    if not recipe.budgets:
        return recipe
    first, arms = recipe.budgets[0], {}
    for name, arm in recipe.arms.items():
        if arm.kind == "full":
            arms[name] = arm
            continue
        of = arm.of and f"{arm.of}@{first}"
        for budget in recipe.budgets:
            again = replace(arm, finetune=None, of=f"{name}@{first}") if arm.finetune else replace(arm, of=of)
            arms[f"{name}@{budget}"] = replace(arm if arm.finetune and budget == first else again, per_class=budget)
    return replace(recipe, arms=arms, budgets=())


def parse_recipe(fields: dict[str, Any], *, where: str) -> Recipe:
    """Checks names and types of all fields, nested ones too."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Recipe, "recipe")
    try:
        parsed = parser.instantiate_classes(parser.parse_object({"recipe": fields}))
    except ArgumentError as error:
        raise UserError(f"{where}: {' '.join(str(error).split())}") from None
    recipe: Recipe = parsed.recipe
    return recipe


def _overlay(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _overlay(below.get(key), value) for key, value in above.items()}
    return above
