"""How rarely a real frame of another drive would lie as near: what turns distances into a threshold.

Frames of one drive resemble each other, so that thousands of them may be a few dozen observations: one drive along a
street that the training frames know would make the threshold too loose, a long stop at one place too tight. Each drive
(or log) therefore counts once, whatever its number of frames.
"""

import numpy as np
from numpy.typing import NDArray


def chances(
    values: NDArray[np.float64],
    reference: NDArray[np.float64],
    groups: NDArray[np.int64],
    own: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Chance that a frame of a further group has no larger value, ``[n]``, bounded from above.

    ``(1 + sum over g groups of the share of their frames with no larger value) / (1 + g)``: the conformal p-value for
    observations in groups (Dunn, Wasserman and Ramdas 2022; Lee, Barber and Willett 2023). If the further frame's group
    is exchangeable with the others, the chance of a p-value of at most ``a`` is at most ``a``, however much the frames
    of a group depend on each other.

    Args:
        values: values ``[n]``; small ones are rare.
        reference: values of frames that are as wanted, ``[m]``.
        groups: group of each of these, ``[m]``.
        own: group of each value that is itself among the reference, and is left out of it then, ``[n]``; -1 for none.
    """
    names, places, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(reference, kind="stable")
    below = np.append(0.0, np.cumsum((1 / sizes)[places][order]))
    shares, count = below[np.searchsorted(reference[order], values, side="right")], np.full(len(values), len(names))
    for group in np.unique(own[own >= 0]) if own is not None else ():
        members, mine = np.sort(reference[groups == group]), own == group
        if len(members):
            shares[mine] -= np.searchsorted(members, values[mine], side="right") / len(members)
            count[mine] -= 1
    # Rounded: what is left of a sum of thirds may not decide whether a chance is above a limit.
    return np.minimum(1.0, (1 + shares.round(9)) / (1 + count))


def least_chance(groups: int) -> float:
    """The smallest chance that so many groups can tell of."""
    return 1 / (1 + groups)


def share_interval(
    hits: NDArray[np.bool_], groups: NDArray[np.int64], level: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """Mean over groups of the share of hits, and its interval by Clopper and Pearson, as if a group were one trial.

    That is too wide for groups whose frames differ, and right for those whose frames are all alike: a share varies no
    more than a trial with the same mean.

    Args:
        hits: whether each frame is one, ``[n]``, at least one frame.
        groups: group of each, ``[n]``.
        level: level of the interval.
    """
    _, places, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    count = float((np.bincount(places, weights=hits) / sizes).sum())
    return count / len(sizes), clopper_pearson(count, len(sizes), level)


def clopper_pearson(hits: float, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share by Clopper and Pearson 1934; hits may be a sum of shares."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high
