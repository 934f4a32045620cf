"""The pictures that move: their parameters are a parametrisation's matter, what pulls on them is an objective's."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from roadstill.codecs import Codec
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.distil.spaces import Space
from roadstill.errors import UserError
from roadstill.imagesets.values import unfolded


class Moving(ABC):
    """Pictures as a function of parameters.

    Attributes:
        parameters: what moves, by name; leaves that need a gradient.
        rates: factor of the learning rate of each, 1 where none stands.
        factor: pictures that one stored picture holds.
    """

    factor: int = 1

    def __init__(
        self, space: Space, parameters: Mapping[str, Tensor], rates: Mapping[str, float] | None = None
    ) -> None:
        self.space = space
        self.parameters = {name: value.detach().clone().requires_grad_(True) for name, value in parameters.items()}
        self.rates = dict(rates or {})

    @abstractmethod
    def codes(self, rows: Sequence[int]) -> Tensor:
        """What stands for the stored pictures ``rows``, ``[len(rows), ...]``, with gradient to the parameters."""

    @abstractmethod
    def show(self, codes: Tensor, rows: Sequence[int]) -> Tensor:
        """What networks take for these codes, ``[len(rows) * factor, 3, s, s]``, with gradient to them."""

    def pictures(self, rows: Sequence[int]) -> Tensor:
        """What networks take for the stored pictures ``rows``, ``[len(rows) * factor, 3, s, s]``."""
        return self.show(self.codes(rows), rows)

    def unit(self, prepared: Tensor) -> Tensor:
        """Pictures in [0, 1] of what networks take, with gradient."""
        return self.space.leave(prepared)

    @abstractmethod
    def stored(self) -> Tensor:
        """Pictures to be kept, ``[n, 3, s, s]`` with pixels in [0, 1] or beyond."""

    def active(self, step: int, steps: int) -> set[str]:
        """Names of the parameters that move in a 0-based step of so many."""
        return set(self.parameters)

    def settle(self) -> None:  # noqa: B027  most have nothing to do
        """Called after every move."""


class MovingPixels(Moving):
    """Pixels as networks take them, or in [0, 1]; each stored picture holds ``factor`` pictures of a grid of patches.

    Args:
        start: pictures in [0, 1], ``[n, 3, s, s]``.
        space: what networks take.
        unit: whether pixels in [0, 1] move, and stay there, instead of what networks take.
        patches: number of patches along a side; each is enlarged to a whole picture.
    """

    def __init__(self, start: Tensor, space: Space, *, unit: bool, patches: int = 1) -> None:
        self.in_unit, self.patches, self.factor = unit, patches, patches**2
        super().__init__(space, {"pixels": start if unit else space.enter(start)})

    def codes(self, rows: Sequence[int]) -> Tensor:
        """See `Moving`."""
        return self.parameters["pixels"][list(rows)]

    def show(self, codes: Tensor, rows: Sequence[int]) -> Tensor:
        """See `Moving`."""
        found = unfolded(codes, self.patches)
        return self.space.enter(found) if self.in_unit else found

    def stored(self) -> Tensor:
        """See `Moving`."""
        found = self.parameters["pixels"].detach()
        return found if self.in_unit else self.space.leave(found)

    @torch.no_grad()
    def settle(self) -> None:
        """Keeps pixels in [0, 1] that are meant to be there."""
        if self.in_unit:
            self.parameters["pixels"].clamp_(0, 1)


def folded(pictures: Tensor, patches: int) -> Tensor:
    """The inverse but for the loss of size: each ``patches^2`` pictures as one, ``[n / patches^2, 3, s, s]``.

    Args:
        pictures: whole pictures ``[n, 3, s, s]``.
        patches: number along a side.
    """
    if patches == 1:
        return pictures
    side = pictures.shape[2]
    ends = [side * index // patches for index in range(patches + 1)]
    sides = [end - start for start, end in pairwise(ends)]
    grid = pictures.view(-1, patches**2, *pictures.shape[1:])
    lines = [
        torch.cat([
            F.interpolate(grid[:, row * patches + column], (sides[row], sides[column]), mode="bilinear", antialias=True)
            for column in range(patches)
        ], 3)
        for row in range(patches)
    ]  # fmt: skip
    return torch.cat(lines, 2)


class MovingLatents(Moving):
    """Latents of a codec, moved coarse to fine if there are several levels.

    Args:
        start: pictures in [0, 1], ``[n, 3, s, s]``.
        space: what networks take.
        codec: codec of the latents.
        levels: resolutions of the changes, each half of the next; the coarsest moves first, the others join one after
            the other, each with half the learning rate of the one before. 1 moves the latents themselves.
        batch_size: pictures that are encoded at once.
    """

    def __init__(self, start: Tensor, space: Space, codec: Codec, *, levels: int = 1, batch_size: int = 64) -> None:
        self.codec = codec
        with torch.no_grad():
            latents = torch.cat([codec.encode(2 * part - 1).mean for part in start.to(codec.device).split(batch_size)])
        sides = [[max(1, side // 2**level) for side in latents.shape[2:]] for level in range(levels - 1, 0, -1)]
        coarse = {f"level{at}": latents.new_zeros(*latents.shape[:2], *each) for at, each in enumerate(sides)}
        named = coarse | {f"level{levels - 1}": latents}
        super().__init__(space, named, {name: 0.5**at for at, name in enumerate(named)})

    def codes(self, rows: Sequence[int]) -> Tensor:
        """Latents of the stored pictures ``rows``."""
        *coarse, whole = (value[list(rows)] for value in self.parameters.values())
        for part in coarse:
            whole = whole + F.interpolate(part, whole.shape[2:], mode="bilinear")
        return whole

    def show(self, codes: Tensor, rows: Sequence[int]) -> Tensor:
        """See `Moving`."""
        return self.space.enter((self.codec.decode(codes) + 1) / 2)

    @torch.no_grad()
    def stored(self) -> Tensor:
        """See `Moving`."""
        whole = self.codes(range(len(next(iter(self.parameters.values())))))
        side = whole.shape[2] * self.codec.downsampling
        return torch.cat([(self.codec.decode(part) + 1) / 2 for part in self.codec.parts(whole, side)])

    def active(self, step: int, steps: int) -> set[str]:
        """See `Moving`."""
        names = list(self.parameters)
        return set(names[: 1 + min(step * len(names) // steps, len(names) - 1)])


class MovingNoise(Moving):
    """Noise that a generator turns into pictures, in few steps without fresh noise (as IT-GAN does with a GAN).

    Args:
        start: pictures in [0, 1] to begin with, ``[n, 3, s, s]``; their noise is found by walking the chain backwards.
        labels: their classes ``[n]``.
        space: what networks take.
        codec: codec of the generator's latents.
        base: the generator; one that predicts v or velocity.
        steps: steps of its chain.
    """

    def __init__(
        self, start: Tensor, labels: Tensor, space: Space, codec: Codec, base: LabelledDenoiser, *, steps: int
    ) -> None:
        self.codec, self.base, self.labels = codec, base, labels
        self.base.network.eval().requires_grad_(False)
        self.chain = base.chain(steps)
        with torch.no_grad():
            latents = torch.cat([codec.encode(2 * part - 1).mean for part in codec.parts(start, start.shape[2])])
            found = torch.cat([self._back(part, its) for part, its in zip(latents.split(16), labels.split(16),
                                                                          strict=True)])  # fmt: skip
        super().__init__(space, {"noise": found})

    def _clean(self, x: Tensor, labels: Tensor, at: int) -> tuple[Tensor, Tensor]:
        """Clean latents and noise in noisy ones at a level of the chain."""
        signal, rest = (values[at].to(x).expand(len(x)).view(-1, 1, 1, 1) for values in self.chain[1:])
        time = self.chain.times[at].to(x.device).expand(len(x))
        found, _ = self.base.predict(x, time, self.base.rows(labels))
        clean = self.base.clean_in(x, signal, rest, found)
        return clean, (x - signal * clean) / rest.clamp_min(1e-4)

    def _level(self, clean: Tensor, noise: Tensor, at: int) -> Tensor:
        return self.chain.signal[at].to(clean) * clean + self.chain.rest[at].to(clean) * noise

    def _back(self, latents: Tensor, labels: Tensor) -> Tensor:
        """The noise from which the chain leads to latents, nearly (DDIM inversion, Song et al. 2021)."""
        x = latents
        for at in range(len(self.chain.times) - 1):
            clean, noise = self._clean(x, labels, at)
            x = self._level(clean, noise, at + 1)
        return x

    def codes(self, rows: Sequence[int]) -> Tensor:
        """See `Moving`."""
        return self.parameters["noise"][list(rows)]

    def latents(self, noise: Tensor, rows: Sequence[int]) -> Tensor:
        """Clean latents of some noise; each step's graph is made again on the way back."""
        x, labels = noise, self.labels[list(rows)]
        for at in range(len(self.chain.times) - 1, 0, -1):
            x = torch.utils.checkpoint.checkpoint(self._down, x, labels, at, use_reentrant=False)
        clean: Tensor = torch.utils.checkpoint.checkpoint(self._last, x, labels, use_reentrant=False)
        return clean

    def _down(self, x: Tensor, labels: Tensor, at: int) -> Tensor:
        clean, noise = self._clean(x, labels, at)
        return self._level(clean, noise, at - 1)

    def _last(self, x: Tensor, labels: Tensor) -> Tensor:
        return self._clean(x, labels, 0)[0]

    def show(self, codes: Tensor, rows: Sequence[int]) -> Tensor:
        """See `Moving`."""
        return self.space.enter((self.codec.decode(self.latents(codes, rows)) + 1) / 2)

    @torch.no_grad()
    def stored(self) -> Tensor:
        """See `Moving`."""
        rows = torch.arange(len(self.labels)).split(16)
        parts = [self.latents(self.codes(part.tolist()), part.tolist()) for part in rows]
        return torch.cat([(self.codec.decode(part) + 1) / 2 for part in parts])


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
