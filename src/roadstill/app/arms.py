"""The arms of a run compared: the report's table, and pairs of sets to see side by side."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from roadstill.app.browse import Entry, entries_of
from roadstill.report import tables
from roadstill.report.costs import minutes, stage_records
from roadstill.report.verdicts import comparisons

_drawing = Lock()  # the report's figures, which are drawn along, take one thread at a time


def table_of(run: Path) -> dict[str, Any] | None:
    """The report's table of all arms, as `roadstill.report.tables.overview` has it; None before any comparison.

    Raises:
        UserError: a comparison, the recipe or a stage's record cannot be read.
    """
    files = sorted(run.glob("comparison*.json"))
    with _drawing:
        return _table(run, tuple(path.read_bytes() for path in files)) if files else None


@lru_cache(maxsize=1)
def _table(run: Path, records: Sequence[bytes]) -> dict[str, Any] | None:
    """``records`` are the comparisons' own, others once the run has gone on."""
    compared = comparisons(run, minutes(stage_records(run)))
    return tables.overview(compared) | {"part": compared[0]["part"]} if compared else None


def pairs_of(run: Path) -> dict[str, Entry]:
    """The sets that can be seen side by side, by title: those of arms, and the training part."""
    return {each.title: each for each in entries_of(run) if each.arm or each.folder.name == "train"}


def first_pair(entries: Sequence[Entry]) -> tuple[int, int]:
    """Places of the two sets that are shown first: one of each of the first two arms, as far as there are any."""
    arms = [each.arm for each in entries]
    firsts = [place for place, arm in enumerate(arms) if arm and arms.index(arm) == place]
    first, second, *_ = [*firsts, 0, 0]
    return first, second
