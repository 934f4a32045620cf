"""`Codec`: pixels <-> latents of about unit variance, whatever the network behind it."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from roadstill.errors import UserError


@dataclass(frozen=True)
class Moments:
    """Where the latent of an image lies.

    Attributes:
        mean: float32 ``[b, c, h, w]``.
        std: float32, ``[b, c, h, w]`` or one number as ``[1, 1, 1, 1]`` if it is the same everywhere.
    """

    mean: Tensor
    std: Tensor

    def draw(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw of the posterior, ``[b, c, h, w]``."""
        if not self.std.any():
            return self.mean
        noise = torch.randn(self.mean.shape, generator=generator).to(self.mean)
        return self.mean + self.std * noise


class Codec(nn.Module, ABC):
    """An autoencoder; latents outside are normalised.

    Attributes:
        digest: digest of the file that it came from; tells latents of different codecs apart.
        decoder_digest: digest of another autoencoder's file, if that one decodes; else ``None``.
        channels: number of channels of a latent.
        downsampling: pixels per latent cell, along one side.
        sources: names of what it learned from, see `roadstill.imagesets.sources`; none for one that learned nothing.
        cpu_pixels: pixels that a processor encodes or decodes at once, if pictures are not larger; see `parts`.
    """

    digest: str = "untrained"
    decoder_digest: str | None = None
    sources: tuple[str, ...] = ()
    cpu_pixels: int = 2**16
    channels: int
    downsampling: int

    def latent_shape(self, size_px: int) -> tuple[int, int, int]:
        """Channels, height and width of the latent of a square picture.

        Raises:
            UserError: the size is no multiple of the downsampling.
        """
        factor = self.downsampling
        if size_px < factor or size_px % factor:
            raise UserError(f"size_px {size_px} must be a multiple of {factor}, the codec's downsampling")
        return self.channels, size_px // factor, size_px // factor

    @property
    def device(self) -> torch.device:
        """Where its weights are; the processor if it has none."""
        return next(self.parameters(), torch.empty(0, device="cpu")).device

    def parts(self, batch: Tensor, size_px: int) -> tuple[Tensor, ...]:
        """A batch of pictures or latents in the parts that are computed at once; results do not depend on it.

        An accelerator takes the whole batch. A processor takes ``cpu_pixels``: a picture keeps it busy, and tensors of
        many pictures leave its caches, or are so large (32 MiB with glibc) that each one's memory is fetched anew from
        the system, page by page.

        Args:
            batch: ``[b, ...]``.
            size_px: side of the pictures.
        """
        if self.device.type != "cpu":
            return (batch,)
        return batch.split(max(1, self.cpu_pixels // size_px**2))

    @abstractmethod
    def encode(self, pixels: Tensor) -> Moments:
        """Normalised moments of pictures ``[b, 3, s, s]`` in [-1, 1]."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Pictures ``[b, 3, s, s]``, clamped to [-1, 1], of normalised latents ``[b, c, h, w]``."""


def to_pixels(pictures: Tensor) -> Tensor:
    """8-bit pictures ``[b, s, s, 3]`` of pictures ``[b, 3, s, s]`` in [-1, 1]."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def from_pixels(pixels: Tensor) -> Tensor:
    """Pictures ``[b, 3, s, s]`` in [-1, 1] of 8-bit pictures ``[b, s, s, 3]``."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def psnr_db(pictures: Tensor, others: Tensor) -> float:
    """Peak signal-to-noise ratio in decibel of pictures in [-1, 1], over all their pixels."""
    return 10 * math.log10(4.0 / max(float((pictures - others).square().mean()), 1e-12))
