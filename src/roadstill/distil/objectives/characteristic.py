"""Characteristic functions (NCFM; Wang et al. 2025): equal distributions of features, told apart by frequencies."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents.staged import StagedNetwork
from roadstill.distil.experts import open_experts
from roadstill.distil.objectives.base import Objective, Running
from roadstill.distil.synthetic import Pull
from roadstill.distil.task import Task, joined
from roadstill.learning.loops import generator_of
from roadstill.runs import Range, check_ranges, seed_of


def characteristic_distance(ours: Tensor, theirs: Tensor, frequencies: Tensor, amplitude: float = 0.5) -> Tensor:
    """Mean over frequencies of the distance of the characteristic functions of two samples, a scalar; 0 if they agree.

    Args:
        ours: features ``[n, d]``.
        theirs: features ``[m, d]``.
        frequencies: ``[f, d]``.
        amplitude: weight of the difference of amplitudes; the rest is that of the phases.
    """

    def function(features: Tensor) -> tuple[Tensor, Tensor]:
        angles = features @ frequencies.T
        return angles.cos().mean(0), angles.sin().mean(0)

    (a, b), (c, d) = function(ours), function(theirs)
    own, its = (a * a + b * b).clamp_min(1e-12).sqrt(), (c * c + d * d).clamp_min(1e-12).sqrt()
    phases = 2 * (own * its - (a * c + b * d))
    return (amplitude * (own - its).square() + (1 - amplitude) * phases).clamp_min(1e-12).sqrt().mean()


@dataclass(frozen=True)
class CharacteristicMatching(Objective):
    """Characteristic functions of normalised features in networks between random and trained weights.

    Attributes:
        experts: folder of trajectories that networks are taken from; fresh networks if not given.
        real_batch: real images of each class in a step.
        frequencies: number of random frequencies.
        weight: factor of the distance.
        calibration: weight of the cross-entropy of the small set under a trained network.
        by_class: whether the small set moves after each class.
        adversarial: learning rate at which the spread of each feature's frequencies is moved so as to tell the sets
            apart; 0 leaves it at 1, as the published settings do.
    """

    experts: str | None = None
    real_batch: int = 1024
    frequencies: int = 4096
    weight: float = 300.0
    calibration: float = 1.0
    by_class: bool = True
    adversarial: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, frequencies=Range(1, 1_000_000, whole=True), weight=Range(0), calibration=Range(0),
                     adversarial=Range(0))  # fmt: skip

    def begin(self, task: Task) -> "Running[CharacteristicMatching]":
        """See `Objective`."""
        return _Matching(self, task)


class _Matching(Running[CharacteristicMatching]):
    """Characteristic matching with its networks and the spread of frequencies."""

    def __init__(self, objective: CharacteristicMatching, task: Task) -> None:
        super().__init__(objective, task)
        self.store = None if objective.experts is None else open_experts(Path(objective.experts))
        self.spread = torch.zeros(task.network("shape").head.in_features, device=task.real.device)

    def state(self) -> Mapping[str, Tensor]:
        """See `Running`."""
        return {"spread": self.spread} if self.objective.adversarial else {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """See `Running`."""
        self.spread = state.get("spread", self.spread)

    def pulls(self, step: int) -> Iterator[Pull]:
        """See `Objective`."""
        own, task = self.objective, self.task
        network, trained = self._networks(step)
        draw = torch.randn((own.frequencies, len(self.spread)), generator=generator_of("frequencies", task.seed, step))
        draw = draw.to(task.real.device)

        def features(pictures: Tensor) -> Tensor:
            parts = [network.features(network.trunk(pictures[rows])) for rows in network.parts(pictures)]
            return F.normalize(torch.cat(parts), dim=1)

        def pull(label: int) -> Pull:
            change = task.alike(step, label)
            with torch.no_grad():
                theirs = features(change(task.real.pictures(task.real.rows(label, own.real_batch, step))))

            def loss_of(pictures: Tensor, targets: Tensor) -> dict[str, Tensor]:
                changed = change(pictures)
                ours = features(changed)
                self._tell_apart(ours.detach(), theirs, draw)
                terms = {"distance": own.weight * characteristic_distance(ours, theirs, draw * self.spread.exp())}
                if own.calibration and task.agent.target == "class":
                    terms["calibration"] = own.calibration * F.cross_entropy(trained(changed), targets)
                return terms

            return task.pull(loss_of, task.synthetic.of_class(label))

        pulls = (pull(label) for label in range(task.real.num_classes))
        if own.by_class:
            yield from pulls
        else:
            yield joined(list(pulls))

    def _tell_apart(self, ours: Tensor, theirs: Tensor, draw: Tensor) -> None:
        """Moves the spread of frequencies uphill."""
        if not self.objective.adversarial:
            return
        spread = self.spread.detach().requires_grad_(True)
        (uphill,) = torch.autograd.grad(characteristic_distance(ours, theirs, draw * spread.exp()), spread)
        self.spread = (spread + self.objective.adversarial * F.normalize(uphill, dim=0)).detach().clamp(-2, 2)

    def _networks(self, step: int) -> tuple[StagedNetwork, StagedNetwork]:
        """A network somewhere between random and trained, and a trained one."""
        learner = self.task.learner("network", step)
        if self.store is None:
            network = learner.network.requires_grad_(False)
            return network, network
        rng = np.random.default_rng(seed_of("partly trained", self.task.seed, step))
        number, share = int(rng.integers(len(self.store.numbers))), float(rng.random())
        start, end = self.store.at(number, 0), self.store.at(number, self.store.epochs)
        learner.put(start + share * (end - start))
        trained = self.task.learner("trained")
        trained.put(end)
        return learner.network.requires_grad_(False), trained.network.requires_grad_(False)
