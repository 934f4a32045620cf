"""Regular expressions that a user gives to find one thing in a path."""

import re

from roadstill.errors import UserError

# Characters that no name should hold: they end lines, control terminals, or are halves of characters (surrogates).
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_group(setting: str, pattern: str) -> re.Pattern[str]:
    """The compiled pattern.

    Args:
        setting: name of the setting on the command line, for messages.
        pattern: pattern as it was given.

    Raises:
        UserError: it is not a regular expression, or does not have exactly one group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f"{setting} {pattern!r} is not a regular expression: {error}") from None
    if compiled.groups != 1:
        raise UserError(f"{setting} {pattern!r} has {compiled.groups} groups; put exactly one (...) around what it "
                        "should find")  # fmt: skip
    return compiled
