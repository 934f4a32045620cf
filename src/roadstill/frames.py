"""`FrameTable`: one row of facts per camera frame, made from logs alone; filters that count, whole-drive splits.

Labels: 0 = not_brake, 1 = brake. Commands: 0 left, 1 straight, 2 right, 3 unknown. Velocities and accelerations are in
the ego frame (x forward, y left).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from roadstill.errors import UserError
from roadstill.runs import atomic_path, write_json

CLASS_NAMES = ("not_brake", "brake")
COMMANDS = ("left", "straight", "right", "unknown")
SHARES: Mapping[str, float] = MappingProxyType({"train": 0.7, "dev": 0.15, "test": 0.15})
SCHEMA = pa.schema(
    [
        ("token", pa.string()),
        ("log", pa.string()),
        ("drive", pa.string()),
        ("timestamp_us", pa.int64()),
        ("image", pa.string()),
        ("vx_mps", pa.float64()),
        ("vy_mps", pa.float64()),
        ("speed_mps", pa.float64()),
        ("accel_mps2", pa.float64()),
        ("command", pa.int8()),
        ("location", pa.string()),
    ]
)


@dataclass(frozen=True)
class FrameTable:
    """Frames with their facts, in the order of the logs.

    Attributes:
        table: columns of `SCHEMA`. ``image`` is a posix path relative to the sensor folder (camera CAM_F0);
            ``speed_mps`` is the norm of the velocity; ``accel_mps2`` is longitudinal.

    Raises:
        UserError: a column is missing, of another type or has holes.
    """

    table: pa.Table

    def __post_init__(self) -> None:
        missing = [name for name in SCHEMA.names if name not in self.table.column_names]
        if missing:
            raise UserError(f"the frame table lacks the columns {missing}; make it again with `roadstill index`")
        try:
            object.__setattr__(self, "table", self.table.select(SCHEMA.names).cast(SCHEMA))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise UserError(f"the frame table has a column of the wrong type: {str(error)[:200]}") from None
        holes = [name for name in SCHEMA.names if self.table.column(name).null_count]
        if holes:
            raise UserError(f"the frame table has empty cells in {holes}; make it again with `roadstill index`")

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> NDArray[Any]:
        """One column, ``[n]``: numbers in their own type, text as objects."""
        if name not in SCHEMA.names:
            raise UserError(f"a frame has no {name!r}; it has {', '.join(SCHEMA.names)}")
        return np.asarray(self.table.column(name).to_numpy())

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "FrameTable":
        """The rows of a mask ``[n]``, or of indices, in the given order."""
        chosen = pa.array(np.asarray(rows))
        return FrameTable(self.table.filter(chosen) if chosen.type == pa.bool_() else self.table.take(chosen))

    @property
    def labels(self) -> NDArray[np.int64]:
        """0 or 1 per frame, ``[n]``."""
        return brake_label(self.column("accel_mps2"))

    def save(self, path: Path) -> Path:
        """Writes Parquet, atomically."""
        with atomic_path(path) as temporary:
            pq.write_table(self.table, temporary, compression="zstd")
        return path


def open_frames(path: Path | str) -> FrameTable:
    """Reads a frame table.

    Raises:
        UserError: no such file, no Parquet, or not the columns of a frame table.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; it should be a frame table (Parquet), made by `roadstill index`")
    try:
        return FrameTable(pq.read_table(path))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read as Parquet: {str(error)[:200]}") from None


def brake_label(accel_mps2: ArrayLike, threshold_mps2: float = 0.0) -> NDArray[np.int64]:
    """1 (brake) where the longitudinal acceleration is below the threshold, else 0 (thesis 4.2)."""
    return (np.asarray(accel_mps2) < threshold_mps2).astype(np.int64)


def leaves_folder(path: str) -> bool:
    """Whether a relative posix path is absolute, climbs, or is no clean path at all."""
    return (
        not path
        or path.startswith("/")
        or any(bad in path for bad in ("\0", "\\", "\n", "\r"))
        or ":" in path.split("/", 1)[0]
        or ".." in PurePosixPath(path).parts
    )


# ---- filters


