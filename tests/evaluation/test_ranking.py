import math

import pytest

from roadstill.evaluation import augmentation_robust_score, label_robust_score


def test_ends_and_middle_of_the_scale():
    # The worst set: everything lost to the full data, nothing right where the baseline is all right.
    assert label_robust_score(1.0, 0.0, 0.0, 1.0) == pytest.approx(0)
    assert label_robust_score(0.9, 0.9, 0.6, 0.6) == pytest.approx((1 - 1 / math.e) / (math.e - 1 / math.e))
    assert augmentation_robust_score(1.0, 0.0, 1.0, 0.0) == pytest.approx(1)
    assert augmentation_robust_score(0.6, 0.6, 0.5, 0.5) == pytest.approx(0.2689, abs=1e-4)


def test_worked_by_hand():
    # alpha = 0.5 * (0.70 - 0.65) - 0.5 * (0.90 - 0.60) = -0.125
    assert label_robust_score(0.90, 0.60, 0.70, 0.65) == pytest.approx(0.2189487, abs=1e-6)
    # beta = 0.25 * 0.10 + 0.75 * (-0.02) = 0.01
    assert augmentation_robust_score(0.7, 0.6, 0.58, 0.60, weight=0.25) == pytest.approx(0.2732174, abs=1e-6)


def test_percent_is_refused():
    with pytest.raises(ValueError, match="not as 60"):
        label_robust_score(90.0, 60.0, 70.0, 65.0)
    with pytest.raises(ValueError, match="is not a fraction"):
        augmentation_robust_score(0.7, 0.6, 0.58, 0.60, weight=2)
