"""Judging finished image sets from any source: agents are trained on each, paired by seed, and compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from roadstill.agents import AgentConfig, FeatureCache, train_agent
from roadstill.agents.networks import require_network
from roadstill.errors import UserError
from roadstill.evaluation.budget import set_bytes
from roadstill.evaluation.compare import Comparison, compare
from roadstill.evaluation.ledger import LEDGER, note_outcome, open_dev, open_test
from roadstill.evaluation.metrics import evaluate
from roadstill.evaluation.run_files import arm_name, open_run
from roadstill.evaluation.runs import refined_caveat, run_of
from roadstill.evaluation.verdicts import MIN_SEEDS
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.parallel import Workers
from roadstill.runs import same_classes, scratch_folder
from roadstill.runs.progress import track


@dataclass
class _Judge:
    """State of each process: the sets, the images that agents are evaluated on, and the folder of the runs."""

    sets: Mapping[str, ImageSet]
    test: ImageSet
    dev: ImageSet | None
    configs: Mapping[str, AgentConfig]
    out: Path

    @cached_property
    def cache(self) -> FeatureCache:
        return FeatureCache()

    def run_of(self, kind: str, name: str, seed: int) -> Path:
        """Folder of a run."""
        return self.out / f"kind{list(self.configs).index(kind)}" / name / f"seed{seed}"

    def measure(self, kind: str, name: str, seed: int) -> None:
        """Trains one agent of a kind on one set and saves its run."""
        images, config = self.sets[name], self.configs[kind]
        agent = train_agent(images, config=config, seed=seed, cache=self.cache)
        budget = {
            "num_images": len(images),
            "bytes": set_bytes(images, config.labels).total,
            "steps": config.num_steps(len(images)),
        }
        on_dev = None if self.dev is None else evaluate(agent, self.dev)
        run = run_of(name, seed, evaluate(agent, self.test), self.test, set_seed=0, dev=on_dev, **budget)
        run.save(self.run_of(kind, name, seed))


def compare_sets(
    sets: Sequence[Path],
    test: Path,
    *,
    dev: Path | None = None,
    config: AgentConfig | None = None,
    seeds: int = 20,
    baseline: str | None = None,
    bounds: Sequence[str] = (),
    cluster_by: Literal["log", "drive"] = "log",
    workers: int = 2,
    allow_leak: bool = False,
) -> Comparison:
    """Trains agents on each set with the same seeds and judges the sets.

    Each set is one sample of its method, so the verdict is about these sets, not about methods.

    Args:
        sets: folders of image sets; their names become the arms'.
        test: image set that all agents are evaluated on, after the last step; its opening is written to the ledger
            next to it.
        dev: image set on which thresholds are chosen.
        config: settings of the agents.
        seeds: agents per set.
        baseline: name of the set that the others are compared with; the first by default.
        bounds: names of sets with another budget.
        cluster_by: unit that the interval resamples.
        workers: processes of one thread that train agents.
        allow_leak: whether sets that share something with the test part are judged all the same, with a caveat.

    Raises:
        UserError: fewer than 2 sets or 3 seeds, sets of one name, other classes, an unknown baseline; a set that
            shares a log, a time of a drive, a frame or a picture with the test part.
    """
    configs = {"": config or AgentConfig()}
    options: dict[str, Any] = {"bounds": bounds, "cluster_by": cluster_by, "workers": workers, "allow_leak": allow_leak}
    return compare_networks(sets, test, configs, dev=dev, seeds=seeds, baseline=baseline, **options)[""]


def compare_networks(
    sets: Sequence[Path],
    test: Path,
    configs: Mapping[str, AgentConfig],
    *,
    dev: Path | None = None,
    seeds: int = 20,
    baseline: str | None = None,
    bounds: Sequence[str] = (),
    cluster_by: Literal["log", "drive"] = "log",
    workers: int = 2,
    allow_leak: bool = False,
) -> dict[str, Comparison]:
    """Judges the same sets by agents of several kinds, through one opening of the test part; see `compare_sets`.

    Args:
        sets: folders of image sets.
        test: image set that all agents are evaluated on.
        configs: settings of the agents, by a name for each kind.
        dev: image set on which thresholds are chosen.
        seeds: agents per set and kind.
        baseline: name of the set that the others are compared with.
        bounds: names of sets with another budget.
        cluster_by: unit that the interval resamples.
        workers: processes.
        allow_leak: as for `compare_sets`.

    Raises:
        UserError: as `compare_sets`.
    """
    if seeds < MIN_SEEDS:
        raise UserError(f"seeds is {seeds}; a verdict needs at least {MIN_SEEDS}")
    for config in configs.values():
        require_network(config.network)
    opened = {arm_name(path.resolve().name): open_imageset(path) for path in sets}
    if len(opened) < max(2, len(sets)):
        raise UserError(f"comparing needs two or more sets with different names, not {', '.join(map(str, sets))}")
    baseline = baseline or next(iter(opened))
    if unknown := [name for name in (baseline, *bounds) if name not in opened]:
        raise UserError(f"{unknown[0]!r} is none of the sets; choose one of {', '.join(opened)}")
    calm = None if dev is None else open_dev(dev)
    judged = open_imageset(test)
    others = opened | ({str(dev): calm} if calm is not None else {})
    for name, images in others.items():
        same_classes(images.class_names, judged.class_names, of=name, to=test)
        if images.size_px != judged.size_px and any(config.image_px is None for config in configs.values()):
            raise UserError(
                f"{name} has pictures of {images.size_px} px, but {test} of {judged.size_px} px; prepare both alike or "
                "set --agent.image_px"
            )
        if images.digest == judged.digest:
            raise UserError(f"{name} is the test part itself; leave it out of the sets")
    ledger = test.parent / LEDGER
    about = {"agent": list(configs.values()), "seeds": seeds}
    judged = open_test(
        judged,
        ledger=ledger,
        config=about | {"sets": {name: images.digest for name, images in opened.items()}},
        what=f"compare {', '.join(opened)}",
        trained_on={name: images.footprint for name, images in opened.items()},
        allow_leak=allow_leak,
    )
    jobs = [(kind, name, seed) for kind in configs for seed in range(seeds) for name in opened]
    found: dict[str, Comparison] = {}
    with scratch_folder() as folder:
        judge = _Judge(opened, judged, calm, configs, folder)
        with Workers(workers, judge) as processes:
            for _ in track(processes.each("measure", jobs), "agents", total=len(jobs)):
                pass
        for kind, config in configs.items():
            arms = {name: [open_run(judge.run_of(kind, name, seed)) for seed in range(seeds)] for name in opened}
            found[kind] = compare(arms, baseline=baseline, bounds=bounds, cluster_by=cluster_by)
            refined = {name: its for name, images in opened.items() if (its := refiners_of(images))}
            found[kind].caveats.extend(refined_caveat(name, its, config.network) for name, its in refined.items())
    words = {kind: {name: verdict.word for name, verdict in its.verdicts.items()} for kind, its in found.items()}
    note_outcome(judged, ledger=ledger, outcome=words.get("", words))
    return found


def refiners_of(images: ImageSet) -> tuple[str, ...]:
    """The networks that a set was refined or distilled with; none for a set of frames or of a generator."""
    refined = images.about.get("refined", images.about.get("distilled"))
    if not isinstance(refined, Mapping):
        return ()
    several = refined.get("networks")
    if isinstance(several, list) and several:
        return tuple(map(str, several))
    return (str(refined.get("network", "a network that its record does not name")),)
