"""Gradient matching: DC (Zhao et al. 2021), DSA (Zhao and Bilen 2021), IDC (Kim et al. 2022)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from roadstill.agents.augment import cutmix, draws
from roadstill.distil.learner import Learner, differentiable_twice
from roadstill.distil.objectives.base import Objective
from roadstill.distil.synthetic import Pull
from roadstill.distil.task import Task, joined
from roadstill.errors import UserError
from roadstill.runs import Range, check_ranges, seed_of

# Images per class, matches of a network before it is replaced, and epochs on the small set between them.
_LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}


def gradient_distance(ours: Sequence[Tensor], theirs: Sequence[Tensor], metric: str, layers: str) -> Tensor:
    """Distance of the gradients of a network's weights, a scalar.

    Args:
        ours: gradients of the small set's loss, one tensor per weight.
        theirs: gradients of the real one's.
        metric: "cosine", the sum over outputs of 1 - cosine of the weights that lead to one (Zhao et al. 2021, eq. 8);
            or "squared", the sum of squared differences.
        layers: "weights" takes every weight of two or more dimensions, "convolutions" those of four.
    """
    least = 4 if layers == "convolutions" else 2
    pairs = [(a.flatten(1), b.flatten(1)) for a, b in zip(ours, theirs, strict=True) if a.ndim >= least]
    if metric == "squared":
        return torch.stack([(a - b).square().sum() for a, b in pairs]).sum()
    cosines = [(a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6) for a, b in pairs]
    return torch.stack([(1 - each).sum() for each in cosines]).sum()


def loops_of(per_class: int) -> tuple[int, int]:
    """Matches per network and epochs between them, of Zhao et al.'s table, straight between its entries."""
    known = sorted(_LOOPS)
    return tuple(  # type: ignore[return-value]
        round(float(np.interp(per_class, known, [_LOOPS[each][at] for each in known]))) for at in (0, 1)
    )


@dataclass(frozen=True)
class GradientMatching(Objective):
    """Gradients of the small set's loss, class by class, as those of real images, while the network learns.

    Attributes:
        real_batch: real images of each class in a match.
        metric: distance of the gradients, see `gradient_distance`.
        layers: weights that count.
        matches: matches before the network is replaced; the published number for the images per class if not given.
        epochs: epochs that the network is trained on the small set between them; likewise.
        learning_rate: its learning rate.
        trained_on: "synthetic" trains the network on the small set; "real" on ``real_steps`` batches of real ones, with
            CutMix and momentum (IDC).
        real_steps: batches of 64 real images after each match.
        by_class: whether the small set moves after each class's match, and not after all classes' (IDC).
        most: most pictures of a class in one match, drawn anew each time.
    """

    real_batch: int = 256
    metric: Literal["cosine", "squared"] = "cosine"
    layers: Literal["weights", "convolutions"] = "weights"
    matches: int | None = None
    epochs: int | None = None
    learning_rate: float = 0.01
    trained_on: Literal["synthetic", "real"] = "synthetic"
    real_steps: int = 30
    by_class: bool = False
    most: int = 1024

    def __post_init__(self) -> None:
        check_ranges(
            self, matches=Range(1, 100_000, whole=True), epochs=Range(0, 100_000, whole=True),
            real_steps=Range(0, 100_000, whole=True), most=Range(1, 1_000_000, whole=True),
        )  # fmt: skip
        for name, allowed in (("metric", ("cosine", "squared")), ("layers", ("weights", "convolutions")),
                              ("trained_on", ("synthetic", "real"))):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise UserError(f"{name} is {getattr(self, name)!r}; take {' or '.join(allowed)}")

    def pulls(self, task: Task, step: int) -> Iterator[Pull]:
        """See `Objective`; a step is the life of one network."""
        per_class = max(len(task.synthetic.of_class(label)) for label in range(task.real.num_classes))
        usual = loops_of(per_class)
        matches = usual[0] if self.matches is None else self.matches
        epochs = usual[1] if self.epochs is None else self.epochs
        learner = task.learner("network", step)
        momentum = 0.9 if self.trained_on == "real" else 0.0
        weights = [each for each in learner.network.parameters() if each.requires_grad]
        optimiser = torch.optim.SGD(weights, lr=self.learning_rate, momentum=momentum,
                                    weight_decay=5e-4 if momentum else 0.0)  # fmt: skip
        for number in range(matches):
            at = step * matches + number
            pulls = (self._pull(task, learner, label, at) for label in range(task.real.num_classes))
            if self.by_class:
                yield from pulls
            else:
                yield joined(list(pulls))
            if number + 1 < matches:
                if self.trained_on == "real":
                    self._learn_real(task, learner, optimiser, at)
                else:
                    self._learn(task, learner, optimiser, epochs, at)

    def _pull(self, task: Task, learner: Learner, label: int, at: int) -> Pull:
        """One class's match."""
        change, network = task.alike(at, label), learner.network
        weights = [each for each in network.parameters() if each.requires_grad]
        pictures, targets = task.real.batch(task.real.rows(label, self.real_batch, at))
        changed = change(pictures)
        theirs = [torch.zeros_like(each) for each in weights]
        for rows in network.parts(changed):
            loss = learner.loss(network(changed[rows]), targets[rows]) * (len(changed[rows]) / len(changed))
            for total, part in zip(theirs, torch.autograd.grad(loss, weights), strict=True):
                total += part
        own = task.synthetic.of_class(label)
        if len(own) * task.synthetic.factor > self.most:
            share = max(1, self.most // task.synthetic.factor)
            drawn = np.random.default_rng(seed_of("match", task.seed, at, label)).permutation(len(own))[:share]
            own = [own[index] for index in sorted(drawn)]

        def distance(ours: Tensor, their_targets: Tensor) -> Tensor:
            with differentiable_twice(network):
                loss = learner.loss(network(change(ours)), their_targets)
                found = torch.autograd.grad(loss, weights, create_graph=True)
            return gradient_distance(found, theirs, self.metric, self.layers)

        return task.pull(distance, own)

    def _learn(self, task: Task, learner: Learner, optimiser: torch.optim.Optimizer, epochs: int, at: int) -> None:
        """Trains the network on the small set for some epochs."""
        pictures, targets = task.synthetic.shown()
        for epoch in range(epochs):
            order = torch.from_numpy(
                np.random.default_rng(seed_of("inner", task.seed, at, epoch)).permutation(len(pictures))
            )
            for number, rows in enumerate(order.split(256)):
                learner.learn(optimiser, task.changed(pictures[rows], at, epoch, number), targets[rows])

    def _learn_real(self, task: Task, learner: Learner, optimiser: torch.optim.Optimizer, at: int) -> None:
        """Trains the network on real images, with CutMix in half of the steps."""
        for number in range(self.real_steps):
            rows = task.real.any_rows(64, at * self.real_steps + number)
            pictures, targets = task.real.batch(rows)
            mixed = cutmix(pictures, draws(seed_of("inner mix", task.seed, at, number)), 0.5)
            if mixed is not None:
                pictures = mixed.pictures
                targets = mixed.share * targets + (1 - mixed.share) * targets[mixed.partner]
            learner.learn(optimiser, pictures, targets)
