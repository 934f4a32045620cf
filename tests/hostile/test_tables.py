"""Bad tables of camera frames."""

import os

from hostile import Case, check, each

HEAD = "image,time,speed,run"
PARTLY = r"part of the input could not be read"
MADE = ("out",)


def rows(drives=4, each_drive=12):
    """Cells of whole drives."""
    return [
        [f"d{drive}/{row}.jpg", f"{100 * drive + row / 2}", f"{8 + 3 * (-1) ** (row // 4)}", f"d{drive}"]
        for drive in range(drives)
        for row in range(each_drive)
    ]


def text(lines, head=HEAD):
    return "".join(f"{line}\n" for line in ([head] if head else []) + [",".join(each) for each in lines])


def index(*options):
    return ("index", "t.csv", "out", "--csv.drive", "run", "--filter.min_abs_accel_mps2", "0", *options)


def whole(name, says, data, *options, code=2, writes=()):
    """A case whose file holds this text, or these bytes."""

    def command(folder, good):
        made = data() if callable(data) else data
        (folder / "t.csv").write_bytes(made if isinstance(made, bytes) else made.encode())
        return index(*options)

    return Case(name, command, says, code, writes)


def cell(name, says, column, value, *options, row=5, code=3, writes=None):
    """A case of one odd cell in a table that is right otherwise."""

    def data():
        lines = rows()
        lines[row][column] = value
        return text(lines)

    writes = (MADE if code == 3 else ()) if writes is None else writes
    return whole(name, says, data, *options, code=code, writes=writes)


def column(name, says, change, *options, head=HEAD, code=2):
    """A case of which every row is changed."""
    return whole(name, says, lambda: text([change(*line) for line in rows()], head), *options, code=code)


def placed(name, says, place):
    """A case that puts something else where the table should be."""
    return Case(name, lambda folder, good: (place(folder), index())[1], says)


def ramps():
    """Drives that gain and lose 2 m/s each second, in turn."""
    lines = enumerate(rows(4, 48))
    return [[*line[:2], str(8 - abs(row % 12 - 6)), line[3], "2" if row % 12 < 6 else "-2"] for row, line in lines]


def slow_pattern(folder, good):
    lines = [("a" * 60 + f"!{image}", *others) for image, *others in rows()]
    (folder / "t.csv").write_text(text(lines))
    return "index", "t.csv", "out", "--csv.drive_pattern", "((?:a|a)+)$"


