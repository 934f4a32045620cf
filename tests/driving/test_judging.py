import pytest

from roadstill.driving.closed_loop import Outcome
from roadstill.driving.judging import compare_drives
from roadstill.errors import UserError


def outcome(number, progress=1.0, *, fault=False, red=0):
    return Outcome(
        f"{number:04d}-0", str(number // 2), 100 * progress, 100.0, 30.0, "car" if fault else "", fault, red, 3.0, 0.5
    )


def drives(seeds, count=40, **what):
    return {seed: [outcome(number, **what) for number in range(count)] for seed in range(seeds)}


def test_the_score_is_the_way_or_nothing_after_a_fault():
    assert outcome(0, 0.5).score == 0.5
    assert outcome(0, 1.4).score == 1.0
    assert outcome(0, -0.1).score == 0.0
    assert outcome(0, 0.9, fault=True).score == outcome(0, 0.9, red=1).score == 0.0


def test_arms_are_told_apart_by_their_drives():
    arms = {"random": drives(3, progress=0.4), "better": drives(3, progress=0.7), "worse": drives(3, red=1),
            "same": drives(3, progress=0.4), "oracle": drives(1)}  # fmt: skip
    found = compare_drives(arms, baseline="random", bounds=["oracle"], draws=500)
    assert {name: verdict.word for name, verdict in found.verdicts.items()} == {
        "better": "better", "worse": "worse", "same": "cannot be told apart",
    }  # fmt: skip
    assert found.verdicts["better"].difference == pytest.approx(0.3)
    assert "+30.0 points of driving score (95% interval" in found.verdicts["better"].sentence
    assert "20 drives" in found.verdicts["better"].sentence
    assert (found.scenarios, found.groups) == (40, 20)
    summary = found.arms["worse"]
    assert (summary.score.mean, summary.red_lights.mean, summary.collisions.mean) == (0.0, 1.0, 0.0)
    assert summary.off_lane.mean == pytest.approx(0.1)
    assert (found.arms["better"].low, found.arms["better"].high) == (pytest.approx(0.7), pytest.approx(0.7))
    assert found.arms["oracle"].low is None


def test_what_cannot_be_judged_is_said():
    one = drives(3)
    with pytest.raises(UserError, match="'first' is none of the arms"):
        compare_drives({"a": one}, baseline="first")
    with pytest.raises(UserError, match="shares 2 seeds with the baseline"):
        compare_drives({"a": one, "b": drives(2)}, baseline="a")
    with pytest.raises(UserError, match="drove other scenarios"):
        compare_drives({"a": one, "b": drives(3, count=10)}, baseline="a")
    with pytest.raises(UserError, match="all scenarios are of one drive"):
        compare_drives({"a": drives(3, count=2)}, baseline="a")
    with pytest.raises(UserError, match="'b' has not driven"):
        compare_drives({"a": one, "b": {}}, baseline="a")
