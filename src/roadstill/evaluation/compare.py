"""The referee: several arms against a baseline, paired over seeds, with a verdict in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.evaluation.bootstrap import Difference, paired_difference
from roadstill.evaluation.metrics import Evaluation
from roadstill.evaluation.runs import Run, caveats_of
from roadstill.evaluation.summary import ArmSummary, summarise
from roadstill.evaluation.verdicts import FEW_SEEDS, MIN_SEEDS, Measure, Verdict, verdicts_of
from roadstill.runs import later, plain, seed_of, write_json


@dataclass(frozen=True)
class Comparison:
    """All arms and all verdicts; saved as JSON.

    Attributes:
        baseline: name of the baseline.
        cluster_by: "log" or "drive".
        num_clusters: number of logs or drives among the images.
        num_images: number of evaluated images.
        majority_class: most frequent class.
        majority_accuracy: accuracy of always answering it.
        images: digest of the evaluated set.
        arms: summaries by name, in the given order.
        verdicts: verdicts by name, without the baseline.
        caveats: what has to be said with the figures: training sets that leak, records that cannot be vouched for.
        errors: verdicts on the mean absolute error, of arms whose agents predict numbers.
        mean_errors: mean absolute and root mean square error of always answering the images' mean.
    """

    baseline: str
    cluster_by: str
    num_clusters: int
    num_images: int
    majority_class: str
    majority_accuracy: float
    images: str
    arms: dict[str, ArmSummary]
    verdicts: dict[str, Verdict]
    caveats: list[str] = field(default_factory=list)
    errors: dict[str, Verdict] | None = later(None)
    mean_errors: tuple[float, float] | None = later(None)

    def save(self, path: Path) -> Path:
        """Writes everything as JSON."""
        write_json(path, self)
        return path

    def as_dict(self) -> dict[str, Any]:
        """What `save` writes."""
        return dict(plain(self))


def compare(
    arms: Mapping[str, Sequence[Run]],
    *,
    baseline: str,
    bounds: Sequence[str] = (),
    cluster_by: Literal["log", "drive"] = "log",
    miss_cost: float = 5.0,
    draws: int = 10_000,
) -> Comparison:
    """Judges every arm against the baseline.

    The difference in balanced accuracy is taken in pairs of equal seeds. Its interval comes from a bootstrap that
    resamples logs (or drives) and seeds, because frames of a log resemble each other and trainings differ. If an arm
    was trained on several sets more than once, sets are drawn instead of seeds.

    Args:
        arms: runs by name of the arm.
        baseline: one of the names.
        bounds: names of arms with another budget (all images, say): their difference is measured, but they do not
            compete, so they get no verdict and do not count in Holm's correction.
        cluster_by: unit that is resampled: "log" or "drive".
        miss_cost: number of false alarms that weigh as much as one missed brake.
        draws: number of bootstrap draws.

    Raises:
        UserError: an unknown baseline, arms on different images, fewer than 3 paired seeds, fewer than 2 clusters.
    """
    if baseline not in arms:
        raise UserError(f"the baseline {baseline!r} is none of the arms; choose one of {sorted(arms)}")
    first = _check_same_images(arms)
    names = first.clusters.get(cluster_by)
    if names is None:
        raise UserError(f"the images do not record their {cluster_by}; cluster by one of {sorted(first.clusters)}")
    clusters, cluster_of = np.unique(names, return_inverse=True)
    if len(clusters) < 2:
        raise UserError(
            f"all images are of one {cluster_by} ({clusters[0]}); an interval needs at least 2, better 20 or more"
        )
    unit = first.evaluation.unit
    if any(run.evaluation.unit != unit for runs in arms.values() for run in runs):
        raise UserError("some agents predict numbers and others classes; compare agents of one target")
    others = {name: runs for name, runs in arms.items() if name != baseline}

    def differences(*, errors: bool) -> dict[str, tuple[Difference, list[int], int]]:
        return {
            name: _difference(name, runs, arms[baseline], cluster_of, len(clusters), draws, errors=errors)
            for name, runs in others.items()
        }

    drawn = "image" if len(clusters) == first.evaluation.n else cluster_by  # unrelated pictures: each its own log
    verdicts = verdicts_of(differences(errors=False), baseline=baseline, bounds=bounds, cluster_by=drawn)
    errors = None
    if unit:
        less = Measure(f"{unit} less mean absolute error", 1, 2)
        found = differences(errors=True)
        errors = verdicts_of(found, baseline=baseline, bounds=bounds, cluster_by=drawn, measure=less)
    return Comparison(
        baseline=baseline,
        cluster_by=cluster_by,
        num_clusters=len(clusters),
        num_images=first.evaluation.n,
        majority_class=first.evaluation.majority_class,
        majority_accuracy=first.evaluation.majority_accuracy,
        images=first.evaluation.images,
        arms={name: summarise(name, runs, miss_cost) for name, runs in arms.items()},
        verdicts=verdicts,
        caveats=caveats_of(arms),
        errors=errors,
        mean_errors=first.evaluation.mean_errors,
    )


def _check_same_images(arms: Mapping[str, Sequence[Run]]) -> Run:
    empty = [name for name, runs in arms.items() if not runs]
    if empty:
        raise UserError(f"the arm {empty[0]!r} has no run; evaluate its agents first")
    first = next(iter(arms.values()))[0]
    for name, runs in arms.items():
        for run in runs:
            same = run.evaluation.images == first.evaluation.images
            if not same or not np.array_equal(run.evaluation.labels, first.evaluation.labels):
                raise UserError(
                    f"arm {name!r}, seed {run.seed}: evaluated on other images than {first.arm!r}; evaluate all alike"
                )
        if len({(run.seed, run.set_seed) for run in runs}) < len(runs):
            raise UserError(f"arm {name!r} has two runs of the same seed; one of them is a copy")
        if len({run.seed for run in runs}) < len(runs):
            raise UserError(f"arm {name!r} has one agent seed twice on different sets; give every agent its own seed")
    return first


def _difference(
    name: str,
    runs: Sequence[Run],
    base_runs: Sequence[Run],
    cluster_of: NDArray[np.int64],
    num_clusters: int,
    draws: int,
    *,
    errors: bool = False,
) -> tuple[Difference, list[int], int]:
    """The bootstrapped difference, the paired seeds and the number of different sets; of accuracies or of errors."""
    ours, theirs = {run.seed: run for run in runs}, {run.seed: run for run in base_runs}
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < MIN_SEEDS:
        raise UserError(
            f"arm {name!r} shares {len(seeds)} seeds with the baseline ({sorted(ours)} and {sorted(theirs)}); "
            f"a verdict needs at least {MIN_SEEDS}, better {FEW_SEEDS} or more"
        )
    labels = ours[seeds[0]].evaluation.labels
    classes = 1 if errors else len(ours[seeds[0]].evaluation.class_names)
    cell = cluster_of if errors else cluster_of * classes + labels
    worth = _nearness if errors else _correctness
    pairs = [
        np.bincount(
            cell,
            weights=worth(ours[seed].evaluation) - worth(theirs[seed].evaluation),
            minlength=num_clusters * classes,
        )
        for seed in seeds
    ]
    counts = np.bincount(cell, minlength=num_clusters * classes).reshape(num_clusters, classes)
    gained = np.stack(pairs).astype(np.float64).reshape(len(seeds), num_clusters, classes)
    # The side with fewer different training sets limits what can be said about methods.
    coarser = min((ours, theirs), key=lambda side: len({side[seed].set_seed for seed in seeds}))
    found, unit_of = np.unique([coarser[seed].set_seed for seed in seeds], return_inverse=True)
    if MIN_SEEDS <= len(found) < len(seeds):
        gained = np.stack([gained[unit_of == unit].mean(0) for unit in range(len(found))])
    rng = np.random.default_rng(seed_of("compare", draws))
    most = np.inf if errors else 1.0
    return paired_difference(gained, counts, draws=draws, rng=rng, most=most), seeds, len(found)


def _correctness(evaluation: Evaluation) -> NDArray[np.float64]:
    return evaluation.correct.astype(np.float64)


def _nearness(evaluation: Evaluation) -> NDArray[np.float64]:
    """Minus the absolute error of each image: greater is better."""
    assert evaluation.misses is not None
    return -np.abs(evaluation.misses).mean(1).astype(np.float64)
