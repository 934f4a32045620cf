import json

import pytest

from roadstill.errors import UserError
from roadstill.frames.labels import BrakeLabel


def test_two_edges_around_zero_are_commands():
    rule = BrakeLabel(edges_mps2=(-1, 0.5))
    assert (rule.class_names, rule.brakes) == (("throttle", "hold", "brake"), 1)
    assert rule.of([-3.0, -1.0, 0.0, 0.5, 2.0]).tolist() == [2, 1, 1, 0, 0]  # an edge is of the class above
    assert str(rule) == "accel_mps2 at -1, 0.5"


def test_other_edges_are_bins_named_by_their_ends():
    rule = BrakeLabel(edges_mps2=(-2, 0, 1.5))
    assert rule.class_names == ("above_1.5", "0_to_1.5", "-2_to_0", "below_-2")
    assert rule.brakes == 2
    assert rule.of([-2.5, -0.1, 0.0, 9.0]).tolist() == [3, 2, 1, 0]
    one = BrakeLabel(edges_mps2=(-1,))
    assert (one.class_names, one.brakes, one.of([-1.5, 0]).tolist()) == (("above_-1", "below_-1"), 1, [1, 0])


def test_a_rule_of_edges_is_stored_as_its_own_and_the_old_one_as_ever():
    rule = BrakeLabel(edges_mps2=(-1, 1))
    assert BrakeLabel.restored(rule.stored()) == rule
    (stored,) = BrakeLabel(0.5).stored().values()
    assert stored == b'{"rule": "brake", "version": 1, "threshold_mps2": 0.5}'
    assert BrakeLabel.restored({b"roadstill.label": stored}) == BrakeLabel(0.5)
    bare = {b"roadstill.label": json.dumps({"rule": "accel", "version": 1}).encode()}
    with pytest.raises(UserError, match="rule, 'accel', version 1, is not of this version"):
        BrakeLabel.restored(bare)


@pytest.mark.parametrize("edges", [(1, -1), (-1, -1), (0.5, 1), tuple(range(-40, 0)), (-1, float("nan"))])
def test_edges_that_make_no_classes_of_braking_are_refused(edges):
    with pytest.raises(UserError, match="edges_mps2"):
        BrakeLabel(edges_mps2=edges)


def test_a_threshold_beside_edges_is_refused():
    with pytest.raises(UserError, match=r"threshold_mps2 is 0\.5, but edges_mps2 make the classes; leave one out"):
        BrakeLabel(0.5, edges_mps2=(-1, 1))
