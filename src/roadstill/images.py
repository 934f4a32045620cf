"""Single pictures: opening strangers' files safely, the centre crop, the resize."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Image.MAX_IMAGE_PIXELS = 2**24
_BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning)


class BrokenImage(OSError):
    """A picture that is missing, truncated or no picture; the caller counts it and goes on."""


def read_image(path: Path) -> Image.Image:
    """Opens and fully decodes a picture as RGB.

    Raises:
        BrokenImage: the file is missing, truncated, larger than 2^24 pixels, or not an image.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > 2**24:
                raise BrokenImage(f"{path}: {image.width} x {image.height} pixels are more than 2^24")
            return image.convert("RGB")
    except FileNotFoundError:
        raise BrokenImage(f"{path}: missing") from None
    except BrokenImage:
        raise
    except _BROKEN as error:
        raise BrokenImage(f"{path}: {error}") from None


def centre_square(image: Image.Image, size_px: int) -> Image.Image:
    """The largest centred square, resized to ``size_px`` by antialiased bicubic (thesis 4.2: 1080 of 1920 columns)."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.resize((size_px, size_px), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG bytes of an RGB picture ``[h, w, 3]``."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
