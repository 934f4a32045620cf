"""`SmallCodec`, trained by ourselves: latents of mean zero per channel and about unit variance over all channels.

Residual 3 x 3 convolutions stand behind a space-to-depth step: without it, half of the work would be spent at full
resolution. Beside them runs a linear path: training starts it at principal components, so that colours and large shapes
are there from the first step and the convolutions learn the rest. One safetensors file holds everything.

There are two kinds. ``blocks``, of earlier versions, gives every latent cell a pixel block of its own in the linear
path: the edges between blocks stay wherever the convolutions (diffusers' tiny autoencoder) do not cancel them, as in
pictures whose latents were moved. ``lapped`` gives every cell a patch of twice that side, over its neighbours', which
fades to nothing (a lapped transform, Malvar & Staelin 1989); see `roadstill.codecs.convolutions` for the rest of it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roadstill.codecs.base import Codec, Moments
from roadstill.codecs.convolutions import Decoder, Encoder, LappedPatches
from roadstill.errors import UserError
from roadstill.imagesets.sources import OF_PACKAGE, UNRECORDED
from roadstill.learning.loops import channels_last
from roadstill.runs import check_ranges, config_of, digest_file, later
from roadstill.weights import shipped
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

    @property
    def downsampling(self) -> int:
        """Pixels per latent cell, along one side."""
        return self.patch * 2 ** (len(self.encoder_blocks) - 1)


class SmallCodec(Codec):
    """Autoencoder with the latents' statistics; latents outside are normalised, inside they are raw."""

    mean: Tensor
    std: Tensor
    cpu_pixels = 2**17

    def __init__(self, config: CodecConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CodecConfig()
        side, channels = config.downsampling, config.latent_channels
        if config.linear == "lapped":
            shape = (channels, config.width, config.patch)
            self.encoder: nn.Module = Encoder(*shape, config.encoder_blocks)
            self.decoder: nn.Module = Decoder(*shape, config.decoder_blocks)
            half = side // 2
            self.project = nn.Conv2d(3, channels, 2 * side, stride=side, padding=half, padding_mode="replicate")
            self.unproject: nn.ConvTranspose2d = LappedPatches(channels, side)
        else:
            from diffusers.models.autoencoders.vae import DecoderTiny, EncoderTiny

            levels, folded = (config.width,) * len(config.encoder_blocks), 3 * config.patch**2
            self.encoder = EncoderTiny(folded, channels, tuple(config.encoder_blocks), levels, "relu")
            self.decoder = DecoderTiny(channels, folded, tuple(config.decoder_blocks), levels, 2, "relu", "nearest")
            self.project = nn.Conv2d(3, channels, side, stride=side)
            self.unproject = nn.ConvTranspose2d(channels, 3, side, stride=side)
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
        inner = pixels if self.config.linear == "lapped" else F.pixel_unshuffle(pixels, self.config.patch)
        learned: Tensor = self.encoder(inner.contiguous(memory_format=torch.channels_last))
        return self.project(pixels) + learned

    def decode_raw(self, latents: Tensor) -> Tensor:
        """Pictures of raw latents, not clamped."""
        learned: Tensor = self.decoder(latents.contiguous(memory_format=torch.channels_last))
        if self.config.linear == "blocks":
            learned = F.pixel_shuffle(learned, self.config.patch)
        return self.unproject(latents) + learned

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
    codec.sources = (OF_PACKAGE if path.parent == shipped("") else UNRECORDED,)
    return codec.eval().requires_grad_(False)
