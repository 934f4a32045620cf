"""The whole road of a recipe, stage by stage; a stage whose inputs and settings are unchanged is not run again.

A run folder::

    recipe.yaml  stages/<name>/stage.json  world/  index/  sets/{train,dev,test}/  encode/  finetune/<arm>/
    arms/<arm>/seed<k>/  runs/{dev,test}/<arm>/seed<k>/  figures/  comparison.json  test_ledger.jsonl  report.html
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from roadstill.agents import Agent, FeatureCache, train_agent
from roadstill.checkpoints import shipped
from roadstill.codecs import Codec, load_codec
from roadstill.denoisers.base import Denoiser
from roadstill.errors import UserError
from roadstill.evaluation import Comparison, compare, evaluate, note_outcome, open_run, open_test, run_of
from roadstill.finetune import finetune, load_denoiser
from roadstill.frames import FrameFilter, Funnel, apply_filters, open_frames, split_by_drive
from roadstill.generate import generate
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.latents import encode_imageset, open_latents
from roadstill.noising import draw_noising
from roadstill.prepare import prepare, wanted_images
from roadstill.recipes import Arm, Recipe
from roadstill.report import write_report
from roadstill.runs import Stage, atomic_path, digest_file, digest_of, plain, require_file, seed_of, write_json
from roadstill.selection import Confident, PerDriveRandom, Random, Selector, select
from roadstill.sources.navsim import Index, find_data, index_logs

SPLITS = ("train", "dev", "test")
SELECTORS: dict[str, Callable[[], Selector]] = {"random": Random, "per_drive": PerDriveRandom}


@dataclass
class Road:
    """One recipe on its way through a run folder.

    Attributes:
        recipe: what to do.
        folder: the run folder.
        say: takes one line of progress.
        workers: processes for drawing and preparing pictures.
    """

    recipe: Recipe
    folder: Path
    say: Callable[[str], None] = lambda line: None
    workers: int = 2
    _keys: dict[str, str] = field(default_factory=dict)

    def go(self) -> Comparison:
        """Runs every stage that is not done, and returns the comparison on the test part."""
        with atomic_path(self.folder / "recipe.yaml") as path:
            path.write_text(yaml.safe_dump(plain(self.recipe), sort_keys=False), encoding="utf-8")
        self.make_world()
        self.make_index()
        self.make_sets()
        if any(arm.kind == "generated" for arm in self.recipe.arms.values()):
            self.encode()
            self.finetune_arms()
        self.make_small_sets()
        self.train_agents()
        comparison = self.judge()
        write_report(self.folder)
        return comparison

    def stage(self, name: str, config: Any, *inputs: str) -> Stage:
        """The stage of this name; ``inputs`` are names of earlier stages. Ask ``done`` before working."""
        stage = Stage(self.folder / "stages" / name, config, {each: self._keys[each] for each in inputs})
        self._keys[name] = stage.key
        if not stage.done:
            # A half-made product must never pass as the finished one of older settings.
            (stage.folder / "stage.json").unlink(missing_ok=True)
            self.say(name)
        return stage

    # ---- data

    @property
    def root(self) -> Path:
        """Folder of the logs and sensors."""
        return Path(self.recipe.data) if self.recipe.data else self.folder / "world"

    def make_world(self) -> None:
        """The built-in world's logs, if the recipe names no data; pictures are drawn when they are wanted."""
        from roadstill.world.logs import write_world

        world = self.recipe.world
        stage = self.stage("world", self.recipe.data or world)
        if stage.done:
            return
        if not self.recipe.data:
            shutil.rmtree(self.root, ignore_errors=True)
            write_world(self.root, drives=world.drives, seed=world.seed, group=world.group, height_px=world.height_px)
        stage.finish()

    def make_index(self) -> None:
        """Frame table, funnel, split by drive."""
        recipe = self.recipe
        stage = self.stage("index", {"filter": recipe.filter, "split_seed": recipe.split_seed}, "world")
        if not stage.done:
            logs, _ = find_data(self.root)
            counts, _ = write_index(index_logs(logs), self.folder / "index", recipe.filter, recipe.split_seed)
            stage.finish(frames=counts)

    def make_sets(self) -> None:
        """Pictures at prepared size, one image set per split."""
        recipe = self.recipe
        stage = self.stage("sets", {"image_px": recipe.image_px, "max_per_class": recipe.max_per_class}, "index")
        if stage.done:
            return
        _, sensors = find_data(self.root)
        if sensors is None:
            raise UserError(
                f"{self.root} has logs but no sensor_blobs folder beside them; see roadstill prepare --help"
            )
        prepare_splits(
            self.folder / "index",
            sensors,
            self.folder / "sets",
            size_px=recipe.image_px,
            max_per_class=recipe.max_per_class,
            workers=self.workers,
            world=None if recipe.data else self.root,
            say=self.say,
        )
        stage.finish()

    def split(self, name: str) -> ImageSet:
        """A prepared split."""
        return open_imageset(self.folder / "sets" / name)

    # ---- generator

    @cached_property
    def codec(self) -> Codec:
        """Pixels <-> latents; the shipped one unless the recipe names another."""
        return load_codec(Path(self.recipe.codec) if self.recipe.codec else None)

    @property
    def base(self) -> Path | None:
        """The base generator's file; ``None`` is the shipped one."""
        return Path(self.recipe.base) if self.recipe.base else None

    @cached_property
    def base_digest(self) -> str:
        """Digest of the base generator, so that other weights make other stages."""
        path = self.base or shipped("dit.safetensors")
        return digest_file(require_file(path / "trained.safetensors" if path.is_dir() else path, "a base generator"))

    def encode(self) -> None:
        """Latents of the train part, and the noising strips (thesis figure 3.5)."""
        codec = Path(self.recipe.codec) if self.recipe.codec else shipped("codec.safetensors")
        stage = self.stage("encode", {"codec": digest_file(require_file(codec, "a codec"))}, "sets")
        if stage.done:
            return
        images, out = self.split("train"), self.folder / "encode"
        shutil.rmtree(out, ignore_errors=True)
        encode_imageset(images, self.codec, out)
        draw_noising(images, self.codec, self.folder / "figures")
        stage.finish()

    def finetune_arms(self) -> None:
        """One fine-tuning per arm that has one; goes on where a killed one stopped."""
        for name, arm in self.recipe.arms.items():
            if not arm.finetune:
                continue
            stage = self.stage(f"finetune-{name}", {"config": arm.finetune, "base": self.base_digest}, "encode")
            if not stage.done:
                latents = open_latents(self.folder / "encode")
                finetune(latents, base=self.base, out=self.folder / "finetune" / name, config=arm.finetune, seed=0)
                stage.finish()

    # ---- small sets and their agents

    def runs(self) -> Iterator[tuple[str, Arm, int]]:
        """Name, arm and seed of every agent, seed by seed."""
        most = max(arm.seeds or self.recipe.seeds for arm in self.recipe.arms.values())
        for seed in range(most):
            for name, arm in self.recipe.arms.items():
                if seed < (arm.seeds or self.recipe.seeds):
                    yield name, arm, seed

    def make_small_sets(self) -> None:
        """Every arm's set for every seed: a fresh draw or a fresh generation each."""
        recipe = self.recipe
        for name, arm, seed in self.runs():
            if arm.kind == "full":
                continue
            tuned = name if arm.finetune else arm.of
            generated = arm.kind == "generated"
            source = f"finetune-{tuned}" if tuned else "encode" if generated else "sets"
            config: dict[str, Any] = {"kind": arm.kind, "per_class": recipe.per_class, "seed": seed}
            config |= {"sampling": recipe.sampling, "base": self.base_digest} if generated else {}
            config |= {"candidates": arm.candidates, "teacher": recipe.full_agent} if needs_teacher(arm) else {}
            stage = self.stage(f"set-{name}-{seed}", config, source)
            if stage.done:
                continue
            out = self.folder / "arms" / name / f"seed{seed}"
            if generated:
                denoiser = load_denoiser(self.folder / "finetune" / tuned if tuned else self.base)
                self.generate(denoiser, arm, seed, out)
            else:
                select(self.split("train"), self.selector(arm), per_class=recipe.per_class, seed=seed).save(out)
            stage.finish()

    def generate(self, denoiser: Denoiser, arm: Arm, seed: int, out: Path) -> None:
        """A generated set; of several candidates the teacher keeps the surest."""
        recipe = self.recipe
        many = out if arm.candidates == 1 else self.folder / "candidates" / out.parent.name / out.name
        drawn = generate(
            denoiser,
            self.codec,
            class_names=self.split("train").class_names,
            per_class=recipe.per_class * arm.candidates,
            seed=seed,
            config=recipe.sampling,
            out=many,
        )
        if many != out:
            select(drawn, self.selector(arm), per_class=recipe.per_class, seed=seed).save(out)

    def selector(self, arm: Arm) -> Selector:
        """What picks the images of an arm."""
        if needs_teacher(arm):
            return Confident(self.teacher.predict, teacher=digest_of(self.recipe.full_agent))
        return SELECTORS[arm.kind]()

    @cached_property
    def teacher(self) -> Agent:
        """An agent that learned from the whole train part, and saw nothing else."""
        self.say("teacher")
        # Its seed is none of the arms', so that no full-data agent judges what it chose itself.
        return train_agent(
            self.split("train"), config=self.recipe.full_agent, seed=seed_of("teacher"), cache=self.cache
        )

    @cached_property
    def cache(self) -> FeatureCache:
        """Output of the agents' frozen stages, shared by all agents."""
        return FeatureCache()

    def train_agents(self) -> None:
        """Trains one agent per arm and seed, measures it on dev and, through one audited opening, on test."""
        recipe, todo = self.recipe, []
        for name, arm, seed in self.runs():
            config = recipe.full_agent if arm.kind == "full" else recipe.agent
            inputs = ["sets"] if arm.kind == "full" else ["sets", f"set-{name}-{seed}"]
            stage = self.stage(f"agent-{name}-{seed}", {"agent": config, "seed": seed}, *inputs)
            if not stage.done:
                todo.append((name, arm, seed, config, stage))
        if not todo:
            return
        what = f"{len(todo)} agents of recipe {recipe.name}"
        ledger = self.folder / "test_ledger.jsonl"
        parts = {"dev": self.split("dev")}
        parts["test"] = open_test(self.split("test"), ledger=ledger, config=recipe, what=what)
        for name, arm, seed, config, stage in todo:
            stage.begin()
            images = (
                self.split("train") if arm.kind == "full" else open_imageset(self.folder / f"arms/{name}/seed{seed}")
            )
            agent = train_agent(images, config=config, seed=seed, cache=self.cache)
            for part, pictures in parts.items():
                run = run_of(name, seed, evaluate(agent, pictures), pictures)
                run.save(self.folder / "runs" / part / name / f"seed{seed}")
            stage.finish()
        note_outcome(parts["test"], ledger=ledger, outcome=f"{len(todo)} agents measured")

    def judge(self) -> Comparison:
        """Compares all arms on the test part."""
        recipe = self.recipe
        arms: dict[str, list[Any]] = {name: [] for name in recipe.arms}
        for name, _, seed in self.runs():
            arms[name].append(open_run(self.folder / "runs" / "test" / name / f"seed{seed}"))
        comparison = compare(arms, baseline=recipe.baseline, cluster_by=recipe.cluster_by)
        labels = {name: arm.label for name, arm in recipe.arms.items()}
        per_class = {name: None if arm.kind == "full" else recipe.per_class for name, arm in recipe.arms.items()}
        about = {"protocol": "honest", "synthetic": not recipe.data, "labels": labels, "per_class": per_class}
        write_json(self.folder / "comparison.json", comparison.as_dict() | {"about": about})
        return comparison


