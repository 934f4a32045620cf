"""Linear gradient matching (LGM; Cazenavette et al. 2025): gradients of random linear heads on frozen features."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents import AgentConfig
from roadstill.agents.staged import StagedNetwork
from roadstill.agents.training import build_network
from roadstill.distil.objectives.base import Objective, Running
from roadstill.distil.synthetic import Pull
from roadstill.distil.task import Task
from roadstill.errors import UserError
from roadstill.evaluation.networks import other_network
from roadstill.generator.matching import balanced, head_gradients, random_heads, ridge_fit
from roadstill.learning.loops import generator_of
from roadstill.runs import Range, check_ranges


@dataclass(frozen=True)
class LinearGradients(Objective):
    """The loss gradient of the small set with respect to random linear heads should point where the real one's does.

    Attributes:
        networks: further networks that are looked at beside the task's, each with the weights that it comes with.
        heads: random heads in a step.
        head_scale: largest spread of a head's logits.
        gradients: weight of 1 - cosine of the gradients.
        regression: weight of the error on real images of a ridge regression on the small set (FRePo's objective).
        ridge: ridge as a share of the kernel's mean diagonal.
        real_batch: real images in a step.
    """

    networks: tuple[str, ...] = ()
    heads: int = 32
    head_scale: float = 3.0
    gradients: float = 1.0
    regression: float = 0.0
    ridge: float = 0.1
    real_batch: int = 256

    def __post_init__(self) -> None:
        object.__setattr__(self, "networks", tuple(self.networks))
        check_ranges(self, heads=Range(1, 100_000, whole=True))
        if not self.gradients + self.regression:
            raise UserError("gradients and regression are 0; give at least one of them a weight")

    def begin(self, task: Task) -> "Running[LinearGradients]":
        """See `Objective`."""
        return _Matching(self, task)

    def pulls(self, task: Task, step: int) -> Iterator[Pull]:
        """See `Objective`."""
        return self.begin(task).pulls(step)


class _Matching(Running[LinearGradients]):
    """Linear gradient matching with its networks, frozen and in evaluation mode."""

    def __init__(self, objective: LinearGradients, task: Task) -> None:
        super().__init__(objective, task)
        if task.agent.target != "class":
            raise UserError("linear gradient matching is of classes; take another objective for numbers")
        self.networks: dict[str, StagedNetwork] = {}
        for name in dict.fromkeys([task.agent.network, *objective.networks]):
            config: AgentConfig = other_network(task.agent, name)
            made = build_network(config, task.width, task.seed, task.real.images.size_px)
            self.networks[name] = made.to(task.real.device).eval().requires_grad_(False)

    def pulls(self, step: int) -> Iterator[Pull]:
        """See `Objective`; gradients of several networks are scaled alike, so that none outweighs the others."""
        own, task = self.objective, self.task
        generator = generator_of("linear", task.seed, step)
        rows = task.real.any_rows(own.real_batch, step)
        theirs, their_targets = task.real.batch(rows)
        change, pulls = task.alike(step), []
        for name, network in self.networks.items():
            features = self._features(network, change)
            with torch.no_grad():
                known = features(theirs)
            heads = random_heads(known, task.width, own.heads, own.head_scale, generator)

            def loss_of(pictures: Tensor, targets: Tensor) -> dict[str, Tensor]:
                ours, terms = features(pictures), {}  # noqa: B023  called at once
                if own.gradients:
                    small, large = head_gradients(ours, targets, heads), head_gradients(known, their_targets, heads)  # noqa: B023
                    terms[f"gradients {name}"] = own.gradients * (1 - F.cosine_similarity(small, large, dim=1)).mean()  # noqa: B023
                if own.regression:
                    found = ridge_fit(ours, targets, known, known, own.ridge)  # noqa: B023
                    terms[f"regression {name}"] = own.regression * (found - (2 * their_targets - 1)).square().mean()  # noqa: B023
                return terms

            pulls.append(task.pull(loss_of))
        whole = balanced([pull.pictures for pull in pulls])
        terms = {key: term for pull in pulls for key, term in pull.terms.items()}
        targets = None
        if task.synthetic.learnt:
            targets = torch.stack([pull.targets for pull in pulls if pull.targets is not None]).mean(0)
        yield Pull(whole, targets, None, terms)

    def _features(self, network: StagedNetwork, change: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Features of what the task's own network takes for pictures."""

        def found(pictures: Tensor) -> Tensor:
            # Networks differ in mean and deviation: back to [0, 1], and into this one's own.
            own = change(network.prepare(self.task.real.space.leave(pictures)))
            parts = own.split(32)
            return torch.cat([network.features(network.trunk(part)) for part in parts])

        return found
