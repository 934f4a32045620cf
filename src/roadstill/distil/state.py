"""The state of a distillation: what moves, its optimiser, averages, priors and choice; saved and restored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from roadstill.distil.config import Distillation
from roadstill.distil.objectives import Running
from roadstill.distil.priors import Held
from roadstill.distil.seeing import Choice
from roadstill.distil.synthetic import Pull
from roadstill.distil.task import Task
from roadstill.learning.loops import (
    finite_sum,
    optimizer_tensors,
    rate_at,
    require_finite,
    restore_optimizer,
    saved_state,
)
from roadstill.weights.tensors import write_tensors

FILE = "state.safetensors"


def looks_of(config: Distillation) -> set[int]:
    """Numbers of steps after which a state is looked at on dev."""
    return {-(-config.steps * number // config.looks) for number in range(1, config.looks + 1)}


@dataclass
class State:
    """What moves, and how; it is saved and goes on to the same bytes.

    Attributes:
        task: the distillation.
        config: its settings.
        running: the objective at work.
        key: digest of all that decides about the result.
        folder: where it is saved.
        held: priors at work.
        choice: choice among states, if there is one.
        terms: terms of the last loss.
    """

    task: Task
    config: Distillation
    running: Running[Any]
    key: str
    folder: Path
    held: Held
    choice: Choice | None = None
    terms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config, synthetic = self.config, self.task.synthetic
        moving, settings, rates = synthetic.moving, self.running.settings(), self.running.rates()
        self.names = [*moving.parameters, *(["labels"] if synthetic.learnt else []), *settings]
        self.rates = [config.learning_rate * moving.rates.get(name, 1.0) for name in moving.parameters]
        self.rates += [config.label_rate] * synthetic.learnt + [rates[name] for name in settings]
        leaves = [*moving.parameters.values(), *([synthetic.raw] if synthetic.learnt else []), *settings.values()]
        groups = [{"params": [leaf], "lr": rate} for leaf, rate in zip(leaves, self.rates, strict=True)]
        if config.optimiser == "adam":
            self.optimizer: torch.optim.Optimizer = torch.optim.Adam(groups)
        else:
            self.optimizer = torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
        self.average = {name: value.detach().clone() for name, value in moving.parameters.items()} if config.ema else {}

    def step(self, step: int) -> None:
        """All moves of one step."""
        config = self.config
        share = rate_at(step, steps=config.steps, warmup_steps=0, decay=config.decay)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share
        for pull in self.running.pulls(step):
            self._move(pull, step)
        if self.choice is not None and step + 1 in looks_of(config):
            self.choice.look(step + 1, self.pictures())

    def _move(self, pull: Pull, step: int) -> None:
        config, synthetic = self.config, self.task.synthetic
        terms = dict(pull.terms)
        rows = range(len(synthetic)) if pull.rows is None else pull.rows
        if config.priors.variation:
            more, gradient = self.held.of_pictures(synthetic.shown(rows)[0], rows)
            pull.pictures = pull.pictures + gradient
            terms |= more

        def held(codes: Tensor, gradient: Tensor, rows: Sequence[int]) -> Tensor:
            more, found = self.held.of_codes(codes, gradient, rows, step)
            terms.update(more)
            return found

        finite_sum(terms, step=step, rows=list(pull.looked))
        if config.clip is not None:
            size = pull.pictures.norm()
            pull.pictures = pull.pictures * (config.clip / size.clamp_min(config.clip))
        self.optimizer.zero_grad()
        synthetic.pull_back(pull, held)
        finite_sum(terms, step=step, rows=list(pull.looked))
        self.terms = {name: float(term) for name, term in terms.items()}
        moves = synthetic.moving.active(step, config.steps)
        for name, parameter in synthetic.moving.parameters.items():
            if name not in moves:
                parameter.grad = None
        for name, leaf in self.running.settings().items():
            leaf.grad = pull.settings.get(name)
        self.optimizer.step()
        synthetic.moving.settle()
        for name, value in self.average.items():
            value.lerp_(synthetic.moving.parameters[name].detach(), 1 - config.ema)

    @torch.no_grad()
    def pictures(self) -> Tensor:
        """Pictures as they stand, ``[n, 3, s, s]``."""
        moving = self.task.synthetic.moving
        now = {name: moving.parameters[name].detach().clone() for name in self.average}
        for name, value in self.average.items():
            moving.parameters[name].copy_(value)
        found = moving.stored()
        for name, value in now.items():
            moving.parameters[name].copy_(value)
        return found

    def kept(self) -> Tensor:
        """Pictures to be kept at the end: the last ones, or those that were chosen."""
        return self.pictures() if self.choice is None else self.choice.pictures

    def _own(self) -> dict[str, Tensor]:
        synthetic = self.task.synthetic
        leaves = dict(synthetic.moving.parameters) | ({"labels": synthetic.raw} if synthetic.learnt else {})
        return leaves | dict(self.running.settings())

    def save(self, step: int) -> None:
        """Keeps everything that the next step depends on."""
        own = {f"own/{name}": value.detach() for name, value in self._own().items()}
        require_finite(own, step=step - 1)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_tensors(
            self.folder / FILE,
            own | optimizer_tensors(self.optimizer, self.names)
            | {f"average/{name}": value for name, value in self.average.items()}
            | {f"objective/{name}": value for name, value in self.running.state().items()} | self._looked(),
            {"key": self.key, "step": step},
        )  # fmt: skip

    def resume(self) -> int:
        """Puts back what an earlier call saved, and gives the number of steps that it made."""
        found = saved_state(self.folder / FILE, self.key, "the state of a distillation")
        if found is None:
            return 0
        tensors, step = found
        with torch.no_grad():
            for name, value in self._own().items():
                value.copy_(tensors[f"own/{name}"])
            for name, value in self.average.items():
                value.copy_(tensors[f"average/{name}"])
        restore_optimizer(self.optimizer, self.names, tensors)
        prefix = "objective/"
        self.running.restore(
            {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        )
        if self.choice is not None:
            self.choice.restore(tensors)
        return step

    def _looked(self) -> dict[str, Tensor]:
        return {} if self.choice is None else self.choice.state()
