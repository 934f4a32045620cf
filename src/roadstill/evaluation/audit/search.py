"""The nearest real frames of some pictures, in one pass over a set of any size.

Every frame is decoded once, for all views, and forgotten again: memory holds the pictures that are asked about, a block
of frames, and a few distances a picture.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadstill.evaluation.audit.views import View
from roadstill.imagesets import ImageSet
from roadstill.learning.loops import evenly
from roadstill.selection.features import finite_rows, unit

OTHERS = 10  # further drives that tell how near frames of this kind lie to one another
_BLOCK_BYTES = 2**25  # of decoded frames
_BLOCK_FRAMES, _CENTRE_FRAMES = 512, 2048
_DISTANCES = 2**23  # of a block at once: 32 MiB


@dataclass(frozen=True)
class Question:
    """Pictures whose nearest frames are searched.

    Attributes:
        images: set that holds them.
        rows: rows of the pictures in it, ``[n]``.
        own: group of frames that do not count for each, ``[n]``; -1 for none.
    """

    images: ImageSet
    rows: NDArray[np.int64]
    own: NDArray[np.int64]


@dataclass(frozen=True)
class Near:
    """The nearest frames of ``n`` pictures, in each of ``v`` views.

    Attributes:
        rows: row of the nearest frame, ``[n, v]``; -1 if there is none.
        distance: cosine distance to it, 0 to 2, ``[n, v]``; infinite if there is none.
        others: mean of the cosine distances to the nearest frame of each of the next groups, at most ten, ``[n, v]``;
            NaN where there are none.
    """

    rows: NDArray[np.int64]
    distance: NDArray[np.float64]
    others: NDArray[np.float64]

    def part(self, start: int, end: int) -> "Near":
        """That of some of the pictures."""
        return Near(self.rows[start:end], self.distance[start:end], self.others[start:end])


def nearest_frames(
    views: Sequence[View],
    real: ImageSet,
    groups: NDArray[np.int64],
    questions: Sequence[Question],
    *,
    others: int = OTHERS,
    centres: Sequence[NDArray[np.float32]] | None = None,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> list[Near]:
    """The nearest frames of each question's pictures, and how near the next groups come.

    Args:
        views: ways to compare.
        real: real frames, ``m`` of them.
        groups: group of each frame, such as its drive, ``[m]``, not negative.
        questions: pictures of the same size.
        others: number of further groups whose distances are averaged.
        centres: point around which cosines are taken, for each view; see `centres_of`, which gives them otherwise.
        watch: function that is called with the number of frames so far, and of all.

    Raises:
        UserError: a picture that is missing or damaged, features that are not finite.
    """
    own = np.concatenate([question.own for question in questions])
    ends = np.cumsum([len(question.rows) for question in questions])
    order = np.argsort(groups, kind="stable")  # a group's frames follow each other
    asked = [
        _Asked(view, centre, np.concatenate([_kept(view, each) for each in questions]), own, others)
        for view, centre in zip(views, centres or centres_of(views, real), strict=True)
    ]
    done = 0
    for rows in _blocks(real, order):
        pixels = real.pixels(rows)
        for each in asked:
            each.meet(finite_rows(each.view.frames(pixels), real, rows, "features"), rows, groups[rows])
        watch(done := done + len(rows), len(order))
    found = Near(
        np.stack([each.rows for each in asked], 1),
        np.stack([each.nearest[:, 0] for each in asked], 1).astype(np.float64),
        np.stack([each.others() for each in asked], 1),
    )
    return [found.part(start, end) for start, end in zip((0, *ends[:-1]), ends, strict=True)]


def centres_of(views: Sequence[View], real: ImageSet) -> list[NDArray[np.float32]]:
    """Mean features ``[d]`` of the frames in each view, over at most 2,048 of them, evenly spread.

    Features of most networks are all positive, so that without it any two pictures are nearly parallel.
    """
    rows = evenly(np.arange(len(real)), _CENTRE_FRAMES)
    totals = [np.zeros(()) for _ in views]
    for some in _blocks(real, rows):
        pixels = real.pixels(some)
        totals = [
            total + view.frames(pixels).sum(0, dtype=np.float64) for total, view in zip(totals, views, strict=True)
        ]
    return [(total / len(rows)).astype(np.float32) for total in totals]


def _blocks(images: ImageSet, order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    size = max(1, min(_BLOCK_FRAMES, _BLOCK_BYTES // (3 * images.size_px**2)))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _kept(view: View, question: Question) -> NDArray[np.float32]:
    parts = [view.kept(question.images.pixels(rows)) for rows in _blocks(question.images, question.rows)]
    found = np.concatenate(parts) if parts else np.empty((0, 1), np.float32)
    finite_rows(found.reshape(len(found), -1), question.images, question.rows, "features")
    return found


class _Asked:
    """Pictures that are asked about in one view, and the nearest frames of each so far, one a group."""

    def __init__(
        self, view: View, centre: NDArray[np.float32], kept: NDArray[np.float32], own: NDArray[np.int64], others: int
    ) -> None:
        self.view, self.centre, self.kept, self.own = view, centre, kept, own
        self.rows = np.full(len(kept), -1, np.int64)
        self.nearest = np.full((len(kept), 1 + others), np.inf, np.float32)  # ascending
        self.groups = np.full((len(kept), 1 + others), -1, np.int64)

    def others(self) -> NDArray[np.float64]:
        """See `Near.others`."""
        known = np.isfinite(self.nearest[:, 1:])
        total = np.where(known, self.nearest[:, 1:], 0).sum(1, dtype=np.float64)
        return np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan)

    def meet(self, frames: NDArray[np.float32], rows: NDArray[np.int64], groups: NDArray[np.int64]) -> None:
        """Compares a block of frames ``[b, d]`` of these rows and groups, of which equal ones follow each other."""
        frames = unit(frames - self.centre)
        starts = np.flatnonzero(np.append(True, groups[1:] != groups[:-1]))
        count = self.view.variants(self.kept[:1]).shape[1] if len(self.kept) else 1
        step = max(1, _DISTANCES // (count * len(rows)))
        for start in range(0, len(self.kept), step):
            part = slice(start, min(start + step, len(self.kept)))
            variants = unit(self.view.variants(self.kept[part]).reshape((part.stop - start) * count, -1) - self.centre)
            cosines = (variants @ frames.T).reshape(part.stop - start, count, -1).max(1)
            distances = np.where(self.own[part, None] == groups, np.inf, np.maximum(1 - cosines, 0))
            self._put(part, distances.astype(np.float32), rows, groups, starts)

    def _put(
        self,
        part: slice,
        distances: NDArray[np.float32],
        rows: NDArray[np.int64],
        groups: NDArray[np.int64],
        starts: NDArray[np.int64],
    ) -> None:
        """Puts a block's distances ``[p, b]`` among the nearest ones."""
        best = distances.argmin(1)
        nearer = np.take_along_axis(distances, best[:, None], 1)[:, 0] < self.nearest[part, 0]
        self.rows[part] = np.where(nearer, rows[best], self.rows[part])
        of_groups = np.minimum.reduceat(distances, starts, axis=1)
        met = np.broadcast_to(groups[starts], of_groups.shape)
        # The first group may have begun in the block before.
        again = self.groups[part] == groups[0]
        known = np.where(again, np.minimum(self.nearest[part], of_groups[:, :1]), self.nearest[part])
        of_groups[:, 0] = np.where(again.any(1), np.inf, of_groups[:, 0])
        together, names = np.concatenate([known, of_groups], 1), np.concatenate([self.groups[part], met], 1)
        names = np.where(np.isfinite(together), names, -1)
        first = np.argsort(together, axis=1, kind="stable")[:, : self.nearest.shape[1]]
        self.nearest[part] = np.take_along_axis(together, first, 1)
        self.groups[part] = np.take_along_axis(names, first, 1)
