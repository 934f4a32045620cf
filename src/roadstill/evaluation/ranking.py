"""The scores of DD-Ranking (Li et al. 2025, 2505.13300), for comparison with its tables; secondary figures only.

Accuracies are fractions. A score of 0.27 means that a set is neither better nor worse than what it is compared with.
"""

import math


def label_robust_score(full: float, arm: float, arm_own: float, baseline_own: float, *, weight: float = 0.5) -> float:
    """LRS: the value of a set apart from its soft labels, 0 to 1.

    It weighs the gain over the baseline when both are trained in the set's own way against the loss compared with all
    images and hard labels.

    Args:
        full: accuracy with all images, hard labels.
        arm: accuracy with the set, hard labels.
        arm_own: accuracy with the set, trained in its own way (with its soft labels, say).
        baseline_own: accuracy with the baseline, trained in the same way.
        weight: weight of the gain.

    Raises:
        ValueError: an accuracy or weight that is not a fraction.
    """
    _check(full, arm, arm_own, baseline_own, weight)
    return _scaled(weight * (arm_own - baseline_own) - (1 - weight) * (full - arm))


def augmentation_robust_score(
    arm_augmented: float, baseline_augmented: float, arm: float, baseline: float, *, weight: float = 0.5
) -> float:
    """ARS: the value of a set apart from its augmentation, 0 to 1.

    Args:
        arm_augmented: accuracy with the set, with augmentation.
        baseline_augmented: accuracy with the baseline, with augmentation.
        arm: accuracy with the set, without augmentation.
        baseline: accuracy with the baseline, without augmentation.
        weight: weight of the gain with augmentation.

    Raises:
        ValueError: an accuracy or weight that is not a fraction.
    """
    _check(arm_augmented, baseline_augmented, arm, baseline, weight)
    return _scaled(weight * (arm_augmented - baseline_augmented) + (1 - weight) * (arm - baseline))


def _scaled(alpha: float) -> float:
    """Maps [-1, 1] to [0, 1], rising faster at the upper end."""
    return (math.exp(alpha) - math.exp(-1)) / (math.e - math.exp(-1))


def _check(*fractions: float) -> None:
    if wrong := [value for value in fractions if not 0 <= value <= 1]:
        raise ValueError(f"{wrong[0]} is not a fraction; give accuracies as 0.6, not as 60")
