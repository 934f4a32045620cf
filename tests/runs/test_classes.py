"""Class names of two things that meet."""

import pytest

from roadstill.errors import UserError
from roadstill.runs import same_classes, same_rows


def test_the_same_names_in_the_same_order_pass():
    same_classes(["a", "b"], ("a", "b"), of="one", to="other")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("b", "a"), r"^one has the classes \[a, b\], and other has them in another order, \[b, a\]; labels would be"),
        (("a", "c"), r"^one has the classes \[a, b\], but other has \[a, c\]; take two that know the same classes"),
        (("a",), r"but other has \[a\]"),
        ((), r"but other has \[\]"),
        (tuple(map(str, range(20))), r"\[0, .*, 11, \.\.\.\]; take"),
    ],
)
def test_other_names_or_orders_are_told_apart(wanted, message):
    with pytest.raises(UserError, match=message):
        same_classes(("a", "b"), wanted, of="one", to="other")


def rows(names, given, known, known_rows=None, *, may_be_new=True):
    same_rows(names, given, known, known_rows, of="it", to="the base", setting="rows", may_be_new=may_be_new)


def test_rows_that_are_right_pass():
    rows("ab", None, "ab")
    rows("ba", [1, 0], "ab")
    rows("a", None, "ab")
    rows("ab", None, ())  # a generator that knows no names
    rows("xy", None, "ab")
    rows("ay", [0, 1], "ab")
    rows("ba", [4, 7], "ab", [7, 4])
    rows("ab", [1], "ab")  # refused elsewhere: not one row per class


@pytest.mark.parametrize(
    ("names", "given", "known_rows", "message"),
    [
        ("ba", None, None, r"in another order: 'b' would take the row of another class; give rows \[1, 0\]"),
        ("ab", [1, 0], None, r"knows \[a, b\]: 'a' would take the row of another class; give rows \[0, 1\]"),
        ("ab", None, [7, 4], r"give rows \[7, 4\]"),
        ("xa", None, None, r"'a' would take the row of another class; row 0 is the one that the base knows it by"),
    ],
)
def test_a_name_at_another_row_is_refused_with_the_right_ones(names, given, known_rows, message):
    with pytest.raises(UserError, match=message):
        rows(names, given, "ab", known_rows)


def test_new_names_may_be_refused():
    with pytest.raises(UserError, match="it names the class 'x', but the base knows"):
        rows("ax", None, "ab", may_be_new=False)
