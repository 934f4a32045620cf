"""Looks at all frames on their way into an index: does their motion fit together, do their tokens differ?"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError, one_line
from roadstill.frames import FrameTable, stream_frames
from roadstill.frames.filters import Funnel
from roadstill.frames.motion import Motion
from roadstill.frames.store import FrameStore

_WAY_OUT = "correct them, or leave out an acceleration that is not measured; --doubtful keep takes them as they are"


class Watch:
    """Passes on the frames of an index log by log, and remembers what was odd.

    Args:
        store: store of the frames.
        logs: names of the logs that count.
        keep: whether logs whose motion contradicts itself stay.

    Attributes:
        motion: motion of all frames.
        left_out: number of logs that were left out.
        problems: one line for each problem.
    """

    def __init__(self, store: FrameStore, logs: Sequence[str], *, keep: bool) -> None:
        self._store, self._logs, self._keep = store, logs, keep
        self._tokens: list[NDArray[np.int64]] = []
        self.motion, self.left_out, self.problems = Motion(), 0, list[str]()

    def tables(self) -> Iterator[FrameTable]:
        """The frames log by log.

        Raises:
            UserError: the motion of all logs, or that of short ones together, contradicts itself.
        """
        unproven = Motion()
        for log, frames in zip(self._logs, self._store.tables(list(self._logs)), strict=True):
            motion = Motion.of(frames)
            self._tokens.append(np.fromiter(map(hash, frames.column("token").tolist()), np.int64, len(frames)))
            record = self._store.record(log)
            axes_known = record is not None and record.fits_poses
            if (found := motion.contradiction(axes_known=axes_known)) is not None:
                self.problems.append(f"{one_line(log)}: {found}")
                if not self._keep:
                    self.left_out += 1
                    continue
            if not axes_known:
                unproven += motion
            self.motion += motion
            yield frames
        if self._keep:
            return
        if self.left_out and self.left_out == len(self._logs):
            raise UserError(f"none of the {len(self._logs)} logs is usable; the first: {self.problems[0]}; {_WAY_OUT}")
        for found in (unproven.contradiction(), self.motion.contradiction(axes_known=True)):
            if found is not None:
                raise UserError(f"{found}; {_WAY_OUT}")

    def notes(self) -> list[str]:
        """What the user should know, a line each."""
        found = self.motion.doubts()
        if (contradiction := self.motion.contradiction()) is not None:
            found.append(contradiction)
        tokens = np.concatenate([*self._tokens, np.zeros(0, np.int64)])
        places = np.repeat(np.arange(len(self._tokens)), [len(each) for each in self._tokens])
        order = np.argsort(tokens, kind="stable")
        again = np.flatnonzero(np.diff(tokens[order]) == 0)
        if len(again):
            first, second = (self._logs[int(place)] for place in places[order[again[0] : again[0] + 2]])
            row = int(np.flatnonzero(self._tokens[self._logs.index(second)] == tokens[order[again[0]]])[0])
            token = self._store.read(second).column("token")[row]
            found.append(one_line(
                f"{len(again):,} frames have the token of another; the first: {token} in {first} and {second}; is one "
                "a copy?"
            ))  # fmt: skip
        return found


def one_class(funnel: Funnel, out: Path, frames: Mapping[str, int]) -> list[str]:
    """A warning for each part without a frame of one of the classes, which nothing can be measured on."""
    names = list(funnel.rows[0].classes)
    found = []
    for part in frames:
        counts = np.zeros(len(names), np.int64)
        for each in stream_frames(out / f"{part}.parquet"):
            counts += np.bincount(each.labels, minlength=len(names))
        found += [
            f"the part {part} has no frame of the class {name}; prepare will refuse it: choose another --split_seed, "
            "other --shares or looser filters"
            for name, count in zip(names, counts, strict=True)
            if not count
        ]
    return found
