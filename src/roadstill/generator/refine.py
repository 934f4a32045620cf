"""`refine`: optimises the latents of a small set so that training on it matches training on the whole set.

Two objectives, both on the features that the untrained agent (with its pretrained weights) has of the pictures:

* gradients: on random linear heads, the small set's loss gradient should point where the whole set's does (linear
  gradient matching, Cazenavette et al. 2025);
* regression: a ridge regression on the small set should predict the whole set's labels (Zhou et al. 2022, FRePo).

What moves are the codec's latents, not pixels, as in Cazenavette et al. 2023 (GLaD): pictures stay pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents import Agent, AgentConfig, FeatureCache
from roadstill.agents.features import prepare_pixels
from roadstill.agents.staged import StagedNetwork
from roadstill.agents.training import build_network
from roadstill.codecs import Codec, from_pixels, to_pixels
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.learning.loops import evenly, finite_sum, generator_of, require_finite
from roadstill.runs import check_ranges, digest_of, holding, plain, require_own, same_classes


@dataclass(frozen=True)
class Refinement:
    """How a small set is refined.

    Attributes:
        steps: steps of Adam on the latents.
        learning_rate: learning rate of Adam, in standard deviations of the latents.
        gradients: weight of the first objective, 1 - cosine of the gradients.
        regression: weight of the second, mean squared error.
        closeness: weight of the mean squared distance from the latents at the start.
        heads: number of random heads per step.
        head_scale: largest spread of a head's logits.
        ridge: strength of the regression's ridge, as a share of the kernel's mean diagonal.
        real_batch: real images per step.
        real_images: most real images that are looked at, in equal shares of the classes.
        batch_size: pictures that are differentiated at once; larger sets take a second forward pass, not more memory.
    """

    steps: int = 100
    learning_rate: float = 0.05
    gradients: float = 1.0
    regression: float = 1.0
    closeness: float = 0.0
    heads: int = 32
    head_scale: float = 3.0
    ridge: float = 0.1
    real_batch: int = 512
    real_images: int = 4096
    batch_size: int = 32

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.gradients + self.regression:
            raise UserError("gradients and regression are 0; give at least one of them a weight")


@holding()
def refine(
    images: ImageSet,
    real: ImageSet,
    codec: Codec,
    *,
    agent: AgentConfig,
    config: Refinement,
    seed: int,
    out: Path,
    cache: FeatureCache | None = None,
) -> ImageSet:
    """Refines a small set towards the whole one; unlike in `generate`, a picture depends on its whole set.

    Args:
        images: the small set to begin with, generated or picked.
        real: set that it stands for: the train part.
        codec: codec of the latents that move.
        agent: agent whose features are matched, untrained but with its initial weights.
        config: see `Refinement`.
        seed: seed of the random heads and the real batches.
        out: folder of the refined set.
        cache: spares the frozen stages' work on the real images if they were seen before.

    Raises:
        UserError: other classes, a class without an image, or a loss that is not finite.
    """
    require_own(out, "set.json")
    same_classes(images.class_names, real.class_names, of=images.root, to=real.root)
    device = codec.device
    network = build_network(agent, real.num_classes, seed, real.size_px).to(device).eval().requires_grad_(False)
    rows = _spread(real, config.real_images)
    known = torch.from_numpy(
        Agent(agent, network, real.class_names, real.size_px, {}, cache=cache or FeatureCache()).features(real, rows)
    )
    known_labels = torch.from_numpy(real.labels[rows])
    labels = torch.from_numpy(images.labels.copy()).to(device)
    with torch.no_grad():
        parts = [torch.from_numpy(pixels) for _, pixels in images.batches(config.batch_size)]
        start = torch.cat([codec.encode(from_pixels(part).to(device)).mean for part in parts])
    latents = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([latents], lr=config.learning_rate)
    generator = generator_of("refine", seed)
    for step in range(config.steps):
        chosen = torch.randint(len(known), (min(config.real_batch, len(known)),), generator=generator)
        theirs, their_labels = known[chosen].to(device), known_labels[chosen].to(device)
        heads = _random_heads(known, real.num_classes, config, generator).to(device)
        optimizer.zero_grad()
        terms = {}
        terms["matching"] = _pull(
            latents,
            lambda part: _seen(network, codec, part, agent),
            lambda ours: _objective(ours, labels, theirs, their_labels, heads, config),  # noqa: B023  called at once
            config.batch_size,
        )
        if config.closeness:
            terms["closeness"] = config.closeness * (latents - start).square().mean()
            terms["closeness"].backward()
        finite_sum(terms, step=step, rows=rows[chosen.numpy()])
        optimizer.step()
    require_finite({"latents": latents}, step=config.steps - 1)
    with torch.no_grad():
        pixels = torch.cat([to_pixels(codec.decode(part)) for part in latents.split(config.batch_size)]).cpu().numpy()
    refined = {"refined": digest_of(config)}
    with ImageSetWriter(out, images.class_names, pixels.shape[1]) as writer:
        for picture, label, facts in zip(pixels, images.labels, images.facts, strict=True):
            writer.add(picture, int(label), {**facts, **refined})
        writer.about.update(images.about)
        writer.about["refined"] = {"config": plain(config), "from": images.digest, "real": real.digest, "seed": seed,
                                   "network": agent.network}  # fmt: skip
    return open_imageset(out)


def _seen(network: StagedNetwork, codec: Codec, latents: Tensor, agent: AgentConfig) -> Tensor:
    """Features of the pictures that latents stand for."""
    pictures = (codec.decode(latents) + 1) / 2
    return network.features(network.trunk(prepare_pixels(network, pictures, agent.image_px)))


def _objective(
    ours: Tensor, labels: Tensor, theirs: Tensor, their_labels: Tensor, heads: Tensor, config: Refinement
) -> Tensor:
    loss = ours.new_zeros(())
    if config.gradients:
        small, large = head_gradients(ours, labels, heads), head_gradients(theirs, their_labels, heads)
        loss = loss + config.gradients * (1 - F.cosine_similarity(small, large, dim=1)).mean()
    if config.regression:
        loss = loss + config.regression * ridge_error(ours, labels, theirs, their_labels, config.ridge)
    return loss


def _pull(
    latents: Tensor, features: Callable[[Tensor], Tensor], objective: Callable[[Tensor], Tensor], batch_size: int
) -> Tensor:
    """The objective; adds its gradient to ``latents.grad``, never holding more than one batch's graph."""
    if len(latents) <= batch_size:
        loss = objective(features(latents))
        loss.backward()
        return loss.detach()
    with torch.no_grad():
        ours = torch.cat([features(part) for part in latents.split(batch_size)])
    loss = objective(ours.requires_grad_(True))
    (wanted,) = torch.autograd.grad(loss, ours)
    for part, gradient in zip(latents.split(batch_size), wanted.split(batch_size), strict=True):
        features(part).backward(gradient)
    return loss.detach()


