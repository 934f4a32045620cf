"""`CsvConfig`: what the columns of a table of camera frames mean, and in which units."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from roadstill.errors import UserError
from roadstill.frames import COMMANDS
from roadstill.runs import later, require_folder
from roadstill.sources.csv.cells import check_form
from roadstill.sources.patterns import Finder

TIME_UNITS_US: Mapping[str, float] = MappingProxyType({"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3})
SPEED_UNITS_MPS: Mapping[str, float] = MappingProxyType({"mps": 1.0, "kmh": 1 / 3.6, "mph": 0.44704})
ACCEL_UNITS_MPS2: Mapping[str, float] = MappingProxyType({"mps2": 1.0, "g": 9.80665})
_FALLBACK = {"image": "image", "speed": "speed", "time_unit": "s", "speed_unit": "mps"}


@dataclass(frozen=True)
class CsvPreset:
    """A known kind of table.

    Attributes:
        columns: names of all columns, for files without a header.
        settings: fields of `CsvConfig` that it fills where the user gives nothing.
    """

    columns: tuple[str, ...]
    settings: Mapping[str, Any]


CSV_PRESETS = {
    # driving_log.csv of Udacity's simulator: no header, absolute paths of the machine that recorded, the time only in
    # the picture's name. The package of recorded laps that Udacity offers has a header and relative paths instead.
    "udacity": CsvPreset(
        ("center", "left", "right", "steering", "throttle", "brake", "speed"),
        {
            "image": "center",
            "speed": "speed",
            "speed_unit": "mph",
            "time_pattern": r"(\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d_\d{3})\.",
            "time_unit": "%Y_%m_%d_%H_%M_%S_%f",
            "keep_parts": 2,
        },
    )
}


@dataclass(frozen=True)
class CsvConfig:
    """How a table of camera frames is read. A column is named by its header, or counted from 0 in a file without one.

    Attributes:
        preset: known kind of table that fills in what is not given: udacity.
        image: column of the picture's path; ``image`` by default.
        time: column of the time; ``time`` by default, unless a pattern is given.
        time_unit: unit of the time: s (the default), ms, us, ns, or a strptime format like %Y-%m-%d %H:%M:%S.%f (UTC).
        time_pattern: regular expression with one group that finds the time in the picture's file name instead.
        speed: column of the speed, negative when reversing; ``speed`` by default.
        speed_unit: unit of the speed: mps (the default), kmh or mph.
        accel: column of the longitudinal acceleration; without one it is computed from the speed.
        accel_unit: unit of the acceleration: mps2 (the default) or g.
        window_s: window of computed accelerations, (v(t + window/2) - v(t - window/2)) / window, v linear between rows.
        step_s: longest step between rows that this line may join; frames that would need a longer one are dropped.
        drive: column that names the drive.
        drive_pattern: regular expression with one group that finds the drive in the picture's path as written there.
        gap_s: pause after which a new drive begins, if neither of these names it; 0 makes one drive of the file.
        piece_s: length of the pieces that such drives are cut into, whose ends are near-duplicates; 0 does not cut.
        command: column of the driving command: left, straight, right, unknown, a number, or one-hot numbers as 0 1 0 0.
        command_order: commands for the numbers from 0 on; CARLA's would be "unknown left right straight straight".
        root: folder that the pictures' paths are relative to; by default the table's.
        keep_parts: number of last parts of every path to keep (2: IMG/a.jpg), for paths of another machine.
        delimiter: character between cells, or the word tab.
        decimal: character before the decimals of a number, a point or a comma.
        max_empty: largest share of rows that may lack a needed cell; more are taken for columns of unequal length that
            were put side by side. 1 accepts any.
    """

    preset: Literal["udacity"] | None = None
    image: str | None = None
    time: str | None = None
    time_unit: str | None = None
    time_pattern: str | None = None
    speed: str | None = None
    speed_unit: Literal["mps", "kmh", "mph"] | None = None
    accel: str | None = None
    accel_unit: Literal["mps2", "g"] = "mps2"
    window_s: float = 1.0
    step_s: float = 1.5
    drive: str | None = None
    drive_pattern: str | None = None
    gap_s: float = 10.0
    piece_s: float = 0.0
    command: str | None = None
    command_order: str = " ".join(COMMANDS)
    root: Path | None = None
    keep_parts: int | None = None
    delimiter: str = ","
    decimal: Literal[".", ","] = later(".")
    max_empty: float = later(0.2)

    def __post_init__(self) -> None:
        if self.delimiter in ("tab", r"\t"):
            object.__setattr__(self, "delimiter", "\t")
        if self.root is not None:  # text in a recipe
            object.__setattr__(self, "root", Path(self.root).expanduser())
        known = {"preset": CSV_PRESETS, "speed_unit": SPEED_UNITS_MPS, "accel_unit": ACCEL_UNITS_MPS2}
        for name, choices in known.items():
            if (value := getattr(self, name)) is not None and value not in choices:
                raise UserError(f"csv.{name} {value!r} is unknown; choose one of {', '.join(choices)}")
        if self.time_unit is not None and self.time_unit not in TIME_UNITS_US and "%" not in self.time_unit:
            raise UserError(f"csv.time_unit {self.time_unit!r} is unknown; choose one of {', '.join(TIME_UNITS_US)}, "
                            "or give a strptime format such as %Y-%m-%d %H:%M:%S.%f")  # fmt: skip
        if self.time_unit is not None and self.time_unit not in TIME_UNITS_US:
            check_form(self.time_unit)
        for first, second in (("time", "time_pattern"), ("drive", "drive_pattern")):
            if getattr(self, first) is not None and getattr(self, second) is not None:
                raise UserError(f"csv.{first} and csv.{second} are both given; give one of them")
        for name in ("time_pattern", "drive_pattern"):
            if (pattern := getattr(self, name)) is not None:
                Finder(f"csv.{name}", pattern)
        if not (self.window_s >= 1e-3 and self.step_s > 0 and self.gap_s >= 0 and self.piece_s >= 0):
            raise UserError(
                "csv.window_s should be at least 0.001, csv.step_s above 0, csv.gap_s and csv.piece_s at least 0"
            )
        if self.keep_parts is not None and self.keep_parts < 1:
            raise UserError(f"csv.keep_parts {self.keep_parts} should be at least 1")
        if len(self.delimiter.encode()) != 1 or self.delimiter in '"\r\n\0':
            raise UserError(f"csv.delimiter {self.delimiter!r} should be one plain character, or tab")
        if self.decimal not in (".", ",") or self.decimal == self.delimiter:
            raise UserError(f"csv.decimal {self.decimal!r} should be . or , and another character than csv.delimiter")
        if not 0 <= self.max_empty <= 1:
            raise UserError(f"csv.max_empty {self.max_empty} should be a share from 0 to 1")
        if strange := [name for name in self.commands if name not in COMMANDS]:
            raise UserError(f"csv.command_order: {strange[0]!r} is unknown; use {', '.join(COMMANDS)}")

    @property
    def commands(self) -> list[str]:
        """The command that each number stands for."""
        return self.command_order.replace(",", " ").split()

    @property
    def names_drives(self) -> bool:
        """Whether the table states which drive a row belongs to; otherwise pauses decide."""
        return self.drive is not None or self.drive_pattern is not None

    @property
    def columns(self) -> dict[str, str]:
        """The columns to read, by their meaning."""
        roles = {name: getattr(self, name) for name in ("image", "time", "speed", "accel", "drive", "command")}
        return {name: column for name, column in roles.items() if column is not None}

    def resolved(self, table: Path) -> "CsvConfig":
        """The same with every choice made: the user's own, else the preset's, else the default.

        Args:
            table: path of the table; paths of pictures are relative to its folder if no root is given.

        Raises:
            UserError: the root is not a folder.
        """
        preset = dict(CSV_PRESETS[self.preset].settings) if self.preset else {}
        if self.time is not None:  # a column of the time replaces all that the preset sets about it
            preset = {name: value for name, value in preset.items() if name not in ("time_pattern", "time_unit")}
        settings = _FALLBACK | preset
        found = replace(self, **{name: value for name, value in settings.items() if getattr(self, name) is None})
        if found.time is None and found.time_pattern is None:
            found = replace(found, time="time")
        root = table.parent if self.root is None else require_folder(self.root, "the folder of the pictures")
        return replace(found, root=Path(os.path.abspath(root)))
