"""What moves: pictures as a function of parameters, which are pixels, latents of a codec, or a generator's noise."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from roadstill.codecs import Codec
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.distil.spaces import Space
from roadstill.imagesets.values import unfolded

_AT_ONCE = 16  # latents that a generator walks at a time


class Moving(ABC):
    """Pictures as a function of parameters.

    Attributes:
        space: what networks take.
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
            parts = zip(latents.split(_AT_ONCE), labels.split(_AT_ONCE), strict=True)
            found = torch.cat([self._back(part, its) for part, its in parts])
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
        rows = torch.arange(len(self.labels)).split(_AT_ONCE)
        parts = [self.latents(self.codes(part.tolist()), part.tolist()) for part in rows]
        return torch.cat([(self.codec.decode(part) + 1) / 2 for part in parts])
