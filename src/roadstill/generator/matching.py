"""What refinement matches: the features that untrained networks (with their pretrained weights) have of pictures.

* gradients: on random linear heads, the small set's loss gradient should point where the whole set's does (linear
  gradient matching, Cazenavette et al. 2025);
* regression: a ridge regression on the small set should predict the whole set's labels (Zhou et al. 2022, FRePo).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents import Agent, AgentConfig, FeatureCache
from roadstill.agents.augment import siamese
from roadstill.agents.features import prepare_pixels
from roadstill.agents.staged import StagedNetwork
from roadstill.agents.training import build_network
from roadstill.errors import UserError
from roadstill.generator.refinement import Refinement
from roadstill.imagesets import ImageSet
from roadstill.learning.loops import evenly


class Change(NamedTuple):
    """The augmentation of one step, the same for real and synthetic pictures.

    Attributes:
        seed: seed of its random numbers.
        mirrors: whether it may mirror pictures.
    """

    seed: int
    mirrors: bool


@dataclass
class Matched:
    """One network whose features are matched.

    Attributes:
        agent: settings of the agent that begins as this network.
        network: the network, in evaluation mode.
        known: features of the real images that are looked at, ``[m, d]``, on the CPU.
        cache: frozen stages' output on whole sets.
    """

    agent: AgentConfig
    network: StagedNetwork
    known: Tensor
    cache: FeatureCache

    @classmethod
    def of(
        cls, agent: AgentConfig, real: ImageSet, rows: NDArray[np.int64], seed: int, device: torch.device,
        cache: FeatureCache,
    ) -> "Matched":  # fmt: skip
        """The untrained agent, and its features of these rows of the real images."""
        network = build_network(agent, real.num_classes, seed, real.size_px).to(device).eval().requires_grad_(False)
        made = cls(agent, network, torch.empty(0), cache)
        made.known = made.features_of(real, rows)
        return made

    def features_of(self, images: ImageSet, rows: NDArray[np.int64]) -> Tensor:
        """Features of rows of an image set as it is, ``[n, d]``, on the CPU."""
        whole = Agent(self.agent, self.network, images.class_names, images.size_px, {}, cache=self.cache)
        return torch.from_numpy(whole.features(images, rows))

    def features(self, pictures: Tensor, change: Change | None = None) -> Tensor:
        """Features ``[n, d]`` of pictures, with gradient.

        Args:
            pictures: uint8 ``[n, s, s, 3]`` or float in [0, 1] ``[n, 3, s, s]``.
            change: augmentation; None leaves the pictures as they are.
        """
        prepared = prepare_pixels(self.network, pictures, self.agent.image_px)
        if change is not None:
            prepared = siamese(prepared, change.seed, mirrors=change.mirrors)
        return self.network.features(self.network.trunk(prepared))

    @torch.no_grad()
    def in_batches(self, pixels: Tensor, batch_size: int, change: Change | None = None) -> Tensor:
        """The same for many pictures, a few at a time and without gradient."""
        device = self.network.head.weight.device
        return torch.cat([self.features(part.to(device), change) for part in pixels.split(batch_size)])


def picture_gradient(
    pictures: Tensor, features: Callable[[Tensor], Tensor], objective: Callable[[Tensor], Tensor], batch_size: int
) -> tuple[Tensor, Tensor]:
    """An objective of features and its gradient with respect to pictures, never holding more than one batch's graph.

    Args:
        pictures: pictures ``[n, 3, s, s]``.
        features: features ``[b, d]`` of some of them, with gradient; called twice if there are several batches.
        objective: a scalar, of the features ``[n, d]`` of all.
        batch_size: pictures at once.

    Returns:
        The objective, and its gradient ``[n, 3, s, s]``.
    """
    parts = [part.detach().requires_grad_(True) for part in pictures.split(batch_size)]
    if len(parts) == 1:
        loss = objective(features(parts[0]))
        return loss.detach(), torch.autograd.grad(loss, parts[0])[0]
    with torch.no_grad():
        ours = torch.cat([features(part) for part in parts])
    loss = objective(ours.requires_grad_(True))
    (wanted,) = torch.autograd.grad(loss, ours)
    found = [
        torch.autograd.grad(features(part), part, its)[0]
        for part, its in zip(parts, wanted.split(batch_size), strict=True)
    ]
    return loss.detach(), torch.cat(found)


def balanced(gradients: Sequence[Tensor]) -> Tensor:
    """Mean of several networks' gradients, each scaled to their mean size, so that none outweighs the others."""
    if len(gradients) == 1:
        return gradients[0]
    sizes = torch.stack([each.square().mean().sqrt() for each in gradients])
    shares = sizes.mean() / sizes.clamp_min(torch.finfo(sizes.dtype).tiny)
    return torch.stack([share * each for share, each in zip(shares, gradients, strict=True)]).mean(0)


