"""What a small set should have in common with the whole one; each family of objectives is a file."""

from collections.abc import Mapping

from roadstill.distil.objectives.base import Objective, Running
from roadstill.distil.objectives.characteristic import CharacteristicMatching
from roadstill.distil.objectives.distribution import DM
from roadstill.distil.objectives.gradients import GradientMatching
from roadstill.distil.objectives.kernel import FeatureRegression, KernelPoints, RandomFeatures
from roadstill.distil.objectives.linear import LinearGradients
from roadstill.distil.objectives.trajectories import TrajectoryMatching
from roadstill.distil.objectives.unrolled import Unrolled

OBJECTIVES: Mapping[str, type[Objective]] = {
    "distribution": DM,
    "gradients": GradientMatching,
    "trajectories": TrajectoryMatching,
    "characteristic": CharacteristicMatching,
    "unrolled": Unrolled,
    "kernel": KernelPoints,
    "random_features": RandomFeatures,
    "feature_regression": FeatureRegression,
    "linear": LinearGradients,
}
"""Kinds of objectives by name; one line here adds one everywhere."""

__all__ = [
    "DM",
    "OBJECTIVES",
    "CharacteristicMatching",
    "FeatureRegression",
    "GradientMatching",
    "KernelPoints",
    "LinearGradients",
    "Objective",
    "RandomFeatures",
    "Running",
    "TrajectoryMatching",
    "Unrolled",
]
