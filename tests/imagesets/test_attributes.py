"""Vocabularies: what may be an attribute, and which row stands for which value."""

import numpy as np
import pytest
from toys import pictureless

from roadstill.errors import UserError
from roadstill.imagesets.attributes import check_names, check_vocabulary, codes_of, described, extended, rows_of

KNOWN = {"weather": ("clear", "rain"), "light": ("day", "night")}


def test_rows_follow_names_and_then_values_as_they_stand():
    rows = {("light", "day"): 0, ("light", "night"): 1, ("weather", "clear"): 2, ("weather", "rain"): 3}
    assert rows_of(KNOWN) == rows_of(dict(sorted(KNOWN.items()))) == rows
    assert described(KNOWN) == "light: day, night; weather: clear, rain"


def test_new_values_come_behind_the_known_ones_and_new_attributes_beside_them():
    both = extended(KNOWN, {"light": ("dusk", "day"), "cause": ("red_light",)})
    assert both == {"cause": ("red_light",), "light": ("day", "night", "dusk"), "weather": ("clear", "rain")}
    assert extended(KNOWN, {}) == KNOWN
    with pytest.raises(UserError, match="'light' has both 'night' and 'Night'; name them apart"):
        extended(KNOWN, {"light": ("Night",)})


def test_codes_are_places_among_the_sorted_values_and_unknown_is_minus_one():
    facts = [{"light": "night", "town": "b"}, {"light": None, "town": "a"}, {"light": "day", "town": "a"}]
    vocabulary, codes = codes_of(pictureless([0, 1, 0], facts=facts), ("town", "light"))
    assert vocabulary == {"light": ("day", "night"), "town": ("a", "b")}
    assert codes.tolist() == [[1, 1], [-1, 0], [0, 0]]
    vocabulary, codes = codes_of(pictureless([0, 1, 0], facts=facts), ())
    assert vocabulary == {}
    assert codes.shape == (3, 0)
    assert codes.dtype == np.int64


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("light", "light"), "each attribute may stand once"),
        (("drive",), "'drive' says which picture it is, not what it shows"),
        (("../light",), "cannot name a folder"),
        (tuple(f"a{number}" for number in range(17)), "17 attributes; take at most 16"),
    ],
)
def test_names_that_cannot_be_attributes(names, says):
    with pytest.raises(UserError, match=says):
        check_names(names, "attributes")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ((), "has 0 values; it may have 1 to 256"),
        (tuple(f"v{number}" for number in range(257)), "has 257 values"),
        (("red_light", "red light"), "has both 'red_light' and 'red light'"),
        (("a", "a"), "has both 'a' and 'a'"),
        (("a\nb",), "value of the attribute 'light'"),
    ],
)
def test_values_that_are_no_vocabulary(values, says):
    with pytest.raises(UserError, match=says):
        check_vocabulary({"light": values})


@pytest.mark.parametrize(
    ("value", "says"), [(3, "'light' holds 3; an attribute is a column of texts"), (None, "no image has")]
)
def test_columns_that_are_no_attribute(value, says):
    with pytest.raises(UserError, match=says):
        codes_of(pictureless([0, 1], facts=[{"light": value}, {"light": value}]), ("light",))
