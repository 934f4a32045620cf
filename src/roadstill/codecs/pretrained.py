"""Autoencoders of diffusers as codecs: Stable Diffusion's ``AutoencoderKL`` and the tiny ``AutoencoderTiny``."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from torch import Tensor

from roadstill.codecs.base import Codec, Moments
from roadstill.errors import UserError
from roadstill.learning.loops import channels_last
from roadstill.runs import Record, digest_file, read_record
from roadstill.weights import WEIGHTS, open_model

KINDS = ("AutoencoderKL", "AutoencoderTiny")
_SHARED = ("latent_channels", "scaling_factor", "shift_factor")


class _AutoencoderRecord(Record, kw_only=True, frozen=True):
    """``config.json`` of diffusers: what is computed with here."""

    latent_channels: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 4
    scaling_factor: Annotated[float, msgspec.Meta(gt=0, le=1e6)] | None = None
    shift_factor: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)] | None = None
    down_block_types: tuple[str, ...] | None = None
    encoder_block_out_channels: tuple[int, ...] | None = None


class PretrainedCodec(Codec):
    """A diffusers autoencoder; latents are scaled by its ``scaling_factor`` (0.18215 for Stable Diffusion's).

    Args:
        encoder: the autoencoder that encodes.
        decoder: another one that decodes, such as ``sd-vae-ft-mse`` beside ``sd-vae-ft-ema``; the same if not given.

    Raises:
        UserError: the two have different latents.
    """

    def __init__(self, encoder: Any, decoder: Any | None = None) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, encoder if decoder is None else decoder
        one, other = ({key: net.config.get(key) for key in _SHARED} for net in (self.encoder, self.decoder))
        if one != other:
            raise UserError(f"the two autoencoders have different latents: {one} and {other}")
        self.channels = int(one["latent_channels"])
        blocks = self.encoder.config.get("down_block_types") or self.encoder.config["encoder_block_out_channels"]
        self.downsampling = 2 ** (len(blocks) - 1)
        self.scale, self.shift = float(one["scaling_factor"] or 1.0), float(one["shift_factor"] or 0.0)
        channels_last(self)

    def encode(self, pixels: Tensor) -> Moments:
        """See `Codec`; a tiny autoencoder has no deviation."""
        self.latent_shape(pixels.shape[-1])
        parts = [self._moments(part) for part in self.parts(pixels, pixels.shape[-1])]
        if parts[0].std.numel() == 1:
            return Moments(torch.cat([part.mean for part in parts]), parts[0].std)
        return Moments(*(torch.cat(each) for each in zip(*((part.mean, part.std) for part in parts), strict=True)))

    def decode(self, latents: Tensor) -> Tensor:
        """See `Codec`."""
        parts = self.parts(latents / self.scale + self.shift, latents.shape[-1] * self.downsampling)
        return torch.cat([self.decoder.decode(_laid_out(part)).sample.float().clamp(-1, 1) for part in parts])

    def _moments(self, pixels: Tensor) -> Moments:
        found = self.encoder.encode(_laid_out(pixels))
        if hasattr(found, "latent_dist"):
            mean, std = found.latent_dist.mean.float(), found.latent_dist.std.float()
        else:
            mean, std = found.latents.float(), found.latents.new_zeros((1, 1, 1, 1)).float()
        return Moments((mean - self.shift) * self.scale, std * self.scale)


def _laid_out(batch: Tensor) -> Tensor:
    """The batch with channels last: convolutions on a processor then need no other order in between."""
    return batch.contiguous(memory_format=torch.channels_last)


def load_pretrained(folder: Path, decoder: Path | None = None) -> PretrainedCodec:
    """Opens one autoencoder folder, or two: one encodes, the other decodes.

    Only safetensors are read; tensors must fit exactly.

    Raises:
        UserError: no such folder, another kind of model, missing or unexpected tensors, a damaged file.
    """
    networks = []
    for path in (folder, decoder):
        if path is not None:
            if (path / "config.json").is_file():
                read_record(path / "config.json", _AutoencoderRecord, "fetch it again")
            networks.append(open_model(path, KINDS))
    codec = PretrainedCodec(*networks)
    codec.digest = digest_file(folder / WEIGHTS)
    codec.decoder_digest = None if decoder is None else digest_file(decoder / WEIGHTS)
    codec.sources = ("autoencoder-weights",)
    return codec.eval().requires_grad_(False)
