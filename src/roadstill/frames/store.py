"""All frames of a data set on disk, one Parquet file per log.

Ray Data, Spark, DuckDB and pyarrow.dataset take the folder as one data set that is partitioned by log::

    frames/log=<log>/frames.parquet

A log is written once and whole. What was read and what was wrong with it is in the file's metadata, so that an
interrupted pass resumes where it stopped, and several machines can fill one store.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq

from roadstill.errors import UserError
from roadstill.frames.columns import SCHEMA
from roadstill.frames.table import FrameTable
from roadstill.runs import atomic_path, parse_json, typed

_RECORD = b"roadstill.log"
_FORMAT = 2  # from 2 on, logs whose poses contradict their velocities are broken
_STORED = pa.schema([part for part in SCHEMA if part.name != "log"])  # the folder's name holds it


@dataclass(frozen=True)
class LogRecord:
    """What the reader reports of one log.

    Attributes:
        source_bytes: size of the log's file; another size means that it must be read again.
        entries: number of frames that the log holds, readable or not.
        broken_entries: number of those that could not be read.
        problems: one line for each problem.
        broken: whether nothing of the log could be read.
        fits_poses: whether the log's poses confirm that its velocities are in the vehicle's frame.
    """

    source_bytes: int
    entries: int = 0
    broken_entries: int = 0
    problems: list[str] = field(default_factory=list)
    broken: bool = False
    fits_poses: bool = False


_MOST_BYTES = 255  # limit of file systems for one part of a path


def can_store(log: str) -> bool:
    """Whether a log of this name can have a folder: not if it is too long, or has bytes that are not text."""
    try:
        return len(_folder(log)) <= _MOST_BYTES
    except UnicodeEncodeError:
        return False


def _folder(log: str) -> str:
    return f"log={quote(log, safe=' ')}"


class FrameStore:
    """The folder of all frames.

    Args:
        root: the folder; it is created when the first log is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, log: str) -> Path:
        """The file of a log."""
        return self.root / _folder(log) / "frames.parquet"

    def logs(self) -> list[str]:
        """Names of the logs that are stored, sorted."""
        return sorted(unquote(path.parent.name.removeprefix("log=")) for path in self.root.glob("log=*/frames.parquet"))

    def write(self, log: str, frames: FrameTable | None, record: LogRecord) -> None:
        """Stores one log, atomically; no frames at all if it is broken."""
        table = _STORED.empty_table() if frames is None else frames.table.select(_STORED.names)
        about = {_RECORD: json.dumps({"format": _FORMAT} | asdict(record)).encode()}
        with atomic_path(self.path(log)) as temporary:
            pq.write_table(
                table.replace_schema_metadata(about), temporary, compression="zstd", write_page_checksum=True
            )

    def record(self, log: str) -> LogRecord | None:
        """The record of a log; None if it is not stored, or was stored by another version."""
        if not (path := self.path(log)).is_file():
            return None
        try:
            known = parse_json((pq.read_schema(path).metadata or {})[_RECORD], str(path))
            return typed(known, LogRecord, str(path), "") if known.get("format") == _FORMAT else None
        except (OSError, pa.ArrowException, LookupError, AttributeError, UserError):
            return None

    def read(self, log: str) -> FrameTable:
        """The frames of one log, in order.

        Raises:
            UserError: the log is not stored, or is damaged.
        """
        path = self.path(log)
        try:
            # Not read_table, which would add the folder's name as a column.
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = file.read()
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"{path} cannot be read as Parquet: {str(error)[:200]}; run `roadstill index` again"
            ) from None
        names = pa.array([log] * table.num_rows, pa.string())
        return FrameTable(table.append_column("log", names))

    def tables(self, logs: list[str]) -> Iterator[FrameTable]:
        """The frames of every log in turn: one log in memory at a time."""
        return map(self.read, logs)
