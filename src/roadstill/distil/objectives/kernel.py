"""Kernel regression as the training: KIP (Nguyen et al. 2021), RFAD (Loo et al. 2022), FRePo (Zhou et al. 2022)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roadstill.agents.kernel import NAME as KERNEL
from roadstill.distil.objectives.base import Objective, Pooled, Running
from roadstill.distil.synthetic import Pull
from roadstill.distil.task import Task
from roadstill.learning.kernels import regress, tangent_kernel
from roadstill.runs import Range, check_ranges, seed_of

_MOST_LEARNT = 500  # pictures in a step of a network


def centred(targets: Tensor, middle: Tensor) -> Tensor:
    """Targets about 0: probabilities less 1 / k, numbers less their mean."""
    return targets - middle.to(targets)


def middle_of(task: Task) -> Tensor:
    """What `centred` takes away."""
    if task.agent.target == "class":
        return torch.full((task.width,), 1 / task.width)
    return task.real.targets.mean(0)


@dataclass(frozen=True)
class KernelPoints(Objective):
    """KIP: the error on real images of kernel regression on the small set, with the kernel of infinitely wide networks.

    Attributes:
        real_batch: real images in a step.
        depth: hidden layers of the networks; fully connected ones, whose kernel has a closed form that is cheap.
        kind: "ntk" or "nngp".
        bias: standard deviation of the biases.
        ridge: ridge as a share of the kernel's mean diagonal.
    """

    real_batch: int = 5000
    depth: int = 2
    kind: Literal["ntk", "nngp"] = "ntk"
    bias: float = 0.1
    ridge: float = 1e-6

    def __post_init__(self) -> None:
        check_ranges(self, bias=Range(0), depth=Range(1, 32, whole=True))

    def networks_beside(self, network: str) -> tuple[str, ...]:
        """See `Objective`; the agent's network takes no part."""
        return (KERNEL,)

    def pulls(self, task: Task, step: int) -> Iterator[Pull]:
        """See `Objective`."""
        pictures, wanted = task.real.batch(task.real.any_rows(self.real_batch, step))
        middle = middle_of(task)
        theirs, wanted = pictures.flatten(1), centred(wanted, middle).double()

        def loss_of(ours: Tensor, targets: Tensor) -> Tensor:
            flat = ours.flatten(1)
            keys: dict[str, object] = {"depth": self.depth, "bias": self.bias, "kind": self.kind}
            found = regress(
                tangent_kernel(flat, flat, **keys), tangent_kernel(theirs, flat, **keys),  # type: ignore[arg-type]
                centred(targets, middle), self.ridge,
            )  # fmt: skip
            return 0.5 * (found - wanted).square().sum(1).mean().float()

        yield task.pull(loss_of)


@dataclass(frozen=True)
class RandomFeatures(Objective):
    """RFAD: kernel regression with features of random convolutional networks, which are drawn anew in every step.

    Attributes:
        real_batch: real images in a step.
        networks: number of networks whose features together make the kernel.
        width: their channels.
        depth: their convolutions, each followed by ReLU and average pooling.
        ridge: ridge as a share of the kernel's mean diagonal.
        platt: whether the loss is the cross-entropy of scaled predictions, and not the squared error.
        rate_of_scale: learning rate of the logarithm of that scale.
    """

    real_batch: int = 1280
    networks: int = 8
    width: int = 256
    depth: int = 3
    ridge: float = 5e-3
    platt: bool = True
    rate_of_scale: float = 1e-2

    def __post_init__(self) -> None:
        check_ranges(self, networks=Range(1, 1000, whole=True), depth=Range(1, 32, whole=True), rate_of_scale=Range(0))

    def networks_beside(self, network: str) -> tuple[str, ...]:
        """See `Objective`; the networks are its own, and random."""
        return (KERNEL,)

    def begin(self, task: Task) -> "Running[RandomFeatures]":
        """See `Objective`."""
        return _Scaling(self, task)

    def network(self, seed: int) -> nn.Module:
        """A random network without norms, weights of variance 2 / fan-in."""
        generator = torch.Generator().manual_seed(seed)
        layers: list[nn.Module] = []
        for index in range(self.depth):
            convolution = nn.Conv2d(self.width if index else 3, self.width, 3, padding=1, bias=False)
            fan_in = convolution.weight[0].numel()
            with torch.no_grad():
                convolution.weight.normal_(std=(2 / fan_in) ** 0.5, generator=generator)
            layers += [convolution, nn.ReLU(), nn.AvgPool2d(2)]
        network = nn.Sequential(*layers, nn.Flatten()).requires_grad_(False)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class _Scaling(Running[RandomFeatures]):
    """Regression on random features with the scale of predictions that moves."""

    def __init__(self, objective: RandomFeatures, task: Task) -> None:
        super().__init__(objective, task)
        self.scaled = objective.platt and task.agent.target == "class"
        self.scale = torch.tensor(0.0, requires_grad=True)

    def settings(self) -> Mapping[str, Tensor]:
        """Logarithm of the scale of predictions."""
        return {"scale": self.scale} if self.scaled and self.objective.rate_of_scale else {}

    def rates(self) -> Mapping[str, float]:
        """See `Running`."""
        return {"scale": self.objective.rate_of_scale} if self.settings() else {}

    def pulls(self, step: int) -> Iterator[Pull]:
        """See `Objective`."""
        own, task = self.objective, self.task
        networks = [own.network(seed_of("random features", task.seed, step, number)).to(task.real.device)
                    for number in range(own.networks)]  # fmt: skip
        pictures, wanted = task.real.batch(task.real.any_rows(own.real_batch, step))
        with torch.no_grad():
            theirs = features_of(networks, pictures)
        middle = middle_of(task)

        def loss_of(ours: Tensor, targets: Tensor) -> Tensor:
            its = features_of(networks, ours)
            share = 2 / its.shape[1]
            found = regress(share * its @ its.T + 0.01, share * theirs @ its.T + 0.01, centred(targets, middle),
                            own.ridge)  # fmt: skip
            if self.scaled:
                return F.cross_entropy(found * self.scale.exp(), wanted.double()).float()
            return 0.5 * (found - centred(wanted, middle).double()).square().sum(1).mean().float()

        yield task.pull(loss_of, settings=self.settings())