def needs_teacher(arm: Arm) -> bool:
    """Whether a trained agent chooses among an arm's images."""
    return arm.kind == "confident" or arm.candidates > 1


def write_index(index: Index, folder: Path, rules: FrameFilter, split_seed: int) -> tuple[dict[str, int], Funnel]:
    """Filters and splits an index and writes ``frames`` (all), ``train``, ``dev``, ``test`` and the funnel.

    Returns:
        Number of frames in each table, and the funnel.

    Raises:
        UserError: a filter removed every frame, or there are too few drives for three parts.
    """
    kept, funnel = apply_filters(index.frames, rules)
    tables = {"frames": index.frames, **split_by_drive(kept, seed=split_seed)}
    with atomic_path(folder) as path:
        path.mkdir()
        for name, table in tables.items():
            table.save(path / f"{name}.parquet")
        funnel.save(path / "funnel.json")
        (path / "problems.txt").write_text("".join(line + "\n" for line in index.problems), encoding="utf-8")
    return {name: len(table) for name, table in tables.items()}, funnel


def prepare_splits(
    index: Path,
    sensors: Path,
    out: Path,
    *,
    size_px: int,
    max_per_class: int | None = None,
    label: str = "brake",
    workers: int = 2,
    world: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, ImageSet]:
    """One image set for each of train, dev and test, of the frames that `write_index` wrote.

    Args:
        index: folder of the frame tables.
        sensors: folder of the pictures.
        out: folder of the sets.
        size_px: side of the square pictures.
        max_per_class: most pictures of a class in each part.
        label: what the classes are, see `prepare`.
        workers: processes that draw, threads that decode.
        world: a built-in world, whose missing pictures are drawn first.
        say: takes one line of progress.
    """
    splits = {name: open_frames(index / f"{name}.parquet") for name in SPLITS}
    if world is not None:
        from roadstill.world.pictures import draw_pictures

        wanted = [image for part in splits.values() for image in wanted_images(part, max_per_class)]
        say(f"drawing {len(wanted):,} pictures")
        draw_pictures(world, wanted, workers=workers)
    return {
        name: prepare(
            frames,
            sensors,
            out / name,
            size_px=size_px,
            workers=workers,
            max_per_class=max_per_class,
            label=label,
            about={"split": name, "synthetic": world is not None},
        )
        for name, frames in splits.items()
    }
