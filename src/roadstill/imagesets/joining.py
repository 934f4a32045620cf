"""Several image sets as one, over the files where they lie."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roadstill.errors import UserError
from roadstill.imagesets.sets import ImageSet
from roadstill.runs import digest_of, same_classes


def join(sets: Sequence[ImageSet]) -> ImageSet:
    """The pictures of all sets, one set after another; no file is copied, and ``about`` is that of the first.

    Args:
        sets: sets of equal classes and size, at least one.

    Raises:
        UserError: other classes, another size, or a set whose agents see numbers instead of pictures.
    """
    first = sets[0]
    for other in sets:
        same_classes(other.class_names, first.class_names, of=other.root, to=first.root)
        if other.size_px != first.size_px:
            raise UserError(
                f"{other.root} has pictures of {other.size_px} px, but {first.root} of {first.size_px} px; prepare "
                "both alike"
            )
        if other.values is not None:
            raise UserError(f"{other.root} holds numbers behind its pictures, so it cannot be joined with another set")
    folders = [Path(os.path.realpath(each.root)) for each in sets]
    root = Path(os.path.commonpath(folders))
    files = [
        (folder.relative_to(root) / file).as_posix()
        for folder, each in zip(folders, sets, strict=True)
        for file in each.files
    ]
    return ImageSet(
        root=root,
        class_names=first.class_names,
        files=tuple(files),
        labels=np.concatenate([each.labels for each in sets]),
        facts=[fact for each in sets for fact in each.facts],
        size_px=first.size_px,
        digest=digest_of([each.digest for each in sets]),
        about=dict(first.about),
    )
