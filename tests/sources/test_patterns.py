"""Regular expressions of users: what they find, and what slow or huge ones cost."""

import time

import pytest

from roadstill.errors import UserError
from roadstill.sources.patterns import Finder


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"(\d{4}_\d\d)\.", "center_2016_12.jpg", "2016_12"),
        (r"(?P<name>drive\d+)", "train/drive07/1.jpg", "drive07"),
        (r"(?i)(DRIVE)", "a/drive", "drive"),
        (r"(?<=/)([a-z]+)", "x/abc/", "abc"),
        (r"x|(a)", "x", ""),
        (r"(b)", "a", ""),
        (r"(\w{8}(?:-\w{4}){3}-\w{3})", "a/0123abcd-0123-4567-89ab-0123.jpg", "0123abcd-0123-4567-89ab-012"),
        (r"([[a]+)", "x[[a", "[[a"),
    ],
)  # fmt: skip
def test_what_is_found(pattern, text, found):
    assert Finder("group", pattern)(text) == found
    assert Finder("group", pattern).each([text, text]) == [found, found]


@pytest.mark.parametrize(
    "pattern", ["(", "(a)(b)", "a", "(?P<a", "(" * 5000 + ")" * 5000, "(a{2,1})", "(?<n>a)", "(*a)"]
)
def test_what_is_none(pattern):
    with pytest.raises(UserError, match=r"is not a regular expression|put exactly one|is too large") as error:
        Finder("csv.drive_pattern", pattern)
    assert str(error.value).startswith("csv.drive_pattern ")
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    "pattern",
    ["(a{1000000000})", "(a{,100000})", "((?:a{200}){200})", "((?:(?:a{50}){50}){50})", "(" + "a" * 1000 + ")"],
)
def test_what_would_take_gigabytes_is_refused(pattern):
    with pytest.raises(UserError, match=r"is too large; use at most 1,000 letters and 10,000 repetitions"):
        Finder("group", pattern)


@pytest.mark.parametrize("pattern", [r"((?:a|a)+)$", r"((?:a|ab?)*c|d)$"])
def test_a_search_that_backtracks_without_end_is_stopped(pattern):
    started = time.perf_counter()
    with pytest.raises(UserError, match=r"takes too long on 'aaaa.*without repetitions of repetitions"):
        Finder("group", pattern)("a" * 5000 + "?\n")
    assert time.perf_counter() - started < 10


def test_many_slow_searches_are_stopped_together(monkeypatch):
    monkeypatch.setattr("roadstill.sources.patterns._SECONDS_IN_ALL", 0.2)
    find = Finder("group", r"((?:a|a)+)$")
    with pytest.raises(UserError, match=r"takes too long on"):
        find.each(["a" * 22 + "!"] * 1000)
    Finder("group", r"(a)").each(["a"] * 50_000)