def head_gradients(features: Tensor, labels: Tensor, heads: Tensor) -> Tensor:
    """Gradients of the mean cross-entropy with respect to linear heads, ``[h, k * (d + 1)]``.

    Args:
        features: ``[n, d]``.
        labels: ``[n]``.
        heads: ``[h, k, d]``; their biases are zero.
    """
    logits = torch.einsum("nd,hkd->hnk", features, heads)
    wrong = logits.softmax(2) - F.one_hot(labels, heads.shape[1])
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
    middle = theirs.mean(0)
    spread = (theirs - middle).square().sum(1).mean().sqrt()
    # The column of ones is the regression's constant.
    a, b = (F.pad((part - middle) / spread, (0, 1), value=1.0) for part in (ours, theirs))
    kernel = a @ a.T
    loaded = kernel + ridge * kernel.diagonal().mean() * torch.eye(len(a), device=a.device)
    targets, wanted = (2.0 * F.one_hot(each, k) - 1 for each in (labels, their_labels))
    return (b @ (a.T @ torch.linalg.solve(loaded, targets)) - wanted).square().mean()


def _random_heads(known: Tensor, num_classes: int, config: Refinement, generator: torch.Generator) -> Tensor:
    """Heads ``[h, k, d]`` of all strengths, from none to logits that spread by ``head_scale``."""
    shape = (config.heads, num_classes, known.shape[1])
    strength = config.head_scale * torch.rand((config.heads, 1, 1), generator=generator)
    return strength * torch.randn(shape, generator=generator) / known.square().sum(1).mean().sqrt()


def _spread(real: ImageSet, limit: int) -> NDArray[np.int64]:
    """At most ``limit`` rows, evenly from every class."""
    share = max(1, limit // real.num_classes)
    rows = [np.flatnonzero(real.labels == label) for label in range(real.num_classes)]
    if not all(map(len, rows)):
        raise UserError(f"{real.root}: a class has no image; refinement needs real images of each")
    return np.concatenate([evenly(of, share) for of in rows])
