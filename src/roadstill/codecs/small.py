"""`SmallCodec`, trained by ourselves: latents of mean zero per channel and about unit variance over all channels.

The network is diffusers' tiny autoencoder (encoder and decoder of plain residual 3 x 3 convolutions) behind a
space-to-depth step: without it, half of the work would be spent at full resolution. Beside it runs a linear path, a
projection of pixel blocks: training starts it at the blocks' principal components, so that colours and large shapes
are there from the first step and the convolutions learn the rest. One safetensors file holds everything.

That path comes in two kinds. ``blocks`` gives every latent cell a pixel block of its own: the edges between blocks stay
wherever the convolutions do not cancel them, as in pictures whose latents were moved. ``lapped`` gives every cell a
patch of twice that side, over its neighbours', which fades to nothing (a lapped transform, Malvar & Staelin 1989); its
decoder upsamples bilinearly and ends with convolutions at full resolution. No latents make such edges there.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roadstill.codecs.base import Codec, Moments
from roadstill.errors import UserError
from roadstill.learning.loops import channels_last
from roadstill.runs import check_ranges, config_of, digest_file, later
from roadstill.weights.sizes import without_weights
from roadstill.weights.tensors import is_finite, open_tensors, require_shapes, shapes_of, write_tensors

FORMAT = "roadstill-codec-1"
_MOST_LEVELS = 8
_FIRST_LINEAR = "blocks"  # of files that do not name their kind


@dataclass(frozen=True)
class CodecConfig:
    """Shape of the autoencoder.

    Attributes:
        latent_channels: channels of a latent.
        width: channels of every convolution.
        patch: side of the pixel blocks that the space-to-depth step folds into channels.
        encoder_blocks: residual blocks per level, fine to coarse; every further level halves the side.
        decoder_blocks: residual blocks per level, coarse to fine.
        posterior_std: standard deviation, in normalised latents, of what `LatentStore.draw` adds to the mean.
        linear: ``lapped`` leaves no edges between the pixel blocks of cells; ``blocks`` is that of older versions.
    """

    latent_channels: int = 16
    width: int = 48
    patch: int = 2
    encoder_blocks: tuple[int, ...] = (1, 2, 2)
    decoder_blocks: tuple[int, ...] = (3, 2, 1)
    posterior_std: float = 0.0
    linear: Literal["lapped", "blocks"] = later("lapped")

    def __post_init__(self) -> None:
        check_ranges(self)
        if not 1 <= len(self.encoder_blocks) == len(self.decoder_blocks) <= _MOST_LEVELS:
            raise UserError(
                f"encoder_blocks has {len(self.encoder_blocks)} and decoder_blocks {len(self.decoder_blocks)} levels; "
                f"both need the same number of levels, 1 to {_MOST_LEVELS}"
            )
        if self.linear == "lapped" and self.downsampling % 2:
            raise UserError(f"a downsampling of {self.downsampling} has no lapped transform; take linear: blocks")

    @property
    def downsampling(self) -> int:
        """Pixels per latent cell, along one side."""
        return self.patch * 2 ** (len(self.encoder_blocks) - 1)


class SmallCodec(Codec):
    """Autoencoder with the latents' statistics; latents outside are normalised, inside they are raw."""

    mean: Tensor
    std: Tensor
    cpu_pixels = 2**17
    finish: nn.Sequential

    def __init__(self, config: CodecConfig | None = None) -> None:
        super().__init__()
        from diffusers.models.autoencoders.vae import DecoderTiny, EncoderTiny

        self.config = config = config or CodecConfig()
        levels, folded = (config.width,) * len(config.encoder_blocks), 3 * config.patch**2
        self.encoder = EncoderTiny(folded, config.latent_channels, tuple(config.encoder_blocks), levels, "relu")
        side, decoder_blocks = config.downsampling, tuple(config.decoder_blocks)
        if config.linear == "blocks":
            self.project = nn.Conv2d(3, config.latent_channels, side, stride=side)
            self.decoder = DecoderTiny(config.latent_channels, folded, decoder_blocks, levels, 2, "relu", "nearest")
            self.unproject = nn.ConvTranspose2d(config.latent_channels, 3, side, stride=side)
        else:
            fine, half = max(3, config.width // 6), side // 2
            self.project = nn.Conv2d(
                3, config.latent_channels, 2 * side, stride=side, padding=half, padding_mode="replicate"
            )
            self.unproject = nn.ConvTranspose2d(config.latent_channels, 3, 2 * side, stride=side, padding=side + half)
            self.decoder = DecoderTiny(
                config.latent_channels, fine * config.patch**2, decoder_blocks, levels, 2, "relu", "bilinear"
            )
            self.finish = nn.Sequential(
                nn.ReLU(), nn.Conv2d(fine, fine, 3, padding=1), nn.ReLU(), nn.Conv2d(fine, 3, 3, padding=1)
            )
        self.register_buffer("mean", torch.zeros(config.latent_channels))
        self.register_buffer("std", torch.ones(config.latent_channels))
        self.channels, self.downsampling = config.latent_channels, config.downsampling
        channels_last(self)

    def encode(self, pixels: Tensor) -> Moments:
        """Normalised moments of pictures ``[b, 3, s, s]`` in [-1, 1]."""
        self.latent_shape(pixels.shape[-1])
        raw = torch.cat([self.encode_raw(part).float() for part in self.parts(pixels, pixels.shape[-1])])
        mean = (raw - self.mean[:, None, None]) / self.std[:, None, None]
        return Moments(mean, mean.new_full((1, 1, 1, 1), self.config.posterior_std))

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures ``[b, 3, s, s]``, clamped to [-1, 1], of normalised latents ``[b, c, h, w]``."""
        raw = latents * self.std[:, None, None] + self.mean[:, None, None]
        parts = self.parts(raw, latents.shape[-1] * self.downsampling)
        return torch.cat([self.decode_raw(part).float().clamp(-1, 1) for part in parts])

    def encode_raw(self, pixels: Tensor) -> Tensor:
        """Raw latents; training works on these."""
        folded = F.pixel_unshuffle(pixels, self.config.patch)
        return self.project(pixels) + self.encoder(folded.contiguous(memory_format=torch.channels_last))

    def decode_raw(self, latents: Tensor) -> Tensor:
        """Pictures of raw latents, not clamped."""
        pictures = F.pixel_shuffle(
            self.decoder(latents.contiguous(memory_format=torch.channels_last)), self.config.patch
        )
        if self.config.linear == "lapped":
            pictures = self.finish(pictures.contiguous(memory_format=torch.channels_last))
            latents = F.pad(latents, (1, 1, 1, 1), mode="replicate")  # cells at the edge continue beyond it
        linear: Tensor = self.unproject(latents)
        return pictures + linear

    def set_statistics(self, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> None:
        """Sets the raw latents' mean and standard deviation per channel."""
        self.mean.copy_(torch.as_tensor(mean))
        # A dead channel would make the normalisation divide by zero.
        self.std.copy_(torch.as_tensor(std).clamp_min(1e-3))


def save_codec(codec: SmallCodec, path: Path) -> None:
    """Writes weights (fp16), statistics (fp32) and configuration to one safetensors file, atomically."""
    tensors = {
        name: tensor if name in ("mean", "std") else tensor.to(torch.float16)
        for name, tensor in codec.state_dict().items()
    }
    if wrong := [name for name, tensor in tensors.items() if not is_finite(tensor)]:
        raise UserError(f"{path}: {wrong[0]} is beyond half precision, so nothing was written; lower the learning rate")
    write_tensors(path, tensors, {"format": FORMAT, "config": asdict(codec.config)}, sealed=True)


def load_small(path: Path) -> SmallCodec:
    """Opens a codec for use: evaluation mode, float32, no gradients.

    Raises:
        UserError: no such file, another format, a configuration that this version does not know, missing or
            unexpected tensors, wrong shapes, numbers that are not finite or not those that were written.
    """
    file = open_tensors(path, "a codec (.safetensors written by pretrain)")
    if file.about.get("format") != FORMAT:
        found = str(file.about.get("format"))[:100]
        raise UserError(f"{path} has format {found!r}, not {FORMAT!r}; train the codec with this version")
    config = file.about.get("config")
    if isinstance(config, dict):
        config = {"linear": _FIRST_LINEAR} | config
    config = config_of(CodecConfig, config, f"{path}, config", "fetch the codec again")
    with without_weights(str(path), file.shapes):
        wanted = shapes_of(SmallCodec(config).state_dict())
    require_shapes(file.shapes, wanted, path)
    tensors, codec = file.tensors(), SmallCodec(config)
    codec.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    codec.digest = digest_file(path)
    return codec.eval().requires_grad_(False)
