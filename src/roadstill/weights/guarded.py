"""Reading a stranger's file: whatever goes wrong becomes one printable line that names the file."""

import gc
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roadstill.errors import UserError, one_line
from roadstill.runs.kinds import HEAD_BYTES, not_wanted


class Refused(ValueError):
    """The reason alone, before the file's name is known."""


class Budget:
    """Bytes that may still be copied: what is shared by reference could otherwise be copied without end.

    An honest file needs at most twice its own size: protocol 2 turns text into bytes, and bytes become an array.
    """

    __slots__ = ("left", "python2")

    def __init__(self, file_size: int, python2: bool = False) -> None:
        self.left, self.python2 = 2 * file_size, python2

    def spend(self, size: int) -> None:
        """Takes so many bytes off.

        Raises:
            Refused: fewer are left.
        """
        self.left -= size
        if self.left < 0:
            raise Refused("its arrays hold more bytes than the file")


def guarded(
    path: Path, read: Callable[[bytes], Any], max_bytes: int, error: Callable[[str], UserError] = UserError
) -> Any:
    """What ``read`` makes of a pickle file's bytes.

    Args:
        path: the file.
        read: function that reads its bytes.
        max_bytes: size of the largest file.
        error: class of what is raised.

    Raises:
        UserError: whatever is wrong with the file, or with what it holds, as one printable line.
    """
    with guard(path, error):
        data = _read(path, max_bytes)
        if told := not_wanted(data[:HEAD_BYTES], len(data), "a pickle"):
            raise Refused(f"not a pickle of protocol 2 to 5: {told}")
        return read(data)


@contextmanager
def guard(path: Path, error: Callable[[str], UserError] = UserError) -> Iterator[None]:
    """Turns whatever goes wrong while a file is read into one printable line; arguments and errors as `guarded`."""
    try:
        with _collector_paused():
            yield
    except OSError as reason:
        raise error(one_line(f"{path}: {reason.strerror or reason}")) from None
    except Refused as reason:
        raise error(one_line(f"{path}: {reason}")) from None
    except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError, RuntimeError, struct.error) as reason:
        told = f"{type(reason).__name__}: {str(reason)[:200]}"
        raise error(one_line(f"{path}: damaged or truncated ({told})")) from None


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
