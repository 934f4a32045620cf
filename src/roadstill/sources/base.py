"""What an index needs from a data source: `FrameSource`, or `StoringSource` if it fills the index's store itself.

A source is made by calling ``source(data, **settings)``, where ``data`` is what the user names with ``--data`` or as
the verb's first word. Its frames become an index, whatever they are read from.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from roadstill.frames import FrameTable
from roadstill.frames.filters import FrameFilter
from roadstill.frames.splits import Cut
from roadstill.parallel import Shard

SOURCE_FILE = "_source.json"  # beside the frames of a store; readers of a folder of Parquet skip names that begin so


@runtime_checkable
class FrameSource(Protocol):
    """Camera frames of a data set."""

    @property
    def sensors(self) -> Path | None:
        """The folder that the frames' picture paths are relative to; None if there are no pictures."""

    @property
    def notes(self) -> Sequence[str]:
        """Remarks for the user, a line each; read once all tables are read."""

    def tables(self) -> Iterable[FrameTable]:
        """All frames in any number of tables, each small enough for memory; a log is never cut."""


@dataclass(frozen=True)
class Stored:
    """What a source left in the store of an index.

    Attributes:
        logs: names of the logs that count.
        counts: numbers of logs, broken logs, entries and broken entries.
        problems: one line for each problem.
        faulty: number of entries with something wrong; one that gave no frame by the rules is none.
    """

    logs: list[str]
    counts: dict[str, int]
    problems: list[str]
    faulty: int = 0


@runtime_checkable
class StoringSource(FrameSource, Protocol):
    """A frame source that fills the store of an index itself, so that it need not read everything again."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What ``index.json`` records of it besides what it records of every source."""

    @property
    def expected(self) -> int | None:
        """The number of scenes in the full data; None if unknown."""

    def store(
        self,
        folder: Path,
        *,
        shard: Shard | None = None,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> Stored:
        """Reads what is not in the folder yet.

        Args:
            folder: folder of a `FrameStore`.
            shard: share of the logs to read; all by default.
            workers: processes; the result does not depend on it.
            progress: callback for (done, total).
        """

    def cut(self, wanted: Cut) -> Cut:
        """The user's cut with the source's own rules; called after `store`."""


def without_commands(cut: Cut) -> tuple[Cut, list[str]]:
    """The cut for frames whose commands are all unknown: the default rule on them would remove every frame.

    Returns:
        The cut, and notes on it for the user.
    """
    if cut.decisions.command is None or cut.decisions.command != FrameFilter().command:
        return cut, []
    note = f"all are unknown, and the rule `command == {cut.decisions.command}` is switched off"
    return replace(cut, decisions=replace(cut.decisions, command=None)), [note]
