"""`Road`: one recipe in its run folder, and what all its stages share."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from roadstill.agents import Agent, FeatureCache, open_agent, selector_tools
from roadstill.codecs import Codec, load_codec
from roadstill.generator.checkpoints import load_denoiser
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.pipeline.changes import differences, refuse
from roadstill.pipeline.products import Work
from roadstill.recipes import Arm, Recipe
from roadstill.runs import Stage, digest_file, digest_of, plain
from roadstill.selection import Features, PixelFeatures
from roadstill.selection.middle import MiddleFeatures
from roadstill.weights import local, shipped


def silent(line: str) -> None:
    """Says nothing."""


def runs_folder(other: str | None) -> str:
    """Where the runs of one of the recipe's agents lie in a run folder; ``None`` is the one that the headline is of."""
    return "runs" if other is None else f"runs-{other}"


def _differences(stage: Stage) -> list[str]:
    """What the record of a stage that is not done says of other settings, if there is one."""
    before = stage.record
    if before is None or before.get("key") == stage.key:
        return []
    name = f"stage {stage.folder.name}"
    if "config" not in before:
        return [name]
    found = [
        *differences(before["config"], plain(stage.config)),
        *differences(before.get("inputs"), dict(stage.inputs)),
    ]
    return [f"{name}, {each}" for each in found]


@dataclass
class Road:
    """One recipe in its run folder.

    Attributes:
        recipe: experiment to run.
        folder: the run folder.
        say: takes one line of progress.
        workers: processes for pictures, fine-tunings, small sets and agents.
        allow_leak: whether training sets that share something with the test part are judged all the same.
        deep: whether the bytes of what is done are read, instead of looking whether all files are there.
        stages: stages so far, by name.
    """

    recipe: Recipe
    folder: Path
    say: Callable[[str], None] = field(default=silent)
    workers: int = 2
    allow_leak: bool = False
    deep: bool = False
    stages: dict[str, Work] = field(default_factory=dict)

    def stage(self, name: str, config: Any, *inputs: str, product: Sequence[str] = (), later: bool = False) -> Work:
        """The stage of this name; ``inputs`` are names of earlier stages. Ask ``done`` before working.

        A product that was deleted or damaged since is made again. What is done ``later``, by `do_all`, is announced
        there.

        Args:
            name: name of the stage.
            config: settings that its product depends on.
            inputs: names of earlier stages that its product depends on.
            product: files and folders that it makes, relative to the run folder.
            later: whether the work is left to `do_all`.

        Raises:
            UserError: the stage was finished with other settings, or on other inputs.
        """
        stage = self.work(name, config, *inputs, product=product)
        if not stage.done:
            refuse(self.folder, _differences(stage), f"those that {stage.folder} names")
            if stage.is_recorded:
                self.say(f"{name}: {stage.damage(deep=self.deep)[0]}")
                stage.discard()
            # A half-made product must never pass as the finished one of older settings.
            (stage.folder / "stage.json").unlink(missing_ok=True)
            if not later:
                self.say(name)
        return stage

    def work(self, name: str, config: Any, *inputs: str, product: Sequence[str] = ()) -> Work:
        """The stage of this name as `stage` knows it, with nothing done about it."""
        keys = {each: self.stages[each].key for each in inputs}
        self.stages[name] = Work(
            self.folder / "stages" / name, config, keys, product=tuple(product), run=self.folder, deep=self.deep
        )
        return self.stages[name]

    @property
    def root(self) -> Path:
        """Folder of the logs and sensors."""
        return Path(self.recipe.data) if self.recipe.data else self.folder / "world"

    def split(self, name: str) -> ImageSet:
        """A prepared split."""
        return open_imageset(self.folder / "sets" / name)

    def per_class(self, name: str) -> int:
        """Images per class of a small arm."""
        return self.recipe.arms[name].per_class or self.recipe.per_class

    def set_of(self, name: str, seed: int) -> int:
        """Number of the set that a small arm's agent of this seed learns from."""
        return seed % (self.recipe.arms[name].sets or seed + 1)

    def runs(self) -> Iterator[tuple[str, Arm, int]]:
        """Name, arm and seed of every agent, seed by seed."""
        most = max(arm.seeds or self.recipe.seeds for arm in self.recipe.arms.values())
        for seed in range(most):
            for name, arm in self.recipe.arms.items():
                if seed < (arm.seeds or self.recipe.seeds):
                    yield name, arm, seed

    @cached_property
    def codec(self) -> Codec:
        """Pixels <-> latents; the shipped one unless the recipe names another."""
        path, decoder = (Path(each) if each else None for each in (self.recipe.codec, self.recipe.decoder))
        return load_codec(path, decoder=decoder)

    @property
    def base(self) -> Path | None:
        """The base generator's file, folder or name; ``None`` is the shipped one."""
        if self.recipe.pretrain:
            return self.folder / "pretrain"
        return Path(self.recipe.base) if self.recipe.base else None

    @cached_property
    def base_digest(self) -> str:
        """Digest of the base generator, so that other weights make other stages."""
        if self.recipe.pretrain:
            return self.stages["pretrain"].key
        path = local(self.base) if self.base else shipped("dit.safetensors")
        # A file's digest spares opening it when all is done.
        return digest_file(path) if path.is_file() else load_denoiser(path).origin.digest

    @cached_property
    def teacher(self) -> Agent:
        """The agent that learnt from the whole train part."""
        return open_agent(self.folder / "teacher", cache=self.agent_cache)

    @cached_property
    def agent_cache(self) -> FeatureCache:
        """Output of the agents' frozen stages, shared by all agents of this process."""
        return FeatureCache()

    @cached_property
    def tools(self) -> dict[str, Callable[[], Any]]:
        """What selectors may need, shared by all arms and seeds of this process."""
        recipe = self.recipe
        return selector_tools(
            lambda: self.teacher,
            named=digest_of(recipe.full_agent) + ("" if recipe.features == "agent" else f", {recipe.features}"),
            student=recipe.agent,
            watched=recipe.full_agent,
            features=None if recipe.features == "agent" else self._features,
            cache=self.agent_cache,
        )

    def _features(self) -> Features:
        """The recipe's feature network, if it is not the teacher."""
        if self.recipe.features == "pixels":
            return PixelFeatures()
        return MiddleFeatures(load_denoiser(self.base), self.codec)
