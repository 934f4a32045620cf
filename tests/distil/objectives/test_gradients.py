"""Gradient matching: the distance by hand."""

import pytest
import torch

from roadstill.distil.objectives.gradients import GradientMatching, gradient_distance, loops_of
from roadstill.errors import UserError


def test_the_distance_counts_rows_and_forgets_sizes():
    eye = torch.eye(4)
    some = [eye[:2], eye[:3].view(3, 4, 1, 1), torch.ones(7)]
    other = [eye[2:], eye[1:].view(3, 4, 1, 1), torch.zeros(7)]
    assert float(gradient_distance(some, some, "cosine", "weights")) == pytest.approx(0, abs=1e-5)
    assert float(gradient_distance(some, other, "cosine", "weights")) == pytest.approx(5)  # the number of rows
    assert float(gradient_distance(some, [3 * each for each in some], "cosine", "weights")) == pytest.approx(
        0, abs=1e-5
    )
    assert float(gradient_distance(some, [-each for each in some], "cosine", "weights")) == pytest.approx(10, abs=1e-4)
    assert float(gradient_distance(some, other, "squared", "weights")) == pytest.approx(2 * 5)
    assert float(gradient_distance(some, other, "squared", "convolutions")) == pytest.approx(2 * 3)


def test_published_loops_and_what_lies_between():
    assert loops_of(1) == (1, 1)
    assert loops_of(10) == (10, 50)
    assert loops_of(50) == (50, 10)
    assert loops_of(15) == (15, 38)
    assert loops_of(1000) == (50, 10)


def test_mistakes_are_named():
    with pytest.raises(UserError, match="metric is 'cos'"):
        GradientMatching(metric="cos")
    with pytest.raises(UserError, match="matches is 0"):
        GradientMatching(matches=0)
