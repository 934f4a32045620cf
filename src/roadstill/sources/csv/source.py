"""`CsvSource`: a table of camera frames as a source of frames."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from roadstill.errors import UserError, one_line
from roadstill.frames import FrameTable
from roadstill.frames.splits import Cut
from roadstill.frames.store import FrameStore
from roadstill.parallel import Shard
from roadstill.sources.base import Stored, without_commands
from roadstill.sources.csv.config import CsvConfig
from roadstill.sources.csv.rows import Tally
from roadstill.sources.csv.table import drives_of, find_csv, read_csv


class CsvSource:
    """The frames of a table; one without commands switches the default rule on them off.

    Args:
        data: the table, or a folder that holds one.
        settings: fields of `CsvConfig`.

    Raises:
        UserError: no table was found, or a setting has an invalid value.
    """

    expected = None

    def __init__(self, data: Path, **settings: Any) -> None:
        config = CsvConfig(**settings)
        self._path = find_csv(data)
        self._config = config.resolved(self._path)
        self.sensors = self._config.root
        self.notes: list[str] = []
        self._drives = 0
        self._problems: list[str] = []

    @property
    def about(self) -> dict[str, Any]:
        """How the table was read."""
        table = os.path.abspath(self._path)
        return {"data": table, "logs": table, "tokens": None, "source": "csv", "csv": self._config}

    def tables(self) -> Iterator[FrameTable]:
        """The frames drive by drive; errors as `read_csv`."""
        tally = Tally()
        for _, frames, _ in drives_of(self._path, self._config, tally):
            yield frames
        self.notes += tally.lines()

    def store(
        self,
        folder: Path,
        *,
        shard: Shard | None = None,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> Stored:
        """Reads the table, unless it was read in the same way before; errors as `read_csv`."""
        if shard:
            raise UserError("shards are for NAVSIM logs; leave shard out with a table of frames")
        record = read_csv(self._path, folder, self._config, progress=progress)
        self._drives, self._problems = record.drives, record.problems
        self.notes.append(f"{record.rows:,} rows gave {record.frames:,} frames of {record.drives:,} drives")
        if not self._config.names_drives:
            self.notes.append(_how_cut(self._config))
        counts = {"logs": record.drives, "broken_logs": 0}
        counts |= {"entries": record.rows, "broken_entries": record.rows - record.frames}
        return Stored(FrameStore(folder).logs(), counts, record.problems, record.faulty)

    def cut(self, wanted: Cut) -> Cut:
        """The cut without the default rule on commands, if the table has none.

        Raises:
            UserError: too few drives for the parts; the message states how to get more from a table.
        """
        if self._drives < len(wanted.shares):
            parts = " and ".join(", ".join(wanted.shares).rsplit(", ", 1))
            lost = f" (rows without a frame: {one_line(self._problems[0])})" if self._problems else ""
            raise UserError(
                f"{self._path}: {self._drives} drives cannot fill {parts}: a drive is never cut; name them with "
                "--csv.drive or --csv.drive_pattern, or cut at shorter pauses with --csv.gap_s, or, with "
                f"near-duplicates at the ends, into --csv.piece_s{lost}"
            )
        if self._config.command is not None:
            return wanted
        wanted, notes = without_commands(wanted)
        self.notes += [f"the table has no commands: {note}" for note in notes]
        return wanted


def _how_cut(config: CsvConfig) -> str:
    how = f"at pauses over {config.gap_s:g} s" if config.gap_s else "nowhere"
    also = f" and every {config.piece_s:g} s, whose ends are near-duplicates" if config.piece_s else ""
    return (
        f"the table does not name its drives: it was cut {how}{also}; a road that was driven twice may be in train "
        "and test, so name them with --csv.drive or --csv.drive_pattern for an honest split"
    )
