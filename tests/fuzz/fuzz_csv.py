"""Coverage-guided fuzzing of the reader of tables: any bytes end in frames or in one line.

``python tests/fuzz/fuzz_csv.py SECONDS`` needs atheris; a finding is written to ``crash-*`` in the current folder, and
becomes a case of ``tests/hostile/test_tables.py``.
"""

import sys
import tempfile
from pathlib import Path

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
    assert said.isprintable(), ascii(said)
    assert len(said) < 2000
    assert tally.faulty >= 0


def main(seconds: int) -> None:
    """Fuzzes for so many seconds."""
    import atheris

    with atheris.instrument_imports(include=["roadstill.sources.csv"]):
        from roadstill.sources.csv import table  # noqa: F401
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "seeds"
        corpus.mkdir()
        for number, seed in enumerate(SEEDS):
            for setting in range(len(SETTINGS)):
                (corpus / f"{number}-{setting}").write_bytes(bytes([setting]) + seed)
        arguments = [
            sys.argv[0],
            f"-max_total_time={seconds}",
            "-max_len=4096",
            "-len_control=0",
            "-rss_limit_mb=1024",
            "-timeout=10",
        ]
        atheris.Setup([*arguments, str(corpus)], lambda data: read(data, Path(folder)))
        atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]))
