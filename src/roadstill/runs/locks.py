"""Outputs: each is written by one process at a time, and what a killed one left half-written is removed.

While an output is written, ``.NAME.roadstill-lock`` lies beside it, never inside, so that no product holds a lock. The
lock itself is the operating system's (``flock``), which ends with the process that holds it, however that ends; a file
that stays behind means nothing. Besides, there are ``.NAME.<digits>.part``, a product that is not complete, and, while
one takes the place of another, ``.NAME.<digits>.old``. Whoever holds the output next removes them.

The library filelock, which torch brings along, lets its lock files lie for good, so it is not used.
"""

import errno
import os
import platform
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import ParamSpec, TypeVar

from roadstill.errors import UserError, of_system, one_line
from roadstill.runs.leftovers import LOCK, STATES, clear, remove, state_beside

if sys.platform != "win32":
    import fcntl

P = ParamSpec("P")
T = TypeVar("T")

_held: set[Path] = set()
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_SCRATCH = "roadstill-"


def real(path: Path) -> Path:
    """The path without links, but for one that is its last part and leads to no folder: it is written in its place.

    Raises:
        UserError: it is the root of the file system, beside which nothing can lie; a pipe or a device; a name that is
            too long, or a folder above that may not be looked into.
    """
    path = Path(os.path.abspath(path))
    try:
        found = Path(os.path.realpath(path)) if path.is_dir() else Path(os.path.realpath(path.parent)) / path.name
    except OSError as error:
        raise UserError(f"{path} cannot be written: {of_system(error)}") from error
    if not found.name:
        raise UserError(f"{path} cannot be an output; name a file or folder in it")
    if found.exists() and not (found.is_file() or found.is_dir()):
        raise UserError(f"{path} is a pipe or a device; name a file or folder")
    return found


def held() -> tuple[Path, ...]:
    """The outputs that this process holds, for `share`."""
    return tuple(_held)


def share(outputs: tuple[Path, ...]) -> None:
    """In a process that the holder of some outputs has started: it may write them, too."""
    _held.update(outputs)


@contextmanager
def owning(folder: Path) -> Iterator[None]:
    """Holds a folder whose name no other process knows, and all that is written in it."""
    _held.add(folder)
    try:
        yield
    finally:
        _held.discard(folder)


@contextmanager
def hold(path: Path, *, shared: bool = False, whole: bool = True) -> Iterator[None]:
    """Holds an output, a file or a folder, for as long as the block lasts.

    What lies in an output that is held already, by this process or the one that started it, is held with it. Of several
    processes of torchrun the first holds for all. Where neither the output nor the folder above can be written, or the
    file system knows no locks, nothing is locked.

    Args:
        path: output; folders above it are made, and removed again if nothing was written.
        shared: whether others may hold it in the same way at once, as the shards of one output do.
        whole: whether all that is in a folder is searched for what was left half-written, or only its siblings.

    Raises:
        UserError: as `real`; another process holds it; a link in it leads out of it, so that writing it would write
            elsewhere.
    """
    path = real(path)
    rank = int(os.environ.get("RANK", "0")) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else 0
    if rank or not _held.isdisjoint((path, *path.parents)):
        yield
        return
    new = [each for each in (path, *path.parents) if not each.exists()]
    lock, failed, ours = _Lock(path), True, [path, *(state_beside(path, what) for what in STATES)]
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.take(shared=shared)
            if lock.alone:
                clear(ours, _is_locked if whole else None)
                if shared:
                    lock.share()
        except OSError as error:
            file = next((folder for folder in path.parents if folder.exists() and not folder.is_dir()), None)
            said = f"{file} is a file; name another path" if file else of_system(error)
            raise UserError(f"{path} cannot be written: {said}") from error
        _held.update(ours)
        yield
        failed = False
    finally:
        _held.difference_update(ours)
        lock.release()
        for folder in new:
            with suppress(OSError):  # not empty: something was written
                if failed or folder != path:
                    folder.rmdir()


