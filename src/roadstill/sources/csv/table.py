"""A table of camera frames (CSV) -> `FrameStore`, one drive in memory at a time; no picture is opened."""

import codecs
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from roadstill.errors import UserError, one_line
from roadstill.frames import SCHEMA, FrameTable
from roadstill.frames.store import FrameStore, LogRecord
from roadstill.runs import Count, Record, atomic_path, digest_file, digest_of, read_record, write_json
from roadstill.sources.base import SOURCE_FILE
from roadstill.sources.csv.config import CsvConfig
from roadstill.sources.csv.drives import PictureNames, by_drive, cut_at_pauses, frames_of
from roadstill.sources.csv.layout import find_layout
from roadstill.sources.csv.rows import Cleaner, Tally

_FORMAT = 2
_BLOCK = 1 << 17  # bytes of text at a time; some thirty blocks are read ahead


def find_csv(data: Path) -> Path:
    """The table itself, or the only ``.csv`` of a folder.

    Raises:
        UserError: none was found, or several.
    """
    if data.is_file():
        return data
    if not data.is_dir():
        what = "is a pipe or a device, not a file" if data.exists() else "does not exist"
        raise UserError(f"{data} {what}; it should be a table of camera frames (.csv), or a folder with one")
    found = sorted(path for path in data.iterdir() if path.suffix.lower() == ".csv" and path.is_file())
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:5])
        raise UserError(f"{data} holds {len(found)} .csv files{f' ({names})' if names else ''}; give the path of one")
    return found[0]


@dataclass(frozen=True)
class CsvRecord:
    """What the table yielded.

    Attributes:
        rows: number of rows in the file.
        frames: number of frames made from them.
        drives: number of drives that have frames.
        faulty: number of rows with something wrong.
        problems: one line for each reason why rows gave no frame.
    """

    rows: int
    frames: int
    drives: int
    faulty: int
    problems: list[str]


class _StoredRecord(Record, kw_only=True, frozen=True):
    """The same as a store holds it, with the key of the table and its settings."""

    key: str
    rows: Count
    frames: Count
    drives: Count
    faulty: Count
    problems: list[str]


def read_csv(
    path: Path, folder: Path, config: CsvConfig, *, progress: Callable[[int, int], None] | None = None
) -> CsvRecord:
    """Reads a table into a `FrameStore`, one log per drive; the folder appears, or is replaced, only when all is read.

    An unchanged file with unchanged settings is not read again.

    Args:
        path: path of the table.
        folder: folder of the store.
        config: resolved settings.
        progress: callback for (bytes read, bytes in total).

    Raises:
        UserError: as `read_rows`; drives in pieces; a picture in two drives; no frame; a folder of another source.
    """
    about = {"format": _FORMAT, "columns": SCHEMA.names, "name": path.name, "config": config}
    key = digest_of({"file": digest_file(path), **about})
    if folder.exists():
        if not (folder / SOURCE_FILE).is_file():
            raise UserError(f"{folder} holds frames of another source; index into another folder")
        if (known := _known(folder, key)) is not None:
            return known
    try:
        with atomic_path(folder) as temporary:
            record = _fill(path, FrameStore(temporary), config, progress)
            write_json(temporary / SOURCE_FILE, {"key": key} | asdict(record))
    finally:
        with suppress(OSError):
            folder.parent.rmdir()  # removes only an empty folder, which nothing was written to
    return record


def _known(folder: Path, key: str) -> CsvRecord | None:
    """What an earlier call read from the same table in the same way; None if it did not, or its files are damaged."""
    try:
        known = read_record(folder / SOURCE_FILE, _StoredRecord, "index again")
    except UserError:  # of an older version, or damaged
        return None
    if known.key != key:
        return None
    record = CsvRecord(known.rows, known.frames, known.drives, known.faulty, known.problems)
    store = FrameStore(folder)
    logs = store.logs()
    whole = len(logs) == record.drives and all(store.record(log) is not None for log in logs)
    return record if whole else None