def objective_of(
    ours: Tensor, labels: Tensor, theirs: Tensor, their_labels: Tensor, heads: Tensor, config: Refinement
) -> Tensor:
    """Weighted sum of both objectives, a scalar; arguments as for `head_gradients` and `ridge_error`."""
    loss = ours.new_zeros(())
    if config.gradients:
        pairs = ((ours, labels), (theirs, their_labels))
        small, large = (head_gradients(each, F.one_hot(its, heads.shape[1]), heads) for each, its in pairs)
        loss = loss + config.gradients * (1 - F.cosine_similarity(small, large, dim=1)).mean()
    if config.regression:
        loss = loss + config.regression * ridge_error(ours, labels, theirs, their_labels, config.ridge)
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


def ridge_error(ours: Tensor, labels: Tensor, theirs: Tensor, their_labels: Tensor, ridge: float) -> Tensor:
    """Mean squared error on ``theirs`` of the ridge regression that ``ours`` determine, targets +-1 per class.

    Args:
        ours: features of the small set, ``[n, d]``.
        labels: labels of the small set, ``[n]``.
        theirs: features of real images, ``[m, d]``.
        their_labels: labels of the real images, ``[m]``.
        ridge: share of the kernel's mean diagonal.
    """
    k = int(torch.maximum(labels.max(), their_labels.max())) + 1
    wanted = 2.0 * F.one_hot(their_labels, k) - 1
    return (ridge_fit(ours, F.one_hot(labels, k), theirs, theirs, ridge) - wanted).square().mean()


def ridge_fit(ours: Tensor, targets: Tensor, theirs: Tensor, usual: Tensor, ridge: float) -> Tensor:
    """Predictions on ``theirs`` of the ridge regression that ``ours`` determine, ``[m, k]``, near +1 for the class.

    Args:
        ours: features of the small set, ``[n, d]``.
        targets: probabilities of the small set, ``[n, k]``.
        theirs: features that predictions are for, ``[m, d]``.
        usual: features of real images, whose mean and spread normalise all, ``[r, d]``.
        ridge: share of the kernel's mean diagonal.
    """
    middle = usual.mean(0)
    spread = (usual - middle).square().sum(1).mean().sqrt()
    # The column of ones is the regression's constant.
    a, b = (F.pad((part - middle) / spread, (0, 1), value=1.0) for part in (ours, theirs))
    kernel = a @ a.T
    loaded = kernel + ridge * kernel.diagonal().mean() * torch.eye(len(a), device=a.device)
    return b @ (a.T @ torch.linalg.solve(loaded, 2.0 * targets - 1))


def random_heads(known: Tensor, num_classes: int, count: int, scale: float, generator: torch.Generator) -> Tensor:
    """Heads ``[count, k, d]`` of all strengths, from none to logits that spread by ``scale``."""
    strength = scale * torch.rand((count, 1, 1), generator=generator)
    drawn = torch.randn((count, num_classes, known.shape[1]), generator=generator)
    return (strength * drawn).to(known.device) / known.square().sum(1).mean().sqrt()


def spread_rows(real: ImageSet, limit: int) -> NDArray[np.int64]:
    """At most ``limit`` rows, evenly from every class."""
    share = max(1, limit // real.num_classes)
    rows = [np.flatnonzero(real.labels == label) for label in range(real.num_classes)]
    if not all(map(len, rows)):
        raise UserError(f"{real.root}: a class has no image; refinement needs real images of each")
    return np.concatenate([evenly(of, share) for of in rows])
