"""Single pictures: opening untrusted files safely, the centre crop, the resize."""

import io
import math
import os
import re
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from roadstill.errors import UserError, one_line

# Without a list of formats Pillow would also try those that start other programs, such as PostScript.
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "GIF")
MAX_PIXELS = 2**24
MAX_BYTES = 2**27  # a picture of that many pixels fits, whatever its format
_HOLE = bytes(512)
_TABLES, _SCAN = 0xC4, 0xDA
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in a scan, 0 and restarts follow other 0xFF

Image.MAX_IMAGE_PIXELS = MAX_PIXELS


class BrokenImage(UserError):
    """A picture that is missing, truncated, damaged or not an image; one printable line.

    Where many pictures are read, the caller counts it and continues.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class LeftOut(BrokenImage):
    """A picture that can be read, but that the user's own hook leaves out."""


def read_image(file: Path | io.BytesIO, *, at_least_px: int | None = None) -> Image.Image:
    """Opens and fully decodes a picture as RGB.

    Grey pictures of 16 bits are scaled to 8; transparency is dropped, the colours under it kept.

    Args:
        file: path of the file, or its bytes.
        at_least_px: least length of the shorter side, down to which the JPEG decoder may shrink by 2, 4 or 8 while it
            decodes (several times faster); None decodes every pixel.

    Raises:
        BrokenImage: the file is missing, not a regular file, truncated, larger than 2^24 pixels or 128 MiB, not an
            image, a JPEG with a hole in it, or one of 32-bit numbers, whose range no file states.
    """
    name = f"{file}: " if isinstance(file, Path) else ""
    try:
        data = read_bytes(file) if isinstance(file, Path) else file.getvalue()
        if has_hole(data):
            raise BrokenImage("zeros inside its compressed data (a download that broke off?)")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on harmless oddities, each of which would be a line of its own
            return _decoded(data, at_least_px)
    except BrokenImage as error:
        raise BrokenImage(f"{name}{error}") from None
    except UnidentifiedImageError:
        raise BrokenImage(f"{name}no picture of the formats {', '.join(PICTURE_FORMATS)}") from None
    except Exception as error:  # decoders of damaged files raise whatever they come upon
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BrokenImage(f"{name}{reason}") from None


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a picture's file.

    Raises:
        BrokenImage: missing, unreadable, not a regular file (a pipe would never end), or too large; the path is left
            out.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise BrokenImage("a folder, a pipe or a device, not a file")
        if about.st_size > max_bytes:
            raise BrokenImage(f"{about.st_size:,} bytes are more than the {max_bytes:,} that a picture may have")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise BrokenImage("a link that leads nowhere" if os.path.islink(path) else "missing") from None
    except OSError as error:
        raise BrokenImage(error.strerror or str(error)) from None


def _decoded(data: bytes, at_least_px: int | None) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise BrokenImage(f"{image.width} x {image.height} pixels are more than 2^24")
        if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
            kind = "floating-point" if image.mode == "F" else "32-bit"
            raise BrokenImage(
                f"{kind} pixels, whose range the file does not state; save it with 8 or 16 bits a channel"
            )
        if at_least_px is not None:
            scale = at_least_px / min(image.size)
            image.draft("RGB", (math.ceil(image.width * scale), math.ceil(image.height * scale)))
        if image.mode.startswith("I"):
            image = _of_16_bits(image)
        return image.convert("RGB")


def _of_16_bits(image: Image.Image) -> Image.Image:
    """A grey picture of 16 bits scaled to 8; Pillow's own conversion would cut off whatever exceeds 255."""
    values = np.asarray(image).astype(np.uint32)
    if getattr(image, "tag_v2", {}).get(262) == 0:  # a TIFF in which 0 is white
        values = 65535 - values
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))


def has_hole(data: bytes) -> bool:
    """Whether a JPEG has zeros where its picture should be, as an unfinished download or a damaged disk leaves them.

    libjpeg decodes them without an error. Zero bits are the code of the first symbol of a Huffman table. Only where
    that symbol ends a block, as in optimised tables of flat pictures, or where a scan holds mean values alone (those of
    a black area), may many of them follow each other; there, a hole is not told from a picture.
    """
    if data[:3] != b"\xff\xd8\xff" or _HOLE not in data:
        return False
    first_symbols: dict[int, int] = {}
    only_means = True
    for marker, body, scan in _segments(data):
        if marker == _TABLES:
            first_symbols |= _first_symbols(body)
        elif marker == _SCAN and len(body) > 3:
            only_means &= body[-2] == 0  # the last coefficient that the scan holds
            if _HOLE in scan and body[-2] > 0 and any(first_symbols.get(table & 15) for table in body[2:-3:2]):
                return True
    return only_means  # the zeros reach over the start of all other scans


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Marker, contents and, after the start of a scan, coded data of every segment of a JPEG."""
    at = 2
    while data[at : at + 1] == b"\xff" and (marker := data[at + 1 : at + 2]) not in (b"", b"\xd9"):
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        body, at = data[at + 4 : at + 2 + length], at + 2 + max(2, length)
        start = at
        if marker[0] == _SCAN:
            found = _NEXT_MARKER.search(data, at)
            at = found.start() if found else len(data)
        yield marker[0], body, data[start:at]


def _first_symbols(tables: bytes) -> dict[int, int]:
    """The first symbol of each Huffman table of AC coefficients in a segment, by the table's number."""
    found, at = {}, 0
    while at + 17 < len(tables):
        if tables[at] >> 4 == 1:
            found[tables[at] & 15] = tables[at + 17]
        at += 17 + sum(tables[at + 1 : at + 17])
    return found


def centre_square(image: Image.Image, size_px: int) -> Image.Image:
    """The largest centred square, resized to ``size_px`` by antialiased bicubic (thesis 4.2: 1080 of 1920 columns)."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.resize((size_px, size_px), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG bytes of an RGB picture ``[h, w, 3]``."""
    buffer = io.BytesIO()
    # Level 1 takes half of level 4's time, most of what a prepared picture costs, for files a seventh larger.
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
