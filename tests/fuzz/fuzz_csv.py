"""Tables of any bytes end in frames or in one line; findings become cases of ``tests/hostile/test_tables.py``."""

from collections.abc import Iterator
from pathlib import Path

from targets import Target, check_line

SEEDS = (
    b"image,time,speed,run\na/0.jpg,0,5,a\na/1.jpg,0.5,6,a\na/2.jpg,1,7,a\n",
    b"image;time;speed;run\n\"a;0.jpg\";0,5;5;a\n",
    b"image,time,speed,run\n,,,\nC:\\x\\a.jpg,1e3,-5e-1,b\n../a.jpg,nan,inf,c\n",
    b"center,left,right,steering,throttle,brake,speed\n",
    b"IMG/center_2016_12_01_13_30_48_287.jpg,b,c,0,0,0,30.19\n",
)  # fmt: skip
SETTINGS = (
    {"drive": "run"},
    {},
    {"delimiter": ";", "decimal": ",", "drive": "run"},
    {"preset": "udacity"},
    {"accel": "speed", "command": "run", "max_empty": 1.0},
    {"time_pattern": r"(\d+)\.", "drive_pattern": r"^(\w+)/", "time_unit": "ms"},
    {"time_unit": "%Y-%m-%d %H:%M:%S.%f", "keep_parts": 2, "gap_s": 1.0, "piece_s": 3.0},
)


def read(data: bytes, folder: Path) -> None:
    """Reads a table of these bytes; the first chooses the settings.

    Raises:
        Exception: anything but a line for the user.
    """
    from roadstill.errors import UserError
    from roadstill.sources.csv.config import CsvConfig
    from roadstill.sources.csv.rows import Tally
    from roadstill.sources.csv.table import drives_of

    path = folder / "t.csv"
    path.write_bytes(data[1:])
    tally, said = Tally(), ""
    try:
        config = CsvConfig(**SETTINGS[data[0] % len(SETTINGS) if data else 0]).resolved(path)
        for drive, frames, rows in drives_of(path, config, tally):
            assert drive.isprintable()
            assert 0 < len(frames) <= rows
    except UserError as error:
        said = str(error)
    check_line(said)
    assert tally.faulty >= 0


def seeds(_: Path) -> Iterator[bytes]:
    """Every table with every setting."""
    for seed in SEEDS:
        for setting in range(len(SETTINGS)):
            yield bytes([setting]) + seed


TARGET = Target(seeds, read, rooms=("sources.csv",))
