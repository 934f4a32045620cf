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
from roadstill.evaluation.metrics import Evaluation, score
from roadstill.evaluation.operating import FALSE_ALARM_RATES, threshold_at
from roadstill.imagesets import ImageSet
from roadstill.runs import atomic_path, read_json, write_json

FORMAT = "roadstill-run-1"
CLUSTERS = ("log", "drive")
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

    def save(self, folder: Path) -> Path:
        """Writes ``run.json`` and ``predictions.parquet``, atomically."""
        evaluation = self.evaluation
        columns: dict[str, Any] = {"label": evaluation.labels, "correct": evaluation.correct}
        for label in range(len(evaluation.class_names)):
            columns[f"p{label}"] = evaluation.probabilities[:, label]
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
            pq.write_table(pa.table(columns), path / "predictions.parquet")
            write_json(path / "run.json", record)
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
    thresholds: dict[str, float] = {}
    if dev is not None and len(dev.class_names) == 2:
        thresholds = {str(rate): threshold_at(dev, rate) for rate in FALSE_ALARM_RATES}
    return Run(arm, seed, evaluation, clusters, -1 if set_seed is None else set_seed, named, thresholds, about)


def open_run(folder: Path) -> Run:
    """Opens a run that `Run.save` wrote; the scores are computed again from the probabilities.

    Raises:
        UserError: missing, foreign or damaged files.
    """
    record = read_json(folder / "run.json")
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError(f"{folder / 'run.json'} is not of format {FORMAT}; evaluate again with this version")
    try:
        table = pq.read_table(folder / "predictions.parquet")
        names = record["evaluation"]["class_names"]
        probabilities = np.stack([table[f"p{label}"].to_numpy() for label in range(len(names))], 1)
        labels = table["label"].to_numpy().astype(np.int64)
        clusters, strata = (
            {name: np.asarray(table[name].to_pylist()) for name in record.get(kind, [])}
            for kind in ("clusters", "strata")
        )
        evaluation = score(probabilities.astype(np.float32), labels, names, images=record["evaluation"]["images"])
        arm, seed, set_seed = record["arm"], record["seed"], record["set_seed"]
        return Run(arm, seed, evaluation, clusters, set_seed, strata, record.get("thresholds", {}), record["about"])
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{folder}: damaged run ({error}); evaluate again") from None


def open_runs(folder: Path) -> dict[str, list[Run]]:
    """All runs anywhere under a folder, by arm, in order of seed.

    Raises:
        UserError: no run was found.
    """
    runs = [open_run(path.parent) for path in sorted(folder.rglob("run.json"))]
    if not runs:
        raise UserError(f"{folder}: no run.json was found in it or below; make runs with `roadstill evaluate`")
    return by_arm(runs)


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
