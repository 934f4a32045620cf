"""The real frames of an audit: in groups that resemble each other, and samples that tell what is usual."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.imagesets.records import SOURCE_IMAGE
from roadstill.selection.per_drive import spread

AGAINST, HELD_OUT = "against", "heldout"
_IDENTITY = ("log", "token", "digest")


@dataclass(frozen=True)
class Sample:
    """Some frames of a part, spread evenly over its groups.

    Attributes:
        name: name of the part.
        images: the part.
        rows: rows in it, ``[n]``.
        groups: group of each, ``[n]``, numbered as in `Real`.
        left_out: number of frames of the part that were left out since they are of groups of the training frames.
    """

    name: str
    images: ImageSet
    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    left_out: int = 0


@dataclass(frozen=True)
class Real:
    """Training frames, and samples of them and of frames that were held out.

    Attributes:
        images: the training frames.
        groups: group of each, ``[n]``, from 0; those of held-out frames follow.
        num_groups: number of groups of the training frames.
        by: fact that names a group, ``drive`` or ``log``; ``picture`` if neither is known: each is a group of its own.
        samples: that of the training frames, then that of held-out ones, if there are any.
    """

    images: ImageSet
    groups: NDArray[np.int64]
    num_groups: int
    by: str
    samples: tuple[Sample, ...]

    @property
    def held_out(self) -> Sample | None:
        """The sample of frames that were held out."""
        return self.samples[1] if len(self.samples) > 1 else None


def real_frames(
    images: ImageSet,
    held_out: ImageSet | None = None,
    *,
    by: Literal["drive", "log"] = "drive",
    frames: int = 1000,
    seed: int = 0,
) -> Real:
    """Groups the training frames, and draws the samples.

    Args:
        images: frames that the audited set was made from.
        held_out: frames that had no part in it; those of a group or log, or equal to a frame, of ``images`` are left
            out.
        by: fact that names a group; the log where not all frames have a drive.
        frames: most frames of each sample.
        seed: seed of the samples.

    Raises:
        UserError: a set without images, or none that was held out.
    """
    parts = [images] if held_out is None else [images, held_out]
    for part in parts:
        if not len(part):
            raise UserError(f"{part.root} has no images")
    used = next((fact for fact in (by, "log") if all(_has(part, fact) for part in parts)), "picture")
    known, groups = np.unique(_names(images, used), return_inverse=True)
    rows = spread(groups, frames, np.random.default_rng(seed))
    samples = [Sample(AGAINST, images, rows, groups[rows])]
    if held_out is not None:
        telling = {used, *_IDENTITY} - {"picture"}
        seen = {fact: {str(facts[fact]) for facts in images.facts if _tells(facts, fact)} for fact in telling}
        rest = np.array([row for row, facts in enumerate(held_out.facts) if not _in(facts, seen)], np.int64)
        if not len(rest):
            raise UserError(
                f"all frames of {held_out.root} are of {used}s of {images.root} or equal to some of it, so none was "
                "held out; name frames of others"
            )
        theirs = np.unique(_names(held_out, used)[rest], return_inverse=True)[1]
        rows = spread(theirs, frames, np.random.default_rng(seed))
        left = len(held_out) - len(rest)
        samples.append(Sample(HELD_OUT, held_out, rest[rows], len(known) + theirs[rows], left))
    return Real(images, groups, len(known), used, tuple(samples))


def further_sample(name: str, images: ImageSet, real: Real, *, frames: int, seed: int) -> Sample:
    """Some frames of a further part, each compared with all training frames.

    Args:
        name: name of the part.
        images: the part.
        real: training frames.
        frames: most frames.
        seed: seed of the choice.
    """
    fact = real.by if real.by != "picture" and _has(images, real.by) else "picture"
    theirs = np.unique(_names(images, fact), return_inverse=True)[1]
    rows = spread(theirs, frames, np.random.default_rng(seed))
    first = 1 + max(int(sample.groups.max()) for sample in real.samples)
    return Sample(name, images, rows, max(first, real.num_groups) + theirs[rows])


def _has(images: ImageSet, fact: str) -> bool:
    return all(facts.get(fact) is not None for facts in images.facts)


def _names(images: ImageSet, fact: str) -> NDArray[np.str_]:
    return np.array(list(images.files) if fact == "picture" else [str(facts[fact]) for facts in images.facts])


def _in(facts: Mapping[str, Any], seen: Mapping[str, set[str]]) -> bool:
    return any(_tells(facts, fact) and str(facts[fact]) in known for fact, known in seen.items())


def _tells(facts: Mapping[str, Any], fact: str) -> bool:
    """Whether a fact is known and not just the picture's own path, which another folder may use for another picture."""
    return facts.get(fact) not in (None, facts.get(SOURCE_IMAGE))
