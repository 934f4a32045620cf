"""What lies beside an output while it is written, and what becomes of it after a kill."""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from roadstill.errors import UserError

LOCK = ".roadstill-lock"
STATES = ("pictures", "unfinished")
_LEFT = re.compile(r"\.(?P<name>.+)(?:\.(?:[0-9a-f]{8}|[0-9]{1,7})\.(?P<end>part|old)|\.roadstill-lock)", re.DOTALL)


def unfinished(path: Path, end: str = "part") -> Path:
    """A sibling's name that no other process takes, on this machine or another one."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{end}")


def state_beside(path: Path, what: str) -> Path:
    """The folder beside an output, ``pictures`` or ``unfinished``, from which an interrupted call resumes."""
    assert what in STATES
    return path.with_name(f".{path.name}.{what}")


def remove(path: Path) -> None:
    """Removes a file, a link or a folder with all that is in it, if there is one.

    A folder goes as a whole: a kill leaves none of which a part is gone.
    """
    if path.is_dir() and not path.is_symlink():
        if not _LEFT.fullmatch(path.name):
            path = path.rename(unfinished(path))
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear(ours: Sequence[Path], is_locked: Callable[[Path], bool] | None) -> None:
    """Removes what killed processes left half-written beside outputs that are held and, if wanted, within the first.

    Args:
        ours: outputs, siblings of each other.
        is_locked: function that says of a lock's file whether another process holds the output that it is of; without
            it, only siblings are searched for.

    Raises:
        UserError: a link in the first of them leads out of it.
    """
    path, *_ = ours
    with os.scandir(path.parent) as entries:
        hidden = [entry.name for entry in entries if entry.name.startswith(".")]
    for name in hidden:
        found = _LEFT.fullmatch(name)
        if found and found["end"] and (its := path.with_name(found["name"])) in ours:
            _put_right(path.with_name(name), its, found["end"])
    if is_locked is None:
        return
    for at, folders, files in os.walk(path):
        for name in (*folders, *files):
            _require_inside(os.path.join(at, name), path)
        left = {name: found for name in (*folders, *files) if (found := _LEFT.fullmatch(name))}
        others = {found["name"] for name, found in left.items() if not found["end"] and is_locked(Path(at, name))}
        for name, found in left.items():
            if found["end"] and found["name"] not in others:
                _put_right(Path(at, name), Path(at, found["name"]), found["end"])
        folders[:] = [name for name in folders if name not in left and name not in others]


def _require_inside(entry: str, folder: Path) -> None:
    if os.path.islink(entry) and not Path(os.path.realpath(entry)).is_relative_to(folder):
        raise UserError(f"{entry} is a link that leads out of {folder}, where it could be written to; remove it")


def _put_right(left: Path, path: Path, end: str) -> None:
    """Removes what was left half-written; an old product comes back if no new one has taken its place."""
    if end == "old" and not os.path.lexists(path):
        os.replace(left, path)
    else:
        remove(left)
