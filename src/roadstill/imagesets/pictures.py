"""The picture files of a set: read within bounds and checked against the digests that were recorded with them."""

import hashlib
import io
import os
import stat
import zlib
from binascii import hexlify
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError, one_line
from roadstill.images import BrokenImage, read_image

REMEDY = "make the set again (of a run: roadstill doctor RUN --repair)"


def check_folder(root: Path, name: str) -> None:
    """Refuses a class folder that is a link out of the set.

    Raises:
        UserError: names the folder.
    """
    if (root / name).is_symlink() and not _inside(root / name, root):
        raise UserError(f"{root / name} is a link that leads out of the set; put the folder itself there")


def picture_digest(png: bytes) -> str:
    """The digest of a picture's bytes that sets record; equal to ``digest_of(png.hex())``, in a third of its time."""
    return hashlib.sha256(b'"' + hexlify(png) + b'"').hexdigest()[:16]


def read_bytes(root: Path, file: str, size_px: int) -> bytes:
    """The bytes of one picture.

    Args:
        root: folder of the set.
        file: path relative to it.
        size_px: side of the set's pictures, which bounds what a file of theirs can hold.

    Raises:
        UserError: missing, no regular file (a pipe would be waited for without end), a link that leaves the set, too
            large.
    """
    path = root / file
    most = 8 * size_px**2 + 2**20  # four channels of 16 bits, uncompressed, and room for their texts
    try:
        if path.is_symlink() and not _inside(path, root):
            raise UserError(f"{path} is a link that leads out of the set; put the picture itself there")
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(handle, "rb") as opened:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UserError(f"{path} is not a file; {REMEDY}")
            data = opened.read(most + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: missing; {REMEDY}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {one_line(error.strerror or str(error))}; {REMEDY}") from None
    if len(data) > most:
        raise UserError(f"{path} is too large for a picture of {size_px} x {size_px} pixels; {REMEDY}")
    return data


def decoded(png: bytes, path: Path, size_px: int) -> NDArray[np.uint8]:
    """The picture ``[size_px, size_px, 3]`` of a file's bytes.

    Raises:
        UserError: a damaged picture, or one of another size.
    """
    try:
        picture = np.asarray(read_image(io.BytesIO(png)))
    except BrokenImage as error:
        raise UserError(f"{path}: {one_line(str(error))}; {REMEDY}") from None
    if picture.shape != (size_px, size_px, 3):
        raise UserError(
            f"{path} is {picture.shape[1]} x {picture.shape[0]} pixels, but set.json states {size_px}; {REMEDY}"
        )
    return picture


def check_sum(png: bytes, facts: Mapping[str, Any], path: Path) -> None:
    """Refuses a picture that is not the one that was written, by its CRC-32; by its digest in sets that have none.

    The digest costs 5 to 25 % of the time to read a picture, the CRC 1 %. What is to be judged is checked by
    `check_digest` besides.

    Raises:
        UserError: names the file.
    """
    if "crc32" not in facts:
        check_digest(png, facts, path)
    elif zlib.crc32(png) != facts["crc32"]:
        raise _other(path)


def check_digest(png: bytes, facts: Mapping[str, Any], path: Path) -> None:
    """Refuses a picture that is not the one that was written, by its digest.

    Raises:
        UserError: names the file.
    """
    if "digest" in facts and picture_digest(png) != facts["digest"]:
        raise _other(path)


def _other(path: Path) -> UserError:
    return UserError(f"{path} is not the picture that the set was written with; {REMEDY}")


def _inside(path: Path, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))
