"""Bad indexes: their record, their frame tables, the lists of names that choose frames, and trees without logs."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hostile import Case, check, copied, each, edited
from moving_logs import write_logs

PREPARE = ("prepare", "index", "out", "--size_px", 16, "--sensors", "world/sensor_blobs/mini")
SELECT = ("select", "--from_index", "index", "out", "--method", "dynamics", "--per_class", 1)


def record(name, says, change, words=PREPARE):
    """A case whose index.json is changed."""

    def command(folder, good):
        edited(copied(good, "index", folder) / "index.json", change)
        return words

    return Case(name, command, says)


def raw(name, says, text, words=PREPARE, file="index.json"):
    """A case whose index.json, or another file, holds this text."""

    def command(folder, good):
        (copied(good, "index", folder) / file).write_bytes(text)
        return words

    return Case(name, command, says)


def column(name, says, which, change, words=PREPARE):
    """A case of another column in the train part."""

    def command(folder, good):
        path = copied(good, "index", folder) / "train.parquet"
        table = pq.read_table(path)
        place = table.column_names.index(which)
        values = change(table.column(which).to_pylist())
        kept = table.schema.field(which).type
        array = values if isinstance(values, pa.Array) else pa.array(values, kept)
        pq.write_table(table.set_column(place, which, array), path)
        return words

    return Case(name, command, says)


def first(value):
    """A change of the first cell alone."""
    return lambda cells: [value, *cells[1:]]


def listed(name, says, text, suffix="txt"):
    """A case of a list of tokens."""

    def command(folder, good):
        write_logs(folder / "logs", [0] * 3)
        path = folder / f"tokens.{suffix}"
        path.write_bytes(text() if callable(text) else text)
        return "index", "logs", "out", "--scenes.tokens", path

    return Case(name, command, says)


def tree(name, says, *paths, options=()):
    """A case of a data root with these files alone."""

    def command(folder, good):
        for path in paths:
            (folder / "data" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "data" / path).touch()
        return "index", "data", "out", *options

    return Case(name, command, says)


def motion(name, says, **settings):
    """A case of logs whose motion contradicts itself."""
    return Case(
        name,
        lambda folder, good: (write_logs(folder / "logs", [70] * 6, **settings), ("index", "logs", "out"))[1],
        says,
        writes=("out",),
    )


BOMB = b"a: &a [x, x]\n" + b"".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n".encode() for n in range(24)
)
CASES = [
    record("data-number", r"index\.json, data: Expected `str`, got `int`", lambda known: known.update(data=7)),
    record("sensors-list", r"index\.json, sensors: Expected `str`", lambda known: known.update(sensors=[])),
    record("frames-list", r"index\.json, frames: Expected `object`", lambda known: known.update(frames=[1])),
    record("frames-negative", r"index\.json, frames", lambda known: known["frames"].update(train=-1)),
    record("frames-text", r"index\.json, frames", lambda known: known["frames"].update(train="9")),
    record("frames-of-other-parts", r"index\.json, .*frames|key", lambda known: known["frames"].update({"../x": 1})),
    record("logs-number", r"index\.json, logs: Expected `str", lambda known: known.update(logs=3)),
    record("config-list", r"index\.json, config: Expected", lambda known: known.update(config=[])),
    record("keys-missing", r"index\.json.*missing required field", lambda known: {"data": ""}),
    record("list", r"index\.json: Expected `object`, got `array`", lambda known: [known]),
    record("text", r"index\.json: Expected `object`, got `str`", lambda known: "index"),
    record("select-data-number", r"index\.json, data: Expected", lambda known: known.update(data=7), SELECT),
    record("select-frames-missing", r"has no part dev", lambda known: known["frames"].pop("dev") and None, SELECT),
    raw("deep", r"index\.json cannot be read as JSON: its lists lie too deep", b"[" * 100_000),
    raw("digits", r"index\.json cannot be read as JSON", b'{"frames": ' + b"9" * 6000 + b"}"),
    raw("binary", r"index\.json cannot be read", bytes(range(256))),
    raw("parquet-empty", r"train\.parquet cannot be read as Parquet", b"", file="train.parquet"),
    raw("parquet-text", r"train\.parquet cannot be read as Parquet", b"hello" * 99, file="train.parquet"),
    raw("select-parquet-text", r"train\.parquet cannot be read as Parquet", b"hello" * 99, SELECT, "train.parquet"),
    column("accel-nan", r"train\.parquet: the frame table holds nan in row 0, column accel_mps2", "accel_mps2",
           first(float("nan"))),
    column("accel-inf", r"holds -inf in row 0, column accel_mps2", "accel_mps2", first(float("-inf"))),
    column("speed-nan", r"holds nan in row 0, column speed_mps", "speed_mps", first(float("nan"))),
    column("select-accel-nan", r"holds nan in row 0, column accel_mps2", "accel_mps2", first(float("nan")), SELECT),
    column("command-9", r"holds 9 in row 0, column command", "command", first(9)),
    column("command-negative", r"holds -1 in row 0, column command", "command", first(-1)),
    column("accel-empty", r"has empty cells in \['accel_mps2'\]", "accel_mps2", first(None)),
    column("accel-text", r"column of the wrong type", "accel_mps2", lambda cells: pa.array(["x"] * len(cells))),
    column("one-class", r"index: the part train has no frame of the class brake \(\d+ in all\)", "accel_mps2",
           lambda cells: np.full(len(cells), 2.0)),
    record("no-picture-there", r"none of the \d+ pictures was found; the first: world/sensor_blobs/mini/",
           lambda known: known.update(data="elsewhere")),
    listed("tokens-none", r"tokens\.txt names nothing", b"# nothing\n\n"),
    listed("tokens-binary", r"tokens\.txt cannot be read: it is no text", bytes(range(128, 256))),
    listed("tokens-deep", r"tokens\.yaml.* (lists lie|nesting)", b"[" * 100_000, "yaml"),
    listed("tokens-aliases", r"tokens\.yaml.*values once its aliases", BOMB, "yaml"),
    listed("tokens-tag", r"tokens\.yaml cannot be read as YAML", b"!!python/object/apply:os.system [ls]", "yaml"),
    listed("tokens-of-other-kinds", r"tokens should be a list of names", b"tokens: [true, null]", "yaml"),
    listed("tokens-of-100-megabytes", r"tokens\.txt is longer than 64 MiB", lambda: b"x" * (100 * 2**20)),
    Case("tokens-pipe", lambda folder, good: (write_logs(folder / "logs", [0] * 3), os.mkfifo(folder / "t.txt"),
         ("index", "logs", "out", "--scenes.tokens", "t.txt"))[2], r"t\.txt is not a file"),
    tree("pictures-alone", r"it holds pictures \(data/sensor_blobs/test\) but not their logs",
         "sensor_blobs/test/l/CAM_F0/a.jpg"),
    tree("logs-deep", r"logs lie in data/a/meta_datas/test; give that path", "a/meta_datas/test/l.pkl"),
    tree("logs-apart", r"\*\.pkl files lie in 2 folders below it", "logs/a/a.pkl", "logs/b/b.pkl"),
    tree("no-logs", r"nor in navsim_logs/<split>, meta_datas/<split> or \*_navsim_logs/<split>", "notes.txt"),
    tree("other-split", r"has no logs of the split 'mini'; it has test", "navsim_logs/test/l.pkl",
         options=("--split", "mini")),
    motion("velocities-of-the-map", r"none of the 6 logs can be read; .*along the axes of the map", axes="map"),
    motion("velocities-to-the-left", r"none of the 6 logs is usable; .*sideways.*--doubtful keep", axes="left"),
    motion("accelerations-turned", r"none of the 6 logs is usable; .*the other sign", poses=False, sign=-1.0),
]  # fmt: skip


@each(CASES)
def test_a_bad_index(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
