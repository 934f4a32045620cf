"""Groups of images drawn at random, and their moments: candidates of the selectors that choose whole groups."""

import numpy as np
from numpy.typing import NDArray

_BYTES = 2**26  # of a block of group moments


def draw_groups(size: int, *, groups: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Random groups ``[groups, count]`` of 0 .. size - 1, without repetition inside a group."""
    return np.stack([rng.choice(size, count, replace=False, shuffle=False) for _ in range(groups)])


def group_means(values: NDArray[np.float64], members: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean ``[g, d]`` over each group ``[g, count]`` of the rows of ``[n, d]``.

    A sparse product: no copy of the groups' rows is made.
    """
    from scipy.sparse import csr_array

    groups, count = members.shape
    starts = np.arange(groups + 1) * count
    share = np.full(members.size, 1 / count)
    chosen = csr_array((share, members.ravel(), starts), shape=(groups, len(values)))
    return np.asarray(chosen @ values)


def blocks(groups: int, width: int) -> list[slice]:
    """Slices of groups so small that a few numbers for each and every feature fit in memory."""
    size = max(1, _BYTES // (8 * width))
    return [slice(start, min(start + size, groups)) for start in range(0, groups, size)]
