"""`Objective`: what a small set should have in common with the whole one."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor

from roadstill.distil.synthetic import Pull
from roadstill.distil.task import Task


class Objective:
    """An objective of distillation; a subclass is a frozen dataclass of its settings.

    It has `pulls`, or, if it keeps something from step to step, `begin` with a `Running` of its own.
    """

    def begin(self, task: Task) -> "Running":
        """What runs for a task, before the first step.

        Raises:
            UserError: a task that this objective cannot have.
        """
        return Running(self, task)

    def networks_beside(self, network: str) -> tuple[str, ...]:
        """Names of the networks that take part in making a set, given the agent's: by default that one."""
        return (network,)

    def pulls(self, task: Task, step: int) -> Iterator[Pull]:
        """The pulls of one step, a 0-based number; after each that is yielded, the small set moves.

        Everything random must depend on the task's seed and the step alone.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither pulls nor a begin of its own")


Kind = TypeVar("Kind", bound=Objective)


class Running(Generic[Kind]):
    """An objective at work on a task; what it keeps from step to step is in its state.

    A run that was stopped goes on as if nothing had been, so ``state`` must hold all that ``pulls`` depends on besides
    task and step.
    """

    def __init__(self, objective: Kind, task: Task) -> None:
        self.objective, self.task = objective, task

    def pulls(self, step: int) -> Iterator[Pull]:
        """See `Objective.pulls`."""
        return self.objective.pulls(self.task, step)

    def settings(self) -> Mapping[str, Tensor]:
        """Numbers that move with the pictures, such as a learning rate: leaves by name."""
        return {}

    def rates(self) -> Mapping[str, float]:
        """Learning rate of each of the `settings`."""
        return {}

    def told(self) -> Mapping[str, float]:
        """What has to travel with the set besides its pictures, such as the learning rate that they were made for."""
        return {}

    def state(self) -> Mapping[str, Tensor]:
        """What is kept from step to step."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what `state` gave."""


class Pooled(Running[Kind]):
    """An objective with networks in training: weights, moments and age of each stand in its state by name."""

    def __init__(self, objective: Kind, task: Task) -> None:
        super().__init__(objective, task)
        self.pool: dict[str, Tensor] = {}

    def renew(self, number: int, life: int) -> None:
        """Begins a network anew, for the ``life``-th time."""
        weights = self.task.learner("pool", number, life).flat()
        zero = torch.zeros_like(weights)
        self.pool |= {f"{number}/weights": weights, f"{number}/first": zero, f"{number}/second": zero.clone(),
                      f"{number}/steps": torch.tensor(0.0), f"{number}/age": torch.tensor(0),
                      f"{number}/life": torch.tensor(life)}  # fmt: skip

    def state(self) -> Mapping[str, Tensor]:
        """See `Running`."""
        return dict(self.pool)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """See `Running`."""
        self.pool = dict(state)
