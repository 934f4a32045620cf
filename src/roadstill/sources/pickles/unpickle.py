"""Untrusted log pickles, read without running them: nothing in the file is ever called.

Every file is read by a stack machine of our own (`roadstill.weights.pickle_machine`), which has only what plain data
need; what a log repeats frame by frame goes to Python's own unpickler after a scanner has recognised every byte of it
(`roadstill.sources.pickles.regular`). Every failure becomes one `BrokenLog` that names the file and the reason. Memory
stays below some hundred times the file's size, and below 3 GiB in all.
"""

from pathlib import Path
from typing import Any

from roadstill.errors import UserError, one_line
from roadstill.sources.pickles.arrays import LogMachine
from roadstill.sources.pickles.plain_tree import check_plain
from roadstill.sources.pickles.regular import read_regular
from roadstill.weights.guarded import guarded

MAX_BYTES = 512 * 2**20
MAX_STEPS = 2**24  # some 12,000 frames (1.7 hours) of a genuine log; bounds time and memory of a hostile one


class BrokenLog(UserError):
    """A log file that cannot be read or will not be: one printable line that names the file and the reason."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def read_pickle(path: Path, *, max_bytes: int = MAX_BYTES, max_steps: int = MAX_STEPS) -> Any:
    """Plain data of a pickle file: lists, tuples, dicts, text, numbers, None and numpy arrays, at most 8 deep.

    Raises:
        BrokenLog: the file is missing, too large, truncated, damaged, not a file (a pipe, a device, a folder), or holds
            anything else.
    """
    return guarded(path, lambda data: parse(data, max_steps=max_steps), max_bytes, BrokenLog)


def parse(data: bytes, *, max_steps: int = MAX_STEPS, python2: bool = False) -> Any:
    """What the bytes of a pickle hold; see `read_pickle`, which adds the file's name to what this raises.

    With ``python2`` also what Python 2 wrote, whose picklers number from 1 and have one type for text and bytes: it is
    read as text, one letter for each byte, and an array takes its bytes back out of it. So are the bytes that Python 3
    writes of it, after ``pickle.load(file, encoding="bytes")``.
    """
    if not python2 and (frames := read_regular(data, max_steps)) is not None:
        return frames
    value = LogMachine(data, python2).run(max_steps)
    check_plain(value)
    return value
