"""All that an update of a set chooses from, and how much each old picture stands for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.imagesets.joining import join
from roadstill.selection.base import Method
from roadstill.selection.features import Features

_MOST = 50_000  # frames that a class's old pictures stand for at most: their features are in memory


@dataclass(frozen=True)
class Candidates:
    """All that is chosen from: the old pictures first, then the new frames, then the old frames that were not picked.

    Attributes:
        images: all of them.
        rows: rows of each class, ascending.
        old: whether a row is a picture of the set.
        new: whether a row is a new frame.
        seen: number of frames of each class that the set was picked from.
    """

    images: ImageSet
    rows: list[NDArray[np.int64]]
    old: NDArray[np.bool_]
    new: NDArray[np.bool_]
    seen: list[int]


def candidates_of(images: ImageSet, new: ImageSet, before: Sequence[ImageSet]) -> Candidates:
    """The pictures of a set, the frames of another that are not known already, and the rest of those it came from.

    Args:
        images: selected set.
        new: further frames.
        before: sets that it was selected from, all or none of them.

    Raises:
        UserError: sets that do not fit each other, an unknown number of frames behind the set, no new frame.
    """
    seen = _seen(images, before)
    known = _keys(images)
    for each in before:
        known |= _keys(each)
    fresh = [row for row in range(len(new)) if not known & _keys_of(new.facts[row])]
    if not fresh:
        raise UserError(f"{new.root} holds no frame that is not known already; nothing is to be updated")
    parts, own = [images, new.subset(fresh)], _keys(images)
    for each in before:
        rest = [row for row in range(len(each)) if not own & _keys_of(each.facts[row])]
        parts += [each.subset(rest)] if rest else []
    whole = join(parts)
    place = np.arange(len(whole))
    return Candidates(
        whole,
        [np.flatnonzero(whole.labels == label) for label in range(whole.num_classes)],
        old=place < len(images),
        new=(place >= len(images)) & (place < len(images) + len(fresh)),
        seen=seen,
    )


def _seen(images: ImageSet, before: Sequence[ImageSet]) -> list[int]:
    """Number of frames of each class behind a set, by its record or by the sets that it was selected from."""
    updated = images.about.get("updated")
    behind = {images.about.get("selected_from"), *(updated.get("with", ()) if isinstance(updated, dict) else ())}
    for each in before:
        if each.digest not in behind:
            raise UserError(f"{each.root} is none of the sets that {images.root} was selected from; leave it out")
    if before and (lacking := len(behind) - len({each.digest for each in before})):
        raise UserError(f"{images.root} was selected from {len(behind)} sets, of which {lacking} are not named; name "
                        "all or none of them")  # fmt: skip
    told = images.about.get("selected_among")
    if isinstance(told, list) and len(told) == images.num_classes and all(type(each) is int for each in told):
        return [max(each, count) for each, count in zip(told, images.counts().values(), strict=True)]
    if not before:
        raise UserError(
            f"{images.root} does not record from how many frames it was selected, as before 0.2; name them with "
            "--before"
        )
    return [sum(each.counts()[name] for each in before) for name in images.class_names]


def _keys_of(facts: Any) -> set[str]:
    return {str(facts[name]) for name in ("digest", "token") if facts.get(name) is not None}


def _keys(images: ImageSet) -> set[str]:
    """Tokens and digests by which a picture is known again."""
    return {key for facts in images.facts for key in _keys_of(facts)}


def weighing(method: Method, found: Candidates, *, complete: bool) -> Method:
    """The selector with a reference in which each old picture stands for its share of the frames behind the set.

    Args:
        method: selector with its features.
        found: candidates.
        complete: whether all frames behind the set are among the candidates, so that each stands for itself.
    """
    if complete or not hasattr(method, "reference") or not hasattr(method, "features"):
        return method
    images, inner = found.images, method.features
    share = [max(1, round(min(found.seen[label], _MOST) / max(1, int(found.old[its].sum()))))
             for label, its in enumerate(found.rows)]  # fmt: skip
    times = np.where(found.old, np.asarray(share)[images.labels], 1)
    origin = np.repeat(np.arange(len(images)), times)
    reference = images.subset(origin)

    def features(asked: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Those of the pictures behind the copies, each computed once."""
        if asked.digest != reference.digest:
            return inner(asked, rows)
        single, places = np.unique(origin[rows], return_inverse=True)
        return inner(images, single)[places]

    weighed: Features = features
    made: Method = replace(method, reference=reference, features=weighed)  # type: ignore[type-var]
    return made