CASES = [
    cell("nul-in-image", PARTLY, 0, "a\0.jpg"),
    cell("nul-in-speed", PARTLY, 2, "8\0"),
    cell("nul-in-drive", PARTLY, 3, "d0\0"),
    cell("nan-speed", PARTLY, 2, "nan"),
    cell("inf-speed", PARTLY, 2, "inf"),
    cell("speed-1e400", PARTLY, 2, "1e400"),
    cell("speed-underscore", PARTLY, 2, "1_0"),
    cell("speed-arabic", PARTLY, 2, "٣"),
    cell("speed-of-a-megabyte", PARTLY, 2, "9" * 100_000),
    cell("speed-empty", PARTLY, 2, ""),
    cell("time-text", PARTLY, 1, "soon"),
    cell("time-backwards", PARTLY, 1, "1"),
    cell("time-twice", PARTLY, 1, "2.0"),
    cell("image-twice", PARTLY, 0, "d0/3.jpg"),
    cell("image-climbs", PARTLY, 0, "../../etc/passwd"),
    cell("image-absolute", PARTLY, 0, "/etc/passwd"),
    cell("image-of-windows", PARTLY, 0, "C:\\\\x\\\\a.jpg"),
    cell("image-surrogates", PARTLY, 0, "d0/" + "x" * 300 + ".jpg"),
    cell("drive-escape", PARTLY, 3, "\x1b[2J", row=11),
    cell("drive-long", PARTLY, 3, "d" * 3000, row=11),
    cell("open-quote", r"1 drives cannot fill .* \(rows without a frame: t\.csv: 1 row: not 4 cells", 0,
         '"d0/5.jpg', code=2, writes=MADE),
    cell("too-many-cells", PARTLY, 2, "8,8,8"),
    cell("speed-kmh", r"t\.csv, row 6: the speed 120 mps is .*most likely kmh", 2, "120", code=2),
    cell("time-1e300", r"t\.csv, row 6: the time '1e300' lies beyond the year 2255", 1, "1e300", code=2),
    cell("drive-again", r"t\.csv, row 25: the drive 'd0' comes back after others", 3, "d0", row=24, code=2),
    whole("empty", r"t\.csv is empty", ""),
    whole("blank", r"t\.csv is empty, or begins with an empty line", "\n\n\n"),
    whole("header-alone", r"t\.csv cannot be read as CSV: it has no rows", HEAD),
    whole("utf-16", r"t\.csv cannot be read as CSV: it is no text in UTF-8", lambda: text(rows()).encode("utf-16")),
    whole("latin-1", r"t\.csv cannot be read as CSV: it is no text in UTF-8",
          lambda: text(rows()).encode() + b"\xe9,1,2,d9\n"),
    whole("torn-and-latin-1", r"t\.csv cannot be read as CSV: it is no text in UTF-8 after",
          lambda: text(rows(40)).encode() + b"\xe9,1\n"),
    whole("binary", r"t\.csv cannot be read as CSV", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50),
    whole("a-hundred-megabytes-in-a-cell", r"t\.csv cannot be read as CSV: a line after row 0 is longer than 131,072",
          lambda: HEAD.encode() + b"\n" + b"a" * 100_000_000),
    whole("a-header-of-megabytes", r"t\.csv: its first line is longer than 65,536", lambda: b"image," * 2_000_000),
    whole("ten-thousand-columns", r"t\.csv: no row gave a frame; 30 rows: not 10,?004 cells|no row gave a frame",
          lambda: HEAD + ",x" * 10_000 + "\n" + text(rows(), None)[:900]),
    whole("columns-twice", r"t\.csv has 2 columns called 'time'", text(rows(), "image,time,time,run")),
    whole("column-missing", r"t\.csv has no column 'speed'.*--csv\.speed", text(rows(), "image,time,v,run")),
    whole("no-end-of-line", r"is longer than 65,536", lambda: b"\0" * 5_000_000),
    whole("semicolons", r"cells seem to lie between ';': give --csv\.delimiter", text(rows()).replace(",", ";")),
    column("decimal-commas", r"the speed '8,5' has a decimal ','; give --csv\.decimal ,",
           lambda image, time, speed, run: (image, time, '"8,5"', run)),
    column("image-a-number", r"the picture '0\.0' is a number; .*--csv\.image",
           lambda image, time, speed, run: (time, time, speed, run)),
    column("speed-zero", r"every speed is 0, so the column 'speed'",
           lambda image, time, speed, run: (image, time, "0", run)),
    column("all-torn", r"no row gave a frame; 48 rows: not 4 cells",
           lambda image, time, speed, run: (image, time, speed)),
    column("all-elsewhere", r"48 rows: the picture's path is another machine's",
           lambda image, time, speed, run: (f"/x/{image}", time, speed, run)),
    column("a-picture-of-two-drives", r"belong to two drives, but name the same picture",
           lambda image, time, speed, run: (image[3:], time, speed, run)),
    whole("side-by-side", r"30 of 78 rows have no image, 30 of them the last of the file; .*--csv\.max_empty 1",
          lambda: text(rows()) + ",,8,\n" * 30),
    whole("other-sign", r"accelerations have the sign of the change of speed in 0% of .*--doubtful keep",
          lambda: text([(*line, f"-{a}".replace("--", "")) for *line, a in ramps()], f"{HEAD},a"), "--csv.accel", "a",
          writes=MADE),
    column("time-in-another-unit", r"rows lie 1e-06 s apart", lambda image, time, speed, run: (image, time, speed, run),
           "--csv.time_unit", "us"),
    Case("pattern-backtracks", slow_pattern, r"csv\.drive_pattern .* takes too long on 'aaaa.*without repetitions of"),
    whole("pattern-huge", r"csv\.time_pattern '\(a\{1000000000\}\)' is too large", text(rows()),
          "--csv.time_pattern", "(a{1000000000})"),
    whole("pattern-nested", r"is too large; use at most", text(rows()), "--csv.time_pattern",
          "((?:(?:a{100}){100}){100})"),
    whole("pattern-of-no-group", r"has 0 groups; put exactly one", text(rows()), "--csv.time_pattern", "a"),
    whole("pattern-broken", r"is not a regular expression", text(rows()), "--csv.time_pattern", "((((("),
    whole("format-twice", r"csv\.time_unit '%d %d' is not a strptime format", text(rows()), "--csv.time_unit", "%d %d"),
    whole("format-odd", r"csv\.time_unit '%Q' is not a strptime format", text(rows()), "--csv.time_unit", "%Q"),
    whole("format-endless", r"is not a strptime format: over 100 letters", text(rows()), "--csv.time_unit", "%Y" * 999),
    whole("delimiter-long", r"csv\.delimiter 'ab' should be one", text(rows()), "--csv.delimiter", "ab"),
    whole("decimal-twice", r"csv\.decimal ',' should be", text(rows()), "--csv.decimal", ","),
    whole("share-odd", r"csv\.max_empty 7\.0 should be a share", text(rows()), "--csv.max_empty", "7"),
    whole("accel-absent", r"has no column 'ax'", text(rows()), "--csv.accel", "ax"),
    whole("a-drive-a-row", r"the column or pattern of the drive most likely names frames instead",
          lambda: text([(f"{n}.jpg", f"{n / 2}", f"{n % 9}", f"d{n}") for n in range(9000)])),
    placed("pipe", r"t\.csv is a pipe or a device, not a file", lambda folder: os.mkfifo(folder / "t.csv")),
    placed("device", r"t\.csv is a pipe or a device", lambda folder: (folder / "t.csv").symlink_to("/dev/zero")),
    placed("loop", r"t\.csv does not exist", lambda folder: (folder / "t.csv").symlink_to(folder / "t.csv")),
    placed("folder", r"t\.csv holds 0 \.csv files|is no \.csv file", lambda folder: (folder / "t.csv").mkdir()),
    placed("missing", r"t\.csv does not exist", lambda folder: None),
]  # fmt: skip


@each(CASES)
def test_a_bad_table(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