@dataclass(frozen=True)
class FrameFilter:
    """Which frames show a clear decision (thesis 4.2 and table 4.2); ``None`` or 0 switches a rule off.

    Attributes:
        command: driving command that a frame must have, one of `COMMANDS`.
        min_abs_accel_mps2: frames within [-this, this] are dropped, bounds included.
        min_speed_mps: frames below are dropped, the bound itself stays.
        speed: ``norm`` of the velocity, or its forward part ``vx``.
        order: in which the rules are applied; the result is the same, the funnel is not.
    """

    command: str | None = "straight"
    min_abs_accel_mps2: float | None = 1.0
    min_speed_mps: float | None = 3.0
    speed: str = "norm"
    order: tuple[str, ...] = ("command", "accel", "speed")

    def __post_init__(self) -> None:
        if self.command is not None and self.command not in COMMANDS:
            raise UserError(f"command {self.command!r} is unknown; choose one of {', '.join(COMMANDS)}")
        if self.speed not in ("norm", "vx"):
            raise UserError(f"speed {self.speed!r} is unknown; choose 'norm' or 'vx'")
        if sorted(self.order) != ["accel", "command", "speed"]:
            raise UserError(f"order {self.order!r} should name command, accel and speed once each")

    def rules(self) -> dict[str, Callable[[FrameTable], NDArray[np.bool_]]]:
        """The rules that are on, by the text that a funnel shows; each says which frames stay."""
        rules: dict[str, tuple[str, Callable[[FrameTable], NDArray[np.bool_]]]] = {}
        if self.command is not None:
            index = COMMANDS.index(self.command)
            rules["command"] = (f"command == {self.command}", lambda frames: frames.column("command") == index)
        if least_accel := self.min_abs_accel_mps2:
            text = f"|accel_mps2| > {least_accel:g}"
            rules["accel"] = (text, lambda frames: np.abs(frames.column("accel_mps2")) > least_accel)
        if least_speed := self.min_speed_mps:
            name = "speed_mps" if self.speed == "norm" else "vx_mps"
            rules["speed"] = (f"{name} >= {least_speed:g}", lambda frames: frames.column(name) >= least_speed)
        return dict(rules[key] for key in self.order if key in rules)


@dataclass(frozen=True)
class FunnelRow:
    """What one rule left: all frames, and those of either class."""

    rule: str
    left: int
    not_brake: int
    brake: int


@dataclass(frozen=True)
class Funnel:
    """How many frames each rule left, in order; the first row counts them all."""

    rows: tuple[FunnelRow, ...] = field(default_factory=tuple)

    def save(self, path: Path) -> None:
        """Writes the rows as JSON."""
        write_json(path, {"rows": [vars(row) for row in self.rows]})

    def __str__(self) -> str:
        width = max([len(row.rule) for row in self.rows], default=4)
        head = f"{'rule':<{width}} {'left':>11} {'not_brake':>11} {'brake':>11}"
        lines = [f"{row.rule:<{width}} {row.left:>11,} {row.not_brake:>11,} {row.brake:>11,}" for row in self.rows]
        return "\n".join([head, *lines])


def count_row(rule: str, labels: NDArray[np.int64]) -> FunnelRow:
    """A funnel's row from the labels ``[n]`` of the frames that are left."""
    brake = int(labels.sum())
    return FunnelRow(rule, len(labels), len(labels) - brake, brake)


def apply_filters(frames: FrameTable, filter: FrameFilter) -> tuple[FrameTable, Funnel]:
    """The frames that pass every rule, and the funnel.

    Raises:
        UserError: nothing is left; names the rule that removed the last frames.
    """
    if not len(frames):
        raise UserError("the frame table is empty; index logs that hold at least one scene")
    rows = [count_row("all scenes", frames.labels)]
    for rule, stays in filter.rules().items():
        kept = frames.take(stays(frames))
        if not len(kept):
            raise UserError(f"the filter `{rule}` removed all of the {len(frames):,} frames that were left; loosen it")
        frames = kept
        rows.append(count_row(rule, frames.labels))
    return frames, Funnel(tuple(rows))


# ---- splits


