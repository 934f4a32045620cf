import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from roadstill.errors import UserError
from roadstill.evaluation import Run, compare, score
from roadstill.evaluation.operating import by_stratum, operating_point, threshold_at, weighted_cost
from roadstill.evaluation.selftest import NAMES, Simulation, World, prove
from roadstill.evaluation.summary import summarise


def answers(seed=0, n=400, *, skill=0.5):
    rng = np.random.default_rng(seed)
    labels = np.r_[0, 1, (rng.random(n - 2) < 0.6).astype(np.int64)]
    brake = np.clip(rng.normal(0.5 + skill * (labels - 0.5), 0.2), 0, 1).astype(np.float32)
    return score(np.stack([1 - brake, brake], 1), labels, NAMES, images="same")


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.1, 0.5])
def test_the_threshold_is_the_smallest_that_keeps_to_the_rate(rate):
    dev = answers()
    threshold = threshold_at(dev, rate)
    found = operating_point(dev, threshold)
    negative = dev.probabilities[dev.labels == 0, 1]
    assert found.false_alarm_rate <= rate
    lower = np.sort(negative[negative < threshold])[-1]
    assert (negative >= lower).mean() > rate
    positive = dev.probabilities[dev.labels == 1, 1]
    assert found.miss_rate == pytest.approx((positive < threshold).mean())


def test_ties_do_not_break_the_promise():
    labels = np.array([0] * 10 + [1] * 10)
    brake = np.r_[np.full(10, 0.7), np.full(10, 0.9)].astype(np.float32)
    dev = score(np.stack([1 - brake, brake], 1), labels, NAMES)
    found = operating_point(dev, threshold_at(dev, 0.05))
    assert (found.false_alarm_rate, found.miss_rate) == (0, 0)


def test_thresholds_come_from_dev_and_not_from_test():
    dev, test = answers(0), answers(1, skill=0.3)
    clusters = {"log": np.arange(400).astype(str)}
    thresholds = {"0.05": threshold_at(dev, 0.05)}
    run = Run("a", 0, test, clusters, thresholds=thresholds)
    flipped = np.where(np.arange(400) == 7, 1 - test.labels, test.labels)
    other = Run("a", 0, score(test.probabilities, flipped, NAMES, images="same"), clusters, thresholds=thresholds)
    assert run.thresholds == other.thresholds
    found = summarise("a", [run])
    assert found.miss_rate["0.05"].mean == operating_point(test, thresholds["0.05"]).miss_rate
    assert found.false_alarm_rate["0.05"].mean != 0.05


def test_wrong_thresholds_are_refused():
    three = score(np.full((3, 3), 1 / 3, np.float32), np.arange(3), ("a", "b", "c"))
    with pytest.raises(UserError, match="needs 2 classes"):
        threshold_at(three, 0.05)
    with pytest.raises(UserError, match="false_alarm_rate is"):
        threshold_at(answers(), 1.5)
    clusters = {"log": np.array(["a", "b", "a"])}
    assert summarise("x", [Run("x", 0, three, clusters)]).cost is None


def test_cost_by_hand():
    brake = np.array([0.9, 0.1, 0.1, 0.9], np.float32)
    found = score(np.stack([1 - brake, brake], 1), np.array([1, 1, 0, 0]), NAMES)
    assert weighted_cost(found, 1.0) == pytest.approx(0.5)
    miss_all = score(np.tile(np.float32([1, 0]), (4, 1)), np.array([1, 1, 0, 0]), NAMES)
    assert weighted_cost(miss_all, 5.0) == pytest.approx(5 / 6)


def test_strata_are_scored_apart():
    test = answers()
    light = np.where(np.arange(400) % 3 == 0, "night", "day")
    only_brake = np.where(test.labels == 1, "dry", "wet")
    found = by_stratum(test, {"light": light, "weather": only_brake})
    for name, (counts, rate) in found["light"].items():
        chosen = light == name
        assert counts == np.bincount(test.labels[chosen], minlength=2).tolist()
        assert rate == pytest.approx(balanced_accuracy_score(test.labels[chosen], test.probabilities[chosen].argmax(1)))
    assert found["weather"]["dry"][1] == pytest.approx(test.class_accuracy["brake"])
    dry = summarise("a", [Run("a", 0, test, {}, strata={"weather": only_brake})]).strata["weather"]["dry"]
    assert dry.classes == {"brake": dry.images}


def test_confusion_and_reliability_are_of_all_runs():
    runs = [Run("a", seed, answers(seed), {}) for seed in (0, 1)]
    found = summarise("a", runs)
    both = [run.evaluation for run in runs]
    assert found.confusion == np.mean([each.confusion for each in both], axis=0).tolist()
    assert sum(each.answers for each in found.reliability) == 800
    assert [each.confidence for each in found.reliability] == sorted(each.confidence for each in found.reliability)
    # Weighted by answers, the bins' accuracy is the accuracy.
    right = sum(each.answers * each.accuracy for each in found.reliability) / 800
    assert right == pytest.approx(found.accuracy.mean)


def test_set_and_training_variance_are_told_apart():
    rng = np.random.default_rng(0)
    clusters = {"log": np.array(["a", "b"] * 500)}
    labels = np.arange(1000) % 2
    runs = []
    for number in range(60):
        base = rng.normal(0.75, 0.06)
        for training in range(4):
            right = rng.permutation(1000) < 1000 * np.clip(base + rng.normal(0, 0.02), 0, 1)
            brake = np.where(right == (labels == 1), 0.9, 0.1)
            found = score(np.stack([1 - brake, brake], 1).astype(np.float32), labels, NAMES, images="same")
            runs.append(Run("a", 4 * number + training, found, clusters, set_seed=number))
    sources = summarise("a", runs).sources
    assert sources.set_sd == pytest.approx(0.06, abs=0.015)
    assert sources.training_sd == pytest.approx(0.024, abs=0.008)  # the luck of 1,000 answers adds a little
    assert summarise("a", runs[::4]).sources is None


def test_a_bound_competes_with_nobody():
    world = World(Simulation(), 3)
    arms = {"random": world.runs("random", range(10)), "full": world.runs("full", range(10), 2.0)}
    arms |= {name: world.runs(name, range(10), shift) for name, shift in (("one", 0.3), ("two", 0.1))}
    with_bound = compare(arms, baseline="random", bounds=["full"], draws=500)
    without = compare({n: a for n, a in arms.items() if n != "full"}, baseline="random", draws=500)
    assert with_bound.verdicts["full"].word == "bound"
    assert "not judged" in with_bound.verdicts["full"].sentence
    for name in ("one", "two"):
        assert with_bound.verdicts[name].p_holm == without.verdicts[name].p_holm


def test_runs_keep_strata_and_thresholds_on_disk(tmp_path):
    from roadstill.evaluation import open_run

    clusters, strata = ({name: np.arange(400).astype(str)} for name in ("log", "light"))
    run = Run("a", 0, answers(), clusters, strata=strata, thresholds={"0.05": 0.75})
    again = open_run(run.save(tmp_path / "run"))
    assert again.thresholds == run.thresholds
    assert again.strata["light"].tolist() == strata["light"].tolist()


def test_the_referee_proves_itself():
    """The short form of `roadstill compare --self_test`."""
    proof = prove(alike=60, planted=25, draws=400)
    assert proof.passed, str(proof)
    assert 0.038 < proof.gain < 0.05
    assert 0.03 < proof.run_sd < 0.05


def test_the_proof_can_fail():
    assert not prove(Simulation(seed_sd=0.6), alike=0, planted=15, draws=200).passed
