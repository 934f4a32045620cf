"""Errors that the user can fix, and text made safe to print on one line."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Bad input: states in one line what is wrong, where, and the way out; the command line exits with code 2."""


@contextmanager
def located(where: object) -> Iterator[None]:
    """Puts the place in front of what a `UserError` within this block says, as the file that holds the mistake."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


class PartlyDone(Exception):
    """The work is done and on disk, but part of the input could not be read; the message is what the verb prints."""


def one_line(text: str) -> str:
    r"""The text with every character escaped that would break a line, control a terminal or reverse reading order.

    >>> one_line("log\n\x1b[2J")
    'log\\n\\x1b[2J'
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
