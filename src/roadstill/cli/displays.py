"""How progress is shown: bars on a terminal, a line now and then elsewhere, JSON for programs, or nothing.

All of it goes to standard error, so that standard output holds nothing but results.
"""

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from roadstill.errors import one_line

QUIET, LOG_JSON = "--quiet", "--log-json"
HELP: Mapping[str, str] = {
    QUIET: "Shows no progress and no next command, only results, warnings and errors.",
    LOG_JSON: "Writes progress, warnings and errors to standard error as JSON, one object a line.",
}
_SPELT = {QUIET: QUIET, LOG_JSON: LOG_JSON, "--log_json": LOG_JSON}
_SHORT_S, _BETWEEN_S = 2.0, 10.0


class Bars:
    """Bars on a terminal; work of less than two seconds shows none."""

    def task(self, what: str, total: int | None, done: int) -> "_Bar":
        """See `roadstill.runs.progress.Display`."""
        return _Bar(what, total, done)

    def say(self, line: str) -> None:
        """Prints a line above the bars."""
        from tqdm import tqdm

        with suppress(OSError):
            tqdm.write(f"· {one_line(line)}", file=sys.stderr)


class _Bar:
    def __init__(self, what: str, total: int | None, done: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            desc=what, total=total, initial=done, leave=None, delay=_SHORT_S, dynamic_ncols=True, file=sys.stderr
        )

    def to(self, done: int, total: int | None) -> None:
        with suppress(OSError):
            self._bar.total = total
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        with suppress(OSError):
            self._bar.close()


class Records:
    """What is shown as records, one at a time, by whatever writes them: as lines of text, or as JSON.

    A piece of work shows its first record after two seconds, then one every ten seconds of all work, and its last one
    when it ends; one that took less shows none.

    Args:
        write: function that takes a record, whose ``event`` is ``progress``, ``finished`` or ``say``.
        clock: function that gives the time in seconds.
    """

    def __init__(self, write: Callable[[dict[str, Any]], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.write, self.clock = write, clock
        self.shown_s = -_BETWEEN_S

    def task(self, what: str, total: int | None, done: int) -> "_Counted":
        """See `roadstill.runs.progress.Display`."""
        return _Counted(self, what, total, done)

    def say(self, line: str) -> None:
        """Writes a line of progress."""
        self.write({"event": "say", "text": line})


class _Counted:
    def __init__(self, records: Records, what: str, total: int | None, done: int) -> None:
        self._records, self._what, self._total = records, what, total
        self._first = self._done = done
        self._began_s = records.clock()

    def to(self, done: int, total: int | None) -> None:
        self._done, self._total = done, total
        now_s = self._records.clock()
        if now_s - self._began_s < _SHORT_S or now_s - self._records.shown_s < _BETWEEN_S or done == total:
            return
        self._records.shown_s = now_s
        self._records.write({"event": "progress", **self._facts(now_s)})

    def close(self) -> None:
        now_s = self._records.clock()
        if now_s - self._began_s >= _SHORT_S:
            self._records.write({"event": "finished", **self._facts(now_s)})

    def _facts(self, now_s: float) -> dict[str, Any]:
        took_s = now_s - self._began_s
        rate = (self._done - self._first) / took_s if took_s > 0 else 0.0
        left_s = None if self._total is None or rate <= 0 else round((self._total - self._done) / rate, 1)
        return {
            "what": self._what, "done": self._done, "total": self._total, "per_s": float(f"{rate:.3g}"),
            "seconds": round(took_s, 1), "left_s": left_s,
        }  # fmt: skip


def line_of(record: Mapping[str, Any]) -> str:
    """A record as a line for people: ``pictures 120/463, 12.3 a second, 28 s left``."""
    if record["event"] == "say":
        return str(record["text"])
    if record["event"] == "end":
        return f"took {duration(record['seconds'])}; next: {record['next']}"
    count = f"{record['done']:,}" + ("" if record["total"] is None else f"/{record['total']:,}")
    if record["event"] == "finished":
        return f"{record['what']} {count} in {duration(record['seconds'])}"
    per_s = record["per_s"]
    rate = f"{per_s:,.3g} a second" if per_s >= 1 or not per_s else f"{1 / per_s:,.3g} s each"
    left = "" if record["left_s"] is None else f", {duration(record['left_s'])} left"
    return f"{record['what']} {count}, {rate}{left}"


def duration(seconds: float) -> str:
    """A time in words: ``0.4 s``, ``31 s``, ``4 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _print(line: str) -> None:
    with suppress(OSError, AttributeError):  # nobody reads it, or there is no such output
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def write_line(record: dict[str, Any]) -> None:
    """Prints a record as a line of text."""
    _print(f"· {one_line(line_of(record))}")


def write_json(record: dict[str, Any]) -> None:
    """Prints a record as a line of JSON."""
    _print(json.dumps(record, default=str))


def display_of(flags: Sequence[str], *, is_first: bool = True) -> Bars | Records | None:
    """Where progress is shown; nowhere if it is not wanted, or another process of several shows it.

    Args:
        flags: the flags of this module that stand on the command line.
        is_first: whether this is the first of several processes, or the only one.
    """
    if QUIET in flags or not is_first or sys.stderr is None:
        return None
    if LOG_JSON in flags:
        return Records(write_json)
    return Bars() if sys.stderr.isatty() else Records(write_line)


def without_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments without the flags of this module, and these."""
    flags = [_SPELT[word] for word in arguments if word in _SPELT]
    return [word for word in arguments if word not in _SPELT], flags


@contextmanager
def warnings_as_json() -> Iterator[None]:
    """Within this block warnings and what is logged are lines of JSON, too."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            write_json({"event": "warning", "text": record.getMessage()})

    handler = Handler(logging.WARNING)
    before = warnings.showwarning
    logging.getLogger().addHandler(handler)
    warnings.showwarning = lambda message, *_, **__: write_json({"event": "warning", "text": str(message)})
    try:
        yield
    finally:
        warnings.showwarning = before
        logging.getLogger().removeHandler(handler)
