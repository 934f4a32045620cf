"""What an objective works with: the real pictures, fresh networks, and the small set that moves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents import AgentConfig, FeatureCache
from roadstill.agents.augment import draws, dsa, siamese
from roadstill.agents.quantities import QUANTITIES
from roadstill.agents.staged import StagedNetwork
from roadstill.agents.training import build_network
from roadstill.distil.learner import Learner, loss_for
from roadstill.distil.spaces import Space
from roadstill.distil.synthetic import Pull, Synthetic
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.learning.loops import rows_of_step
from roadstill.runs import seed_of

Terms: TypeAlias = "Tensor | Mapping[str, Tensor]"
Chooser: TypeAlias = Callable[["Real", int, int, int], NDArray[np.int64]]


@dataclass
class Real:
    """The set that the small one stands for; its pictures are decoded batch by batch, or held if they are few.

    Attributes:
        images: the set.
        space: what networks take.
        targets: target of each image, ``[n, k]``: its class, or numbers that are to be learnt.
        groups: rows of each class.
        seed: seed of the batches.
        limit_bytes: decoded pictures are held up to this size.
        chooser: rows of a class for a step, given the number of them; random ones if None.
        device: where batches go.
    """

    images: ImageSet
    space: Space
    targets: Tensor
    groups: list[NDArray[np.int64]]
    seed: int
    limit_bytes: int = 2**30
    chooser: Chooser | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    _held: NDArray[np.uint8] | None = field(default=None, repr=False)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.groups)

    def rows(self, label: int, count: int, step: int) -> NDArray[np.int64]:
        """Rows of a class for a step: each once before any a second time, unless another way of choosing is set."""
        if self.chooser is not None:
            return self.chooser(self, label, count, step)
        own = self.groups[label]
        return own[rows_of_step(len(own), min(count, len(own)), seed=self.seed, step=step, name=f"class{label}")]

    def any_rows(self, count: int, step: int) -> NDArray[np.int64]:
        """Rows of all classes together for a step."""
        size = len(self.images)
        return rows_of_step(size, min(count, size), seed=self.seed, step=step, name="all")

    def pictures(self, rows: NDArray[np.int64]) -> Tensor:
        """What networks take for these images, ``[b, 3, s, s]``."""
        pixels = self._pixels(rows)
        return self.space.enter(torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float() / 255)

    def batch(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """What networks take for these images, and their targets ``[b, k]``."""
        return self.pictures(rows), self.targets[torch.from_numpy(rows)].to(self.device)

    def _pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        if self._held is None and 3 * self.images.size_px**2 * len(self.images) <= self.limit_bytes:
            self._held = self.images.pixels()
        return self.images.pixels(rows) if self._held is None else self._held[rows]


def real_of(images: ImageSet, space: Space, target: str, seed: int) -> Real:
    """The real pictures of a training set with targets.

    Args:
        images: train part.
        space: what networks take.
        target: "class", or a quantity of `QUANTITIES`.
        seed: seed of the batches.

    Raises:
        UserError: a class without an image, or images without the numbers that are to be learnt.
    """
    groups = [np.flatnonzero(images.labels == label) for label in range(images.num_classes)]
    if empty := [name for name, rows in zip(images.class_names, groups, strict=True) if not len(rows)]:
        raise UserError(f"{images.root}: a class has no image ({empty[0]}); real images of each are needed")
    if target == "class":
        targets = F.one_hot(torch.from_numpy(images.labels), images.num_classes).float()
    else:
        quantity = QUANTITIES[target]
        targets = torch.from_numpy(quantity.of(images) / np.array(quantity.scale, np.float32)).float()
    return Real(images, space, targets, groups, seed)


@dataclass
class Task:
    """One distillation.

    Attributes:
        real: the set that the small one stands for.
        synthetic: the small set.
        agent: network that objectives look at, and how it takes pictures.
        augment: change of pictures: "none" or "dsa".
        mirrors: whether that may mirror.
        steps: steps of the whole distillation.
        seed: seed of everything.
        cache: output of frozen stages on whole sets.
    """

    real: Real
    synthetic: Synthetic
    agent: AgentConfig
    augment: str
    mirrors: bool
    steps: int
    seed: int
    cache: FeatureCache = field(default_factory=FeatureCache, repr=False)

    @property
    def width(self) -> int:
        """Number of outputs of a network."""
        return self.real.targets.shape[1]

    def network(self, *of: object) -> StagedNetwork:
        """A network with fresh weights (those that it comes with, where it has some); the same for equal ``of``."""
        made = build_network(self.agent, self.width, seed_of("distil", self.seed, *of), self.real.images.size_px)
        return made.to(self.real.device).train()

    def learner(self, *of: object) -> Learner:
        """The same as a function of its weights, with the loss that agents are trained with."""
        return Learner(self.network(*of), loss_for(self.agent.target))

    def alike(self, *of: object) -> Callable[[Tensor], Tensor]:
        """A change that is the same for every picture of every batch; none if nothing is to be changed."""
        if self.augment == "none":
            return lambda pictures: pictures
        return partial(siamese, seed=seed_of("distil alike", self.seed, *of), mirrors=self.mirrors)

    def changed(self, pictures: Tensor, *of: object) -> Tensor:
        """Pictures as an agent is trained on them: changed each by itself."""
        if self.augment == "none":
            return pictures
        return dsa(pictures, draws(seed_of("distil changed", self.seed, *of)))

    def pull(
        self, loss_of: Callable[[Tensor, Tensor], Terms], rows: Sequence[int] | None = None,
        settings: Mapping[str, Tensor] | None = None,
    ) -> Pull:  # fmt: skip
        """The gradients of a loss of some pictures and their targets.

        Args:
            loss_of: the loss, or its terms by name; takes pictures ``[m, 3, s, s]`` and targets ``[m, k]``.
            rows: stored pictures that the loss is of; all if None.
            settings: tensors that the loss depends on besides, whose gradients are wanted.
        """
        pictures, targets = self.synthetic.shown(rows)
        pictures.requires_grad_(True)
        learnt = self.synthetic.learnt
        leaves = [pictures, *([targets.requires_grad_(True)] if learnt else []), *(settings or {}).values()]
        found = loss_of(pictures, targets)
        terms = dict(found) if isinstance(found, Mapping) else {"loss": found}
        grads = torch.autograd.grad(
            torch.stack(list(terms.values())).sum(), leaves, allow_unused=True, materialize_grads=True
        )
        its = grads[1] if learnt else None
        more = dict(zip(settings or {}, grads[1 + learnt :], strict=True))
        return Pull(grads[0], its, rows, {name: term.detach() for name, term in terms.items()}, more)

    def pull_of_features(
        self, features: Callable[[Tensor], Tensor], loss_of: Callable[[Tensor, Tensor], Tensor], name: str = "loss"
    ) -> Pull:
        """The gradients of a loss of the small set's features, never holding more than one batch's graph.

        Args:
            features: features ``[b, d]`` of some pictures; called twice if there are several batches.
            loss_of: the loss; takes the features ``[m, d]`` and targets ``[m, k]`` of all.
            name: name of the term.
        """
        pictures, targets = self.synthetic.shown()
        if self.synthetic.learnt:
            targets.requires_grad_(True)
        size = self.synthetic.batch_size * self.synthetic.factor
        parts = [part.detach().requires_grad_(True) for part in pictures.split(size)]
        with torch.set_grad_enabled(len(parts) == 1):
            kept = [features(part) for part in parts]
        ours = torch.cat([each.detach() for each in kept]).requires_grad_(True)
        leaves = [ours, *([targets] if self.synthetic.learnt else [])]
        loss = loss_of(ours, targets)
        wanted, *its = torch.autograd.grad(loss, leaves)
        found = [
            torch.autograd.grad(kept[0] if len(parts) == 1 else features(part), part, back)[0]
            for part, back in zip(parts, wanted.split(size), strict=True)
        ]
        return Pull(torch.cat(found), its[0] if its else None, None, {name: loss.detach()})

    def pull_by_class(self, loss_of: Callable[[int, Tensor], Terms]) -> Pull:
        """The gradients of a sum over classes of losses of their pictures ``[m, 3, s, s]``, class by class."""
        pulls = [
            self.pull(lambda pictures, _: loss_of(label, pictures), self.synthetic.of_class(label))  # noqa: B023
            for label in range(self.real.num_classes)
        ]
        return joined(pulls)


def joined(pulls: Sequence[Pull]) -> Pull:
    """Several pulls as one; terms of the same name are added."""
    terms: dict[str, Tensor] = {}
    for pull in pulls:
        for name, term in pull.terms.items():
            terms[name] = terms[name] + term if name in terms else term
    rows = [row for pull in pulls for row in pull.rows or ()]
    found = [pull.targets for pull in pulls if pull.targets is not None]
    pictures = torch.cat([pull.pictures for pull in pulls])
    return replace(pulls[0], pictures=pictures, targets=torch.cat(found) if found else None, rows=rows, terms=terms)
