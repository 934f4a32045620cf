"""Pixels as latents, for generators that work on small pictures themselves, such as EDM's."""

from torch import Tensor

from roadstill.codecs.base import Codec, Moments

NAME = "pixels"


class PixelCodec(Codec):
    """Changes nothing: latents are pictures in [-1, 1]."""

    digest = NAME
    channels, downsampling = 3, 1

    def encode(self, pixels: Tensor) -> Moments:
        """The pictures ``[b, 3, s, s]`` themselves, without a deviation."""
        return Moments(pixels.float(), pixels.new_zeros((1, 1, 1, 1)))

    def decode(self, latents: Tensor) -> Tensor:
        """The latents ``[b, 3, s, s]``, clamped to [-1, 1]."""
        return latents.float().clamp(-1, 1)
