"""Files to which lines are only added: every line holds its own digest and that of the line before.

A line that was changed, removed, added by other means or moved is named when the file is read. Lines removed at the end
show only where another chain holds their seal, as a run folder's book of records does for its ledger.
"""

import errno
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from roadstill.errors import UserError, of_system
from roadstill.runs import digest_of, parse_json, plain
from roadstill.runs.records import read_text

try:
    import fcntl
except ImportError:  # not on Windows, where two processes may break the chain
    fcntl = None  # type: ignore[assignment]

_TAIL_BYTES = 2**20


@dataclass(frozen=True)
class Chain:
    """The lines of a file.

    Attributes:
        rows: records, one per line that is one.
        faults: places at which the chain is broken, in words.
        unchained: number of lines that were written before there were chains.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unchained: int = 0


def append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Adds lines in one write; what a killed process left of a line is cut off first.

    Args:
        path: file, made if it is not there.
        rows: plain records without the names ``before`` and ``digest``.

    Raises:
        UserError: the system refuses the write; nothing of it stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)  # goes with the file, also where the process is killed
            before, start = _end(file)
            lines = [json.dumps(row) + "\n" for row in _linked(rows, before)]
            try:
                if file.write(data := "".join(lines).encode()) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(start)
                raise
    except OSError as error:
        raise UserError(f"{path} cannot be written: {of_system(error)}") from error


def _linked(rows: Sequence[dict[str, Any]], before: str) -> Iterator[dict[str, Any]]:
    for row in rows:
        linked = {**plain(row), "before": before}
        before = digest_of(linked)
        yield {**linked, "digest": before}


def read(path: Path) -> Chain:
    """The lines of a file, none without one; the start of a line at its end, which a killed process left, is let be.

    Raises:
        UserError: no regular file, no text, or one of more than 64 MiB.
    """
    if not path.exists():
        return Chain()
    found = Chain()
    before, unchained = "", 0
    text = read_text(path)
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        try:
            row = parse_json(line, "")
            if not isinstance(row, dict):
                raise UserError("no record")
        except UserError:
            if line.endswith("\n"):
                found.faults.append(f"{path}, line {number} is no record")
            continue
        found.rows.append(row)
        if "digest" not in row:
            unchained += 1
            if unchained < len(found.rows):
                found.faults.append(f"{path}, line {number} was added by other means: it has no digest")
        else:
            own = {name: value for name, value in row.items() if name != "digest"}
            if digest_of(own) != row["digest"]:
                found.faults.append(f"{path}, line {number} was changed after it was written")
            elif row.get("before") != before:
                found.faults.append(
                    f"{path}, line {number} does not follow the one above it: lines were removed or moved"
                )
        before = _digest(row)
    return Chain(found.rows, found.faults, unchained)


def _digest(row: dict[str, Any]) -> str:
    return str(row["digest"]) if "digest" in row else digest_of(row)


def _end(file: BinaryIO) -> tuple[str, int]:
    """The digest of the last line, and the place to write at; what is left of a line there is cut off."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read()
    whole, _, torn = tail.rpartition(b"\n")
    last = whole.rpartition(b"\n")[2]
    if torn:
        try:  # an editor may have left out the last line's end
            row = parse_json(torn, "")
            file.write(b"\n")
            return _digest(row), size + 1
        except (UserError, AttributeError, TypeError):
            size -= len(torn)
            file.truncate(size)
    try:
        return (_digest(parse_json(last, "")) if last else ""), size
    except (UserError, TypeError):
        return "", size
