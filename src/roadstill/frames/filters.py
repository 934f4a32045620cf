"""Which frames count: windows of a log with a route, then frames that show a clear decision; every rule is counted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.frames.columns import COMMANDS
from roadstill.frames.labels import CLASS_NAMES
from roadstill.frames.table import FrameTable
from roadstill.runs import check_ranges, read_json, write_json
from roadstill.runs.configs import COUNT

Mask = NDArray[np.bool_]
ORDER = ("command", "accel", "speed")
SPEED_EDGES_MPS = np.arange(0, 20.5, 0.5)
ACCEL_EDGES_MPS2 = np.arange(-5, 5.25, 0.25)


@dataclass(frozen=True)
class Rule:
    """One rule of a funnel.

    Attributes:
        text: text that the funnel shows.
        stays: function that returns whether each frame of a table stays, ``[n]``.
    """

    text: str
    stays: Callable[[FrameTable], Mask]


@dataclass(frozen=True)
class SceneFilter:
    """Which frames are the current frame of a scene, by NAVSIM's own rules; the defaults are ``navtrain``'s.

    A scene is a window of consecutive entries of a log; windows start at entry 0, ``interval``, twice ``interval`` ...

    Attributes:
        history_frames: number of entries up to the current one, itself included.
        future_frames: number of entries after it.
        interval: number of entries between the starts of windows; 14 gives windows that do not overlap.
        needs_route: whether to drop scenes whose current frame has no route.
        gaps: ``keep`` or ``drop`` for scenes in which frames are missing (NAVSIM does not check); they are counted.
        logs: file with the names of the logs to keep, as text or YAML.
        tokens: file with the tokens to keep, as text or YAML.
    """

    history_frames: int = 4
    future_frames: int = 10
    interval: int = 1
    needs_route: bool = True
    gaps: str = "keep"
    logs: Path | None = None
    tokens: Path | None = None

    def __post_init__(self) -> None:
        check_ranges(self, interval=COUNT)
        if self.gaps not in ("keep", "drop"):
            raise UserError(f"gaps {self.gaps!r} is unknown; choose 'keep' or 'drop'")

    def without_gap(self, frames: FrameTable) -> Mask:
        """Whether all entries of the frame's window follow each other without a gap in time, ``[n]``."""
        enough = frames.column("steady_before") >= self.history_frames - 1
        return enough & (frames.column("steady_after") >= self.future_frames)

    def rules(self, logs: Sequence[str] | None = None, tokens: Sequence[str] | None = None) -> list[Rule]:
        """The rules in NAVSIM's order.

        Args:
            logs: names of the logs to keep; None keeps all.
            tokens: tokens to keep; None keeps all.
        """
        before = self.history_frames - 1

        def whole(frames: FrameTable) -> Mask:
            start = frames.column("position") - before
            return (start >= 0) & (start % self.interval == 0) & (frames.column("remaining") >= self.future_frames)

        rules = [Rule(f"in a window of {self.history_frames + self.future_frames} frames", whole)]
        if self.needs_route:
            rules.append(Rule("with a route", lambda frames: frames.column("has_route").astype(bool)))
        if self.gaps == "drop":
            rules.append(Rule("no gap in time", self.without_gap))
        for name, wanted in (("log", logs), ("token", tokens)):
            if wanted is not None:
                rules.append(_listed(name, wanted))
        return rules


def _listed(column: str, wanted: Sequence[str]) -> Rule:
    known = pa.array(wanted, pa.string())

    def stays(frames: FrameTable) -> Mask:
        return np.asarray(pc.is_in(frames.table.column(column), value_set=known).to_numpy()).astype(bool)

    return Rule(f"one of {len(wanted):,} {column}s", stays)