def _fill(path: Path, store: FrameStore, config: CsvConfig, progress: Callable[[int, int], None] | None) -> CsvRecord:
    tally = Tally()
    frames = drives = 0
    for drive, made, rows in drives_of(path, config, tally, progress):
        store.write(drive, made, LogRecord(0, rows, rows - len(made)))
        frames, drives = frames + len(made), drives + 1
    return CsvRecord(tally.rows, frames, drives, tally.faulty, [f"{path.name}: {line}" for line in tally.lines()])


def drives_of(
    path: Path, config: CsvConfig, tally: Tally, progress: Callable[[int, int], None] | None = None
) -> Iterator[tuple[str, FrameTable, int]]:
    """Name, frames and number of rows of every drive that has frames, one drive in memory at a time.

    Args:
        path: path of the table.
        config: resolved settings.
        tally: counter of the rows that give no frame.
        progress: callback for (bytes read, bytes in total).

    Raises:
        UserError: as `read_csv`.
    """
    pictures, frames = PictureNames(), 0
    tables = read_rows(path, config, tally, progress)
    if not config.names_drives:
        tables = cut_at_pauses(tables, path, config)
    for drive, rows in by_drive(tables, path):
        made = frames_of(drive, rows, config, tally, pictures)
        if len(made):
            frames += len(made)
            yield drive, made, len(rows)
    if not frames:
        why = one_line(next(iter(tally.lines()), "it has no rows"))
        hint = "; numbers with a decimal comma need another delimiter than a comma" * (" cells; the first" in why)
        raise UserError(f"{path}: no row gave a frame; {why}{hint}")
    if (twins := pictures.twins()) is not None:
        raise UserError(f"{path}: rows {twins[0]:,} and {twins[1]:,} belong to two drives, but name the same picture; "
                        "keep more of its path with --csv.keep_parts, or correct the drives")  # fmt: skip


def _check_text(path: Path) -> None:
    """Refuses what is no text: pyarrow would say so in the middle of the rows, of torn ones with a traceback."""
    decoder, before = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        while True:
            block = file.read(_BLOCK)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError:
                why = f"it is no text in UTF-8 after {before:,} bytes; save it as that"
                raise UserError(f"{path} cannot be read as CSV: {why}") from None
            if not block:
                return
            before += len(block)


def read_rows(
    path: Path, config: CsvConfig, tally: Tally, progress: Callable[[int, int], None] | None = None
) -> Iterator[pa.Table]:
    """The usable rows, batch by batch, as tables of `ROWS`.

    Args:
        path: path of the table.
        config: resolved settings.
        tally: counter of the other rows.
        progress: callback for (bytes read, bytes in total).

    Raises:
        UserError: as `find_layout`; not CSV; a speed, an acceleration or times that only another unit explains.
    """
    width, header, places = find_layout(path, config)
    _check_text(path)
    names = [str(place) for place in range(width)]

    def torn(row: Any) -> str:
        tally.add(f"not {width} cells", 1, repr(row.text[:80]))
        tally.rows += 1
        return "skip"

    cleaner = Cleaner(path, config, tally)
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            reader = pa.csv.open_csv(
                file,
                pa.csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=names, skip_rows=int(header)),
                pa.csv.ParseOptions(delimiter=config.delimiter, invalid_row_handler=torn),
                pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=list(dict.fromkeys(names[place] for place in places.values())),
                    strings_can_be_null=False,
                ),
            )
            for batch in reader:
                yield cleaner({role: batch.column(str(place)) for role, place in places.items()})
                if progress:
                    progress(file.tell(), size)
    except pa.ArrowException as error:
        why = one_line(" ".join(str(error).split())[:200])
        if "skip initial" in why:
            why = "it has no rows"
        if "straddling" in why:
            why = f"a line after row {tally.rows:,} is longer than {_BLOCK:,} bytes (an open quotation mark?)"
        raise UserError(f"{path} cannot be read as CSV: {why}") from None
    cleaner.check_all()
