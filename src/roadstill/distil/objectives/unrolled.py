"""Unrolled training (DD; Wang et al. 2018): the agent's loss on real images after it trained on the small set."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from roadstill.distil.learner import Learner, gathered, roll_out
from roadstill.distil.objectives.base import Objective, Pooled, Running
from roadstill.distil.synthetic import Pull
from roadstill.distil.task import Task
from roadstill.errors import UserError
from roadstill.runs import Range, check_ranges, seed_of

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Unrolled(Objective):
    """The loss on real images after a window of steps of training on the small set, differentiated through all of them.

    With ``agents`` above 1 the window begins where one of several running agents stands, so that the set serves every
    age of training; with 1 and ``most_steps`` equal to ``window`` it always begins with fresh weights, as published.

    Attributes:
        window: steps that are differentiated.
        agents: number of running agents.
        most_steps: steps after which an agent begins anew.
        optimiser: "sgd" or "adamw", through which the gradient goes, too.
        learning_rate: learning rate of the agents at the beginning; it moves with the pictures.
        rate_of_rate: learning rate of its logarithm; 0 keeps it.
        weight_decay: weight decay of "adamw".
        batch_size: pictures of the small set in a step; all if not given.
        real_batch: real images whose loss counts.
    """

    window: int = 10
    agents: int = 1
    most_steps: int = 10
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.01
    rate_of_rate: float = 0.0
    weight_decay: float = 0.0
    batch_size: int | None = None
    real_batch: int = 256

    def __post_init__(self) -> None:
        some = Range(1, 100_000, whole=True)
        check_ranges(self, window=some, agents=Range(1, 1000, whole=True), most_steps=some, rate_of_rate=Range(0),
                     learning_rate=Range(0, above=True))  # fmt: skip
        if self.optimiser not in ("sgd", "adamw"):
            raise UserError(f"optimiser is {self.optimiser!r}; take 'sgd' or 'adamw'")
        if self.window > self.most_steps:
            raise UserError(f"window is {self.window}, more than most_steps {self.most_steps}; lower it")

    def begin(self, task: Task) -> "Running[Unrolled]":
        """See `Objective`."""
        return _Unrolling(self, task)


_PARTS = ("weights", "first", "second", "steps")  # of an agent's state, as its optimiser has it


class _Unrolling(Pooled[Unrolled]):
    """Unrolled training with its agents, which are of all ages, and the learning rate that moves."""

    def __init__(self, objective: Unrolled, task: Task) -> None:
        super().__init__(objective, task)
        self.log_rate = torch.tensor(math.log(objective.learning_rate), requires_grad=True)
        for number in range(objective.agents):
            self.renew(number, 0)
            self.pool[f"{number}/age"] = torch.tensor(number * objective.most_steps // objective.agents)

    def settings(self) -> Mapping[str, Tensor]:
        """Logarithm of the agents' learning rate."""
        return {"log_rate": self.log_rate} if self.objective.rate_of_rate else {}

    def rates(self) -> Mapping[str, float]:
        """See `Running`."""
        return {"log_rate": self.objective.rate_of_rate} if self.objective.rate_of_rate else {}

    def told(self) -> Mapping[str, float]:
        """See `Running`."""
        return {"learning_rate": float(self.log_rate.detach().exp())} if self.objective.rate_of_rate else {}

    def pulls(self, step: int) -> Iterator[Pull]:
        """See `Objective`."""
        own, task = self.objective, self.task
        rng = np.random.default_rng(seed_of("unrolled", task.seed, step))
        number = int(rng.integers(own.agents))
        learner = task.learner("shape")
        state = tuple(self.pool[f"{number}/{part}"] for part in _PARTS)
        pictures, targets = task.synthetic.shown()
        size = len(pictures) if own.batch_size is None else min(own.batch_size, len(pictures))
        batches = [torch.from_numpy(rng.permutation(len(pictures))[:size]) for _ in range(own.window)]
        inputs = [(pictures[rows], targets[rows], torch.tensor(float(at))) for at, rows in enumerate(batches)]
        their_pictures, their_targets = task.real.batch(task.real.any_rows(own.real_batch, step))
        loss = torch.zeros(())

        def pulled(last: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            nonlocal loss
            at = last[0].detach().requires_grad_(True)
            gradient = torch.zeros_like(at)
            for rows in learner.network.parts(their_pictures):
                share = len(their_pictures[rows]) / len(their_pictures)
                part = learner.loss(learner.outputs(at, their_pictures[rows]), their_targets[rows]) * share
                gradient += torch.autograd.grad(part, at)[0]
                loss = loss + part.detach()
            return (gradient, *(torch.zeros_like(each) for each in last[1:]))

        stepping = _Optimiser(own, task, learner, step)
        end, moved = roll_out(stepping, state, inputs, (self.log_rate.detach(),), pulled)
        its, their = gathered(batches, moved.inputs, (pictures, targets))
        settings = {"log_rate": moved.settings[0]} if own.rate_of_rate else {}
        yield Pull(its, their if task.synthetic.learnt else None, None, {"loss": loss}, settings)
        self._go_on(number, end)

    def _go_on(self, number: int, end: tuple[Tensor, ...]) -> None:
        """Leaves an agent where its window ended, or begins it anew."""
        age = int(self.pool[f"{number}/age"]) + self.objective.window
        self.pool |= {f"{number}/{part}": value for part, value in zip(_PARTS, end, strict=True)}
        self.pool[f"{number}/age"] = torch.tensor(age)
        if age + self.objective.window > self.objective.most_steps:
            self.renew(number, int(self.pool[f"{number}/life"]) + 1)


@dataclass
class _Optimiser:
    """A step of the agent's optimiser; its state is (weights, first and second moments, number of steps)."""

    settings: Unrolled
    task: Task
    learner: Learner
    number: int

    def __call__(
        self, state: tuple[Tensor, ...], given: tuple[Tensor, ...], shared: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        (weights, first, second, steps), (pictures, targets, at) = state, given
        twice, rate = torch.is_grad_enabled(), shared[0].exp()
        changed = self.task.changed(pictures, self.number, int(at))
        if not twice:
            changed = changed.contiguous(memory_format=torch.channels_last)
        gradient = self.learner.gradient(weights, changed, targets, twice=twice)
        if self.settings.optimiser == "sgd":
            return weights - rate * gradient, first, second, steps
        steps = steps.detach() + 1
        first = _BETA1 * first + (1 - _BETA1) * gradient
        second = _BETA2 * second + (1 - _BETA2) * gradient.square()
        # The root has an infinite slope at 0, where an entry never had a gradient.
        spread = (second / (1 - _BETA2**steps) + 1e-20).sqrt() + _EPSILON
        weights = weights * (1 - rate * self.settings.weight_decay)
        return weights - rate * first / (1 - _BETA1**steps) / spread, first, second, steps