def features_of(networks: list[nn.Module], pictures: Tensor) -> Tensor:
    """Features of several networks side by side, ``[b, f]``, few pictures at a time."""
    return torch.cat([torch.cat([network(part) for part in pictures.split(32)]) for network in networks], 1)


@dataclass(frozen=True)
class FeatureRegression(Objective):
    """FRePo: kernel regression with features of networks that learn on the small set as it moves.

    Attributes:
        real_batch: real images in a step.
        pool: number of networks, of staggered ages.
        most_steps: steps after which a network begins anew.
        learning_rate: learning rate of the networks (Adam).
        ridge: ridge as a share of the kernel's mean diagonal.
        margin: weight of the term that keeps the two largest entries of a label apart.
        mirrored: whether mirrored pictures stand beside the small set's own.
    """

    real_batch: int = 1024
    pool: int = 10
    most_steps: int = 100
    learning_rate: float = 3e-4
    ridge: float = 1e-6
    margin: float = 1.0
    mirrored: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, pool=Range(1, 1000, whole=True), most_steps=Range(1, 100_000, whole=True), margin=Range(0))

    def begin(self, task: Task) -> "Running[FeatureRegression]":
        """See `Objective`."""
        return _Learning(self, task)


class _Learning(Pooled[FeatureRegression]):
    """Regression on features with its pool of networks, which are of all ages."""

    def __init__(self, objective: FeatureRegression, task: Task) -> None:
        super().__init__(objective, task)
        for number in range(objective.pool):
            self.renew(number, 0)
            for at in range(number * objective.most_steps // objective.pool):
                self._learn(number, -1 - at)

    def pulls(self, step: int) -> Iterator[Pull]:
        """See `Objective`."""
        own, task = self.objective, self.task
        number = int(np.random.default_rng(seed_of("pool", task.seed, step)).integers(own.pool))
        learner = task.learner("shape")
        learner.put(self.pool[f"{number}/weights"])
        network = learner.network.requires_grad_(False)
        middle = middle_of(task)

        def features(pictures: Tensor) -> Tensor:
            return torch.cat([network.features(network.trunk(pictures[rows])) for rows in network.parts(pictures)])

        pictures, wanted = task.real.batch(task.real.any_rows(own.real_batch, step))
        with torch.no_grad():
            theirs = features(pictures)

        def loss_of(ours: Tensor, targets: Tensor) -> dict[str, Tensor]:
            shown, its = ours, targets
            if own.mirrored:
                shown, its = torch.cat([ours, ours.flip(3)]), targets.repeat(2, 1)
            found = features(shown)
            predicted = regress(found @ found.T, theirs @ found.T, centred(its, middle), own.ridge)
            error = 0.5 * (predicted - centred(wanted, middle).double()).square().sum(1).mean()
            terms = {"error": error.float()}
            if own.margin and task.synthetic.learnt and task.agent.target == "class":
                top = targets.topk(2, dim=1).values
                terms["margin"] = -own.margin * (top[:, 0] - top[:, 1]).clamp_max(1 / task.width).mean()
            return terms

        yield task.pull(loss_of)
        if int(self.pool[f"{number}/age"]) >= own.most_steps:
            self.renew(number, int(self.pool[f"{number}/life"]) + 1)
        self._learn(number, step)

    def _learn(self, number: int, step: int) -> None:
        """One step of Adam of a network on the small set: squared error of centred targets."""
        task = self.task
        pictures, targets = task.synthetic.shown()
        if len(pictures) > _MOST_LEARNT:
            order = np.random.default_rng(seed_of("pool batch", task.seed, step, number)).permutation(len(pictures))
            rows = torch.from_numpy(order[:_MOST_LEARNT])
            pictures, targets = pictures[rows], targets[rows]
        learner = task.learner("shape")
        learner.loss = _squared
        wanted = centred(targets, middle_of(task))
        gradient = learner.gradient(self.pool[f"{number}/weights"], pictures, wanted, twice=False)
        age = self.pool[f"{number}/age"] + 1
        first = 0.9 * self.pool[f"{number}/first"] + 0.1 * gradient
        second = 0.999 * self.pool[f"{number}/second"] + 0.001 * gradient.square()
        move = first / (1 - 0.9**age) / ((second / (1 - 0.999**age)).sqrt() + 1e-8)
        weights = self.pool[f"{number}/weights"] - self.objective.learning_rate * move
        self.pool |= {f"{number}/weights": weights, f"{number}/first": first, f"{number}/second": second,
                      f"{number}/age": age}  # fmt: skip


def _squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return 0.5 * (outputs - targets).square().sum(1).mean()
