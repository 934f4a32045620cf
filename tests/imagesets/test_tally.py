"""Counts, columns and what all pictures share, whatever the order in which pictures come."""

from hypothesis import given
from hypothesis import strategies as st

from roadstill.imagesets.tally import Tally


def tally(rows):
    found = Tally(("not_brake", "brake"))
    for row in rows:
        found.add({"file_name": "x", "label": 0} | row)
    return found


def test_types_of_columns():
    rows = [
        {"a": "x", "b": 1, "c": True, "d": None, "e": [1, 2.5], "f": 1, "g": {"deep": 1}, "h": 2**63, "i": None},
        {"a": None, "b": 2.5, "c": False, "d": 3, "e": None, "f": "one", "g": None, "h": 1, "i": None, "j": ["x"]},
    ]
    kinds = {"a": "string", "b": "float64", "c": "bool", "d": "int64", "e": "list"}
    assert tally(rows).columns == tally(rows[::-1]).columns == kinds


def test_a_truth_value_and_a_number_are_no_column():
    assert tally([{"a": True}, {"a": 1}]).columns == {}
    assert tally([{"a": 1}, {"a": "1"}, {"a": 1}]).columns == {}


def test_counts_and_what_is_shared():
    found = tally([{"solver": "dpm", "seed": 1, "label": 1}, {"solver": "dpm", "seed": 2}, {"solver": "dpm", "new": 1}])
    assert found.counts == [2, 1]
    assert len(found) == 3
    assert found.shared == {"solver": "dpm"}
    assert tally([{"solver": "dpm"}, {}]).shared == {}
    assert tally([{"text": "x" * 501}]).shared == {}


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from([None, 1, 1.5, "x", True, [1.0], [None]]))))
def test_the_order_of_pictures_does_not_count(rows):
    one, other = tally(rows), tally(rows[::-1])
    assert one.columns == other.columns
    assert one.shared == other.shared
