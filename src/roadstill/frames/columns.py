"""The columns of a frame table: their types, and those that follow from the others.

Commands: 0 left, 1 straight, 2 right, 3 unknown. Velocities and accelerations are in the ego frame (x forward, y left).
"""

import difflib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from roadstill.errors import UserError, one_line

COMMANDS = ("left", "straight", "right", "unknown")
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
        ("position", pa.int32()),
        ("remaining", pa.int32()),
        ("steady_before", pa.int32()),
        ("steady_after", pa.int32()),
        ("has_route", pa.bool_()),
    ]
)
_REQUIRED = ("token", "log", "timestamp_us", "image", "vx_mps", "accel_mps2")
_GAP = 1.5  # so many usual steps between two frames are a gap


def filled(given: Mapping[str, ArrayLike], step_s: float | None = None) -> pa.Table:
    """All columns of `SCHEMA`, made from the given ones; arguments and errors as `FrameTable.of`."""
    _check_names(given)
    rows = np.asarray(given["timestamp_us"]).size
    columns = {name: _column(name, values, rows) for name, values in given.items()}
    first = _first_of_log(columns["log"], columns["timestamp_us"])
    _check_identity(columns["token"], columns["image"])
    place = np.arange(rows)
    start, end = stretches(first)
    steady_start, steady_end = stretches(first | _after_gap(columns["timestamp_us"], first, step_s))
    vx, vy = columns["vx_mps"], columns.get("vy_mps", np.zeros(rows))
    made: dict[str, NDArray[Any]] = {
        "drive": columns["log"],
        "vy_mps": vy,
        "speed_mps": np.hypot(vx, vy),
        "command": np.full(rows, COMMANDS.index("unknown")),
        "location": np.full(rows, "unknown", object),
        "position": place - start,
        "remaining": end - place,
        "steady_before": place - steady_start,
        "steady_after": steady_end - place,
        "has_route": np.zeros(rows, np.bool_),
    } | columns
    return pa.table({name: pa.array(made[name], SCHEMA.field(name).type) for name in SCHEMA.names}, schema=SCHEMA)


