from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from roadstill.errors import UserError
from roadstill.evaluation.metrics import auroc, calibration_error, evaluate, reliability, score
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset

NAMES = ("not_brake", "brake")


def random_answers(n=400, seed=0):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.6).astype(np.int64)
    brake = np.round(np.clip(0.3 * labels + rng.random(n) * 0.7, 0, 1), 2)  # rounding makes ties
    return labels, np.stack([1 - brake, brake], 1).astype(np.float32)


def test_scores_agree_with_scikit_learn():
    labels, probabilities = random_answers()
    found = score(probabilities, labels, NAMES)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, probabilities.argmax(1)))
    assert found.auroc == pytest.approx(roc_auc_score(labels, probabilities[:, 1]))
    assert found.accuracy == pytest.approx((probabilities.argmax(1) == labels).mean())
    assert np.sum(found.confusion) == found.n == 400


def test_majority_line_is_the_larger_class():
    labels, probabilities = random_answers()
    found = score(probabilities, labels, NAMES)
    assert found.majority_class == "brake"
    assert found.majority_accuracy == pytest.approx(labels.mean())


def test_always_brake_scores_half():
    labels, _ = random_answers()
    found = score(np.tile(np.float32([0, 1]), (400, 1)), labels, NAMES)
    assert found.balanced_accuracy == 0.5
    assert found.auroc == 0.5
    assert found.class_accuracy == {"not_brake": 0.0, "brake": 1.0}
    assert found.accuracy == found.majority_accuracy


def test_auroc_of_perfect_and_reversed_order():
    positive = np.array([False, False, True, True])
    assert auroc(positive, np.array([0.1, 0.2, 0.3, 0.4])) == 1
    assert auroc(positive, np.array([0.4, 0.3, 0.2, 0.1])) == 0


def test_calibration_error_by_hand():
    # Two images said with 0.9 of which one is right, two with 0.6 of which both are: gaps 0.4 and 0.4.
    confidence, correct = np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, False, True, True])
    assert calibration_error(confidence, correct, bins=10) == pytest.approx(0.4)
    low, high = reliability(confidence, correct, bins=10)
    assert (low.answers, low.confidence, low.accuracy) == (2, pytest.approx(0.6), 1.0)
    assert (high.answers, high.confidence, high.accuracy) == (2, pytest.approx(0.9), 0.5)


def test_an_empty_class_and_no_probabilities_are_refused():
    with pytest.raises(UserError, match="no image of class 'brake'"):
        score(np.full((3, 2), 0.5, np.float32), np.zeros(3, np.int64), NAMES)
    with pytest.raises(UserError, match="sum to 1"):
        score(np.full((2, 2), 0.9, np.float32), np.array([0, 1]), NAMES)


class Brightness:
    """A foreign agent: nothing but predict."""

    def predict(self, pixels):
        brake = pixels.reshape(len(pixels), -1).mean(1) / 255
        return np.stack([1 - brake, brake], 1).astype(np.float32)


def bright_and_dark(folder, **about) -> ImageSet:
    with ImageSetWriter(folder, NAMES, 8) as writer:
        for index in range(70):
            value = 200 if index % 2 else 40
            writer.add(np.full((8, 8, 3), value + index % 7, np.uint8), index % 2, {"log": f"log{index % 5}"})
        writer.about.update(about)
    return open_imageset(folder)


def test_a_foreign_agent_is_evaluated(tmp_path):
    images = bright_and_dark(tmp_path / "dev")
    found = evaluate(Brightness(), images)
    assert found.accuracy == 1
    assert found.images == images.digest
    np.testing.assert_array_equal(found.labels, images.labels)


def test_the_test_part_is_refused_without_open_test(tmp_path):
    with pytest.raises(UserError, match="open_test"):
        evaluate(Brightness(), bright_and_dark(tmp_path / "test", split="test"))


def test_errors_are_told_by_fifths_of_the_acceleration_and_for_hard_brakes():
    true = np.array([0.0, -4.0, 1.0, -3.5, 2.0, -1.0, 3.0, -6.0, 0.5, -2.0], np.float32)
    answered = true + np.array([0.1, 2.0, 0.2, 0.4, -0.3, 0.0, 0.5, 1.0, 0.1, -2.0], np.float32)
    labels = (true < 0).astype(np.int64)
    found = replace(
        score(np.eye(2, dtype=np.float32)[labels], labels, ("not_brake", "brake")),
        misses=(answered - true)[:, None], accels_mps2=np.stack([true, answered], 1), unit="m/s2",
    )  # fmt: skip
    # Fifths of two: -6, -4 | -3.5, -2 | -1, 0 | 0.5, 1 | 2, 3
    assert found.mae_by_fifth == pytest.approx([1.5, 1.2, 0.05, 0.15, 0.4])
    assert found.hard_brake_recall == pytest.approx(2 / 3)  # -6 and -3.5 stay below -3, -4 becomes -2; -2 is none
    assert replace(found, accels_mps2=found.accels_mps2[3:7], misses=found.misses[3:7]).mae_by_fifth is None
    soft = replace(found, accels_mps2=np.abs(found.accels_mps2))
    assert soft.hard_brake_recall is None
    assert "hard_brake_recall" not in soft.scores()
    assert found.scores()["mae_by_fifth"] == found.mae_by_fifth
