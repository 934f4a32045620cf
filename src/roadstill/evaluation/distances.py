"""How far the features of two sets of pictures lie apart: the Fréchet distance (FID) and the kernel distance (KID).

Features are float ``[n, d]``. Sums are taken in float64, a block of rows at a time.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024
SUBSETS, LARGEST_SUBSET = 50, 500


def frechet_distance(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Fréchet distance of two normal distributions that have the means and covariances of the rows.

    ``|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)`` (Heusel et al. 2017). With ``S = R^T R`` the last trace is the
    sum of the singular values of ``R1 R2^T``, which needs no root of a covariance that fewer rows than columns leave
    singular.

    Args:
        first: features ``[n, d]`` of at least two pictures.
        second: features ``[m, d]`` of at least two pictures.
    """
    (mean1, root1), (mean2, root2) = _mean_and_root(first), _mean_and_root(second)
    shared = np.linalg.svd(root1 @ root2.T, compute_uv=False).sum()
    return float(((mean1 - mean2) ** 2).sum() + (root1**2).sum() + (root2**2).sum() - 2 * shared)


def _mean_and_root(features: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean ``[d]`` and ``R`` ``[min(n, d), d]`` whose ``R^T R`` is the covariance, divided by ``n - 1``."""
    n, d = features.shape
    mean = features.mean(0, dtype=np.float64)
    if n <= d:
        return mean, (features - mean) / np.sqrt(n - 1)
    covariance = np.zeros((d, d))
    for start in range(0, n, _BLOCK):
        part = features[start : start + _BLOCK] - mean
        covariance += part.T @ part
    values, vectors = np.linalg.eigh(covariance / (n - 1))
    return mean, np.sqrt(values.clip(0))[:, None] * vectors.T


def kernel_distance(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Squared maximum mean discrepancy under the kernel ``(x y / d + 1)^3``, unbiased (Binkowski et al. 2018: KID).

    Equal distributions give 0 on average, with few pictures too, so that single values may be negative.

    Args:
        first: features ``[n, d]`` of at least two pictures.
        second: features ``[m, d]`` of at least two pictures.
    """
    n, m = len(first), len(second)
    within = [
        (_kernel_sum(its, its) - _kernel_of_itself(its).sum()) / (len(its) * (len(its) - 1)) for its in (first, second)
    ]
    return float(sum(within) - 2 * _kernel_sum(first, second) / (n * m))


def kernel_spread(first: NDArray[Any], second: NDArray[Any], *, seed: int = 0) -> tuple[float, int]:
    """Standard deviation of `kernel_distance` over 50 subsets of both, and the pictures in each subset.

    A subset has half of the smaller set, at most 500; below four pictures there is no spread (NaN).
    """
    size = min(LARGEST_SUBSET, min(len(first), len(second)) // 2)
    if size < 2:
        return float("nan"), size
    rng = np.random.default_rng(seed)
    found = [
        kernel_distance(*(its[rng.choice(len(its), size, replace=False)] for its in (first, second)))
        for _ in range(SUBSETS)
    ]
    return float(np.std(found, ddof=1)), size


def _kernel_sum(first: NDArray[Any], second: NDArray[Any]) -> float:
    total = 0.0
    for start in range(0, len(first), _BLOCK):
        part = first[start : start + _BLOCK].astype(np.float64)
        for other in range(0, len(second), _BLOCK):
            products = part @ second[other : other + _BLOCK].astype(np.float64).T
            total += float(((products / first.shape[1] + 1) ** 3).sum())
    return total


def _kernel_of_itself(features: NDArray[Any]) -> NDArray[np.float64]:
    squares = np.einsum("nd,nd->n", features, features, dtype=np.float64)
    found: NDArray[np.float64] = (squares / features.shape[1] + 1) ** 3
    return found
