"""Text cells of a table of camera frames -> pictures' paths, times, speeds, drives and commands.

A row that cannot be used is counted with its reason; a column in the wrong unit stops the reading at once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.frames import COMMANDS, leaves_folder
from roadstill.sources.csv.cells import (
    are_numbers,
    command_of,
    mask_of,
    numbers_of,
    other_decimals,
    parsed_us,
    relative_path,
)
from roadstill.sources.csv.config import ACCEL_UNITS_MPS2, SPEED_UNITS_MPS, TIME_UNITS_US, CsvConfig
from roadstill.sources.csv.empties import Empties
from roadstill.sources.patterns import CONTROL, Finder

ROWS = pa.schema(
    [
        ("row", pa.int64()),  # from 1, the header and empty or torn lines not counted
        ("image", pa.string()),
        ("time_us", pa.int64()),
        ("speed_mps", pa.float64()),
        ("accel_mps2", pa.float64()),  # 0 where it is yet to be computed
        ("drive", pa.string()),  # empty where pauses decide
        ("command", pa.int8()),
    ]
)
MAX_SPEED_MPS, MAX_ACCEL_MPS2 = 80.0, 50.0
_STEPS_S = (1e-3, 10.0)  # between frames of a plausible recording
_LAST_US = 2**53  # the year 2255; what lies beyond has another unit
_UNKNOWN = COMMANDS.index("unknown")
_STEADY_ROWS = 10  # so many rows of one speed are odd


class Tally:
    """Counts rows with a problem by reason, with the place where each first happened.

    Attributes:
        rows: number of rows in total, usable or not.
        faulty: number of those with something wrong; that a row has no neighbour to compute from is nothing wrong.
    """

    def __init__(self) -> None:
        self.rows = self.faulty = 0
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, reason: str, count: int, first: str, *, faulty: bool = True) -> None:
        """Counts rows under a reason."""
        if count:
            before, known = self._found.get(reason, (0, first))
            self._found[reason] = (before + count, known)
            self.faulty += count * faulty

    def lines(self) -> list[str]:
        """One line for each reason."""
        return [
            f"{count:,} row{'s' * (count > 1)}: {reason}; the first: {first}"
            for reason, (count, first) in self._found.items()
        ]


class Cleaner:
    """Turns the text cells of one batch after the other into `ROWS`.

    Args:
        path: the file, for messages.
        config: resolved settings.
        tally: counter of the rows that cannot be used.
    """

    def __init__(self, path: Path, config: CsvConfig, tally: Tally) -> None:
        self._path, self._config, self._tally = path, config, tally
        self._count = 0
        self._empties = Empties(config.max_empty)
        self._speeds = (np.inf, -np.inf)  # least and largest
        self._finders = {
            name: Finder(f"csv.{name}", pattern)
            for name in ("time_pattern", "drive_pattern")
            if (pattern := getattr(config, name)) is not None
        }

    def __call__(self, cells: dict[str, pa.Array]) -> pa.Table:
        """The usable rows of a batch, a table of `ROWS`, from its columns of text by their meaning.

        Raises:
            UserError: a speed, an acceleration or a time that only another unit explains.
        """
        config = self._config
        self._cells = {role: pc.utf8_trim_whitespace(column) for role, column in cells.items()}
        rows = len(self._cells["image"])
        self._ok = np.ones(rows, np.bool_)
        empty = {role: mask_of(pc.equal(column, "")) for role, column in self._cells.items()}
        blank = np.logical_and.reduce(list(empty.values()))
        self._refuse(blank, "no cell that is read has anything in it", "image", faulty=False)
        self._empties.add({role: mask & ~blank for role, mask in empty.items() if role != "command"})
        for role, mask in empty.items():
            if role != "command":
                self._refuse(mask, f"an empty cell of {role}", role)
        images = self._images()
        times = self._times(images)
        speed = self._numbers("speed", SPEED_UNITS_MPS, config.speed_unit or "mps", MAX_SPEED_MPS)
        accel = np.zeros(rows)
        if config.accel is not None:
            accel = self._numbers("accel", ACCEL_UNITS_MPS2, config.accel_unit, MAX_ACCEL_MPS2)
        drives = self._drives()
        command = self._commands()
        number = self._count + 1 + np.arange(rows)
        columns = [number, images, times, speed, accel, drives, command]
        table = pa.table([pa.array(column, part.type) for column, part in zip(columns, ROWS, strict=True)], schema=ROWS)
        table = table.filter(pa.array(self._ok))
        if not self._count:
            self._check_steps(table.column("time_us").to_numpy())
        self._count += rows
        self._tally.rows += rows
        if len(table):
            speeds = table.column("speed_mps").to_numpy()
            self._speeds = (min(self._speeds[0], speeds.min()), max(self._speeds[1], speeds.max()))
        return table

    def check_all(self) -> None:
        """What only the whole table shows; called after the last batch.

        Raises:
            UserError: too many empty cells, or a speed that is always the same.
        """
        if (why := self._empties.found()) is not None:
            raise UserError(f"{self._path}: {why}")
        least, most = self._speeds
        if least == most and (most == 0 or self._config.accel is None) and self._count >= _STEADY_ROWS:
            raise UserError(
                f"{self._path}: every speed is {most:g}, so the column {self._config.speed!r} most likely holds "
                "something else; name the right one with --csv.speed, or correct the header"
            )

    def _where(self, place: int) -> str:
        return f"row {self._count + 1 + place:,}"

    def _refuse(self, bad: NDArray[np.bool_], reason: str, role: str, *, faulty: bool = True) -> None:
        bad = bad & self._ok
        if bad.any():
            place = int(bad.argmax())
            first = f"{self._where(place)}: {self._cells[role][place].as_py()[:200]!r}"
            self._tally.add(reason, int(bad.sum()), first, faulty=faulty)
            self._ok &= ~bad

    def _images(self) -> list[str]:
        """Paths relative to the root, with forward slashes."""
        if not self._count and are_numbers(self._cells["image"]):
            self._stop(0, f"the picture {self._cells['image'][0].as_py()[:80]!r} is a number", "image")
        root, keep = f"{self._config.root}/", self._config.keep_parts
        paths = [relative_path(text, root, keep) for text in self._cells["image"].to_pylist()]
        absolute = np.array([path.startswith("/") or path[1:3] == ":/" for path in paths], np.bool_)
        self._refuse(absolute, "the picture's path is another machine's; keep its end with --csv.keep_parts 2", "image")
        leaving = np.array([leaves_folder(path) for path in paths], np.bool_)
        self._refuse(leaving, "the picture's path leaves the root folder or is not a plain path", "image")
        return paths

    def _times(self, images: list[str]) -> NDArray[np.int64]:
        config, unit = self._config, self._config.time_unit or "s"
        cells, role = self._cells.get("time"), "time"
        if config.time_pattern is not None:
            found = self._finders["time_pattern"].each(image.rsplit("/", 1)[-1] for image in images)
            cells, role = pa.array(found, pa.string()), "image"
            self._refuse(mask_of(pc.equal(cells, "")), "csv.time_pattern finds no time in the picture's name", role)
        assert cells is not None  # a resolved configuration has one of the two
        if unit not in TIME_UNITS_US:
            times = [parsed_us(text, unit) for text in cells.to_pylist()]
            bad = np.array([time is None for time in times], np.bool_)
            self._refuse(bad, f"the time does not fit {unit}", role)
            return np.array([time or 0 for time in times], np.int64)
        values, bad = self._read(cells, role, "time")
        far = self._ok & (np.abs(values) > _LAST_US / TIME_UNITS_US[unit])  # the product could overflow
        if far.any():
            place = int(far.argmax())
            units = [name for name, us in TIME_UNITS_US.items() if abs(values[place]) <= _LAST_US / us]
            self._stop(
                place, f"the time {cells[place].as_py()!r} lies beyond the year 2255 in {unit}", "time", units[:1]
            )
        return np.rint(np.where(self._ok, values, 0) * TIME_UNITS_US[unit]).astype(np.int64)

    def _numbers(self, role: str, units: Any, unit: str, most: float) -> NDArray[np.float64]:
        values, bad = self._read(self._cells[role], role, role)
        high = self._ok & (np.abs(values) * units[unit] > most)
        if high.any():
            place = int(high.argmax())
            value = float(values[place])
            likely = [name for name, factor in units.items() if abs(value) * factor <= most]
            standard = next(iter(units))
            text = f"the {role} {value:g} {unit} is {value * units[unit]:.4g} {standard}, beyond {most:g}"
            self._stop(place, text, role, likely)
        return np.where(bad, 0.0, values) * units[unit]

    def _read(self, cells: pa.Array, role: str, what: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Numbers of a column, and whether each cell holds none; those rows are refused."""
        values, bad = numbers_of(cells, self._config.decimal)
        if 2 * bad.sum() > len(bad) and other_decimals(cells, self._config.decimal):
            other = "," if self._config.decimal == "." else "."
            place = int(bad.argmax())
            raise UserError(
                f"{self._path}, {self._where(place)}: the {what} {cells[place].as_py()[:80]!r} has a decimal "
                f"{other!r}; give --csv.decimal {other}"
            )
        self._refuse(bad, f"the {what} is not a number", role)
        return values, bad

    def _stop(self, place: int, text: str, role: str, likely: Sequence[str] = ()) -> None:
        other = f"check the column, or name another one with --csv.{role}"
        way = f"the unit is most likely {' or '.join(likely)} (--csv.{role}_unit)" if likely else other
        raise UserError(f"{self._path}, {self._where(place)}: {text}; {way}")

    def _check_steps(self, times: NDArray[np.int64]) -> None:
        """Checks on the first batch that the times are in the given unit."""
        steps = np.diff(times)
        steps = steps[steps > 0] * 1e-6
        longest = max(_STEPS_S[1], self._config.gap_s)
        if len(steps) < 3 or _STEPS_S[0] / 10 <= (step := float(np.median(steps))) <= longest:
            return
        unit = self._config.time_unit or "s"
        said = TIME_UNITS_US.get(unit)
        likely = [name for name, us in TIME_UNITS_US.items() if said and _STEPS_S[0] <= step * us / said <= _STEPS_S[1]]
        way = f"the unit is most likely {likely[0]} (--csv.time_unit)" if likely else "check the times, or --csv.gap_s"
        raise UserError(f"{self._path}: rows lie {step:g} s apart (median of the first), if times are in {unit}; {way}")

    def _drives(self) -> list[str]:
        role = "drive" if "drive" in self._cells else "image"
        if self._config.drive_pattern is not None:
            texts = self._cells["image"].to_pylist()
            names = self._finders["drive_pattern"].each(texts)
            missed = np.array([not name for name in names], np.bool_)
            self._refuse(missed, "csv.drive_pattern finds no drive in the picture's path", "image")
        elif role == "drive":
            names = self._cells["drive"].to_pylist()
        else:
            return [""] * len(self._ok)
        odd = np.array([CONTROL.search(name) is not None or len(name.encode()) > 80 for name in names], np.bool_)
        self._refuse(odd, "the drive's name is over 80 bytes long or has control characters", role)
        return names

    def _commands(self) -> NDArray[np.int8]:
        cells = self._cells.get("command")
        if cells is None:
            return np.full(len(self._ok), _UNKNOWN, np.int8)
        encoded = cells.dictionary_encode()
        known = [command_of(text, self._config.commands) for text in encoded.dictionary.to_pylist()]
        place = encoded.indices.to_numpy()
        strange = self._ok & np.array([command is None for command in known], np.bool_)[place]
        if strange.any():
            first = int(strange.argmax())
            self._tally.add("no driving command, taken as unknown", int(strange.sum()),
                            f"{self._where(first)}: {cells[first].as_py()[:80]!r}")  # fmt: skip
        return np.array([_UNKNOWN if command is None else command for command in known], np.int8)[place]
