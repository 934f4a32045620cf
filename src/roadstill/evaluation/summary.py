"""One arm alone: its figures over seeds, the sources of their spread, its accuracy by kind of scene."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from roadstill.errors import UserError
from roadstill.evaluation.metrics import Evaluation, ReliabilityBin, reliability
from roadstill.evaluation.operating import by_stratum, operating_point, weighted_cost
from roadstill.evaluation.runs import Run
from roadstill.runs import later

_MOST_CLASSES = 20  # a table of more is no table that anybody reads


@dataclass(frozen=True)
class Spread:
    """One figure over the runs of an arm; ``sd`` divides by n - 1 and is 0 for a single run."""

    mean: float
    sd: float
    min: float
    max: float
    values: list[float] = field(repr=False)

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value."""
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return cls(float(np.mean(values)), sd, min(values), max(values), list(values))


@dataclass(frozen=True)
class Sources:
    """Sources of balanced accuracy's spread, if sets were trained on more than once (one-way random effects).

    Attributes:
        set_sd: standard deviation between sets, without the trainings' share.
        training_sd: standard deviation between trainings on the same set.
    """

    set_sd: float
    training_sd: float


@dataclass(frozen=True)
class Stratum:
    """One kind of scene.

    Attributes:
        images: number of its images.
        balanced_accuracy: mean of the accuracies of the classes that it has; of a single class that one's accuracy.
        classes: number of its images by class name, without classes that it lacks.
    """

    images: int
    balanced_accuracy: Spread
    classes: dict[str, int] | None = later(None)


@dataclass(frozen=True)
class Budget:
    """The budget of an arm's agents, in the three units in which budgets can be equal.

    Attributes:
        images: images in the training set.
        bytes: mean size of the sets: pictures as stored, soft labels, weights, and a teacher if training needs it.
        steps: optimiser steps.
    """

    images: int
    bytes: float
    steps: int


@dataclass(frozen=True)
class ArmSummary:
    """All runs of an arm, not only the paired ones.

    Attributes:
        arm: name of the arm.
        seeds: seeds of its agents.
        num_sets: number of different training sets.
        balanced_accuracy: mean of the class accuracies.
        accuracy: share of right answers.
        auroc: area under the ROC curve.
        ece: calibration error.
        class_accuracy: accuracy by class name.
        miss_rate: share of missed brakes by accepted share of false alarms ("0.05"), thresholds from dev.
        false_alarm_rate: share of false alarms on the evaluated images with those thresholds.
        cost: mean of miss and false alarm rate with the misses' weight; None unless there are two classes.
        sources: spread between sets and between trainings; None if every set was trained on once.
        strata: results by kind ("light") and name ("night").
        budget: images, bytes and steps, if the runs record them.
        brake_recall: see `Evaluation`; None if the sets tell no braking classes.
        brake_false_alarm_rate: the same.
        mae: mean absolute error of agents that predict numbers, in the runs' unit; None for others.
        rmse: root mean square error, the same.
        mae_by_fifth: mean absolute error in each fifth of the true accelerations, from the hardest braking on.
        hard_brake_recall: share of the frames below -3 m/s2 for which such an acceleration is answered.
        chosen: balanced accuracy at the step that evaluating during training would have chosen, if the runs record it.
        confusion: images by true class and answer ``[true][answered]``, mean over the runs; None above 20 classes.
        reliability: confidence and accuracy of all runs' answers, by bins of confidence.
    """

    arm: str
    seeds: list[int]
    num_sets: int
    balanced_accuracy: Spread
    accuracy: Spread
    auroc: Spread
    ece: Spread
    class_accuracy: dict[str, Spread]
    miss_rate: dict[str, Spread] = field(default_factory=dict)
    false_alarm_rate: dict[str, Spread] = field(default_factory=dict)
    cost: Spread | None = None
    sources: Sources | None = None
    strata: dict[str, dict[str, Stratum]] = field(default_factory=dict)
    budget: Budget | None = None
    chosen: Spread | None = None
    brake_recall: Spread | None = later(None)
    brake_false_alarm_rate: Spread | None = later(None)
    mae: Spread | None = later(None)
    rmse: Spread | None = later(None)
    mae_by_fifth: list[Spread] | None = later(None)
    hard_brake_recall: Spread | None = later(None)
    confusion: list[list[float]] | None = later(None)
    reliability: list[ReliabilityBin] | None = later(None)


