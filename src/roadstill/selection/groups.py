"""Groups of images drawn at random: candidates for selectors that choose whole groups."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BYTES = 2**25  # most memory for the features that are processed together


def draw_groups(size: int, *, groups: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Random groups ``[groups, count]`` of 0 .. size - 1, without repetition inside a group.

    All groups grow together by Floyd's rule (Bentley and Floyd 1987): every subset is equally likely.
    """
    drawn = np.empty((groups, count), np.int64)
    for place, last in enumerate(range(size - count, size)):
        new = rng.integers(0, last + 1, groups)
        again = (drawn[:, :place] == new[:, None]).any(1)
        drawn[:, place] = np.where(again, last, new)
    return drawn


def members_of(values: NDArray[np.floating], groups: NDArray[np.int64]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yields features ``[g, count, d]`` of groups ``[groups, count]`` from ``[n, d]``, a few groups at a time."""
    step = max(1, _BYTES // (8 * groups.shape[1] * values.shape[1]))
    for start in range(0, len(groups), step):
        part = slice(start, min(start + step, len(groups)))
        yield part, values[groups[part]].astype(np.float64)
