"""Drives of a table of camera frames: separated, sorted by time, with accelerations -> `FrameTable`."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.frames import SCHEMA, FrameTable
from roadstill.frames.columns import stretches
from roadstill.frames.motion import central_difference
from roadstill.sources.csv.config import CsvConfig
from roadstill.sources.csv.rows import ROWS, Tally
from roadstill.sources.patterns import CONTROL

_MANY, _LEAST_ROWS = 300, 3  # so many drives should have so many rows on average
_MOST_ROWS = 2**20  # of one drive: three hours at 100 Hz, and 0.6 GB in memory


def cut_at_pauses(tables: Iterable[pa.Table], path: Path, config: CsvConfig) -> Iterator[pa.Table]:
    """Numbers the drives of a file that does not name them: a new one begins after every long pause.

    Raises:
        UserError: the time goes back.
    """
    stem = path.stem if not CONTROL.search(path.stem) and len(path.stem.encode()) <= 60 else "drive"
    gap_us, piece_us = (config.gap_s * 1e6 or np.inf), (config.piece_s * 1e6 or np.inf)
    number, last_us, start_us = 0, -(2**62), 0
    for table in tables:
        names: list[str] = []
        for row, time_us in zip(*(table.column(name).to_pylist() for name in ("row", "time_us")), strict=True):
            if time_us < last_us:
                raise UserError(
                    f"{path}, row {row:,}: the time goes back by {(last_us - time_us) * 1e-6:g} s; sort the file by "
                    "time, or tell its drives apart with --csv.drive or --csv.drive_pattern"
                )
            if not number or time_us - last_us > gap_us or time_us - start_us >= piece_us:
                number, start_us = number + 1, time_us
            last_us = time_us
            names.append(f"{stem}-{number:05d}")
        place = table.column_names.index("drive")
        yield table.set_column(place, "drive", pa.array(names, pa.string()))


def by_drive(tables: Iterable[pa.Table], path: Path) -> Iterator[tuple[str, pa.Table]]:
    """Name and rows of every drive: one drive in memory at a time.

    Raises:
        UserError: the rows of a drive are not contiguous, there are more than 2^20 of them, or nearly every row is a
            drive.
    """
    seen: set[str] = set()
    drive, parts, total = "", [ROWS.empty_table()], 0
    for table in tables:
        if sum(map(len, parts)) > _MOST_ROWS:
            raise UserError(
                f"{path}: the drive {drive!r} has more than {_MOST_ROWS:,} rows; tell drives apart with --csv.drive, "
                "or cut it at pauses of --csv.gap_s or into --csv.piece_s"
            )
        names = np.asarray(table.column("drive").to_numpy())
        starts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)] if len(names) else []
        for start, stop in pairwise(starts):
            if names[start] != drive:
                if drive:
                    yield drive, pa.concat_tables(parts)
                drive, parts = str(names[start]), []
                if drive in seen:
                    row = table.column("row")[start].as_py()
                    raise UserError(f"{path}, row {row:,}: the drive {drive!r} comes back after others; sort the file "
                                    "by drive, so that the rows of each are contiguous")  # fmt: skip
                seen.add(drive)
                if len(seen) > _MANY and total + start < _LEAST_ROWS * len(seen):
                    raise UserError(
                        f"{path}: {len(seen):,} drives in {total + start:,} rows; the column or pattern of the drive "
                        "most likely names frames instead (--csv.drive, --csv.drive_pattern)"
                    )
            parts.append(table.slice(start, stop - start))
        total += len(table)
    if drive:
        yield drive, pa.concat_tables(parts)


def frames_of(drive: str, rows: pa.Table, config: CsvConfig, tally: Tally, pictures: "PictureNames") -> FrameTable:
    """The frames of one drive in the order of time; rows that give none are counted.

    Args:
        drive: name of the drive.
        rows: its rows, a table of `ROWS`.
        config: resolved settings.
        tally: counter of the rows that give none.
        pictures: collector of the names of pictures.
    """
    late = np.flatnonzero(np.diff(rows.column("time_us").to_numpy()) < 0) + 1
    _count(tally, "earlier than the row above; the drive was sorted by time", rows, late)
    rows = rows.take(pc.sort_indices(rows, [("time_us", "ascending"), ("row", "ascending")]))
    repeated = np.setdiff1d(np.arange(len(rows)), pictures.add(rows))
    rows = _without(rows, repeated, "the drive names this picture twice", tally)
    again = np.flatnonzero(np.diff(rows.column("time_us").to_numpy()) == 0) + 1
    rows = _without(rows, again, "the same time as another row of the drive", tally)
    time_us, speed = (rows.column(name).to_numpy() for name in ("time_us", "speed_mps"))
    accel = rows.column("accel_mps2").to_numpy()
    if config.accel is None:
        accel = central_difference(time_us, speed, config.window_s, config.step_s)
    place = np.arange(len(rows))
    first_of, last_of = stretches(np.append(True, np.diff(time_us) > config.step_s * 1e6))
    columns: dict[str, Any] = {
        "token": [
            _token(drive, *pair) for pair in zip(time_us.tolist(), rows.column("image").to_pylist(), strict=True)
        ],
        "log": pa.repeat(drive, len(rows)),
        "drive": pa.repeat(drive, len(rows)),
        "timestamp_us": time_us,
        "image": rows.column("image"),
        "vx_mps": speed,
        "vy_mps": np.zeros(len(rows)),
        "speed_mps": np.abs(speed),
        "accel_mps2": accel,
        "command": rows.column("command"),
        "location": pa.repeat("unknown", len(rows)),
        "position": place.astype(np.int32),
        "remaining": (len(rows) - 1 - place).astype(np.int32),
        "steady_before": (place - first_of).astype(np.int32),
        "steady_after": (last_of - place).astype(np.int32),
        "has_route": np.zeros(len(rows), np.bool_),
    }
    known = np.isfinite(accel)
    reason = f"no acceleration: rows half a window before or after are missing, or over {config.step_s:g} s apart"
    _count(tally, reason, rows, np.flatnonzero(~known), faulty=False)
    return FrameTable(pa.table(columns, schema=SCHEMA).filter(pa.array(known)))


def _count(tally: Tally, reason: str, rows: pa.Table, places: NDArray[np.int64], *, faulty: bool = True) -> None:
    if len(places):
        row, image = (rows.column(name)[int(places[0])].as_py() for name in ("row", "image"))
        tally.add(reason, len(places), f"row {row:,}: {image!r}", faulty=faulty)


def _without(rows: pa.Table, places: NDArray[np.int64], reason: str, tally: Tally) -> pa.Table:
    _count(tally, reason, rows, places)
    return rows.take(pa.array(np.setdiff1d(np.arange(len(rows)), places)))


def _token(drive: str, time_us: int, image: str) -> str:
    return blake2b(f"{drive}\n{time_us}\n{image}".encode(), digest_size=8).hexdigest()


class PictureNames:
    """Finds a picture that two drives name, which would put it into training and test; takes 16 bytes a frame."""

    def __init__(self) -> None:
        self._digests: list[NDArray[np.uint64]] = []
        self._rows: list[NDArray[np.int64]] = []

    def add(self, rows: pa.Table) -> NDArray[np.int64]:
        """Notes the pictures of a drive; returns the place of the first row of each."""
        names = rows.column("image").to_pylist()
        digests = b"".join(blake2b(name.encode(), digest_size=8).digest() for name in names)
        unique, first = np.unique(np.frombuffer(digests, np.uint64), return_index=True)
        self._digests.append(unique)
        self._rows.append(rows.column("row").to_numpy()[first])
        return first

    def twins(self) -> tuple[int, int] | None:
        """Two rows of different drives with the same picture; None if there are none."""
        digests = np.concatenate(self._digests) if self._digests else np.zeros(0, np.uint64)
        digests.sort()
        equal = digests[1:] == digests[:-1]
        if not equal.any():
            return None
        twin = digests[int(equal.argmax())]
        found = [
            int(rows[place])
            for digests, rows in zip(self._digests, self._rows, strict=True)
            for place in np.flatnonzero(digests == twin)
        ]
        return found[0], found[1]
