"""Chooses the frames that become pictures if there are too many: spread over logs, the same for the same seed."""

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.frames import FrameTable
from roadstill.runs import seed_of


def choose_frames(frames: FrameTable, max_per_class: int | None, seed: int = 0) -> FrameTable:
    """At most ``max_per_class`` frames of each class, spread over the logs, in the table's order; None keeps all.

    One frame of every log is taken before a second of any, so that a small set shows as many places as possible.
    """
    if max_per_class is None:
        return frames
    return frames.take(choose_rows(frames.labels, frames.column("log"), max_per_class, seed))


def choose_rows(
    labels: NDArray[np.int64], groups: NDArray[np.object_], max_per_class: int, seed: int
) -> NDArray[np.bool_]:
    """At most ``max_per_class`` rows of each label, spread over the groups, ``[n]``; see `choose_frames`."""
    if max_per_class < 1:
        raise UserError(f"max_per_class {max_per_class} should be at least 1")
    _, group = np.unique(groups, return_inverse=True)
    kept = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        rng = np.random.default_rng(seed_of("choose frames", seed, label))
        rank = _rank_within(group[rows], rng.random(len(rows)))
        order = np.lexsort((rng.random(len(rows)), rank))
        kept[rows[order[:max_per_class]]] = True
    return kept


def _rank_within(group: NDArray[np.int64], key: NDArray[np.float64]) -> NDArray[np.int64]:
    """Place of each row among the rows of its group, ordered by key: 0 is the first of its group."""
    order = np.lexsort((key, group))
    starts = np.concatenate([[True], np.diff(group[order]) != 0]) if len(group) else np.zeros(0, np.bool_)
    place = np.arange(len(group))
    rank = np.empty(len(group), np.int64)
    rank[order] = place - np.maximum.accumulate(np.where(starts, place, 0))
    return rank
