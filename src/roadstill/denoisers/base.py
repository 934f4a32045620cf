"""The one contract of all generators: estimate clean latents in training, generate latents in sampling."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from typing_extensions import Self


@dataclass(frozen=True)
class Estimate:
    """What one training forward yields.

    Attributes:
        loss: diffusion loss per sample, ``[b]``.
        clean: estimate of the clean latents, with gradient, ``[b, c, h, w]``.
        t: noise level per sample (step index or sigma), ``[b]``.
        mse: the part of the loss that is the squared error, without gradient, ``[b]``; for the log.
    """

    loss: Tensor
    clean: Tensor
    t: Tensor
    mse: Tensor


@runtime_checkable
class Denoiser(Protocol):
    """A generator that can be trained and sampled."""

    def estimate(self, clean: Tensor, label: Tensor, *, generator: torch.Generator) -> Estimate:
        """Noises the clean latents ``[b, c, h, w]`` of classes ``[b]`` and estimates them again, with gradient."""
        ...

    def generate(
        self,
        label: Tensor,
        *,
        seeds: Sequence[int],
        guidance: float,
        steps: int,
        solver: str,
        start: Tensor | None = None,
        strength: float = 1.0,
    ) -> Tensor:
        """Latents ``[b, c, h, w]`` of the classes ``[b]``; image i depends on ``seeds[i]``, not on the batch.

        With clean latents ``start [b, c, h, w]`` the chain begins at these, noised to its last ``strength`` part.
        """
        ...

    def at(self, progress: float) -> Self:
        """The same denoiser with the noise schedule of this share of the training."""
        ...
