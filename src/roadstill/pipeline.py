"""The whole road of a recipe, stage by stage; a stage whose inputs and settings are unchanged is not run again.

A run folder::

    recipe.yaml  stages/<name>/stage.json  world/  index/  sets/{train,dev,test}/  encode/  finetune/<arm>/
    arms/<arm>/seed<k>/  runs/{dev,test}/<arm>/seed<k>/  figures/  comparison.json  test_ledger.jsonl  report.html
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from roadstill.agents import Agent, FeatureCache, open_agent, train_agent
from roadstill.codecs import Codec, load_codec
from roadstill.errors import UserError
from roadstill.evaluation import Comparison, Run, compare, evaluate, note_outcome, open_run, open_test, run_of
from roadstill.finetune import finetune, load_denoiser
from roadstill.generate import generate
from roadstill.hub import shipped
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.indexing import index_data, open_index
from roadstill.latents import encode_imageset, open_latents
from roadstill.noising import draw_noising
from roadstill.parallel import Workers
from roadstill.pictures import PictureConfig
from roadstill.prepare import prepare_splits
from roadstill.recipes import Arm, Recipe
from roadstill.refine import refine
from roadstill.report import write_report
from roadstill.runs import Stage, atomic_path, digest_file, digest_of, plain, seed_of, write_json
from roadstill.selection import Confident, Medoids, PerDriveRandom, Random, Selector, select

SELECTORS: dict[str, Callable[[], Selector]] = {"random": Random, "per_drive": PerDriveRandom}


def _silent(line: str) -> None:
    pass


@dataclass
class Road:
    """One recipe on its way through a run folder.

    Attributes:
        recipe: what to do.
        folder: the run folder.
        say: takes one line of progress.
        workers: processes for pictures, fine-tunings, small sets and agents.
    """

    recipe: Recipe
    folder: Path
    say: Callable[[str], None] = field(default=_silent)
    workers: int = 2
    _keys: dict[str, str] = field(default_factory=dict)

    def go(self) -> list[Comparison]:
        """Runs every stage that is not done, and returns the comparison on the test part, one for each budget."""
        with atomic_path(self.folder / "recipe.yaml") as path:
            path.write_text(yaml.safe_dump(plain(self.recipe), sort_keys=False), encoding="utf-8")
        self.make_world()
        self.make_index()
        self.make_sets()
        if any(arm.kind == "generated" for arm in self.recipe.arms.values()):
            self.encode()
        # An accelerator serves one process best.
        count = 1 if torch.accelerator.is_available() else self.workers
        with Workers(count, replace(self, say=_silent)) as workers:
            self.finetune_arms(workers)
            self.make_small_sets(workers)
            self.train_agents(workers)
        comparisons = self.judge()
        write_report(self.folder)
        return comparisons

    def stage(self, name: str, config: Any, *inputs: str, later: bool = False) -> Stage:
        """The stage of this name; ``inputs`` are names of earlier stages. Ask ``done`` before working.

        What is done ``later``, by `do_all`, is announced there.
        """
        stage = Stage(self.folder / "stages" / name, config, {each: self._keys[each] for each in inputs})
        self._keys[name] = stage.key
        if not stage.done:
            # A half-made product must never pass as the finished one of older settings.
            (stage.folder / "stage.json").unlink(missing_ok=True)
            if not later:
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
        stage = self.stage("index", recipe.index, "world")
        if not stage.done:
            if not recipe.data:  # an older index may hold logs of another world under the same names
                shutil.rmtree(self.folder / "index", ignore_errors=True)
            index = index_data(self.root, self.folder / "index", recipe.index, workers=self.workers)
            stage.finish(frames=None if index is None else index.frames)

    def make_sets(self) -> None:
        """Pictures at prepared size, one image set per split."""
        recipe = self.recipe
        stage = self.stage("sets", {"image_px": recipe.image_px, "max_per_class": recipe.max_per_class}, "index")
        if stage.done:
            return
        sensors = open_index(self.folder / "index")["sensors"]
        if not sensors:
            raise UserError(
                f"{self.root} has logs but no sensor_blobs folder beside them; see roadstill prepare --help"
            )
        prepare_splits(
            self.folder / "index",
            Path(sensors),
            self.folder / "sets",
            config=PictureConfig(recipe.image_px),
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
        path, decoder = (Path(each) if each else None for each in (self.recipe.codec, self.recipe.decoder))
        return load_codec(path, decoder=decoder)

    @property
    def base(self) -> Path | None:
        """The base generator's file, folder or hub name; ``None`` is the shipped one."""
        return Path(self.recipe.base) if self.recipe.base else None

    @cached_property
    def base_digest(self) -> str:
        """Digest of the base generator, so that other weights make other stages."""
        path = self.base or shipped("dit.safetensors")
        # A file's digest spares opening it when all is done.
        return digest_file(path) if path.is_file() else load_denoiser(path).digest

    def encode(self) -> None:
        """Latents of the train part, and the noising strips (thesis figure 3.5)."""
        codec = Path(self.recipe.codec) if self.recipe.codec else shipped("codec.safetensors")
        # A file's digest spares opening it when all is done.
        stage = self.stage("encode", {"codec": digest_file(codec) if codec.is_file() else self.codec.digest}, "sets")
        if stage.done:
            return
        images, out = self.split("train"), self.folder / "encode"
        shutil.rmtree(out, ignore_errors=True)
        encode_imageset(images, self.codec, out)
        draw_noising(images, self.codec, self.folder / "figures")
        stage.finish()

    def finetune_arms(self, workers: Workers) -> None:
        """One fine-tuning per arm that has one, and the teacher; what was stopped goes on where it was."""
        jobs: list[tuple[str, str, Stage]] = []
        for name, arm in self.recipe.arms.items():
            if arm.finetune:
                stage = self.stage(
                    f"finetune-{name}", {"config": arm.finetune, "base": self.base_digest}, "encode", later=True
                )
                jobs += [] if stage.done else [("finetune_arm", name, stage)]
        if any(needs_teacher(arm) for arm in self.recipe.arms.values()):
            stage = self.stage("teacher", self.recipe.full_agent, "sets", later=True)
            jobs += [] if stage.done else [("train_teacher", "teacher", stage)]
        self.do_all(workers, jobs)

    def do_all(self, workers: Workers, jobs: Sequence[tuple[Any, ...]]) -> None:
        """Jobs, each a method's name, its arguments and the stage; says each one's stage when it is done."""
        for *_, stage in workers.each("do", jobs):
            self.say(stage.folder.name)

    def do(self, method: str, *job: Any) -> None:
        """One job of any kind, so that different ones can share the workers."""
        *what, stage = job
        stage.begin()
        getattr(self, method)(*what)
        stage.finish()

    def finetune_arm(self, name: str) -> None:
        """The generator of one arm."""
        config = self.recipe.arms[name].finetune
        assert config
        latents = open_latents(self.folder / "encode")
        finetune(latents, base=self.base, out=self.folder / "finetune" / name, config=config, seed=0)

    def train_teacher(self, name: str) -> None:
        """An agent that learns from the whole train part, and sees nothing else."""
        # Its seed is none of the arms', so that no full-data agent judges what it chose itself.
        agent = train_agent(
            self.split("train"), config=self.recipe.full_agent, seed=seed_of(name), cache=self.agent_cache
        )
        agent.save(self.folder / name)

    @cached_property
    def teacher(self) -> Agent:
        """What `train_teacher` made."""
        return open_agent(self.folder / "teacher", cache=self.agent_cache)

    # ---- small sets and their agents

    def per_class(self, name: str) -> int:
        """Images per class of a small arm."""
        return self.recipe.arms[name].per_class or self.recipe.per_class

    def runs(self) -> Iterator[tuple[str, Arm, int]]:
        """Name, arm and seed of every agent, seed by seed."""
        most = max(arm.seeds or self.recipe.seeds for arm in self.recipe.arms.values())
        for seed in range(most):
            for name, arm in self.recipe.arms.items():
                if seed < (arm.seeds or self.recipe.seeds):
                    yield name, arm, seed

    def make_small_sets(self, workers: Workers) -> None:
        """Every arm's set for every seed: a fresh draw or a fresh generation each."""
        recipe, jobs = self.recipe, []
        for name, arm, seed in self.runs():
            if arm.kind == "full":
                continue
            generated = arm.kind == "generated"
            tuned = name if arm.finetune else arm.of
            inputs = ["sets"] + (["encode"] if generated else []) + ([f"finetune-{tuned}"] if tuned else [])
            inputs += ["teacher"] if needs_teacher(arm) else []
            config: dict[str, Any] = {"kind": arm.kind, "per_class": self.per_class(name), "seed": seed}
            if arm.refine:
                config |= {"refine": arm.refine, "agent": recipe.agent}
                config |= {"codec": recipe.codec, "decoder": recipe.decoder}
            if generated:
                config |= {"sampling": arm.sampling or recipe.sampling, "base": self.base_digest}
                config |= {
                    "start": arm.start,
                    "guided": arm.guided,
                    "candidates": arm.candidates,
                    "choose": arm.choose,
                    "decoder": recipe.decoder,
                }
            stage = self.stage(f"set-{name}-{seed}", config, *inputs, later=True)
            jobs += [] if stage.done else [("make_small_set", name, seed, stage)]
        self.do_all(workers, jobs)

    def make_small_set(self, name: str, seed: int) -> None:
        """One arm's set for one seed: picked or generated, chosen from among candidates, refined."""
        recipe, arm, train = self.recipe, self.recipe.arms[name], self.split("train")
        out, per_class = self.folder / "arms" / name / f"seed{seed}", self.per_class(name)
        drawn = self.folder / "candidates" / name / f"seed{seed}" if arm.candidates > 1 or arm.refine else out
        if arm.kind != "generated":
            made = select(train, self.selector(arm.kind), per_class=per_class, seed=seed)
        else:
            made = self.generate_set(name, seed, drawn)
        if arm.candidates > 1:
            made = select(made, self.selector(arm.choose, among="candidates"), per_class=per_class, seed=seed)
        if arm.refine:
            refine(
                made,
                train,
                self.codec,
                agent=recipe.agent,
                config=arm.refine,
                seed=seed,
                out=out,
                cache=self.agent_cache,
            )
        elif made.root != out:
            made.save(out)

    def generate_set(self, name: str, seed: int, out: Path) -> ImageSet:
        """What an arm's generator draws for one seed, all candidates of it."""
        recipe, arm, train = self.recipe, self.recipe.arms[name], self.split("train")
        tuned = name if arm.finetune else arm.of
        count = self.per_class(name) * arm.candidates
        return generate(
            load_denoiser(self.folder / "finetune" / tuned if tuned else self.base),
            self.codec,
            class_names=train.class_names,
            per_class=count,
            seed=seed,
            config=arm.sampling or recipe.sampling,
            out=out,
            start=select(train, self.selector(arm.start), per_class=count, seed=seed) if arm.start else None,
            teacher=self.teacher if arm.guided else None,
        )

    def selector(self, pick: str, among: Literal["frames", "candidates"] = "frames") -> Selector:
        """What picks images, by its name in a recipe; candidates are held against the real frames."""
        teacher = digest_of(self.recipe.full_agent)
        if pick == "confident":
            return Confident(self.teacher.predict, teacher=teacher)
        if pick == "medoids":
            real = self.split("train") if among == "candidates" else None
            return Medoids(self.teacher.features, reference=real, teacher=teacher)
        return SELECTORS[pick]()

    @cached_property
    def agent_cache(self) -> FeatureCache:
        """Output of the agents' frozen stages, shared by all agents of this process."""
        return FeatureCache()

    def train_agents(self, workers: Workers) -> None:
        """Trains one agent per arm and seed, measures it on dev and, through one audited opening, on test."""
        recipe, jobs = self.recipe, []
        for name, arm, seed in self.runs():
            config = recipe.full_agent if arm.kind == "full" else recipe.agent
            inputs = ["sets"] if arm.kind == "full" else ["sets", f"set-{name}-{seed}"]
            stage = self.stage(f"agent-{name}-{seed}", {"agent": config, "seed": seed}, *inputs, later=True)
            jobs += [] if stage.done else [(name, seed, stage)]
        if not jobs:
            return
        what = f"{len(jobs)} agents of recipe {recipe.name}"
        ledger = self.folder / "test_ledger.jsonl"
        parts = {"dev": self.split("dev")}
        parts["test"] = open_test(self.split("test"), ledger=ledger, config=recipe, what=what)
        # The longest jobs first, so that no worker waits for one at the end.
        jobs.sort(key=lambda job: recipe.arms[job[0]].kind != "full")
        self.do_all(workers, [("train_one_agent", name, seed, parts, stage) for name, seed, stage in jobs])
        note_outcome(parts["test"], ledger=ledger, outcome=f"{len(jobs)} agents measured")

    def train_one_agent(self, name: str, seed: int, parts: dict[str, ImageSet]) -> None:
        """One agent, measured on all parts."""
        full = self.recipe.arms[name].kind == "full"
        images = self.split("train") if full else open_imageset(self.folder / f"arms/{name}/seed{seed}")
        config = self.recipe.full_agent if full else self.recipe.agent
        agent = train_agent(images, config=config, seed=seed, cache=self.agent_cache)
        dev = evaluate(agent, parts["dev"])
        for part, pictures in parts.items():
            run = run_of(name, seed, dev if part == "dev" else evaluate(agent, pictures), pictures, dev=dev)
            run.save(self.folder / "runs" / part / name / f"seed{seed}")

    def judge(self) -> list[Comparison]:
        """Compares all arms of each budget on the test part."""
        recipe = self.recipe
        runs: dict[str, list[Run]] = {name: [] for name in recipe.arms}
        for name, _, seed in self.runs():
            runs[name].append(open_run(self.folder / "runs" / "test" / name / f"seed{seed}"))
        bounds = [name for name, arm in recipe.arms.items() if arm.kind == "full"]
        budgets = sorted({self.per_class(name) for name in recipe.arms if name not in bounds})
        found = []
        for old in self.folder.glob("comparison*.json"):
            old.unlink()
        for budget in budgets:
            # Within a comparison an arm goes by its name alone.
            names = {name: name.partition("@")[0] for name in runs if name in bounds or self.per_class(name) == budget}
            comparison = compare(
                {short: runs[name] for name, short in names.items()},
                baseline=recipe.baseline,
                bounds=bounds,
                cluster_by=recipe.cluster_by,
            )
            labels = {short: recipe.arms[name].label for name, short in names.items()}
            per_class = {short: None if name in bounds else budget for name, short in names.items()}
            about = {"protocol": "honest", "synthetic": not recipe.data, "labels": labels, "per_class": per_class}
            file = "comparison.json" if len(budgets) == 1 else f"comparison-{budget}.json"
            write_json(self.folder / file, comparison.as_dict() | {"about": about})
            found.append(comparison)
        return found


def needs_teacher(arm: Arm) -> bool:
    """Whether a trained agent chooses or leads an arm's images."""
    return arm.guided or arm.candidates > 1 or not {arm.kind, arm.start}.isdisjoint(("confident", "medoids"))
