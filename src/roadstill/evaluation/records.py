"""The book of records: a `chain` that names the content of every run's files, so that one that is edited is named."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from roadstill.errors import UserError
from roadstill.evaluation import chain
from roadstill.runs import Digest, Record, digest_file, require_within, typed

RECORDS = "records.jsonl"
_ABOVE = 6  # folders above a run in which its book may lie
_REMEDY = "put the file back as it was, or evaluate again"


class _Line(Record, kw_only=True, frozen=True):
    """A file with the digest of its bytes, or a chain with the digest of its last line at the time."""

    path: str
    content: Digest | None = None
    last: Digest | None = None

    def __post_init__(self) -> None:
        require_within(self.path)


@dataclass(frozen=True)
class Book:
    """What a book of records says of the files below its folder.

    Attributes:
        path: file of the book.
        broken: places at which its chain is broken, in words.
        changed: files that are not as they were entered, relative to the book's folder.
        removed: files that were entered and are gone.
        known: files that were entered.
    """

    path: Path
    broken: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    known: frozenset[str] = frozenset()


def enter(book: Path, contents: Mapping[Path, str]) -> None:
    """Adds files below the book's folder, unless the last that it says of them is the same.

    Args:
        book: file of the book, made if it is not there.
        contents: digest of each file.
    """
    known = {row.get("path"): row.get("content") for row in chain.read(book).rows}
    rows = [{"path": _within(book, path), "content": content} for path, content in contents.items()]
    if new := [row for row in rows if known.get(row["path"]) != row["content"]]:
        chain.append(book, new)


def seal(book: Path, ledger: Path) -> None:
    """Notes the last line of another chain, a file below the book's folder, so that it cannot be cut off unseen."""
    rows = chain.read(ledger).rows
    sealed = {row.get("last") for row in chain.read(book).rows}
    if rows and rows[-1].get("digest") not in sealed:
        chain.append(book, [{"path": _within(book, ledger), "last": rows[-1].get("digest")}])


def read_book(book: Path) -> Book:
    """Compares the files that a book names with what it says of them, the last entry of each.

    Raises:
        UserError: as `chain.read`.
    """
    found = chain.read(book)
    broken, contents, seals = list(found.faults), dict[str, str](), dict[str, set[str]]()
    for number, row in enumerate(found.rows, 1):
        try:
            line = typed(row, _Line, f"{book}, record {number}", "put the file back as it was")
        except UserError as error:
            broken.append(str(error))
            continue
        if line.content is not None:
            contents[line.path] = line.content
        elif line.last is not None:
            seals.setdefault(line.path, set()).add(line.last)
    for name, lasts in seals.items():
        ledger = chain.read(book.parent / name)
        broken += ledger.faults
        if not lasts <= {row.get("digest") for row in ledger.rows}:
            broken.append(f"{book.parent / name}: lines that were at its end are gone")
    there = {name: (book.parent / name).is_file() for name in contents}
    changed = [name for name, content in contents.items() if there[name] and digest_file(book.parent / name) != content]
    return Book(book, broken, changed, [name for name in contents if not there[name]], frozenset(contents))


def check_records(below: Path, runs: Sequence[Path], files: Sequence[str]) -> list[str]:
    """Holds runs against the books in the folders above them.

    Args:
        below: folder whose runs are used.
        runs: folders of the runs.
        files: names of a run's files.

    Returns:
        What is to be said with figures of these runs: of some that are gone, of some that are in no book.

    Raises:
        UserError: one of the runs was edited, or the chain of its book is broken.
    """
    books: dict[Path, list[Path]] = {}
    notes: list[str] = []
    loose = 0
    for run in runs:
        above = _book_above(run)
        loose += above is None
        if above is not None:
            books.setdefault(above, []).append(run)
    for path, its in books.items():
        book = read_book(path)
        if book.broken:
            raise UserError(f"{book.broken[0]}; which runs are as they were cannot be told: {_REMEDY}")
        names = [[_within(path, run / file) for file in files] for run in its]
        if edited := [name for each in names for name in each if name in book.changed]:
            raise UserError(f"{path.parent / edited[0]} was changed after it was written; {_REMEDY}")
        loose += sum(not book.known.issuperset(each) for each in names)
        if gone := [name for name in book.removed if (path.parent / name).absolute().is_relative_to(below.absolute())]:
            more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
            notes.append(f"{path} names records that are gone: {gone[0]}{more}")
    if loose:
        notes.append(f"{loose} of {len(runs)} runs are in no book of records: nothing would show that one was edited")
    return notes


def _book_above(run: Path) -> Path | None:
    folders = list(Path(os.path.abspath(run)).parents)[:_ABOVE]
    return next((folder / RECORDS for folder in folders if (folder / RECORDS).is_file()), None)


def _within(book: Path, file: Path) -> str:
    return Path(os.path.abspath(file)).relative_to(os.path.abspath(book.parent)).as_posix()