@dataclass(frozen=True)
class FrameFilter:
    """Which frames show a clear decision (thesis 4.2 and table 4.2); ``None`` or 0 switches a rule off.

    Attributes:
        command: driving command that a frame must have, one of `COMMANDS`.
        min_abs_accel_mps2: bound on the acceleration; frames within [-bound, bound] are dropped, the bounds included.
        min_speed_mps: least speed; slower frames are dropped.
        speed: ``norm`` of the velocity, or its forward part ``vx``.
        order: order in which the rules are applied; it changes the funnel, not the result.
    """

    command: str | None = "straight"
    min_abs_accel_mps2: float | None = 1.0
    min_speed_mps: float | None = 3.0
    speed: str = "norm"
    order: tuple[str, ...] = ORDER

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.command is not None and self.command not in COMMANDS:
            raise UserError(f"command {self.command!r} is unknown; choose one of {', '.join(COMMANDS)}")
        if self.speed not in ("norm", "vx"):
            raise UserError(f"speed {self.speed!r} is unknown; choose 'norm' or 'vx'")
        if sorted(self.order) != sorted(ORDER):
            raise UserError(f"order {self.order!r} should name command, accel and speed once each")

    def rules(self, order: Sequence[str] | None = None) -> list[Rule]:
        """The rules that are on, in this order (by default the filter's own)."""
        rules: dict[str, Rule] = {}
        if self.command is not None:
            index = COMMANDS.index(self.command)
            rules["command"] = Rule(f"command == {self.command}", lambda frames: frames.column("command") == index)
        if least_accel := self.min_abs_accel_mps2:
            text = f"|accel_mps2| > {least_accel:g}"
            rules["accel"] = Rule(text, lambda frames: np.abs(frames.column("accel_mps2")) > least_accel)
        if least_speed := self.min_speed_mps:
            name = "speed_mps" if self.speed == "norm" else "vx_mps"
            rules["speed"] = Rule(f"{name} >= {least_speed:g}", lambda frames: frames.column(name) >= least_speed)
        return [rules[key] for key in order or self.order if key in rules]

    @property
    def other_order(self) -> tuple[str, ...]:
        """The same rules with the command last, or first if it is last: the thesis does not state its place."""
        rest = tuple(key for key in self.order if key != "command")
        return (*rest, "command") if self.order[-1] != "command" else ("command", *rest)


@dataclass(frozen=True)
class FunnelRow:
    """What one rule left.

    Attributes:
        rule: text of the rule.
        left: number of frames.
        classes: number of frames of each class, by name, in label order.
    """

    rule: str
    left: int
    classes: Mapping[str, int]

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> "FunnelRow":
        """The row that `Funnel.save` wrote; before 0.1.0 the classes stood beside ``rule`` and ``left``."""
        classes = record.get("classes") or {key: n for key, n in record.items() if key not in ("rule", "left")}
        return cls(record["rule"], record["left"], classes)


@dataclass(frozen=True)
class Funnel:
    """How many frames each rule left.

    Attributes:
        rows: rows in order; the first counts all frames.
        scenes: index of the row that counts the scenes, before any rule on decisions.
        other_rows: rows that follow that one if the command rule comes last (or first).
        with_gap: number of scenes in which frames are missing.
    """

    rows: tuple[FunnelRow, ...] = field(default_factory=tuple)
    scenes: int = 0
    other_rows: tuple[FunnelRow, ...] = field(default_factory=tuple)
    with_gap: int = 0

    @classmethod
    def load(cls, path: Path) -> "Funnel":
        """The funnel that `save` wrote.

        Raises:
            UserError: no such file, or it holds no funnel.
        """
        record = read_json(path)
        try:
            rows, other_rows = (tuple(map(FunnelRow.restored, record.get(key, ()))) for key in ("rows", "other_rows"))
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} holds no funnel ({type(error).__name__}: {error}); run `roadstill index` again"
            ) from None
        return cls(rows, record.get("scenes", 0), other_rows, record.get("with_gap", 0))

    def save(self, path: Path) -> None:
        """Writes the rows as JSON."""
        rows, other_rows = ([vars(row) for row in rows] for rows in (self.rows, self.other_rows))
        write_json(path, {"rows": rows, "scenes": self.scenes, "other_rows": other_rows, "with_gap": self.with_gap})

    def __str__(self) -> str:
        width = max(len(row.rule) for row in (*self.rows, *self.other_rows))
        wide = {name: max(11, len(name)) for name in (self.rows[0].classes if self.rows else ())}
        lines = [" ".join([f"{'rule':<{width}} {'left':>11}", *(f"{name:>{wide[name]}}" for name in wide)])]
        for rows, title in ((self.rows, None), (self.other_rows, "the same rules in another order:")):
            lines += [title] if title and rows else []
            for row in rows:
                counts = (f"{row.classes[name]:>{wide[name]},}" for name in wide)
                lines.append(" ".join([f"{row.rule:<{width}} {row.left:>11,}", *counts]))
        if self.with_gap:
            lines.append(f"{self.with_gap:,} of the scenes have a gap in time (frames are missing there)")
        return "\n".join(lines)


