"""The small set that moves, and what an objective wants of it: gradients of what networks take and of their targets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from roadstill.distil.moving import Moving
from roadstill.errors import UserError

More: TypeAlias = Callable[[Tensor, Tensor, Sequence[int]], Tensor]


@dataclass
class Pull:
    """What an objective wants: gradients, and the terms of its loss for the log.

    Attributes:
        pictures: gradient with respect to what networks take, ``[m, 3, s, s]``.
        targets: gradient with respect to their targets ``[m, k]``, if these move.
        rows: stored pictures that it is of; None for all.
        terms: terms of the loss by name.
        settings: gradients of the objective's own settings that move, by name.
        looked: rows of the real images that were looked at, for messages.
    """

    pictures: Tensor
    targets: Tensor | None = None
    rows: Sequence[int] | None = None
    terms: dict[str, Tensor] = field(default_factory=dict)
    settings: dict[str, Tensor] = field(default_factory=dict)
    looked: Sequence[int] = ()


@dataclass
class Synthetic:
    """The small set that moves.

    Attributes:
        moving: its pictures.
        classes: class of each stored picture, ascending, ``[n]``.
        raw: what targets of stored pictures come from, ``[n, k]``; a leaf that needs a gradient if they are learnt.
        logits: whether targets are the softmax of that, and not that itself.
        batch_size: stored pictures whose graph is held at once.
    """

    moving: Moving
    classes: Tensor
    raw: Tensor
    logits: bool = False
    batch_size: int = 64

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def learnt(self) -> bool:
        """Whether targets move, too."""
        return self.raw.requires_grad

    def targets(self, rows: Sequence[int]) -> Tensor:
        """Targets of stored pictures ``[len(rows), k]``, with gradient."""
        found = self.raw[list(rows)]
        return found.softmax(1) if self.logits else found

    @property
    def factor(self) -> int:
        """Pictures that one stored picture holds."""
        return self.moving.factor

    def of_class(self, label: int) -> list[int]:
        """The stored pictures of a class."""
        found: list[int] = torch.nonzero(self.classes == label).flatten().tolist()
        return found

    @torch.no_grad()
    def shown(self, rows: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """What networks take for stored pictures and its targets, ``[m, 3, s, s]`` and ``[m, k]``, without gradient."""
        chosen = range(len(self)) if rows is None else rows
        parts = [chosen[start : start + self.batch_size] for start in range(0, len(chosen), self.batch_size)]
        pictures = torch.cat([self.moving.pictures(part).detach() for part in parts])
        return pictures, self.targets(chosen).repeat_interleave(self.factor, 0)

    def pull_back(self, pull: Pull, more: More | None = None) -> None:
        """Adds the gradient of the parameters that a pull on pictures and targets means, one batch's graph at a time.

        Args:
            pull: gradients of pictures and targets.
            more: what is added to the gradient of the codes; takes codes, gradient and stored pictures' rows.

        Raises:
            UserError: a gradient that is not finite.
        """
        if not bool(pull.pictures.isfinite().all()):
            raise UserError("the gradient of the pictures is not finite; lower the learning rate")
        chosen = list(range(len(self)) if pull.rows is None else pull.rows)
        batches = [chosen[start : start + self.batch_size] for start in range(0, len(chosen), self.batch_size)]
        codes, gradients = list[Tensor](), list[Tensor]()
        for number, rows in enumerate(batches):
            leaf = self.moving.codes(rows).detach().requires_grad_(True)
            first = number * self.batch_size * self.factor
            its = pull.pictures[first : first + len(rows) * self.factor]
            gradients.append(torch.autograd.grad(self.moving.show(leaf, rows), leaf, its)[0])
            codes.append(leaf.detach())
        gradient = torch.cat(gradients)
        if more is not None:
            gradient = more(torch.cat(codes), gradient, chosen)
        for rows, its in zip(batches, gradient.split(self.batch_size), strict=True):
            if bool(its.any()):
                self.moving.codes(rows).backward(its)
        if pull.targets is not None and self.learnt:
            self.targets(chosen).repeat_interleave(self.factor, 0).backward(pull.targets)
