"""Distribution matching (DM; Zhao and Bilen 2023): equal mean features in networks with random weights."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from roadstill.distil.objectives.base import Objective
from roadstill.distil.synthetic import Pull
from roadstill.distil.task import Task
from roadstill.runs import check_ranges


@dataclass(frozen=True)
class DM(Objective):
    """Squared distance of the mean features of each class, summed over features and classes; a fresh network each step.

    Attributes:
        real_batch: real images of each class in a step.
    """

    real_batch: int = 256

    def __post_init__(self) -> None:
        check_ranges(self)

    def pulls(self, task: Task, step: int) -> Iterator[Pull]:
        """See `Objective`."""
        network = task.network("network", step)
        network.requires_grad_(False)
        changes = [task.alike(step, label) for label in range(task.real.num_classes)]

        def mean_of(pictures: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
            changed = change(pictures)
            parts = [network.features(network.trunk(changed[rows])).sum(0) for rows in network.parts(changed)]
            return torch.stack(parts).sum(0) / len(pictures)

        with torch.no_grad():
            theirs = [
                mean_of(task.real.pictures(task.real.rows(label, self.real_batch, step)), change)
                for label, change in enumerate(changes)
            ]
        yield task.pull_by_class(
            lambda label, pictures: (mean_of(pictures, changes[label]) - theirs[label]).square().sum()
        )
