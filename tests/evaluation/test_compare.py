import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from roadstill.errors import UserError
from roadstill.evaluation import Run, compare, open_runs, selftest
from roadstill.evaluation.bootstrap import paired_difference, t_quantile, widening
from roadstill.evaluation.verdicts import holm, seeds_needed

NAMES = selftest.NAMES


def World(seed, **simulation):
    return selftest.World(selftest.Simulation(seed_sd=0.25, **simulation), seed)


@pytest.mark.parametrize("seeds", [3, 5, 12])
def test_equal_arms_are_seldom_called_better(seeds):
    words = []
    for trial in range(100):
        world = World(trial)
        arms = {"random": world.runs("random", range(seeds)), "other": world.runs("other", range(seeds))}
        words.append(compare(arms, baseline="random", draws=400).verdicts["other"].word)
    assert words.count("better") <= 7
    assert words.count("worse") <= 7


def test_an_arm_that_is_better_on_a_few_logs_only_is_not_called_better():
    # All seeds agree, but the gain hangs on two of twelve logs: only drawing logs anew can see that.
    gained = np.zeros((20, 12, 2))
    gained[:, :2] = 15
    counts = np.full((12, 2), 25)
    found = paired_difference(gained, counts, draws=1000, rng=np.random.default_rng(0))
    assert found.value == pytest.approx(0.1)
    assert found.interval()[0] < 0.0 < found.interval()[1]


def test_swapping_the_arms_turns_the_verdict_round():
    world = World(1)
    arms = {"a": world.runs("a", range(20)), "b": world.runs("b", range(20), shift=0.4)}
    up = compare(arms, baseline="a", draws=2000).verdicts["b"]
    down = compare(arms, baseline="b", draws=2000).verdicts["a"]
    assert (up.word, down.word) == ("better", "worse")
    assert (up.low, up.high, up.difference) == pytest.approx((-down.high, -down.low, -down.difference))


def test_the_difference_is_that_of_scikit_learn_over_paired_seeds():
    world = World(2)
    arms = {"a": world.runs("a", [0, 1, 2, 7]), "b": world.runs("b", [7, 2, 1, 5])}
    found = compare(arms, baseline="a", draws=100).verdicts["b"]

    def mean(runs):
        answers = [run.evaluation for run in runs if run.seed in (1, 2, 7)]
        return np.mean([balanced_accuracy_score(one.labels, one.probabilities.argmax(1)) for one in answers])

    assert found.seeds == [1, 2, 7]
    assert found.difference == pytest.approx(mean(arms["b"]) - mean(arms["a"]))


def test_pairing_removes_what_both_arms_share():
    # Each seed shifts both arms by the same large amount; without pairs that would drown the difference.
    rng = np.random.default_rng(0)
    counts = np.full((30, 2), 20)
    own = rng.integers(-1, 3, (10, 30, 2)).astype(float)
    common = rng.normal(0, 8, (10, 1, 1))
    paired = paired_difference(own, counts, draws=500, rng=np.random.default_rng(1))
    unpaired = paired_difference(own + common - np.roll(common, 1, 0), counts, draws=500, rng=np.random.default_rng(1))
    width = np.subtract(*paired.interval()[::-1])
    assert width * 5 < np.subtract(*unpaired.interval()[::-1])


def test_frames_of_one_log_do_not_count_as_independent():
    world = World(3, log_sd=1.0)
    arms = {"a": world.runs("a", range(5)), "b": world.runs("b", range(5))}
    every_frame = {"log": np.arange(len(world.log)).astype(str)}
    loose = {arm: [Run(arm, run.seed, run.evaluation, every_frame) for run in runs] for arm, runs in arms.items()}
    by_log = compare(arms, baseline="a", draws=1000).verdicts["b"]
    by_frame = compare(loose, baseline="a", draws=1000).verdicts["b"]
    assert by_frame.high - by_frame.low < by_log.high - by_log.low


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_many_equal_arms_are_corrected_for():
    world = World(4)
    arms = {"random": world.runs("random", range(10))} | {f"arm{i}": world.runs(f"arm{i}", range(10)) for i in range(8)}
    verdicts = compare(arms, baseline="random", draws=1000).verdicts
    assert all(verdict.p_holm >= verdict.p_value for verdict in verdicts.values())
    assert {verdict.word for verdict in verdicts.values()} == {"cannot be told apart"}


def test_the_p_value_and_the_interval_agree():
    world = World(5)
    for shift in (0.0, 0.1, 0.2, 0.3):
        arms = {"a": world.runs("a", range(6)), "b": world.runs("b", range(6), shift)}
        found = compare(arms, baseline="a", draws=1000).verdicts["b"]
        assert (found.p_value <= 0.05) == (found.low > 0 or found.high < 0)


