"""Files and folders: writes that never end halfway, names that lead nowhere else, and paths that must be there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from roadstill.errors import UserError, of_system


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary sibling (file or folder) that takes the place of ``path`` only if the block succeeds.

    Raises:
        UserError: the system refuses the write: a full disk, no permission, a name too long.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _named(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove(temporary)
            yield temporary
        if path.is_dir() and temporary.exists():
            _remove(path)
        os.replace(temporary, path)
    finally:
        with suppress(OSError):  # whatever stopped the write is in the way here, too
            _remove(temporary)


@contextmanager
def _named(path: Path, temporary: Path) -> Iterator[None]:
    """What the system says of a write names no file, or the temporary one; afterwards it names the path itself."""
    try:
        yield
    except Exception as error:
        name = getattr(error, "filename", None)
        if (said := of_system(error)) is None or (name is not None and temporary.name not in os.fsdecode(name)):
            raise
        raise UserError(f"{path} cannot be written: {said}") from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def folder_name(text: Any, what: str) -> str:
    """The text itself, if it may become the name of a file or folder on any system.

    Names of classes, arms and recipes come from strangers' files; none of them may lead out of the folder that the
    user named. Allowed are letters, digits and ``-_. ``, up to 100, the first one no dot and the last no dot or space.

    Raises:
        UserError: anything else; ``what`` names what should have been a name.
    """
    fits = isinstance(text, str) and 0 < len(text) <= 100 and len(text.encode(errors="replace")) <= 200
    if not fits or text[0] in ". " or text[-1] in ". " or any(not (c.isalnum() or c in "-_. ") for c in text):
        shown = ascii(text)[:80]
        raise UserError(
            f"{what} {shown} cannot name a folder; take up to 100 letters, digits and -_. and blanks, no dot in front"
        )
    return str(text)


def require_folder(path: Path, what: str) -> Path:
    """The path itself if it is a folder with something in it, else a ``UserError`` that names what was expected."""
    if not path.exists():
        raise UserError(f"{path} does not exist; it should be {what}")
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; it should be {what}")
    if next(path.iterdir(), None) is None:
        raise UserError(f"{path} is empty; it should be {what}")
    return path


def require_file(path: Path, what: str) -> Path:
    """The path itself if it is a file, else a ``UserError`` that names what was expected."""
    if not path.is_file():
        raise UserError(f"{path} is not a file; it should be {what}")
    return path