def stretches(first: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last place of the stretch that each place belongs to, ``[n]`` each.

    Args:
        first: whether a stretch begins at a place, ``[n]``; one begins at place 0.
    """
    starts = np.flatnonzero(first)
    lengths = np.diff(np.append(starts, len(first)))
    return np.repeat(starts, lengths), np.repeat(starts + lengths - 1, lengths)


def _check_names(given: Mapping[str, ArrayLike]) -> None:
    if strange := [name for name in given if name not in SCHEMA.names]:
        close = difflib.get_close_matches(strange[0], SCHEMA.names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(SCHEMA.names)}"
        raise UserError(f"a frame has no {strange[0]!r}; {hint}")
    if missing := [name for name in _REQUIRED if name not in given]:
        raise UserError(
            f"a frame table also needs {', '.join(missing)}; all but {', '.join(_REQUIRED)} may be left out"
        )


def _column(name: str, values: ArrayLike, rows: int) -> NDArray[Any]:
    """The column as an array ``[n]`` of its kind; a single value stands for all rows."""
    column, kind = np.asarray(values), SCHEMA.field(name).type
    column = np.full(rows, column) if column.ndim == 0 else column
    if column.shape != (rows,):
        raise UserError(f"the column {name} has the shape {column.shape}, but timestamp_us has {rows} rows")
    if kind == pa.string():
        return _texts(name, column)
    if name == "command" and column.dtype.kind in "OU":
        return _commands(column)
    wanted = {pa.float64(): "fiu", pa.bool_(): "b"}.get(kind, "iu")
    if rows and column.dtype.kind not in wanted:
        hint = "; microseconds are integers, as in (1e6 * seconds).round().astype(int)" if name[-3:] == "_us" else ""
        raise UserError(f"the column {name} holds {column.dtype}, which should be {kind}{hint}")
    if column.dtype.kind == "f" and not (finite := np.isfinite(column)).all():
        row = int(finite.argmin())
        raise UserError(f"the column {name} holds {column[row]} in row {row}; leave out frames for which it is unknown")
    least, most = (0, len(COMMANDS) - 1) if name == "command" else (-(2**62), 2**62)
    if kind != pa.bool_() and rows and not (least <= column.min() and column.max() <= most):
        raise UserError(f"the column {name} holds {column.min()} to {column.max()}, beyond {least} to {most}")
    return column


def _texts(name: str, column: NDArray[Any]) -> NDArray[Any]:
    column = column.astype(object)
    for row, text in enumerate(column):
        if not isinstance(text, str) or not text:
            raise UserError(f"the column {name} holds {text!r} in row {row}; it should be a non-empty text")
    return column


def _commands(column: NDArray[Any]) -> NDArray[np.int64]:
    """Numbers of commands that are given by name."""
    known = {name: number for number, name in enumerate(COMMANDS)}
    names, place = np.unique(column.astype(str), return_inverse=True)
    if strange := [name for name in names.tolist() if name not in known]:
        raise UserError(f"the column command holds {strange[0]!r}; it should be one of {', '.join(COMMANDS)}")
    numbers: NDArray[np.int64] = np.array([known[name] for name in names.tolist()], np.int64)[place]
    return numbers


def _first_of_log(log: NDArray[Any], timestamp_us: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each row is the first of its log, ``[n]``.

    Raises:
        UserError: rows of a log that are not contiguous, or not in the order of time.
    """
    first = np.ones(len(log), np.bool_)
    first[1:] = log[1:] != log[:-1]
    seen: set[str] = set()
    for row in np.flatnonzero(first).tolist():
        if log[row] in seen:
            raise UserError(f"row {row}: the log {one_line(log[row])!r} comes back after others; sort the rows by log")
        seen.add(log[row])
    back = np.flatnonzero(~first[1:] & (np.diff(timestamp_us) <= 0))
    if len(back):
        row = int(back[0]) + 1
        raise UserError(f"row {row}: the time does not increase within the log {one_line(log[row])!r} "
                        f"({timestamp_us[row]} us after {timestamp_us[row - 1]}); sort each log by time")  # fmt: skip
    return first


def _after_gap(timestamp_us: NDArray[np.int64], first: NDArray[np.bool_], step_s: float | None) -> NDArray[np.bool_]:
    """Whether frames are missing between each row and the one before it in its log, ``[n]``."""
    steps, within = np.diff(timestamp_us), ~first[1:]
    found = np.zeros(len(first), np.bool_)
    if within.any():
        usual_us = float(np.median(steps[within])) if step_s is None else step_s * 1e6
        found[1:] = within & (steps > _GAP * usual_us)
    return found


def _check_identity(token: NDArray[Any], image: NDArray[Any]) -> None:
    """Refuses a token that is in two rows, and a picture's path that is not below the sensor folder."""
    names, count = np.unique(token.astype(str), return_counts=True)
    if len(names) < len(token):
        raise UserError(f"the token {one_line(str(names[count.argmax()]))!r} is in more than one row; each frame "
                        "needs its own")  # fmt: skip
    for row, path in enumerate(image):
        if leaves_folder(path):
            raise UserError(f"row {row}: the image {one_line(path[:200])!r} is not a path below the sensor folder, "
                            "with / between its parts")  # fmt: skip


def check_values(table: pa.Table) -> None:
    """Refuses what no reader wrote: numbers that are not finite, which every comparison drops, and unknown commands.

    Raises:
        UserError: names column and row.
    """
    wrong = {
        part.name: pc.invert(pc.is_finite(table.column(part.name))) for part in SCHEMA if part.type == pa.float64()
    }
    commands = table.column("command")
    wrong["command"] = pc.or_(pc.less(commands, 0), pc.greater_equal(commands, len(COMMANDS)))
    for name, found in wrong.items():
        if (row := pc.index(found, True).as_py()) >= 0:
            value = table.column(name)[row].as_py()
            raise UserError(f"the frame table holds {value} in row {row}, column {name}; make it again with "
                            "`roadstill index`")  # fmt: skip


def leaves_folder(path: str) -> bool:
    """Whether a posix path is absolute, leads out of its folder, or is not one that every file system accepts."""
    return (
        not path
        or any(len(part.encode(errors="replace")) > 200 for part in path.split("/"))
        or path.startswith("/")
        or any(bad in path for bad in ("\0", "\\", "\n", "\r"))
        or ":" in path.split("/", 1)[0]
        or ".." in PurePosixPath(path).parts
    )
