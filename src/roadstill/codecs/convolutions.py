"""The networks beside the codec's lapped path: residual 3 x 3 convolutions, without normalisation.

Nothing is cut off on the way: a residual path with a ReLU behind each sum (as in diffusers' tiny autoencoder) dies at
the learning rates that a short training needs, and leaves a codec that is linear.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roadstill.errors import UserError


class Residual(nn.Module):
    """A sum of the input and of two convolutions of it (pre-activation, He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """The same shape, ``[b, width, h, w]``."""
        out: Tensor = hidden + self.branch(hidden)
        return out


class Encoder(nn.Module):
    """Pictures to latents; every level but the first halves the side.

    Args:
        channels: channels of a latent.
        width: channels of every convolution.
        patch: side of the pixel blocks that are folded into channels first.
        blocks: residual blocks per level, fine to coarse.
    """

    def __init__(self, channels: int, width: int, patch: int, blocks: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(patch), nn.Conv2d(3 * patch**2, width, 3, padding=1)]
        for level, count in enumerate(blocks):
            if level:
                layers.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
            layers += [Residual(width) for _ in range(count)]
        self.layers = nn.Sequential(*layers, nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, pixels: Tensor) -> Tensor:
        """``[b, 3, s, s]`` to ``[b, channels, h, w]``."""
        out: Tensor = self.layers(pixels)
        return out


class Decoder(nn.Module):
    """Latents to pictures; bilinear steps up, and convolutions at full resolution that overlap all blocks.

    Args:
        channels: channels of a latent.
        width: channels of every convolution but those at full resolution, which have a sixth of it.
        patch: side of the pixel blocks that channels are unfolded to at last.
        blocks: residual blocks per level, coarse to fine.
    """

    def __init__(self, channels: int, width: int, patch: int, blocks: Sequence[int]) -> None:
        super().__init__()
        fine = max(4, width // 6)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
        for level, count in enumerate(blocks):
            if level:
                layers += [nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(width, width, 3, padding=1)]
            layers += [Residual(width) for _ in range(count)]
        layers += [nn.SiLU(), nn.Conv2d(width, fine * patch**2, 3, padding=1), nn.PixelShuffle(patch)]
        layers += [nn.SiLU(), nn.Conv2d(fine, fine, 3, padding=1), nn.SiLU(), nn.Conv2d(fine, 3, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        """``[b, channels, h, w]``, softly kept between -3 and 3, to ``[b, 3, s, s]``."""
        out: Tensor = self.layers(torch.tanh(latents / 3) * 3)
        return out


class LappedPatches(nn.ConvTranspose2d):
    """Pictures as sums of overlapping patches, one for each latent cell; cells at the edge continue beyond it.

    Args:
        channels: channels of a latent.
        side: pixels per latent cell, an even number; patches are twice as large.

    Raises:
        UserError: an odd side.
    """

    def __init__(self, channels: int, side: int) -> None:
        if side % 2:
            raise UserError(f"a downsampling of {side} has no lapped transform; take linear: blocks")
        super().__init__(channels, 3, 2 * side, stride=side, padding=side + side // 2)

    def forward(self, latents: Tensor, output_size: list[int] | None = None) -> Tensor:
        """``[b, channels, h, w]`` to ``[b, 3, h * side, w * side]``."""
        return super().forward(F.pad(latents, (1, 1, 1, 1), mode="replicate"), output_size)
