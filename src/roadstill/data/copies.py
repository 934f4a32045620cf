"""Pictures that are equal byte for byte: none may be in two parts, or have two labels."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadstill.data.picture_store import PictureStore
from roadstill.frames.splits import SPLITS

_log = logging.getLogger(__name__)
_TAIL_BYTES = 64
_SOME, _FEW_DIFFERENT = 4, 0.1  # of so many pictures, one alone or such a share that differs are placeholders


def contents(paths: Sequence[Path]) -> NDArray[np.int64]:
    """A number for what each file holds, ``[n]``: equal for equal bytes. A missing file has its own.

    Only files of one size that end alike are read, in blocks.
    """
    found = np.arange(len(paths))
    alike: dict[object, list[int]] = defaultdict(list)
    for row, path in enumerate(paths):
        if (key := _size_and_end(path)) is not None:
            alike[key].append(row)
    for rows in alike.values():
        first: dict[bytes, int] = {}
        for row in rows if len(rows) > 1 else ():
            found[row] = first.setdefault(_digest(paths[row]), row)
    return found


def _size_and_end(path: Path) -> tuple[int, bytes] | None:
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            size = path.stat().st_size
            file.seek(max(0, size - _TAIL_BYTES))
            return size, file.read(_TAIL_BYTES)
    except OSError:
        return None


def _digest(path: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


def left_out(
    parts: Mapping[str, tuple[Sequence[str], Sequence[str]]], store: PictureStore
) -> dict[str, dict[str, str]]:
    """Pictures that may not be in their part: equal ones of two classes, and those that a later part holds too.

    The test part keeps its pictures, dev those that test does not have, train the rest. If hardly any picture differs
    from the others (placeholders), none is left out, and a warning says so.

    Args:
        parts: paths of pictures and names of their classes, by part.
        store: store of the prepared pictures, which are compared.

    Returns:
        Reasons by picture, by part.
    """
    names = [part for part in reversed(SPLITS) if part in parts]
    images = [image for part in names for image in parts[part][0]]
    part_of = [part for part in names for _ in parts[part][0]]
    class_of = [name for part in names for name in parts[part][1]]
    reasons: dict[str, dict[str, str]] = {part: {} for part in parts}
    content = contents([store.path(image) if store.has(image) else Path() for image in images])
    different = len(np.unique(content))
    if len(images) >= _SOME and different < max(2, _FEW_DIFFERENT * len(images)):
        _log.warning("only %s of %s pictures differ (placeholders?): equal ones are in several parts, and nothing that "
                     "is measured on them means anything", f"{different:,}", f"{len(images):,}")  # fmt: skip
        return reasons
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, number in enumerate(content.tolist()):
        rows_of[number].append(row)
    for rows in rows_of.values():
        first = rows[0]
        of_class: dict[str, int] = {}
        for row in rows:
            of_class.setdefault(class_of[row], row)
        for row in rows:
            if len(of_class) > 1:
                other = next(each for name, each in of_class.items() if name != class_of[row])
                why = f"the same picture as {images[other]}, which is {class_of[other]}"
            elif part_of[row] != part_of[first]:
                why = f"the same picture as {images[first]} in {part_of[first]}"
            else:
                continue
            reasons[part_of[row]][images[row]] = why
    return reasons
