"""Tables of camera frames: units, times, drives, commands, what is wrong with them, and the whole road from one."""

import json
import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import pytest
from PIL import Image

from roadstill.cli import main
from roadstill.data.indexing import IndexConfig, index_data
from roadstill.errors import UserError
from roadstill.frames import open_frames
from roadstill.frames.filters import FrameFilter
from roadstill.frames.splits import open_index
from roadstill.frames.store import FrameStore
from roadstill.sources.csv.cells import command_of
from roadstill.sources.csv.config import CsvConfig
from roadstill.sources.csv.table import find_csv, read_csv

ALL = IndexConfig(filter=FrameFilter(None, None, None))
STEADY = [(f"a/{row}.jpg", row / 2, 5 + row) for row in range(5)]


def write(path, rows, header="image,time,speed"):
    lines = [header] if header else []
    path.write_text("\n".join([*lines, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def read(path, out, **settings):
    """What a table gives: the record, and all frames by log."""
    record = read_csv(path, out, CsvConfig(**settings).resolved(path))
    store = FrameStore(out)
    return record, {log: store.read(log) for log in store.logs()}


def only(tmp_path, rows, header="image,time,speed", **settings):
    """The record and the frames of a table of one drive."""
    record, logs = read(write(tmp_path / "t.csv", rows, header), tmp_path / "out", **settings)
    (frames,) = logs.values()
    return record, frames


def drives(count, rows, speed=lambda drive, row: 8 + 3 * (-1) ** (row // 4)):
    """Rows with a drive's name: image, time, speed, drive."""
    return [
        (f"d{drive}/{row:03d}.jpg", 100 * drive + row / 2, speed(drive, row), f"d{drive}")
        for drive in range(count)
        for row in range(rows)
    ]


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- acceleration


def test_frames_without_neighbours_are_dropped_and_counted(tmp_path):
    record, frames = only(
        tmp_path, [(f"{row}.jpg", time, time**2) for row, time in enumerate([0, 0.5, 1, 1.5, 4, 4.5])]
    )
    assert frames.column("image").tolist() == ["1.jpg", "2.jpg"]
    np.testing.assert_allclose(frames.column("accel_mps2"), [1.0, 2.0])
    assert record.problems == [
        "t.csv: 4 rows: no acceleration: rows half a window before or after are missing, or over 1.5 s apart; "
        "the first: row 1: '0.jpg'"
    ]
    assert frames.column("position").tolist() == [1, 2]
    assert frames.column("remaining").tolist() == [4, 3]
    assert frames.column("steady_after").tolist() == [2, 1]
    assert set(frames.column("has_route")) == {False}


# ---- cells


@pytest.mark.parametrize(("unit", "factor"), [("mps", 1.0), ("kmh", 1 / 3.6), ("mph", 0.44704)])
def test_units_of_speed(tmp_path, unit, factor):
    _, frames = only(tmp_path, STEADY, speed_unit=unit)
    np.testing.assert_allclose(frames.column("speed_mps"), np.array([6, 7, 8]) * factor)
    np.testing.assert_allclose(frames.column("accel_mps2"), 2 * factor)


@pytest.mark.parametrize(("unit", "factor"), [("mps2", 1.0), ("g", 9.80665)])
def test_a_column_of_accelerations_needs_no_neighbours(tmp_path, unit, factor):
    rows = [("a.jpg", 0, -4, -0.5), ("b.jpg", 9, 4, 0.25)]
    _, frames = only(tmp_path, rows, "image,time,speed,ax", accel="ax", accel_unit=unit)
    np.testing.assert_allclose(frames.column("accel_mps2"), np.array([-0.5, 0.25]) * factor)
    assert frames.column("vx_mps").tolist() == [-4, 4]
    assert frames.column("speed_mps").tolist() == [4, 4]


@pytest.mark.parametrize(
    ("unit", "texts"),
    [
        ("s", ["1480599048.5", "1480599049", "1480599049.5e0"]),
        ("ms", ["1480599048500", "1480599049000", "1480599049500"]),
        ("us", ["1480599048500000", "1480599049000000", "1480599049500000"]),
        ("ns", ["1480599048500000000", "1480599049000000000", "1480599049500000000"]),
        ("%Y-%m-%d %H:%M:%S.%f", ["2016-12-01 13:30:48.5", "2016-12-01 13:30:49.0", "2016-12-01 13:30:49.500"]),
        ("%d.%m.%y %H:%M:%S.%f%z", ["1.12.16 14:30:48.5+0100", "1.12.16 14:30:49.0+0100", "1.12.16 14:30:49.5+0100"]),
    ],
)
def test_units_of_time(tmp_path, unit, texts):
    record, frames = only(tmp_path, [(f"{row}.jpg", text, 5 + row) for row, text in enumerate(texts)], time_unit=unit)
    assert record.rows == 3
    assert frames.column("timestamp_us").tolist() == [1_480_599_049_000_000]
    assert frames.column("accel_mps2").tolist() == [2.0]


@pytest.mark.parametrize(
    ("text", "command"),
    [("left", 0), ("STRAIGHT", 1), ("RoadOption.RIGHT", 2), ("Lane_Follow", 1), ("", 3), ("0", 0), ("2.0", 2),
     ("1.", 1), ("[0 1 0 0]", 1), ("0;0;1;0", 2), ("(0, 0, 0, 1)", 3),
     ("4", None), ("-1", None), ("up", None), ("0 1 1 0", None), ("0 0", None), ("nan", None)],
)  # fmt: skip
def test_commands(text, command):
    assert command_of(text, CsvConfig().commands) == command


def test_commands_in_carlas_order_and_strange_ones(tmp_path):
    rows = [(*row, command) for row, command in zip(STEADY, ["2", "1", "4", "-1", "3"], strict=True)]
    order = "unknown left right straight straight"
    record, frames = only(tmp_path, rows, "image,time,speed,hlc", command="hlc", command_order=order)
    assert frames.column("command").tolist() == [0, 1, 3]
    assert record.problems[0] == "t.csv: 1 row: no driving command, taken as unknown; the first: row 4: '-1'"


@pytest.mark.parametrize(
    ("given", "keep_parts", "kept"),
    [
        ("IMG/a.jpg", None, "IMG/a.jpg"),
        ("./IMG//a.jpg", None, "IMG/a.jpg"),
        ("IMG\\a.jpg", None, "IMG/a.jpg"),
        ("/Users/x/data/IMG/a.jpg", 2, "IMG/a.jpg"),
        ("C:\\data\\run 1\\IMG\\a.jpg", 3, "run 1/IMG/a.jpg"),
        ("../../IMG/a.jpg", 2, "IMG/a.jpg"),
        ("a.jpg", 2, "a.jpg"),
        ("{root}/IMG/a.jpg", None, "IMG/a.jpg"),
        ("/Users/x/IMG/a.jpg", None, None),
        ("C:\\IMG\\a.jpg", None, None),
        ("\\\\server\\IMG\\a.jpg", None, None),
        ("../a.jpg", None, None),
        ("IMG/../../a.jpg", None, None),
        ("../a.jpg", 2, None),
    ],
)
def test_paths_of_pictures(tmp_path, given, keep_parts, kept):
    rows = [*STEADY, (given.format(root=tmp_path), 2.5, 10), ("z.jpg", 3, 11), ("z1.jpg", 3.5, 11), ("z2.jpg", 4, 12)]
    record, frames = only(tmp_path, rows, keep_parts=keep_parts)
    if kept:
        assert frames.column("image").tolist()[4] == kept
        assert len(record.problems) == 1
    else:
        assert "the picture's path" in record.problems[0]
        assert f"row 6: {given!r}" in record.problems[0]


def test_odd_rows_are_counted_with_the_first_of_each(tmp_path):
    rows = [
        *STEADY,
        ("", 2.5, 9), ("x1.jpg", "", 9), ("x2.jpg", 2.5, ""), ("x3.jpg", "soon", 9), ("x4.jpg", 2.5, "1,5"),
        ("x5.jpg", 2.5, "nan"), ("a/0.jpg", 3.0, 9), ("x6.jpg", 3.0, 9), ("x7.jpg", 3.0, 9), ("x8.jpg", 3.5, 9), ("x",),
    ]  # fmt: skip
    record, frames = only(tmp_path, rows, accel="speed")
    assert record.rows == 16
    assert record.frames == len(frames) == 7
    assert [line.removeprefix("t.csv: ") for line in record.problems] == [
        "2 rows: not 3 cells; the first: 'x4.jpg,2.5,1,5'",
        "1 row: an empty cell of image; the first: row 6: ''",
        "1 row: an empty cell of time; the first: row 7: ''",
        "1 row: an empty cell of speed; the first: row 8: ''",
        "1 row: the time is not a number; the first: row 9: 'soon'",
        "1 row: the speed is not a number; the first: row 10: 'nan'",
        "1 row: the drive names this picture twice; the first: row 11: 'a/0.jpg'",
        "1 row: the same time as another row of the drive; the first: row 13: 'x7.jpg'",
    ]


# ---- drives


def test_drives_by_a_column_or_by_the_path_are_the_same(tmp_path):
    table = write(tmp_path / "t.csv", drives(3, 6), "image,time,speed,run")
    by_column, first = read(table, tmp_path / "one", drive="run")
    by_path, second = read(table, tmp_path / "two", drive_pattern=r"(d\d)/")
    assert by_column == by_path
    assert list(first) == ["d0", "d1", "d2"]
    for name, frames in first.items():
        assert frames.table.equals(second[name].table)
        assert set(frames.column("drive")) == {name}


def test_drives_at_pauses_and_in_pieces(tmp_path):
    table = write(tmp_path / "run.csv", drives(2, 12), "image,time,speed,run")
    _, logs = read(table, tmp_path / "pauses")
    assert list(logs) == ["run-00001", "run-00002"]
    assert [frames.column("timestamp_us")[0] for frames in logs.values()] == [500_000, 100_500_000]
    _, logs = read(table, tmp_path / "one", gap_s=0)
    assert list(logs) == ["run-00001"]
    assert len(logs["run-00001"]) == 2 * 10
    _, logs = read(table, tmp_path / "pieces", piece_s=3)
    assert [len(frames) for frames in logs.values()] == [4, 4, 4, 4]


def test_rows_of_a_drive_are_sorted_and_those_of_a_file_must_be(tmp_path):
    rows = drives(2, 6)
    mixed = [rows[place] for place in (2, 0, 1, 5, 4, 3, 6, 7, 8, 9, 10, 11)]
    header = "image,time,speed,run"
    _, straight = read(write(tmp_path / "t.csv", rows, header), tmp_path / "one", drive="run")
    record, sorted_ = read(write(tmp_path / "t.csv", mixed, header), tmp_path / "two", drive="run")
    assert straight["d0"].table.equals(sorted_["d0"].table)
    assert "3 rows: earlier than the row above; the drive was sorted by time; the first: row 2" in record.problems[0]
    with pytest.raises(UserError, match=r"row 2: the time goes back by 1 s; sort the file by time, or .*--csv.drive"):
        read(tmp_path / "t.csv", tmp_path / "three")
    write(tmp_path / "t.csv", [*rows[:3], *rows[6:9], *rows[3:6]], header)
    with pytest.raises(UserError, match="row 7: the drive 'd0' comes back after others; sort the file by drive"):
        read(tmp_path / "t.csv", tmp_path / "three", drive="run")
    assert not (tmp_path / "three").exists()


def test_a_picture_of_two_drives_is_refused(tmp_path):
    table = write(tmp_path / "t.csv", drives(2, 5), "image,time,speed,run")
    with pytest.raises(UserError, match=r"rows \d+ and \d+ belong to two drives, but name the same picture"):
        read(table, tmp_path / "out", drive="run", keep_parts=1)
    assert not (tmp_path / "out").exists()


# ---- one clear line


def refused(call, capsys):
    assert main([str(word) for word in call]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("rows", "options", "line"),
    [
        ([("a", 0, 120)], [], "row 1: the speed 120 mps is 120 mps, beyond 80; the unit is most likely kmh or mph"),
        ([("a", 0, 5), ("b", 1, 200)], ["--csv.speed_unit", "mph"], "row 2: the speed 200 mph is 89.41 mps, beyond 80"),
        ([("a", 0, 9e9)], [], "check the column"),
        ([("a", 0, 9.8)], ["--csv.accel", "speed", "--csv.accel_unit", "g"], "(--csv.accel_unit)"),
        ([("a", 1480599048500, 5)], [], "'1480599048500' lies beyond the year 2255 in s; the unit is most likely ms"),
        ([("a", "1.8e302", 5)], [], "'1.8e302' lies beyond the year 2255 in s"),
        ([("a", 1479424215877284179, 5)], ["--csv.time_unit", "us"], "the unit is most likely ns"),
        ([(n, 100 * n, 5) for n in range(9)], [], "rows lie 100 s apart (median of the first), if times are in s; "
                                                  "the unit is most likely ms"),
        ([(n, n / 10, 5) for n in range(9)], ["--csv.time_unit", "ms"], "the unit is most likely s"),
        ([(n, 9 - n, 5) for n in range(9)], [], "row 2: the time goes back by 1 s"),
        ([(f"/x/{n}", n / 10, 5) for n in range(9)], [], "9 rows: the picture's path is another machine's"),
        ([("a", 0, 5)], [], "no row gave a frame; 1 row: no acceleration"),
        ([], [], "no row gave a frame; it has no rows"),
        ([("a", 0, 5)], ["--csv.speed", "sped"], "has no column 'sped' (closest: 'speed'); its columns are"),
        ([("a", 0, 5)], ["--csv.drive", "3"], "has no column '3'; its columns are image, time, speed; name the right"),
        ([("a", 0, 5)], ["--csv.preset", "udacity"], "has no column 'center'; its columns are image, time, speed"),
        (STEADY, [], "1 drives cannot fill train, dev and test: a drive is never cut; name them with --csv.drive"),
        (STEADY, ["--csv.time_pattern", "([a-z"], "is not a regular expression"),
        (STEADY, ["--csv.drive_pattern", "a"], "has 0 groups; put exactly one"),
        (STEADY, ["--csv.time_unit", "min"], "csv.time_unit 'min' is unknown"),
        (STEADY, ["--csv.speed_unit", "knots"], "knots"),
        (STEADY, ["--csv.window_s", "0"], "csv.window_s should be at least 0.001"),
        (STEADY, ["--csv.keep_parts", "0"], "should be at least 1"),
        (STEADY, ["--csv.command_order", "left up"], "'up' is unknown"),
        (STEADY, ["--csv.delimiter", ", "], "one plain character"),
        (STEADY, ["--csv.drive", "a", "--csv.drive_pattern", "(a)"], "are both given"),
        (STEADY, ["--csv.root", "nowhere"], "nowhere does not exist"),
        (STEADY, ["--preset", "mini"], "are for NAVSIM logs"),
        (STEADY, ["--shard", "1/2"], "are for NAVSIM logs"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_leaves_nothing(tmp_path, capsys, rows, options, line):
    table = write(tmp_path / "t.csv", rows)
    said = refused(["index", table, tmp_path / "out", *options], capsys)
    assert line in said
    assert not (tmp_path / "out").exists() or "cannot fill" in line
    assert not (tmp_path / "out" / "index.json").exists()


def test_files_that_are_no_tables(tmp_path, capsys):
    out = tmp_path / "out"
    folder = tmp_path / "data"
    folder.mkdir()
    assert "holds 0 .csv files; give the path of one" in refused(["index", folder, out, "--source", "csv"], capsys)
    assert "is no .csv file" in refused(["index", folder, out, "--csv.gap_s", 3], capsys)
    assert "should be a table of camera frames (.csv)" in refused(["index", folder / "x.csv", out], capsys)
    (folder / "a.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    assert "cannot be read as CSV" in refused(["index", folder, out, "--source", "csv"], capsys)
    (folder / "a.csv").write_bytes(b"image,time,speed\n" + b"a,1,2\n" * 9 + b"\xff\xfe,1,2\n")
    assert "cannot be read as CSV" in refused(["index", folder, out, "--source", "csv"], capsys)
    (folder / "a.csv").write_text("\n\n")
    assert "is empty, or begins with an empty line" in refused(["index", folder, out, "--source", "csv"], capsys)
    write(folder / "a.csv", STEADY, "image,time,time,speed")
    assert "has 2 columns called 'time'" in refused(["index", folder, out, "--source", "csv"], capsys)
    (folder / "b.CSV").write_text("")
    assert "holds 2 .csv files (a.csv, b.CSV)" in refused(["index", folder, out, "--source", "csv"], capsys)
    assert not out.exists()
    (folder / "b.CSV").unlink()
    assert find_csv(folder) == folder / "a.csv"


def test_a_failed_reading_keeps_the_index_of_before(tmp_path):
    table = write(tmp_path / "t.csv", drives(4, 12), "image,time,speed,run")
    index_data(table, tmp_path / "out", ALL, source="csv", settings={"drive": "run"})
    before = files_of(tmp_path / "out")
    with table.open("a") as file:
        file.write("last.jpg,999,999,d9\n")
    with pytest.raises(UserError, match="row 49: the speed 999 mps"):
        index_data(table, tmp_path / "out", ALL, source="csv", settings={"drive": "run"})
    assert files_of(tmp_path / "out") == before
    FrameStore(tmp_path / "other" / "frames").write("log", None, FrameStore(tmp_path / "out" / "frames").record("d0"))
    with pytest.raises(UserError, match="holds frames of another source"):
        index_data(table, tmp_path / "other", ALL, source="csv", settings={"drive": "run"})


# ---- what contradicts itself


def test_decimal_commas_are_read_if_they_are_meant(tmp_path, capsys):
    _, points = read(write(tmp_path / "p.csv", drives(1, 12), "image,time,speed,run"), tmp_path / "p", drive="run")
    rows = [";".join(map(str, row)) for row in drives(1, 12)]
    table = tmp_path / "c.csv"
    rows = [row.replace(".5;", ",5;").replace(".0;", ",0;") for row in rows]
    table.write_text("\n".join(["image;time;speed;run", *rows]) + "\n")
    _, commas = read(table, tmp_path / "c", decimal=",", drive="run", delimiter=";")
    assert commas["d0"].table.equals(points["d0"].table)
    assert len(commas["d0"]) == 10
    table.write_text("image;time;speed\n" + "".join(f"{n}.jpg;{n},5;{n}\n" for n in range(9)))
    for words, line in (
        (["--csv.delimiter", ";"], "row 1: the time '0,5' has a decimal ','; give --csv.decimal ,"),
        (["--csv.delimiter", ",", "--csv.decimal", ","], "csv.decimal ',' should be . or , and another"),
    ):
        assert line in refused(["index", table, tmp_path / "out", *words], capsys)
    table.write_text("image;time;speed\n" + "".join(f"{n}.jpg;{n};{n}.25\n" for n in range(9)))
    words = ["index", table, tmp_path / "out", "--csv.delimiter", ";", "--csv.decimal", ","]
    assert "row 1: the speed '0.25' has a decimal '.'; give --csv.decimal ." in refused(words, capsys)


def test_a_lost_comma_is_one_bad_row(tmp_path):
    rows = [*((f"{n}.jpg", n / 2, 5 + n) for n in range(9)), ('"x.jpg"', '"5,5"', 9)]
    record, _ = only(tmp_path, rows)
    assert record.problems[0] == "t.csv: 1 row: the time is not a number; the first: row 10: '5,5'"
    assert record.faulty == 1


def test_columns_of_unequal_length_side_by_side_are_refused(tmp_path, capsys):
    """1,200 pictures at 20 Hz beside 6,000 speeds at 100 Hz."""
    rows = [(f"{n}.jpg" if n < 1200 else "", n / 20 if n < 1200 else "", 8 + n % 7) for n in range(6000)]
    table = write(tmp_path / "t.csv", rows)
    said = refused(["index", table, tmp_path / "out", "--csv.piece_s", 6], capsys)
    assert "4,800 of 6,000 rows have no image, 4,800 of them the last of the file" in said
    record, _ = read(table, tmp_path / "out", max_empty=1)
    assert (record.rows, record.faulty) == (6000, 4800)
    rows = [(f"{n}.jpg", n / 20, 8 + n % 7 if n < 600 else "") for n in range(700)]
    write(tmp_path / "t.csv", rows)
    assert "100 of 700 rows have no speed" in refused(["index", table, tmp_path / "other"], capsys)


def test_rows_of_nothing_at_the_end_are_a_spreadsheets(tmp_path):
    record, frames = only(tmp_path, [*STEADY, *[("", "", "")] * 200])
    assert len(frames) == 3
    assert record.faulty == 0
    assert record.problems[0] == "t.csv: 200 rows: no cell that is read has anything in it; the first: row 6: ''"


@pytest.mark.parametrize(("speed", "settings"), [(0, {}), (0, {"accel": "speed"}), (8.5, {})])
def test_a_speed_that_never_changes_is_another_column(tmp_path, speed, settings):
    rows = [(f"{n}.jpg", n / 2, speed) for n in range(12)]
    with pytest.raises(UserError, match=f"every speed is {speed}, so the column 'speed' most likely holds something"):
        only(tmp_path, rows, **settings)


def test_a_picture_that_is_a_number_is_another_column(tmp_path):
    rows = [(f"{n}.jpg", n / 2, n / 4) for n in range(12)]
    with pytest.raises(UserError, match=r"row 1: the picture '0\.0' is a number; .* with --csv\.image"):
        only(tmp_path, rows, image="speed")
    only(tmp_path, [(f"{n:06d}", n / 2, n) for n in range(12)])  # a name without a suffix


def test_a_drive_for_every_row_is_another_column(tmp_path):
    rows = [(f"{n}.jpg", n / 2, n % 9, f"d{n}") for n in range(9000)]
    with pytest.raises(UserError, match=r"drives in .* rows; the column or pattern of the drive most likely names"):
        only(tmp_path, rows, "image,time,speed,run", drive="run")


def test_a_drive_of_too_many_rows_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("roadstill.sources.csv.drives._MOST_ROWS", 5000)
    rows = [(f"{n}.jpg", n / 2, n % 9) for n in range(20_000)]
    with pytest.raises(UserError, match=r"the drive 't-00001' has more than 5,000 rows; .*--csv\.piece_s"):
        only(tmp_path, rows)


@pytest.mark.parametrize("shift_s", [0.5, 0.0])
def test_an_acceleration_of_another_time_is_said(tmp_path, shift_s):
    times = np.arange(1200) / 20
    speed, accel = 8 + 3 * np.sin(times), 3 * np.cos(times + shift_s)
    rows = [(f"{n}.jpg", times[n], speed[n], accel[n], f"d{n // 200}") for n in range(1200)]
    table = write(tmp_path / "t.csv", rows, "image,time,speed,acc,run")
    settings = {"accel": "acc", "drive": "run"}
    found = index_data(table, tmp_path / "out", ALL, source="csv", settings=settings)
    said = [note for note in found.notes if "accelerations fit the change of speed 0.5 s later best" in note]
    assert len(said) == bool(shift_s)


def test_an_acceleration_of_the_other_sign_is_refused(tmp_path, capsys):
    rows = [(*row[:2], 8 + 3 * np.sin(row[1]), -3 * np.cos(row[1]), row[3]) for row in drives(6, 60)]
    table = write(tmp_path / "t.csv", rows, "image,time,speed,acc,run")
    words = ["index", table, tmp_path / "out", "--csv.accel", "acc", "--csv.drive", "run"]
    said = refused(words, capsys)
    assert "accelerations have the sign of the change of speed in 0% of" in said
    assert "--doubtful keep" in said
    assert main([str(word) for word in [*words, "--doubtful", "keep"]]) == 0
    assert "have the other sign" in capsys.readouterr().out


# ---- the whole


def test_equal_tables_give_equal_bytes_and_are_read_once(tmp_path, monkeypatch):
    table = write(tmp_path / "t.csv", drives(5, 12), "image,time,speed,run")
    by_run = {"source": "csv", "settings": {"drive": "run"}}
    found = index_data(table, tmp_path / "one", ALL, **by_run)
    index_data(table, tmp_path / "two", ALL, **by_run)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert found.counts == {"logs": 5, "broken_logs": 0, "entries": 60, "broken_entries": 10}
    tokens = np.concatenate(
        [open_frames(tmp_path / "one" / f"{name}.parquet").column("token") for name in found.frames]
    )
    assert len(set(tokens)) == len(tokens) == 50

    monkeypatch.setattr("roadstill.sources.csv.table.read_rows", None)
    loose = IndexConfig(filter=FrameFilter(None, 1.0, None))
    assert index_data(table, tmp_path / "two", loose, **by_run).frames != found.frames
    monkeypatch.undo()
    FrameStore(tmp_path / "two" / "frames").path("d3").write_bytes(b"torn")
    index_data(table, tmp_path / "two", ALL, **by_run)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


WATCHED = """
import sys, tracemalloc
from pathlib import Path
import pyarrow as pa
from roadstill.sources.csv.config import CsvConfig
from roadstill.sources.csv.table import read_csv

def table(name, rows):
    path = Path(name + ".csv")
    with path.open("w") as file:
        file.write("image,time,speed,run\\n")
        for row in range(rows):
            file.write(f"camera/{row:09d}.jpg,{1.6e9 + row / 10:.1f},{10 + row % 7},r{row // 500:05d}\\n")
    return path, Path(name), CsvConfig(drive="run").resolved(path)

def watch(done, total):
    print(tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes())

read_csv(*table("first", 1000))  # what it imports on the way does not count
tracemalloc.start()
assert read_csv(*table("second", int(sys.argv[1])), progress=watch).frames > 0.9 * int(sys.argv[1])
"""


def test_memory_does_not_grow_with_the_table(tmp_path):
    # In a process of its own: paths are interned, and the table of these grows by leaps where other tests have run.
    rows = 75_000
    command = [sys.executable, "-c", WATCHED, str(rows)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    held = [int(line) for line in done.stdout.split()]
    middle = len(held) // 2
    assert middle > 10
    # 16 bytes a row are kept to find pictures that two drives name; its text alone takes 45. Least values, since what
    # the reader has ready in the background comes and goes.
    assert min(held[middle:]) < min(held[:middle]) + rows / 2 * 30


def udacity(root, *, header, drives=6, rows=40):
    """A recording as Udacity's simulator leaves it: absolute paths, mph, the time in the pictures' names."""
    (root / "IMG").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["center,left,right,steering,throttle,brake,speed"] if header else []
    moment = datetime(2016, 12, 1, 23, 59, 48, 287_000)
    for _ in range(drives):
        speed_mph = 20.0
        for _ in range(rows):
            speed_mph = float(np.clip(speed_mph + rng.normal(0, 2), 10, 30))
            stamp = f"{moment:%Y_%m_%d_%H_%M_%S}_{moment.microsecond // 1000:03d}.jpg"
            Image.new("RGB", (32, 16), tuple(rng.integers(0, 255, 3).tolist())).save(root / "IMG" / f"center_{stamp}")
            cells = [f"IMG/{side}_{stamp}" if header else f"/Users/x/data/IMG/{side}_{stamp}"
                     for side in ("center", "left", "right")]  # fmt: skip
            lines.append(", ".join([*cells, "0", "1", "0", f"{speed_mph:.4f}"]))
            moment += timedelta(milliseconds=100)
        moment += timedelta(minutes=1)
    (root / "driving_log.csv").write_text("\n".join(lines) + "\n")
    return root


def test_from_a_recording_of_udacitys_simulator_to_image_sets(tmp_path, capsys):
    sets = []
    for header in (False, True):
        data = udacity(tmp_path / f"data{header}", header=header)
        gone = sorted((data / "IMG").iterdir())[20:23]
        for path in gone:
            path.unlink()
        index, out = tmp_path / f"index{header}", tmp_path / f"sets{header}"
        call = ["index", data, index, "--source", "csv", "--csv.preset", "udacity", "--verify"]
        call += ["--filter.min_abs_accel_mps2", "0.2"]
        assert main([str(word) for word in call]) == 3
        told = capsys.readouterr().out
        assert "the table does not name its drives: it was cut at pauses over 10 s; a road" in told
        assert "240 rows gave 180 frames of 6 drives" in told
        assert "the rule `command == straight` is switched off" in told
        lacking = (index / "lacking.txt").read_text().split()
        assert set(lacking) <= {f"IMG/{path.name}" for path in gone}
        assert f"{len(lacking)} pictures are missing or truncated" in told
        assert main(["prepare", str(index), str(out), "--size_px", "16"]) == 3
        told = capsys.readouterr().out
        assert f"({len(lacking)} pictures missing, see missing.txt)" in told
        known = open_index(index)
        assert known["source"] == "csv"
        assert known["config"]["filter"]["command"] is None
        for part in ("train", "dev", "test"):
            about = json.loads((out / part / "set.json").read_text())
            facts = [json.loads(line) for line in (out / part / "metadata.jsonl").read_text().splitlines()]
            assert about["class_names"] == ["not_brake", "brake"]
            assert all(fact["label"] == (fact["accel_mps2"] < 0) for fact in facts)
            assert all(3 < fact["speed_mps"] < 30 * 0.44704 + 1e-9 for fact in facts)
            sets.append([(fact["digest"], fact["token"]) for fact in facts])
    assert sets[:3] == sets[3:]


def test_columns_by_number_and_commands_keep_the_filter(tmp_path, capsys):
    rows = [(*row, ["straight", "left"][place % 2]) for place, row in enumerate(drives(4, 20))]
    table = write(tmp_path / "frames.csv", rows, header="")
    numbers = {"image": 0, "time": 1, "speed": 2, "drive": 3, "command": 4}
    options = [f"--csv.{name}={number}" for name, number in numbers.items()]
    assert main(["index", str(table), str(tmp_path / "out"), *options]) == 0
    told = capsys.readouterr().out
    assert "command == straight" in told
    assert "switched off" not in told
    assert "does not name its drives" not in told
    frames = open_frames(tmp_path / "out" / "train.parquet")
    assert set(frames.column("command")) == {1}
    assert set(frames.column("drive")) <= {"d0", "d1", "d2", "d3"}
