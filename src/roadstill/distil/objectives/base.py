"""`Objective`: what a small set should have in common with the whole one."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from torch import Tensor

from roadstill.distil.synthetic import Pull
from roadstill.distil.task import Task


class Objective(ABC):
    """An objective of distillation; a subclass is a frozen dataclass of its settings."""

    def begin(self, task: Task) -> "Running":
        """What runs for a task, before the first step.

        Raises:
            UserError: a task that this objective cannot have.
        """
        return Running(self, task)

    @abstractmethod
    def pulls(self, task: Task, step: int) -> Iterator[Pull]:
        """The pulls of one step, a 0-based number; after each that is yielded, the small set moves.

        Everything random must depend on the task's seed and the step alone. An objective that keeps something from step
        to step has a `Running` of its own.
        """


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
