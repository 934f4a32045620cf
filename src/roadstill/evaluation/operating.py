"""Metrics of a binary agent when its threshold is set by the share of false alarms that a team accepts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.evaluation.metrics import Evaluation

FALSE_ALARM_RATES = (0.05, 0.10)


@dataclass(frozen=True)
class OperatingPoint:
    """An agent at one threshold, which was chosen on other images.

    Attributes:
        threshold: lowest probability of the positive class (the second: brake) that gives an alarm.
        miss_rate: share of positive images below it.
        false_alarm_rate: share of negative images at or above it; it differs from the rate that the threshold was
            chosen for, since the images are others.
    """

    threshold: float
    miss_rate: float
    false_alarm_rate: float


def threshold_at(evaluation: Evaluation, false_alarm_rate: float) -> float:
    """The smallest threshold at which at most this share of the negative images gives an alarm.

    Args:
        evaluation: evaluation on the dev part.
        false_alarm_rate: accepted share, from 0 to below 1.

    Raises:
        UserError: other than two classes, or a share out of range.
    """
    if len(evaluation.class_names) != 2:
        raise UserError(f"a threshold needs 2 classes, not {len(evaluation.class_names)}")
    if not 0 <= false_alarm_rate < 1:
        raise UserError(f"false_alarm_rate is {false_alarm_rate}; it must be from 0 to below 1")
    negative = np.sort(evaluation.probabilities[evaluation.labels == 0, 1])[::-1]
    allowed = int(false_alarm_rate * len(negative))
    # Just above the first negative that must not give an alarm.
    return float(np.nextafter(negative[allowed], np.float32(2)))


def operating_point(evaluation: Evaluation, threshold: float) -> OperatingPoint:
    """The agent of an evaluation at a threshold; see `threshold_at`."""
    alarm = evaluation.probabilities[:, 1] >= threshold
    positive = evaluation.labels == 1
    return OperatingPoint(threshold, float((~alarm)[positive].mean()), float(alarm[~positive].mean()))


def weighted_cost(evaluation: Evaluation, miss_cost: float) -> float:
    """Mean of miss rate and false alarm rate, the first counted ``miss_cost`` times; 0 is perfect, 1 all wrong."""
    not_brake, brake = evaluation.class_accuracy.values()
    return (miss_cost * (1 - brake) + (1 - not_brake)) / (miss_cost + 1)


def by_stratum(
    evaluation: Evaluation, strata: Mapping[str, NDArray[np.str_]]
) -> dict[str, dict[str, tuple[list[int], float]]]:
    """The number of images of each class and their balanced accuracy, for each kind of stratum and each of its names.

    Classes without an image in a stratum are left out of its mean.
    """
    found: dict[str, dict[str, tuple[list[int], float]]] = {}
    classes = len(evaluation.class_names)
    for kind, names in strata.items():
        values, place = np.unique(names, return_inverse=True)
        cell = place * classes + evaluation.labels
        shape = (len(values), classes)
        images = np.bincount(cell, minlength=np.prod(shape)).reshape(shape)
        right = np.bincount(cell, weights=evaluation.correct, minlength=np.prod(shape)).reshape(shape)
        rates = np.where(images > 0, right / np.maximum(images, 1), np.nan)
        per_class = [[int(count) for count in row] for row in images]
        found[kind] = {
            str(value): (counts, float(rate))
            for value, counts, rate in zip(values, per_class, np.nanmean(rates, axis=1), strict=True)
        }
    return found
