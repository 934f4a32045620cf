"""Trajectory matching: MTT (Cazenavette et al. 2022), TESLA (Cui et al. 2023), DATM (Guo et al. 2024).

A student that starts where an expert stood after some epochs, and takes a few steps on the small set, should arrive
where the expert was some epochs later.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roadstill.distil.experts import open_experts
from roadstill.distil.learner import Learner, gathered, roll_out
from roadstill.distil.objectives.base import Objective, Running
from roadstill.distil.synthetic import Pull
from roadstill.distil.task import Task
from roadstill.errors import UserError
from roadstill.runs import Range, check_ranges, seed_of

_LEAST_RATE = 1e-6


@dataclass(frozen=True)
class TrajectoryMatching(Objective):
    """Distance of a student's weights from an expert's later ones, relative to how far the expert went.

    Attributes:
        experts: folder of trajectories, made by `roadstill experts`.
        student_steps: steps of the student (N).
        expert_epochs: epochs that the expert went (M).
        first_epoch: earliest epoch at which a student starts.
        last_epoch: latest one.
        grown_by: share of the steps after which the latest epoch is reached; it rises evenly up to there from
            ``early_epoch`` (DATM). 0 begins with all of them.
        early_epoch: latest epoch in the first step.
        batch_size: pictures of the small set in each step of the student; all if not given.
        learning_rate: learning rate of the student at the beginning; it moves with the pictures.
        rate_of_rate: learning rate of that.
        constant_memory: TESLA's gradient, which takes later weights for constants: two passes instead of three.
        skip_above: steps whose loss is above this move nothing (DATM); None moves always.
    """

    experts: str = "experts"
    student_steps: int = 30
    expert_epochs: int = 2
    first_epoch: int = 0
    last_epoch: int = 20
    grown_by: float = 0.0
    early_epoch: int = 0
    batch_size: int | None = None
    learning_rate: float = 0.01
    rate_of_rate: float = 1e-5
    constant_memory: bool = False
    skip_above: float | None = None

    def __post_init__(self) -> None:
        whole = Range(0, 100_000, whole=True)
        check_ranges(
            self, student_steps=Range(1, 10_000, whole=True), expert_epochs=Range(1, 10_000, whole=True),
            first_epoch=whole, last_epoch=whole, early_epoch=whole, grown_by=Range(0, 1), rate_of_rate=Range(0),
            skip_above=Range(0, above=True), learning_rate=Range(0, above=True),
        )  # fmt: skip
        if self.first_epoch > self.last_epoch:
            raise UserError(f"first_epoch {self.first_epoch} is later than last_epoch {self.last_epoch}; change one")

    def begin(self, task: Task) -> "Running[TrajectoryMatching]":
        """See `Objective`."""
        return _Matching(self, task)


class _Matching(Running[TrajectoryMatching]):
    """Trajectory matching with its store and the learning rate that moves."""

    def __init__(self, objective: TrajectoryMatching, task: Task) -> None:
        super().__init__(objective, task)
        folder, agent = objective.experts, task.agent
        self.store = store = open_experts(Path(folder))
        if store.agent.network != agent.network or store.agent.target != agent.target:
            raise UserError(f"{folder} holds experts of {store.agent.network}, and {agent.network} is asked for; make "
                            "experts of that, or take the other network")  # fmt: skip
        if store.epochs < objective.last_epoch + objective.expert_epochs:
            raise UserError(
                f"{folder} holds {store.epochs} epochs, and a student that starts at {objective.last_epoch} is held "
                f"against epoch {objective.last_epoch + objective.expert_epochs}; lower last_epoch, or make longer "
                "experts"
            )
        if store.space != task.real.space.digest:
            raise UserError(f"{folder} holds experts that saw otherwise normalised or whitened pixels; make experts "
                            "with this whitening")  # fmt: skip
        if store.weights != len(task.learner("shape").flat()):
            raise UserError(f"{folder} holds experts with {store.weights:,} weights, which this task's network has "
                            "not; make experts on these images")  # fmt: skip
        self.rate = torch.tensor(float(objective.learning_rate), requires_grad=True)

    def settings(self) -> Mapping[str, Tensor]:
        """The student's learning rate."""
        return {"learning_rate": self.rate} if self.objective.rate_of_rate else {}

    def rates(self) -> Mapping[str, float]:
        """See `Running`."""
        return {"learning_rate": self.objective.rate_of_rate} if self.objective.rate_of_rate else {}

    def told(self) -> Mapping[str, float]:
        """See `Running`."""
        return {"learning_rate": float(self.rate.detach().clamp_min(_LEAST_RATE))}

    def pulls(self, step: int) -> Iterator[Pull]:
        """See `Objective`."""
        own, task, store = self.objective, self.task, self.store
        rng = np.random.default_rng(seed_of("trajectory", task.seed, step))
        number = int(rng.integers(len(store.numbers)))
        epoch = int(rng.integers(own.first_epoch, max(self._last_epoch(step), own.first_epoch) + 1))
        start, end = store.at(number, epoch), store.at(number, epoch + own.expert_epochs)
        learner = task.learner("student")
        pictures, targets = task.synthetic.shown()
        whole = (start - end).square().sum()
        batches = [torch.from_numpy(rows) for rows in _orders(len(pictures), own.batch_size, own.student_steps, rng)]
        rate = self.rate.detach().clamp_min(_LEAST_RATE)
        steps = _Steps(task, learner, step)
        inputs = [(pictures[rows], targets[rows], torch.tensor(float(at))) for at, rows in enumerate(batches)]

        def pulled(state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (2 * (state[0] - end) / whole,)

        if own.constant_memory:
            found, moved_inputs, moved_rate = _tesla(steps, start, inputs, rate, pulled)
        else:
            (found,), moved = roll_out(steps, (start,), inputs, (rate,), pulled)
            moved_inputs, moved_rate = moved.inputs, moved.settings[0]
        loss = (found - end).square().sum() / whole
        its, their = gathered(batches, moved_inputs, (pictures, targets))
        if own.skip_above is not None and float(loss) > own.skip_above:
            its, their, moved_rate = torch.zeros_like(its), torch.zeros_like(their), torch.zeros_like(moved_rate)
        settings = {"learning_rate": moved_rate} if own.rate_of_rate else {}
        yield Pull(its, their if task.synthetic.learnt else None, None, {"trajectory": loss}, settings)
        with torch.no_grad():
            self.rate.clamp_(min=_LEAST_RATE)

    def _last_epoch(self, step: int) -> int:
        """The latest epoch at which a student starts in this step."""
        own = self.objective
        if not own.grown_by:
            return own.last_epoch
        share = min(1.0, step / (own.grown_by * self.task.steps))
        return round(own.early_epoch + share * (own.last_epoch - own.early_epoch))


@dataclass
class _Steps:
    """A student's steps: plain gradient descent on changed pictures."""

    task: Task
    learner: Learner
    number: int

    def __call__(
        self, state: tuple[Tensor, ...], given: tuple[Tensor, ...], shared: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        twice = torch.is_grad_enabled()
        return (state[0] - shared[0] * self.gradient(state[0], given, twice=twice),)

    def gradient(self, weights: Tensor, given: tuple[Tensor, ...], *, twice: bool) -> Tensor:
        """Gradient of a step's loss with respect to the weights."""
        pictures, targets, at = given
        changed = self.task.changed(pictures, self.number, int(at))
        if not twice:
            changed = changed.contiguous(memory_format=torch.channels_last)
        return self.learner.gradient(weights, changed, targets, twice=twice)


def _tesla(
    steps: _Steps,
    start: Tensor,
    inputs: Sequence[tuple[Tensor, ...]],
    rate: Tensor,
    pulled: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]],
) -> tuple[Tensor, list[tuple[Tensor, ...]], Tensor]:
    """The end, the gradients of each step's pictures and targets, and of the rate; later weights are constants."""
    at, visited, found = start, list[Tensor](), list[tuple[Tensor, ...]]()
    for given in inputs:
        visited.append(at)
        at = at - rate * steps.gradient(at, given, twice=False)
    back = pulled((at,))[0]
    moved_rate = (back * (at - start)).sum() / rate
    for where, (pictures, targets, place) in zip(visited, inputs, strict=True):
        leaves = [pictures.detach().requires_grad_(True), targets.detach().requires_grad_(True)]
        with torch.enable_grad():
            gradient = steps.gradient(where.detach().requires_grad_(True), (*leaves, place), twice=True)
            its = torch.autograd.grad(gradient, leaves, -rate * back, allow_unused=True, materialize_grads=True)
        found.append(its)
    return at, found, moved_rate


def _orders(count: int, size: int | None, steps: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Rows of each of a student's steps: all in a new order in each epoch, without replacement."""
    size = count if size is None else min(size, count)
    order = np.empty(0, np.int64)
    for _ in range(steps):
        if len(order) == 0:
            order = rng.permutation(count)
        yield order[:size].copy()
        order = order[size:]