def split_by_drive(
    frames: FrameTable, shares: Mapping[str, float] = SHARES, seed: int = 0, *, tries: int = 32
) -> dict[str, FrameTable]:
    """Whole drives to each part, so that no part has seen another's streets on the same day.

    Several random orders of the drives are dealt out, each drive to the part that lacks most; the order wins whose
    parts come nearest to the shares, in frames and in brake frames.

    Raises:
        UserError: fewer drives than parts, or shares that are not positive.
    """
    if not shares or any(not share > 0 for share in shares.values()):
        raise UserError(f"shares {dict(shares)} should all be above 0; leave a part out that you do not want")
    names, drive = np.unique(frames.column("drive"), return_inverse=True)
    if len(names) < len(shares):
        raise UserError(
            f"{len(names)} drives cannot fill {len(shares)} parts ({', '.join(shares)}): a drive is never cut; "
            f"index logs of at least {len(shares)} drives, loosen the filters, or ask for fewer parts"
        )
    sizes = np.stack([np.bincount(drive), np.bincount(drive, weights=frames.labels).astype(np.int64)], 1)
    wanted = np.array(list(shares.values())) / sum(shares.values())
    rng = np.random.default_rng(seed)
    tries = max(1, min(tries, 2_000_000 // len(names)))
    deals = [_deal(sizes[:, 0], wanted, rng.permutation(len(names))) for _ in range(tries)]
    part = min(deals, key=lambda deal: _unevenness(deal, sizes, wanted))
    return {name: frames.take(part[drive] == index) for index, name in enumerate(shares)}


def _deal(sizes: NDArray[np.int64], wanted: NDArray[np.float64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """A part per drive: each in turn goes where most frames are lacking; no part stays empty."""
    lacking = wanted * sizes.sum()
    part = np.full(len(sizes), -1)
    empty = set(range(len(wanted)))
    for turn, drive in enumerate(order):
        must = len(order) - turn <= len(empty)
        choice = max(empty if must else range(len(wanted)), key=lambda index: (lacking[index], -index))
        part[drive] = choice
        lacking[choice] -= sizes[drive]
        empty.discard(choice)
    return part


def _unevenness(part: NDArray[np.int64], sizes: NDArray[np.int64], wanted: NDArray[np.float64]) -> float:
    """Sum over parts of |have - want| as shares, for all frames and for brake frames."""
    have = np.stack([np.bincount(part, weights=column, minlength=len(wanted)) for column in sizes.T], 1)
    return float(np.abs(have / np.maximum(sizes.sum(0), 1) - wanted[:, None]).sum())


# ---- the picture of the data


@dataclass(frozen=True)
class Heatmap:
    """Frames per cell of speed and acceleration (thesis figure of the data); values beyond the edges are in the rim.

    Attributes:
        counts: int64 ``[speeds, accels]``.
        speed_edges_mps: float64 ``[speeds + 1]``.
        accel_edges_mps2: float64 ``[accels + 1]``.
    """

    counts: NDArray[np.int64]
    speed_edges_mps: NDArray[np.float64]
    accel_edges_mps2: NDArray[np.float64]

    def save(self, path: Path) -> None:
        """Writes edges and counts as JSON."""
        write_json(path, {name: value.tolist() for name, value in vars(self).items()})


def heatmap(
    frames: FrameTable, *, max_speed_mps: float = 20.0, max_accel_mps2: float = 4.0, cells: tuple[int, int] = (40, 40)
) -> Heatmap:
    """Counts of speed against longitudinal acceleration; the counts add up to the number of frames."""
    speed_edges = np.linspace(0.0, max_speed_mps, cells[0] + 1)
    accel_edges = np.linspace(-max_accel_mps2, max_accel_mps2, cells[1] + 1)
    speed = np.clip(frames.column("speed_mps"), 0.0, max_speed_mps)
    accel = np.clip(frames.column("accel_mps2"), -max_accel_mps2, max_accel_mps2)
    counts, _, _ = np.histogram2d(speed, accel, bins=(speed_edges, accel_edges))
    return Heatmap(counts.astype(np.int64), speed_edges, accel_edges)