def summarise(arm: str, runs: Sequence[Run], miss_cost: float = 5.0) -> ArmSummary:
    """Mean, spread and range over all runs of an arm, evaluated on the same images."""
    evaluations = [run.evaluation for run in runs]
    names = evaluations[0].class_names
    rates = [rate for rate in runs[0].thresholds if all(rate in run.thresholds for run in runs)]
    points = {rate: [operating_point(run.evaluation, run.thresholds[rate]) for run in runs] for rate in rates}
    return ArmSummary(
        arm=arm,
        seeds=[run.seed for run in runs],
        num_sets=len({run.set_seed for run in runs}),
        balanced_accuracy=Spread.of([found.balanced_accuracy for found in evaluations]),
        accuracy=Spread.of([found.accuracy for found in evaluations]),
        auroc=Spread.of([found.auroc for found in evaluations]),
        ece=Spread.of([found.ece for found in evaluations]),
        class_accuracy={name: Spread.of([found.class_accuracy[name] for found in evaluations]) for name in names},
        miss_rate={rate: Spread.of([point.miss_rate for point in found]) for rate, found in points.items()},
        false_alarm_rate={
            rate: Spread.of([point.false_alarm_rate for point in found]) for rate, found in points.items()
        },
        cost=Spread.of([weighted_cost(found, miss_cost) for found in evaluations]) if len(names) == 2 else None,
        sources=_sources(runs),
        strata=_strata(runs),
        budget=_budget(runs),
        chosen=_chosen(runs),
        brake_recall=_of_all([found.brake_recall for found in evaluations]),
        brake_false_alarm_rate=_of_all([found.brake_false_alarm_rate for found in evaluations]),
        mae=_of_all([found.errors.get("mae") for found in evaluations]),
        rmse=_of_all([found.errors.get("rmse") for found in evaluations]),
        mae_by_fifth=_by_fifth(evaluations),
        hard_brake_recall=_of_all([found.hard_brake_recall for found in evaluations]),
        confusion=_confusion(evaluations),
        reliability=reliability(
            np.concatenate([found.probabilities.max(1) for found in evaluations]),
            np.concatenate([found.correct for found in evaluations]),
        ),
    )


def _confusion(evaluations: Sequence[Evaluation]) -> list[list[float]] | None:
    if len(evaluations[0].class_names) > _MOST_CLASSES:
        return None
    mean: list[list[float]] = np.mean([found.confusion for found in evaluations], axis=0).tolist()
    return mean


def _by_fifth(evaluations: Sequence[Evaluation]) -> list[Spread] | None:
    found = [its for each in evaluations if (its := each.mae_by_fifth) is not None]
    return [Spread.of(list(its)) for its in zip(*found, strict=True)] if len(found) == len(evaluations) else None


def _of_all(values: Sequence[float | None]) -> Spread | None:
    found = [value for value in values if value is not None]
    return Spread.of(found) if found and len(found) == len(values) else None


def _budget(runs: Sequence[Run]) -> Budget | None:
    given = [run.about for run in runs]
    if not all({"num_images", "bytes", "steps"} <= set(about) for about in given):
        return None
    sizes = {(int(about["num_images"]), int(about["steps"])) for about in given}
    if len(sizes) > 1:
        raise UserError(
            f"arm {runs[0].arm!r}: its agents had different budgets (images, steps): {sorted(sizes)}; train all alike"
        )
    (images, steps), *_ = sizes
    return Budget(images, float(np.mean([about["bytes"] for about in given])), steps)


def _chosen(runs: Sequence[Run]) -> Spread | None:
    found = [run.about["chosen"]["balanced_accuracy"] for run in runs if run.about.get("chosen")]
    return Spread.of(found) if len(found) == len(runs) else None


def _sources(runs: Sequence[Run]) -> Sources | None:
    by_set: dict[int, list[float]] = {}
    for run in runs:
        by_set.setdefault(run.set_seed, []).append(run.evaluation.balanced_accuracy)
    sizes = np.array([len(values) for values in by_set.values()])
    if len(by_set) < 2 or len(runs) == len(by_set):
        return None
    means = np.array([np.mean(values) for values in by_set.values()])
    inside = sum(float(((np.array(values) - np.mean(values)) ** 2).sum()) for values in by_set.values())
    within = inside / (len(runs) - len(by_set))
    grand = (sizes * means).sum() / len(runs)
    between = float((sizes * (means - grand) ** 2).sum()) / (len(by_set) - 1)
    per_set = (len(runs) - (sizes**2).sum() / len(runs)) / (len(by_set) - 1)  # trainings per set, if uneven
    return Sources(float(np.sqrt(max(0.0, (between - within) / per_set))), float(np.sqrt(within)))


def _strata(runs: Sequence[Run]) -> dict[str, dict[str, Stratum]]:
    found, classes = [by_stratum(run.evaluation, run.strata) for run in runs], runs[0].evaluation.class_names
    return {
        kind: {
            name: Stratum(
                images=sum(counts),
                balanced_accuracy=Spread.of([one[kind][name][1] for one in found]),
                classes={each: count for each, count in zip(classes, counts, strict=True) if count},
            )
            for name, (counts, _) in names.items()
        }
        for kind, names in found[0].items()
    }