class Sieve:
    """Passes frames through all rules, table by table, and counts what each rule leaves, in both orders.

    Args:
        scenes: rules that make a frame a scene.
        decisions: rules on what a scene shows.
        windows: filter that finds the scenes with gaps, to count them.
        class_names: names of the frames' labels, in label order.

    Attributes:
        motion: scenes per cell of `SPEED_EDGES_MPS` and `ACCEL_EDGES_MPS2`, ``[speeds, accels]`` (thesis Fig. 4.2);
            the outer cells hold what lies beyond.
    """

    def __init__(
        self,
        scenes: Sequence[Rule],
        decisions: FrameFilter,
        windows: SceneFilter | None = None,
        class_names: Sequence[str] = CLASS_NAMES,
    ) -> None:
        self._scenes, self._windows, self._class_names = scenes, windows, class_names
        self._orders = (decisions.rules(), decisions.rules(decisions.other_order))
        self._counts: list[NDArray[np.int64]] = []
        self._with_gap = 0
        self.motion = np.zeros((len(SPEED_EDGES_MPS) - 1, len(ACCEL_EDGES_MPS2) - 1), np.int64)

    def __call__(self, frames: FrameTable) -> FrameTable:
        """The frames that pass every rule."""
        labels, classes = frames.labels, len(self._class_names)
        masks = [np.ones(len(frames), np.bool_)]
        for rule in self._scenes:
            masks.append(masks[-1] & rule.stays(frames))
        scenes = masks[-1]
        if self._windows is not None:
            self._with_gap += int((scenes & ~self._windows.without_gap(frames)).sum())
        self._look(frames, scenes)
        verdicts = {rule.text: rule.stays(frames) for rule in self._orders[0]}
        for order in self._orders:
            kept = scenes
            for rule in order:
                kept = kept & verdicts[rule.text]
                masks.append(kept)
        self._counts.append(np.array([np.bincount(labels[mask], minlength=classes) for mask in masks]))
        if len(self._counts) > 1:
            self._counts = [np.sum(self._counts, axis=0)]
        return frames.take(kept)

    def _look(self, frames: FrameTable, scenes: Mask) -> None:
        edges = (SPEED_EDGES_MPS, ACCEL_EDGES_MPS2)
        values = (frames.column(name)[scenes] for name in ("speed_mps", "accel_mps2"))
        speed, accel = (np.clip(value, edge[0], edge[-1]) for value, edge in zip(values, edges, strict=True))
        self.motion += np.histogram2d(speed, accel, bins=list(edges))[0].astype(np.int64)

    def save_motion(self, path: Path) -> None:
        """Writes ``motion`` with its edges."""
        edges = {"speed_edges_mps": SPEED_EDGES_MPS.tolist(), "accel_edges_mps2": ACCEL_EDGES_MPS2.tolist()}
        write_json(path, edges | {"counts": self.motion.tolist()})

    def funnel(self) -> Funnel:
        """The counts so far.

        Raises:
            UserError: no frame came in, or none is left; the message names the rule that removed the last ones.
        """
        texts = ["all frames", *(rule.text for rule in (*self._scenes, *self._orders[0], *self._orders[1]))]
        counts = self._counts[0] if self._counts else np.zeros((len(texts), len(self._class_names)), np.int64)
        rows = [
            FunnelRow(text, int(n.sum()), dict(zip(self._class_names, n.tolist(), strict=True)))
            for text, n in zip(texts, counts, strict=True)
        ]
        last = len(rows) - len(self._orders[1])
        if not rows[0].left:
            raise UserError("no readable frame was found")
        for above, row in pairwise(rows[:last]):
            if not row.left:
                raise UserError(
                    f"the rule `{row.rule}` removed all of the {above.left:,} frames that were left; loosen it, or "
                    "index other logs"
                )
        other = () if self._same_order() else tuple(rows[last:])
        return Funnel(tuple(rows[:last]), len(self._scenes), other, self._with_gap)

    def _same_order(self) -> bool:
        first, second = self._orders
        return [rule.text for rule in first] == [rule.text for rule in second]
