"""Codecs: pixels <-> latents."""

from pathlib import Path

from roadstill.codecs.base import Codec, Moments, from_pixels, psnr_db, to_pixels
from roadstill.codecs.pixels import NAME, PixelCodec
from roadstill.codecs.pretrained import PretrainedCodec, load_pretrained
from roadstill.codecs.small import CodecConfig, SmallCodec, load_small, save_codec
from roadstill.errors import UserError
from roadstill.weights import local, shipped

__all__ = [
    "Codec",
    "CodecConfig",
    "Moments",
    "PixelCodec",
    "PretrainedCodec",
    "SmallCodec",
    "from_pixels",
    "load_codec",
    "psnr_db",
    "save_codec",
    "to_pixels",
]


def load_codec(path: Path | None = None, *, decoder: Path | None = None) -> Codec:
    """Opens a codec for use: evaluation mode, float32, no gradients.

    Args:
        path: a file that pretrain wrote, or a folder with a diffusers ``AutoencoderKL`` or ``AutoencoderTiny``, or
            the name of one on the hub; ``pixels`` leaves pictures as they are; ``None`` is the one shipped with the
            package.
        decoder: a second such folder, which decodes what the first one encodes.

    Raises:
        UserError: nothing there, another format, tensors that do not fit, a damaged file.
    """
    if path is not None and path.as_posix() == NAME and not path.exists():
        return PixelCodec().eval()
    path = shipped("codec.safetensors") if path is None else local(path)
    if path.is_dir():
        return load_pretrained(path, None if decoder is None else local(decoder))
    if decoder is not None:
        raise UserError(f"{path} decodes its own latents; a decoder belongs to a folder with a diffusers autoencoder")
    return load_small(path)
