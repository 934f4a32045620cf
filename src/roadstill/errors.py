"""Errors that the user can fix, and text made safe to print on one line."""

import errno
import os
import re
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


def of_system(error: BaseException) -> str | None:
    """What the system has against the work, and the way out; None if the error is of another kind.

    Libraries in other languages wrap what the system says in errors of their own; its number stands in their text.
    """
    said = str(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in said or type(error).__name__ == "OutOfMemoryError":
        return "there is not enough memory; take smaller batches, fewer workers or smaller pictures"
    number = error.errno if isinstance(error, OSError) else None
    if found := re.search(r"\((?:os error|errno) (\d+)\)", said):
        number = int(found[1])
    if "disk is full" in said:  # SQLite's words
        number = errno.ENOSPC
    if number is None:
        return " ".join(said.split())[:200] if isinstance(error, OSError) else None
    return f"{os.strerror(number)}; {_WAYS_OUT.get(number, 'see to it and run the same command again')}"


_WAYS_OUT = {
    number: way
    for numbers, way in (
        ((errno.ENOSPC, errno.EDQUOT), "free some space and run the same command again"),
        ((errno.EROFS, errno.EACCES, errno.EPERM), "name another folder, or allow access to this one"),
        ((errno.ENAMETOOLONG,), "take a shorter name"),
        ((errno.ELOOP,), "a link leads back to itself; name the folder that is meant"),
        ((errno.ENOENT,), "check the path"),
        ((errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.EMLINK), "name another path"),
        ((errno.EMFILE, errno.ENFILE), "take fewer workers, or allow more open files (ulimit -n)"),
        ((errno.ENOMEM,), "take smaller batches, fewer workers or smaller pictures"),
    )
    for number in numbers
}


class PartlyDone(Exception):
    """The work is done and on disk, but part of the input could not be read; the message is what the verb prints.

    Args:
        message: what the verb prints.
        first: the first part that could not be read, and why.
    """

    def __init__(self, message: str, first: str = "part of the input could not be read") -> None:
        super().__init__(message)
        self.first = first


def one_line(text: str) -> str:
    r"""The text with every character escaped that would break a line, control a terminal or reverse reading order.

    >>> one_line("log\n\x1b[2J")
    'log\\n\\x1b[2J'
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
