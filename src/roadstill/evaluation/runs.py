"""`Run`: one trained agent's result with the name of its arm and everything that a later comparison needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.evaluation.metrics import Evaluation
from roadstill.evaluation.operating import FALSE_ALARM_RATES, threshold_at
from roadstill.evaluation.records import enter
from roadstill.imagesets import ImageSet
from roadstill.runs import atomic_path, digest_file, write_json

FORMAT = "roadstill-run-1"
FILES = ("run.json", "predictions.parquet")
CLUSTERS = ("log", "drive")
ACCELS = ("accel_mps2", "answered_accel_mps2")
STRATA = ("command", "location", "town", "light", "weather", "cause")


@dataclass(frozen=True)
class Run:
    """One agent, trained on one set of an arm and evaluated.

    Attributes:
        arm: name of the arm ("random", "minimax", ...).
        seed: seed of the agent; equal seeds of two arms are compared in pairs.
        evaluation: scores and probabilities per image.
        clusters: name of each image's cluster, per kind ("log", "drive").
        set_seed: seed of the drawn or generated set that it was trained on; the agent's seed if not given (a fresh set
            each time).
        strata: name of each image's stratum, per kind ("command", "light" ...).
        thresholds: thresholds of p(positive class) by accepted share of false alarms, chosen on the dev part.
        about: anything else worth keeping. The referee uses ``set`` (digest of the training set), the budget
            (``num_images``, ``bytes``, ``steps``), and ``chosen`` (``step``, ``accuracy``, ``balanced_accuracy`` at the
            step that evaluating during training would have chosen).
    """

    arm: str
    seed: int
    evaluation: Evaluation
    clusters: Mapping[str, NDArray[np.str_]] = field(repr=False)
    set_seed: int = -1
    strata: Mapping[str, NDArray[np.str_]] = field(default_factory=dict, repr=False)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.set_seed == -1:
            object.__setattr__(self, "set_seed", self.seed)

    def save(self, folder: Path, *, book: Path | None = None) -> Path:
        """Writes ``run.json`` and ``predictions.parquet``, atomically, and enters them in a book of records, if any."""
        evaluation = self.evaluation
        columns: dict[str, Any] = {"label": evaluation.labels, "correct": evaluation.correct}
        for label in range(len(evaluation.class_names)):
            columns[f"p{label}"] = evaluation.probabilities[:, label]
        if evaluation.misses is not None:
            columns |= {f"miss{at}": evaluation.misses[:, at] for at in range(evaluation.misses.shape[1])}
        if evaluation.accels_mps2 is not None:
            columns |= dict(zip(ACCELS, evaluation.accels_mps2.T, strict=True))
        groups = {**self.clusters, **self.strata}
        columns |= {name: pa.array(values).dictionary_encode() for name, values in groups.items()}
        record = {
            "format": FORMAT,
            "arm": self.arm,
            "seed": self.seed,
            "set_seed": self.set_seed,
            "clusters": list(self.clusters),
            "strata": list(self.strata),
            "thresholds": self.thresholds,
            "evaluation": evaluation.scores(),
            "about": self.about,
        }
        with atomic_path(folder) as path:
            path.mkdir()
            pq.write_table(pa.table(columns), path / "predictions.parquet", write_page_checksum=True)
            write_json(path / "run.json", record)
        if book is not None:
            enter(book, {folder / file: digest_file(folder / file) for file in FILES})
        return folder


def run_of(
    arm: str,
    seed: int,
    evaluation: Evaluation,
    images: ImageSet,
    *,
    set_seed: int | None = None,
    dev: Evaluation | None = None,
    **about: Any,
) -> Run:
    """A `Run` with the clusters and strata of the evaluated images' facts.

    Args:
        arm: name of the arm.
        seed: seed of the agent.
        evaluation: evaluation of the agent on the images.
        images: images that it was evaluated on.
        set_seed: seed of the set that it was trained on; the agent's if not given.
        dev: evaluation of the same agent on the dev part, which sets the thresholds of two-class agents.
        about: anything else worth keeping.

    Raises:
        UserError: another set than the evaluated one, or one without log and drive.
    """
    if evaluation.images != images.digest:
        raise UserError(f"the evaluation is of the set {evaluation.images}, not of {images.root} ({images.digest})")
    named = {
        name: np.asarray([str(value) for value in images.column(name)])
        for name in (*CLUSTERS, *STRATA)
        if any(name in fact for fact in images.facts)
    }
    clusters = {name: named.pop(name) for name in CLUSTERS if name in named}
    if not clusters:
        raise UserError(
            f"{images.root}: images have neither the fact log nor drive, so frames cannot be grouped for an honest "
            "interval; prepare the set with one of them"
        )
    if evaluation.caveat:
        about["caveat"] = evaluation.caveat
    thresholds: dict[str, float] = {}
    if dev is not None and len(dev.class_names) == 2:
        thresholds = {str(rate): threshold_at(dev, rate) for rate in FALSE_ALARM_RATES}
    return Run(arm, seed, evaluation, clusters, -1 if set_seed is None else set_seed, named, thresholds, about)


def number_sets(runs: Sequence[Run]) -> list[Run]:
    """Runs of one arm, with a common ``set_seed`` if they were trained on the same set, by its recorded digest.

    A deterministic method gives the same set for every seed; its spread is then the trainings' alone.
    """
    first: dict[str, int] = {}
    return [
        replace(run, set_seed=first.setdefault(str(run.about["set"]), run.set_seed)) if "set" in run.about else run
        for run in runs
    ]


def by_arm(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs grouped by arm, each group in order of seed and with its sets numbered, see `number_sets`."""
    arms: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        arms.setdefault(run.arm, []).append(run)
    return {arm: number_sets(its) for arm, its in arms.items()}


def refined_caveat(arm: str, refiners: Sequence[str], network: str) -> str:
    """What has to be said of a refined or distilled set: it serves the networks that it was made with.

    Args:
        arm: name of the arm.
        refiners: networks that it was made with.
        network: network of the agents that judge the set.
    """
    with_all = " and ".join(filter(None, [", ".join(refiners[:-1]), refiners[-1]]))
    if network not in refiners:
        return f"{arm} was made with {with_all}; {network}, which judges it here, took no part"
    judge = "the network that judges it here" if len(refiners) == 1 else f"of which {network} judges it here"
    return (
        f"{arm} was made with {with_all}, {judge}: such sets serve the network that they "
        "were made with, and these figures say nothing of any other; judge with networks that took no part "
        "(roadstill compare --networks)"
    )


def caveats_of(arms: Mapping[str, Sequence[Run]]) -> list[str]:
    """The caveats of all runs, those of an arm in one line each."""
    found: dict[str, list[str]] = {}
    for name, runs in arms.items():
        for run in runs:
            if caveat := run.about.get("caveat"):
                found.setdefault(f"{name}: {caveat}", []).append(str(run.seed))
    return [f"{said} (seeds {', '.join(seeds)})" for said, seeds in found.items()]