def test_few_seeds_and_logs_are_said():
    world = World(6, logs=12)
    arms = {"a": world.runs("a", range(5)), "b": world.runs("b", range(5))}
    sentence = compare(arms, baseline="a", draws=200).verdicts["b"].sentence
    assert "5 paired seeds, 12 logs" in sentence
    assert "Fewer than 10 seeds" in sentence
    assert "Fewer than 20 logs" in sentence


def test_one_set_trained_often_speaks_of_the_set_only():
    world = World(7)
    one = [Run("b", run.seed, run.evaluation, run.clusters, set_seed=0) for run in world.runs("b", range(10))]
    found = compare({"a": world.runs("a", range(10)), "b": one}, baseline="a", draws=200).verdicts["b"]
    assert found.num_sets == 1
    assert "not of the method" in found.sentence


def test_agents_nested_in_sets_are_drawn_by_set():
    world = World(8)
    # Five sets, four agents each that answer alike: four times the runs, but no more knowledge of the method.
    base, sets = world.runs("a", range(5)), world.runs("b", range(5))
    many_base = [Run("a", 4 * run.seed + i, run.evaluation, run.clusters, run.seed) for run in base for i in range(4)]
    many = [Run("b", 4 * run.seed + i, run.evaluation, run.clusters, run.seed) for run in sets for i in range(4)]
    nested = compare({"a": many_base, "b": many}, baseline="a", draws=500).verdicts["b"]
    simple = compare({"a": base, "b": sets}, baseline="a", draws=500).verdicts["b"]
    assert (nested.low, nested.high) == pytest.approx((simple.low, simple.high))
    assert len(nested.seeds) == 20


def test_seeds_needed_shrinks_with_the_difference_and_knows_when_logs_limit():
    rng = np.random.default_rng(0)
    counts = np.full((200, 2), 50)

    spread = rng.normal(0, 1, (20, 1, 1))
    spread = 2 * (spread - spread.mean()) / spread.std(ddof=1)

    def found(gain):
        gained = gain + spread + rng.normal(0, 0.1, (20, 200, 2))
        return seeds_needed(paired_difference(gained, counts, draws=300, rng=rng))

    assert found(3.0) == 4  # (2.8 * 2 / 3)^2 = 3.5
    assert 31 <= found(1.0) <= 34  # (2.8 * 2 / 1)^2 = 31.4
    noisy = paired_difference(rng.normal(0.1, 20, (1, 200, 2)).repeat(4, 0), counts, draws=300, rng=rng)
    assert seeds_needed(noisy) is None


@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    [(0.975, 2, 4.3027), (0.975, 19, 2.0930), (0.995, 4, 4.6041), (0.975, 400, 1.9659)],
)
def test_students_t(probability, freedom, expected):
    assert t_quantile(probability, freedom) == pytest.approx(expected, abs=2e-3)


def test_widening_fades_with_the_number():
    assert widening(3, 0.05) > widening(10, 0.05) > widening(100, 0.05) > 1
    assert widening(1000, 0.05) == pytest.approx(1, abs=0.01)


def test_an_arm_without_enough_pairs_or_on_other_images_is_refused():
    world = World(9)
    arms = {"a": world.runs("a", range(5)), "b": world.runs("b", [3, 4, 5, 6])}
    with pytest.raises(UserError, match="at least 3"):
        compare(arms, baseline="a")
    with pytest.raises(UserError, match="none of the arms"):
        compare(arms, baseline="c")
    with pytest.raises(UserError, match="other images"):
        compare({"a": world.runs("a", range(3)), "b": World(10).runs("b", range(3))}, baseline="a")
    with pytest.raises(UserError, match="do not record their drive"):
        compare(arms, baseline="a", cluster_by="drive")


def test_runs_come_back_from_disk_and_give_the_same_comparison(tmp_path):
    world = World(11)
    arms = {"a": world.runs("a", range(4)), "b": world.runs("b", range(4), 0.3)}
    for runs in arms.values():
        for run in runs:
            run.save(tmp_path / "runs" / run.arm / f"{run.seed:03d}")
    opened = open_runs(tmp_path / "runs")
    before, after = compare(arms, baseline="a", draws=300), compare(opened, baseline="a", draws=300)
    assert before == after
    after.save(tmp_path / "comparison.json")
    assert json.loads((tmp_path / "comparison.json").read_text())["verdicts"]["b"]["word"] == after.verdicts["b"].word


def test_a_damaged_run_is_the_users_to_mend(tmp_path):
    run = World(12).runs("a", [0])[0]
    run.save(tmp_path / "a")
    (tmp_path / "a" / "predictions.parquet").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"predictions\.parquet is damaged"):
        open_runs(tmp_path)
