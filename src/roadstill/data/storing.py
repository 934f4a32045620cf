"""Puts the tables of a plain `FrameSource` into the store of an index, checked on the way."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.data.sources import describe_source, failed
from roadstill.errors import UserError, one_line
from roadstill.frames import COMMANDS, FrameTable
from roadstill.frames.splits import Cut
from roadstill.frames.store import FrameStore, LogRecord, can_store
from roadstill.parallel import Shard
from roadstill.runs import atomic_path, write_json
from roadstill.sources.base import SOURCE_FILE, FrameSource, Stored, without_commands


class TablesSource:
    """A plain source as one that fills the store of an index (`StoringSource`); it is read anew every time.

    Args:
        source: the source.
        name: name that the user gave.
        settings: settings that the user gave.
    """

    expected = None

    def __init__(self, source: FrameSource, name: str, settings: Mapping[str, Any] | None) -> None:
        self._source, self._name = source, name
        self.about = describe_source(name, settings)
        self._has_commands = False
        self._seen: list[NDArray[np.int64]] = []
        self._own_notes: list[str] = []

    @property
    def sensors(self) -> Path | None:
        """The source's sensor folder, absolute."""
        try:
            folder = self._source.sensors
            return None if folder is None else Path(folder).expanduser().absolute()
        except Exception as error:
            raise failed(f"sensors of source {self._name!r} cannot be used", error) from error

    @property
    def notes(self) -> Sequence[str]:
        """The source's notes, and the defaults that were chosen automatically."""
        try:
            notes = self._source.notes
            return [*([notes] if isinstance(notes, str) else map(str, notes)), *self._own_notes]
        except Exception as error:
            raise failed(f"notes of source {self._name!r} cannot be used", error) from error

    def tables(self) -> Iterator[FrameTable]:
        """The source's tables.

        Raises:
            UserError: the source failed, or yielded something else.
        """
        try:
            for table in self._source.tables():
                if not isinstance(table, FrameTable):
                    raise UserError(
                        f"it yielded a {type(table).__name__}, not a FrameTable; make one with FrameTable.of"
                    )
                yield table
        except UserError as error:
            raise UserError(f"source {self._name!r}: {error}") from None
        except Exception as error:
            raise failed(f"source {self._name!r} failed", error) from error

    def store(
        self,
        folder: Path,
        *,
        shard: Shard | None = None,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> Stored:
        """Reads all tables; the folder appears, or is replaced, only when all is read.

        Raises:
            UserError: as `tables`; a log in two tables, or with a name that no folder can have; a token of two frames;
                a picture of two drives; a folder with frames of another source.
        """
        if shard:
            raise UserError(f"shards are for NAVSIM logs; leave shard out with source {self._name}")
        if folder.exists() and not (folder / SOURCE_FILE).is_file():
            raise UserError(f"{folder} holds frames of another source; index into another folder")
        frames = 0
        try:
            with atomic_path(folder) as temporary:
                store = FrameStore(temporary)
                for table in self.tables():
                    self._add(table, store)
                    frames += len(table)
                if not frames:
                    raise UserError(f"source {self._name!r} yielded no frame; check the data that it reads")
                self._check_twins()
                write_json(temporary / SOURCE_FILE, self.about)
        finally:
            with suppress(OSError):
                folder.parent.rmdir()  # removes only an empty folder, which nothing was written to
        logs = FrameStore(folder).logs()
        counts = {"logs": len(logs), "broken_logs": 0, "entries": frames, "broken_entries": 0}
        return Stored(logs, counts, [])

    def _add(self, table: FrameTable, store: FrameStore) -> None:
        names = table.column("log")
        self._has_commands |= bool((table.column("command") != COMMANDS.index("unknown")).any())
        keys = (map(hash, table.column(name).tolist()) for name in ("token", "image", "drive"))
        self._seen.append(np.array([np.fromiter(each, np.int64, len(table)) for each in keys]))
        for log in dict.fromkeys(names.tolist()):
            if not can_store(log):
                raise UserError(f"source {self._name!r}: {one_line(log[:80])!r} is too long for the name of a log")
            if store.path(log).exists():
                raise UserError(f"source {self._name!r}: the log {one_line(log)!r} comes in two tables; give it in one")
            part = table.take(np.asarray(names == log))
            store.write(log, part, LogRecord(0, len(part)))

    def _check_twins(self) -> None:
        """Refuses what would put a frame into two parts; takes 24 bytes a frame."""
        tokens, images, drives = np.concatenate(self._seen, axis=1)
        if len(np.unique(tokens)) < len(tokens):
            raise UserError(f"source {self._name!r} gave one token to two frames; each frame needs its own")
        order = np.lexsort((drives, images))
        if ((np.diff(images[order]) == 0) & (np.diff(drives[order]) != 0)).any():
            raise UserError(f"source {self._name!r} gave one picture to frames of two drives, which may be in train "
                            "and test; correct the drives or the pictures' paths")  # fmt: skip

    def cut(self, wanted: Cut) -> Cut:
        """The cut without the default rule on commands, if no frame has one."""
        if self._has_commands:
            return wanted
        wanted, notes = without_commands(wanted)
        self._own_notes += [f"no frame has a command: {note}" for note in notes]
        return wanted
