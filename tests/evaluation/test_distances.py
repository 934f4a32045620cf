"""Fréchet and kernel distance against formulas written in another way."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from roadstill.evaluation import distances
from roadstill.evaluation.distances import frechet_distance, kernel_distance, kernel_spread


def clouds(n, m, d, *, seed=0):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(d, d)) / np.sqrt(d)
    return tuple(
        (rng.gamma(2, size=(count, d)) @ mix + shift).astype(np.float32) for count, shift in ((n, 0), (m, 0.3))
    )


@pytest.mark.parametrize(("n", "m"), [(60, 50), (60, 5), (4, 6)], ids=["full rank", "one singular", "both singular"])
def test_frechet_distance_by_the_eigenvalues_of_the_product(n, m):
    first, second = (its.astype(np.float64) for its in clouds(n, m, 8))
    one, two = np.cov(first.T), np.cov(second.T)
    roots = np.sqrt(np.linalg.eigvals(one @ two).astype(complex)).real.sum()
    wanted = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(one + two) - 2 * roots
    assert frechet_distance(first, second) == pytest.approx(wanted, rel=1e-6)
    assert frechet_distance(second, first) == pytest.approx(wanted, rel=1e-6)


def test_frechet_distance_of_normal_distributions_in_closed_form():
    # Two points each make the deviations exact: means 0 and 3, standard deviations 1 and 2 in one dimension.
    first = np.array([[-1.0], [1.0]]) / np.sqrt(2)
    second = 3 + 2 * first
    assert frechet_distance(first, second) == pytest.approx(3**2 + (1 - 2) ** 2)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-12)


def test_kernel_distance_by_the_whole_matrices(monkeypatch):
    first, second = clouds(37, 23, 6)
    within = [polynomial_kernel(its, degree=3, coef0=1) for its in (first, second)]
    pairs = sum(k[~np.eye(len(k), dtype=bool)].mean() for k in within)
    wanted = pairs - 2 * polynomial_kernel(first, second, degree=3, coef0=1).mean()
    assert kernel_distance(first, second) == pytest.approx(wanted, rel=1e-4)
    whole = kernel_distance(first, second)
    monkeypatch.setattr(distances, "_BLOCK", 7)
    assert kernel_distance(first, second) == pytest.approx(whole, rel=1e-9)
    covariance = frechet_distance(first, second)
    monkeypatch.setattr(distances, "_BLOCK", 1024)
    assert frechet_distance(first, second) == pytest.approx(covariance, rel=1e-9)


def test_kernel_distance_of_equal_distributions_is_zero_on_average():
    rng = np.random.default_rng(1)
    found = [kernel_distance(rng.normal(size=(10, 4)), rng.normal(size=(6, 4))) for _ in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    assert min(found) < 0


def test_spread_over_subsets():
    first, second = clouds(60, 40, 6)
    spread, size = kernel_spread(first, second)
    assert size == 20
    assert spread > 0
    assert kernel_spread(first, second) == (spread, size)
    assert kernel_spread(first, second, seed=1)[0] != spread
    assert np.isnan(kernel_spread(first, second[:3])[0])