def holding(name: str = "out", *, shared_by: str | None = None) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorates a function: it holds its output, if it is given one, for as long as it runs.

    Errors are those of `hold`, and a `UserError` if the output is one of the other paths that the function is given.

    Args:
        name: name of the argument that is the output's path.
        shared_by: name of the argument that, if it is given, makes the output one that others may share.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        names = signature(function)

        @wraps(function)
        def held_one(*arguments: P.args, **keywords: P.kwargs) -> T:
            given = names.bind(*arguments, **keywords).arguments
            if (path := given.get(name)) is None:
                return function(*arguments, **keywords)
            read = [each for key, value in given.items() if key != name for each in _paths(value)]
            if Path(path).exists() and os.path.realpath(path) in map(os.path.realpath, read):
                raise UserError(f"{path} is what the call reads; name another path to write")
            with hold(Path(path), shared=shared_by is not None and given.get(shared_by) is not None):
                return function(*arguments, **keywords)

        return held_one

    return decorate


def _paths(value: object) -> list[Path]:
    """The paths among an argument's values, and those of what was opened from one, as an image set."""
    values = value if isinstance(value, (list, tuple)) else [value]
    found = [each if isinstance(each, Path) else getattr(each, "root", None) for each in values]
    return [path for path in found if isinstance(path, Path)]


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for what is needed during a call, among the system's temporary files; those of killed calls are removed.

    Nobody else can open it.
    """
    above = Path(tempfile.gettempdir())
    for left in {_of_lock(path) for path in above.glob(f".{_SCRATCH}*{LOCK}")}:
        if real(left) in _held:  # of a call that this one is part of
            continue
        with suppress(UserError, OSError), hold(left, whole=False):  # else it is in use, or another user's
            remove(left)
    folder = above / f"{_SCRATCH}{secrets.token_hex(8)}"
    with hold(folder, whole=False):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            remove(folder)


class _Lock:
    """The lock of one output; ``alone`` says whether no other process holds it in any way."""

    def __init__(self, path: Path) -> None:
        self.path, self.alone = path, False
        self._file: Path | None = path.with_name(f".{path.name}{LOCK}")
        self._descriptor: int | None = None

    def take(self, *, shared: bool = False) -> None:
        """Takes the lock, if the place has any.

        Raises:
            UserError: another process has it.
        """
        if sys.platform == "win32":
            return
        while (opened := self._open()) is not None:
            self._descriptor = opened
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.alone = True
            except BlockingIOError:
                self.share(or_fail=not shared)
            except OSError:  # a file system without locks
                if self._file is not None:
                    self._file.unlink(missing_ok=True)
                self._file = None
                return
            if self._file is None or _is_at(self._file, opened):
                break
            os.close(opened)  # whoever held it last has removed the file: by now there may be another one
            self.alone, self._descriptor = False, None
        if self.alone and self._file is not None and self._descriptor is not None:
            with suppress(OSError):  # a full disk: the lock holds without the name of its holder
                os.ftruncate(self._descriptor, 0)
                os.write(self._descriptor, f"process {os.getpid()} on {platform.node()}".encode())

    def _open(self) -> int | None:
        if self._file is not None:
            try:
                return os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            except OSError as error:
                if error.errno not in _DENIED:
                    raise
            self._file = None
        # A folder that this user may write within one that he may not, as a container's mounts are.
        try:
            return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return None

    def share(self, *, or_fail: bool = False) -> None:
        """Holds the lock together with others.

        Raises:
            UserError: another process has it alone, or, if so wanted, at once.
        """
        assert self._descriptor is not None
        try:
            if or_fail:
                raise BlockingIOError
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 100).decode("utf-8", "replace") if self._file is not None else ""
            raise UserError(
                f"{self.path} is being written by {one_line(holder) or 'another process'}; wait until that has ended, "
                "or name another output"
            ) from None

    def release(self) -> None:
        """Lets the lock go, and removes its file if no other process shares it."""
        if self._descriptor is None:
            return
        if self._file is not None:
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._file.unlink()
        os.close(self._descriptor)
        self._descriptor = None


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _of_lock(file: Path) -> Path:
    """The output that a lock's file is of."""
    return file.with_name(file.name[1 : -len(LOCK)])


def _is_locked(file: Path) -> bool:
    """Whether another process holds the output that a lock's file is of; a file that means nothing is removed."""
    lock = _Lock(_of_lock(file))
    try:
        lock.take()
    except UserError:
        return True
    finally:
        lock.release()
    return False
