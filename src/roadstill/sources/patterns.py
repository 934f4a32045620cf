"""Regular expressions that a user gives to find one thing in a path, with bounds on what a slow one may cost."""

import re
import time
import warnings
from collections.abc import Iterable

import regex

from roadstill.errors import UserError, one_line

# Characters that no name should hold: they end lines, control terminals, or are halves of characters (surrogates).
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_MOST_LETTERS = 1000
_MOST_REPEATS = 10_000  # a counted repetition takes 280 bytes for each time, those of nested ones multiplied
_SECONDS = 1.0  # for one text
_SECONDS_IN_ALL = 5.0  # beyond a millisecond for each text
_COUNTED = re.compile(r"(\)?)\{(\d*),?(\d*)\}")


class Finder:
    """Finds what the one group of a pattern matches in a text.

    Args:
        setting: name of the setting on the command line, for messages.
        pattern: pattern as it was given.

    Raises:
        UserError: it is not a regular expression, does not have exactly one group, or is too large.
    """

    def __init__(self, setting: str, pattern: str) -> None:
        self._said = f"{setting} {one_line(pattern[:80])!r}"
        if len(pattern) > _MOST_LETTERS or _repeats(pattern) > _MOST_REPEATS:
            raise UserError(
                f"{self._said} is too large; use at most {_MOST_LETTERS:,} letters and {_MOST_REPEATS:,} repetitions"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what later versions of Python might read otherwise
                re.compile(pattern)  # regex knows more than re, and would give other meanings to some mistakes
                self._compiled = regex.compile(pattern)
        except (re.error, regex.error, RecursionError, OverflowError) as error:
            raise UserError(f"{self._said} is not a regular expression: {error}") from None
        if self._compiled.groups != 1:
            raise UserError(f"{self._said} has {self._compiled.groups} groups; put exactly one (...) around what it "
                            "should find")  # fmt: skip
        self._spent_s = 0.0

    def __call__(self, text: str) -> str:
        """What the group matches, empty if nothing.

        Raises:
            UserError: the search takes too long, or all of them together do.
        """
        started = time.thread_time()
        try:
            match = self._compiled.search(text, timeout=_SECONDS)
        except TimeoutError:
            raise self._slow(text) from None
        self._spent_s += max(0.0, time.thread_time() - started - 1e-3)
        if self._spent_s > _SECONDS_IN_ALL:
            raise self._slow(text)
        return match[1] or "" if match else ""

    def each(self, texts: Iterable[str]) -> list[str]:
        """The same for many texts."""
        return [self(text) for text in texts]

    def _slow(self, text: str) -> UserError:
        return UserError(
            f"{self._said} takes too long on {one_line(text[:80])!r}; write it without repetitions of repetitions, "
            "such as (a+)+"
        )


def _repeats(pattern: str) -> int:
    """At most so many times is a part of the pattern repeated by counts; those of groups are taken as nested."""
    most, groups = 1, 1
    for closed, least, largest in _COUNTED.findall(pattern):
        count = max(1, int(least or 0), int(largest or 0))
        groups, most = (groups * count, most) if closed else (groups, max(most, count))
    return groups * most
