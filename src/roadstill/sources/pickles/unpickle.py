"""Untrusted log pickles, read without running them: nothing in the file is ever called.

Every file is read by a stack machine of our own (`roadstill.sources.pickles.machine`), which has only what plain data
need; what a log repeats frame by frame goes to Python's own unpickler after a scanner has recognised every byte of it
(`roadstill.sources.pickles.regular`). Every failure becomes one `BrokenLog` that names the file and the reason. Memory
stays below some hundred times the file's size, and below 3 GiB in all.
"""

import gc
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roadstill.errors import UserError, one_line
from roadstill.runs.kinds import HEAD_BYTES, not_wanted
from roadstill.sources.pickles.arrays import Refused
from roadstill.sources.pickles.machine import Machine
from roadstill.sources.pickles.plain_tree import check_plain
from roadstill.sources.pickles.regular import read_regular

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
    return guarded(path, lambda data: parse(data, max_steps=max_steps), max_bytes)


def guarded(path: Path, read: Callable[[bytes], Any], max_bytes: int) -> Any:
    """What ``read`` makes of the file's bytes.

    Raises:
        BrokenLog: whatever is wrong with the file, or with what it holds.
    """
    with guard(path):
        data = _read(path, max_bytes)
        if told := not_wanted(data[:HEAD_BYTES], len(data), "a pickle"):
            raise Refused(f"not a pickle of protocol 2 to 5: {told}")
        return read(data)


@contextmanager
def guard(path: Path) -> Iterator[None]:
    """Turns whatever goes wrong while a file is read into one line.

    Raises:
        BrokenLog: as said.
    """
    try:
        with _collector_paused():
            yield
    except OSError as error:
        raise BrokenLog(f"{path}: {error.strerror or error}") from None
    except Refused as error:
        raise BrokenLog(f"{path}: {error}") from None
    except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError, RecursionError, struct.error) as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise BrokenLog(f"{path}: damaged or truncated pickle ({reason})") from None


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No garbage collection: in a growing tree of a million parts it finds nothing, and takes a sixth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read(path: Path, max_bytes: int) -> bytes:
    about = path.stat()  # before opening: that alone would wait forever on a pipe
    if not stat.S_ISREG(about.st_mode):
        raise Refused("a folder, a pipe or a device, not a file")
    if about.st_size > max_bytes:
        raise Refused(f"{about.st_size:,} bytes are more than the {max_bytes:,} that such a file may have")
    with path.open("rb") as file:
        return file.read(about.st_size)


def parse(data: bytes, *, max_steps: int = MAX_STEPS, python2: bool = False) -> Any:
    """What the bytes of a pickle hold; see `read_pickle`, which adds the file's name to what this raises.

    With ``python2`` also what Python 2 wrote, whose picklers number from 1 and have one type for text and bytes: it is
    read as text, one letter for each byte, and an array takes its bytes back out of it.
    """
    if not python2 and (frames := read_regular(data, max_steps)) is not None:
        return frames
    value = Machine(data, python2).run(max_steps)
    check_plain(value)
    return value
