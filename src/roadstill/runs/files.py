"""Files and folders: writes that never end halfway, names that lead nowhere else, and paths that must be there."""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from roadstill.errors import UserError, of_system
from roadstill.runs.kinds import HEAD_BYTES, kind_of, product_in
from roadstill.runs.leftovers import remove, unfinished
from roadstill.runs.locks import hold, owning, real
from roadstill.runs.progress import say


@contextmanager
def atomic_path(path: Path, *, record: str | None = None) -> Iterator[Path]:
    """Yields a temporary sibling (file or folder) that takes the place of ``path`` only if the block succeeds.

    Meanwhile no other process writes it, see `hold`.

    Args:
        path: file or folder.
        record: for a folder, the name by which an earlier product of the same kind is known, as in `require_own`; by
            default the new one's JSON files.

    Raises:
        UserError: another process writes it; a file would take the place of a folder, a folder that of a file or of a
            folder that is no such product.
    """
    path = real(path)
    with hold(path, whole=False):
        with _temporary(path) as temporary:
            yield temporary
            _put(temporary, path, record)


@contextmanager
def renewed_parts(folder: Path, *, record: str | None = None, instead: Iterable[str] = ()) -> Iterator[Path]:
    """Yields a temporary folder, all of whose entries move into ``folder`` if the block succeeds.

    Args:
        folder: folder that may hold other things; it must be held.
        record: name of the file that says that all are there: it goes first and comes last.
        instead: names of entries that go if they are not made again.
    """
    with _temporary(folder / "new") as temporary:
        temporary.mkdir()
        yield temporary
        made = sorted(os.listdir(temporary), key=lambda name: name == record)
        for name in ({record} if record else set()) | (set(instead) - set(made)):
            remove(folder / name)
        for name in made:
            _put(temporary / name, folder / name)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A path of the same name in a folder of its own: libraries put temporary files beside what they write, too."""
    folder = unfinished(path)
    try:
        folder.mkdir(parents=True)
        with owning(folder):
            yield folder / path.name
    except Exception as error:  # the system's word on a write names no file, or the temporary one
        name = getattr(error, "filename", None)
        if (said := of_system(error)) is None or (name is not None and folder.name not in os.fsdecode(name)):
            raise
        raise UserError(f"{path} cannot be written: {said}") from error
    finally:
        with suppress(OSError):  # what stopped the write, too, and is said above
            remove(folder)


def append_line(path: Path, line: str) -> None:
    """Appends a line to a text file, all of it or none; a line that a killed process has torn is removed first.

    Raises:
        UserError: the system refuses the write.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            whole = _end_of_last_line(file)
            file.truncate(whole)
            try:
                data = f"{line}\n".encode()
                if file.write(data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(whole)
                if not whole:
                    path.unlink()
                raise
    except OSError as error:
        raise UserError(f"{path} cannot be written: {of_system(error)}") from error


def _end_of_last_line(file: Any) -> int:
    """Size of the file without what follows its last line break."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        file.seek(start)
        if (at := file.read(end - start).rfind(b"\n")) >= 0:
            return start + at + 1
        end = start
    return 0


def _put(made: Path, path: Path, record: str | None = None) -> None:
    if not (os.path.lexists(path) and os.path.lexists(made)) or not (path.is_dir() or made.is_dir()):
        os.replace(made, path)
        return
    if not made.is_dir():
        raise UserError(f"{path} is a folder; name a file")
    require_own(path, *([record] if record else sorted(each.name for each in made.glob("*.json"))))
    old = unfinished(path, "old")
    os.rename(path, old)  # not removed first: that takes time, in which a kill would leave neither
    try:
        os.replace(made, path)
    except OSError:
        os.rename(old, path)
        raise
    remove(old)
    say(f"{path}: what was there before is replaced")


# What products of this package have at their top: those of all kinds, since it is enough that nothing else is lost.
_OF_PRODUCTS = re.compile(
    r"[0-9]+_.+|.+\.safetensors|.+\.parquet|(metadata|metrics)\.jsonl|README\.md"
    r"|(missing|left_out|problems|lacking|images)\.txt"
    r"|(set|latents|config|agent|_source|run|stage|index|funnel|motion|model_index|source|pictures|audit)\.json"
    r"|(croissant|labels|_info)\.json|manifest\.intoto\.jsonl(\.minisig)?|data"
    r"|suspects\.png|chosen|frames|log=.+|transformer|scheduler|\..*"
)


def require_own(folder: Path, *records: str, own: str = "") -> None:
    """Refuses a folder that is none of ours as one to write: what is in it must not be lost.

    Args:
        folder: folder that may exist.
        records: names of the files by which the same verb's earlier product is known.
        own: instead of these, such a file of a verb that goes on with what is there.

    Raises:
        UserError: it is a file, holds something but not the records, or what no product has; without records, if it is
            a product of another verb.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder")
    names = set(os.listdir(folder))
    if names and (missing := [name for name in records if name not in names]):
        raise UserError(
            f"{folder} holds other things (there is no {missing[0]} among them), which are kept; name another folder"
        )
    if not records and (found := product_in(folder, own)):
        raise UserError(f"{folder} holds {found}, which is kept; name another folder")
    if records and (others := sorted(name for name in names if not _OF_PRODUCTS.fullmatch(name))):
        raise UserError(f"{folder} holds other things, such as {others[0]}, which are kept; name another folder")


def require_own_file(path: Path, kind: str) -> None:
    """Refuses a file of another kind as one to write, as `require_own` a folder.

    Args:
        path: file that may exist.
        kind: kind of the verb's own product, as `roadstill.runs.kinds.kind_of` tells it.

    Raises:
        UserError: it is of another kind.
    """
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            found = kind_of(file.read(HEAD_BYTES))
        if found != kind:
            raise UserError(f"{path} is {found}, not {kind}, so it is kept; name another file")


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
