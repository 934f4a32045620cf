"""Linear gradient matching (LGM; Cazenavette et al. 2025): gradients of random linear heads on frozen features."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents.networks import check_name
from roadstill.distil.objectives.base import Objective, Running
from roadstill.distil.seeing import Change, Seeing, ridge_fit, spread_rows
from roadstill.distil.synthetic import Pull
from roadstill.distil.task import Task
from roadstill.errors import UserError
from roadstill.evaluation.networks import other_network
from roadstill.learning.loops import generator_of
from roadstill.runs import Range, check_ranges, seed_of


@dataclass(frozen=True)
class LinearGradients(Objective):
    """The loss gradient of the small set with respect to random linear heads should point where the real one's does.

    Attributes:
        networks: further networks that are looked at beside the task's, each with the weights that it comes with.
            Every step looks at all of them; their gradients are scaled alike, so that none outweighs the others.
        heads: random heads in a step.
        head_scale: largest spread of a head's logits.
        gradients: weight of 1 - cosine of the gradients.
        regression: weight of the error on real images of a ridge regression on the small set (FRePo's objective).
        ridge: ridge as a share of the kernel's mean diagonal.
        real_batch: real images in a step; under augmentation they pass the networks in every step.
        real_images: most real images that are looked at, in equal shares of the classes.
    """

    networks: tuple[str, ...] = ()
    heads: int = 32
    head_scale: float = 3.0
    gradients: float = 1.0
    regression: float = 0.0
    ridge: float = 0.1
    real_batch: int = 256
    real_images: int = 4096

    def __post_init__(self) -> None:
        object.__setattr__(self, "networks", tuple(self.networks))
        check_ranges(self, heads=Range(1, 100_000, whole=True))
        if not self.gradients + self.regression:
            raise UserError("gradients and regression are 0; give at least one of them a weight")
        for name in self.networks:
            check_name(name)

    def networks_beside(self, network: str) -> tuple[str, ...]:
        """See `Objective`."""
        return tuple(dict.fromkeys([network, *self.networks]))

    def begin(self, task: Task) -> "Running[LinearGradients]":
        """See `Objective`."""
        return Looking(self, task)


class Looking(Running[LinearGradients]):
    """Linear gradient matching with its networks, frozen and in evaluation mode.

    Attributes:
        networks: networks by name, the task's first.
        rows: real images that are looked at.
    """

    def __init__(self, objective: LinearGradients, task: Task) -> None:
        super().__init__(objective, task)
        if task.agent.target != "class":
            raise UserError("linear gradient matching is of classes; take another objective for numbers")
        images = task.real.images
        self.rows = spread_rows(images, objective.real_images)
        self.networks = {
            name: Seeing.of(other_network(task.agent, name), images, self.rows, task.seed, task.real.device, task.cache)
            for name in dict.fromkeys([task.agent.network, *objective.networks])
        }

    def pulls(self, step: int) -> Iterator[Pull]:
        """See `Objective`."""
        own, task = self.objective, self.task
        device, generator = task.real.device, generator_of("linear", task.seed, step)
        chosen = torch.randint(len(self.rows), (min(own.real_batch, len(self.rows)),), generator=generator)
        looked = self.rows[chosen.numpy()]
        wanted = task.real.targets[torch.from_numpy(looked)].to(device)
        change = None
        if task.augment == "dsa":
            change = Change(seed_of("linear dsa", task.seed, step), task.mirrors)
            shown = torch.from_numpy(task.real.images.pixels(looked))
        pulls = []
        for name, network in self.networks.items():
            heads = random_heads(network.known, task.width, own.heads, own.head_scale, generator).to(device)
            if change is None:
                theirs = network.known[chosen].to(device)
            else:
                theirs = network.in_batches(shown, task.synthetic.batch_size, change)
            pulls.append(task.pull_of_features(
                lambda pictures: network.features(task.real.space.leave(pictures), change),  # noqa: B023  called at once
                lambda ours, targets: objective_of(ours, targets, theirs, wanted, heads, own),  # noqa: B023
                "matching" if len(self.networks) == 1 else f"matching {name}",
            ))  # fmt: skip
        terms = {key: term for pull in pulls for key, term in pull.terms.items()}
        its = [pull.targets for pull in pulls if pull.targets is not None]
        targets = torch.stack(its).mean(0) if its else None
        yield Pull(balanced([pull.pictures for pull in pulls]), targets, None, terms, looked=looked.tolist())


def objective_of(
    ours: Tensor, targets: Tensor, theirs: Tensor, wanted: Tensor, heads: Tensor, config: LinearGradients
) -> Tensor:
    """Weighted sum of both objectives, a scalar.

    Args:
        ours: features of the small set ``[n, d]``.
        targets: its probabilities ``[n, k]``.
        theirs: features of real images ``[m, d]``.
        wanted: their probabilities ``[m, k]``.
        heads: heads ``[h, k, d]``.
        config: weights.
    """
    loss = ours.new_zeros(())
    if config.gradients:
        small, large = head_gradients(ours, targets, heads), head_gradients(theirs, wanted, heads)
        loss = loss + config.gradients * (1 - F.cosine_similarity(small, large, dim=1)).mean()
    if config.regression:
        fit = ridge_fit(ours, targets, theirs, theirs, config.ridge)
        loss = loss + config.regression * (fit - (2.0 * wanted - 1)).square().mean()
    return loss


def head_gradients(features: Tensor, targets: Tensor, heads: Tensor) -> Tensor:
    """Gradients of the mean cross-entropy with respect to linear heads, ``[h, k * (d + 1)]``.

    Args:
        features: ``[n, d]``.
        targets: probabilities ``[n, k]``.
        heads: ``[h, k, d]``; their biases are zero.
    """
    logits = torch.einsum("nd,hkd->hnk", features, heads)
    wrong = logits.softmax(2) - targets
    weight = torch.einsum("hnk,nd->hkd", wrong, features) / len(features)
    # A bias counts as a feature of usual size, else it would drown among the others.
    bias = wrong.mean(1) * features.detach().norm(dim=1).mean()
    return torch.cat([weight.flatten(1), bias], 1)


def random_heads(known: Tensor, num_classes: int, count: int, scale: float, generator: torch.Generator) -> Tensor:
    """Heads ``[count, k, d]`` of all strengths, from none to logits that spread by ``scale``."""
    strength = scale * torch.rand((count, 1, 1), generator=generator)
    drawn = torch.randn((count, num_classes, known.shape[1]), generator=generator)
    return (strength * drawn).to(known.device) / known.square().sum(1).mean().sqrt()


def balanced(gradients: list[Tensor]) -> Tensor:
    """Mean of several networks' gradients, each scaled to their mean size, so that none outweighs the others."""
    if len(gradients) == 1:
        return gradients[0]
    sizes = torch.stack([each.square().mean().sqrt() for each in gradients])
    shares = sizes.mean() / sizes.clamp_min(torch.finfo(sizes.dtype).tiny)
    return torch.stack([share * each for share, each in zip(shares, gradients, strict=True)]).mean(0)
