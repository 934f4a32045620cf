"""Sources by name or dotted path: one's own from index to sets and in a recipe, CSV in a recipe, one-line errors."""

import json
import sys
from types import SimpleNamespace

import made_drives
import pytest
import yaml

from roadstill.cli import main
from roadstill.data.indexing import IndexConfig, index_data
from roadstill.data.sources import SOURCES, find_source, has_pictures_only, open_frames_of
from roadstill.data.storing import TablesSource
from roadstill.errors import UserError
from roadstill.frames import open_frames
from roadstill.frames.filters import FrameFilter
from roadstill.frames.splits import open_index
from roadstill.imagesets import open_imageset
from roadstill.pipeline.data import make_index
from roadstill.pipeline.road import Road
from roadstill.recipes import parse_recipe, read_recipe
from roadstill.runs import plain
from roadstill.sources.base import FrameSource, StoringSource

pytestmark = pytest.mark.usefixtures("trusted")

OWN = "made_drives.Drives"
AGENT = {"network": "convnet", "steps": 3, "image_px": 16}
TOY = {"per_class": 2, "seeds": 3, "agent": AGENT, "full_agent": AGENT, "image_px": 16, "cluster_by": "drive"} | {
    "arms": {"random": {"kind": "random", "label": "random"}, "medoids": {"kind": "per_drive", "label": "per drive"}}
}


def call(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made_drives.record(tmp_path_factory.mktemp("drives") / "data")


def run_toy(tmp_path, **fields):
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(TOY | {"name": "toy"} | fields))
    out = tmp_path / "run"
    assert call("run", path, "--out", out, "--workers", 1) == 0
    return out


# ---- one's own


def test_a_strangers_frames_become_an_index_and_sets(data, tmp_path, capsys):
    settings = json.dumps({"location": "Bonn"})
    assert call("index", data, tmp_path / "index", "--source", OWN, "--source_settings", settings) == 0
    told = capsys.readouterr().out
    assert told.startswith("12 drives\nno frame has a command: all are unknown, and the rule `command == straight` is")
    known = open_index(tmp_path / "index")
    assert known["counts"] == {"logs": 12, "broken_logs": 0, "entries": 48, "broken_entries": 0}
    assert (known["source"], known["source_settings"]) == (OWN, {"location": "Bonn"})
    assert known["config"]["filter"]["command"] is None
    parts = [open_frames(tmp_path / "index" / f"{name}.parquet") for name in ("train", "dev", "test")]
    assert sum(map(len, parts)) == 48
    assert set(parts[0].column("location")) == {"Bonn"}
    assert call("prepare", tmp_path / "index", tmp_path / "sets", "--size_px", 8) == 0
    train = open_imageset(tmp_path / "sets" / "train")
    assert train.class_names == ("not_brake", "brake")
    red, green = train.pixels([0])[0].mean((0, 1))[:2]
    assert (red > green) == bool(train.labels[0])
    assert train.about["missing"] == 0


def test_a_strangers_source_in_a_recipe(data, tmp_path):
    out = run_toy(tmp_path, source=OWN, data=str(data), source_settings={"location": "Bonn"})
    comparison = json.loads((out / "comparison.json").read_text())
    assert set(comparison["arms"]) == {"random", "medoids"}
    assert set(open_imageset(out / "sets" / "test").column("location")) == {"Bonn"}
    page = (out / "report.html").read_text()
    assert "Filter funnel" in page
    assert "were taken as they are" not in page
    assert yaml.safe_load((out / "recipe.yaml").read_text())["source_settings"] == {"location": "Bonn"}


def test_other_settings_or_mended_code_make_another_index(data, tmp_path, monkeypatch):
    def key(folder, **fields):
        recipe = parse_recipe(TOY | {"name": "t", "source": OWN, "data": str(data)} | fields, where="test")
        road = Road(recipe, tmp_path / folder)
        road.stage("world", str(data))
        make_index(road)
        return road.stages["index"].key

    first = key("run")
    assert key("run") == first
    assert key("bonn", source_settings={"location": "Bonn"}) != first
    assert key("left", source="made_drives.with_commands", index={"filter": {"command": "left"}}) != first
    monkeypatch.setattr("roadstill.data.sources.digest_code", lambda code: "mended")
    assert key("mended") != first
    with pytest.raises(UserError, match=r"stage index, code: [0-9a-f]{16}, now mended"):
        key("run")


def test_a_function_may_give_the_source_and_its_commands_count(data, tmp_path):
    found = index_data(
        data, tmp_path, IndexConfig(filter=FrameFilter(command="left")), source="made_drives.with_commands"
    )
    assert found.funnel.rows[1].rule == "command == left"
    assert found.funnel.rows[1].left == 48
    with pytest.raises(UserError, match="the rule `command == straight` removed all"):
        index_data(data, tmp_path, IndexConfig(), source="made_drives.with_commands")


def test_ones_own_pictures_need_no_index(tmp_path, capsys):
    own = "made_drives.Colours"
    settings = ["--source", own, "--source_settings", '{"count": 3}']
    assert call("prepare", tmp_path, tmp_path / "sets", "--size_px", 8, *settings) == 0
    assert capsys.readouterr().out.startswith("three colours\n")
    assert open_imageset(tmp_path / "sets" / "dev").counts() == {"red": 3, "green": 3, "blue": 3}
    out = run_toy(tmp_path, source=own, data=str(tmp_path), protocol="literature")
    assert sorted(path.name for path in (out / "sets").iterdir()) == ["test", "train"]
    page = (out / "report.html").read_text()
    assert "were taken as they are" in page
    assert "Filter funnel" not in page
    assert call("index", tmp_path, tmp_path / "index", "--source", own) == 2
    assert "needs no index; run `roadstill prepare`" in capsys.readouterr().err
    assert call("prepare", tmp_path, tmp_path / "sets", "--source", OWN) == 2
    assert "run `roadstill index` first" in capsys.readouterr().err


# ---- those with a name


def test_all_names_can_stand_in_a_recipe():
    for name in SOURCES:
        recipe = parse_recipe(TOY | {"name": "t", "source": name, "data": "somewhere"}, where="test")
        assert recipe.source == name
        assert has_pictures_only(name) == (name in ("cifar10", "folder"))


def test_recipes_of_before_are_written_as_before():
    assert "source_settings" not in plain(read_recipe("demo"))
    assert plain(read_recipe("demo"))["source"] == "navsim"


def table_of(root, name="frames.csv"):
    rows = ["image,time,speed,accel,run"]
    for drive in sorted(path.parent / path.stem for path in root.glob("*.json")):
        found = json.loads(drive.with_suffix(".json").read_text())
        rows += [f"{drive.name}/{row}.png,{f['time_s']},8,{f['accel']},{drive.name}" for row, f in enumerate(found)]
    (root / name).write_text("\n".join(rows) + "\n")
    return root / name


def test_a_table_in_a_recipe(tmp_path, capsys):
    table = table_of(made_drives.record(tmp_path / "data"))
    settings = {"accel": "accel", "drive": "run", "root": str(table.parent)}
    out = run_toy(tmp_path, source="csv", data=str(table), source_settings=settings)
    shown = capsys.readouterr()
    assert "48 rows gave 48 frames of 12 drives" in shown.err
    assert f"All figures are from {table}." in shown.out
    assert "the rule `command == straight` is switched off" in shown.err
    assert sum(open_index(out / "index")["frames"].values()) == 48
    assert (out / "report.html").is_file()
    one = ["--csv.accel", "accel", "--csv.drive", "run"]
    both = ["--csv.accel", "accel", "--source_settings", '{"drive": "run"}']
    for number, options in enumerate((one, both)):
        assert call("index", table, tmp_path / str(number), *options) == 0
        parts = [(folder / "train.parquet").read_bytes() for folder in (out / "index", tmp_path / str(number))]
        assert parts[0] == parts[1]


@pytest.mark.parametrize("name", ["navsim", "csv", OWN])
def test_every_source_of_frames_is_one_in_python(name, data, tmp_path):
    """Its tables are those of the index; NAVSIM and CSV also keep them."""
    if name == "navsim":
        assert call("world", tmp_path / "data", "--drives", 2, "--pictures", "false") == 0
        data = tmp_path / "data"
    elif name == "csv":
        data = table_of(made_drives.record(tmp_path / "data"))
    settings = {"accel": "accel", "drive": "run"} if name == "csv" else {}
    source = open_frames_of(name, data, settings)
    assert isinstance(source, FrameSource)
    assert isinstance(source, StoringSource) == (name != OWN)
    rows = sum(len(table) for table in source.tables())
    shares = (1.0, 0.0, 0.0)
    found = index_data(data, tmp_path / "index", IndexConfig(shares=shares), source=name, settings=settings)
    assert rows == found.funnel.rows[0].left


# ---- one clear line


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("raises", r"source 'made_drives.Broken' failed: KeyError: 'speed\\nunknown'"),
        ("frame", "it yielded a dict, not a FrameTable; make one with FrameTable.of"),
        ("log", "the log 'drive0' comes in two tables; give it in one"),
        ("token", "gave one token to two frames"),
        ("picture", "gave one picture to frames of two drives"),
        ("order", "source 'made_drives.Broken': row 1: the time does not increase within the log 'drive1'"),
    ],
)
def test_what_a_source_gets_wrong_is_one_line_and_leaves_nothing(data, tmp_path, how, line):
    with pytest.raises(UserError, match=line) as raised:
        index_data(data, tmp_path / "out", IndexConfig(), source="made_drives.Broken", settings={"how": how})
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--source", "navsm"], "source 'navsm' is unknown; did you mean 'navsim'?"),
        (["--source", "waymo"], "choose one of navsim, csv, cifar10, folder, or give the dotted path"),
        (["--source", "made_drives.Nothing"], "has no attribute 'Nothing'"),
        (["--source", OWN, "--source_settings", '{"place": 1}'], "cannot be used: TypeError: "),
        (["--source", OWN, "--preset", "mini"], "preset: settings that are for NAVSIM logs"),
        (["--source", OWN, "--shard", "1/2"], "expect and shard are for NAVSIM logs"),
        (["--source", "pathlib.Path"], "is a PosixPath, which lacks tables, sensors or notes"),
        (["--source_settings", '{"preset": "mini"}'], "preset is a setting of the index"),
        (["--csv.time", "t", "--source", OWN], "is no .csv file, so the csv settings are not for it"),
    ],
)
def test_what_the_user_gets_wrong_is_one_line(data, tmp_path, capsys, options, line):
    copy = made_drives.record(tmp_path / "data", 1, 1)
    assert call("index", copy, tmp_path / "out", *options) == 2
    told = capsys.readouterr().err
    assert line in told
    assert told.count("\n") == 1


def test_recipes_refuse_what_cannot_be(data):
    with pytest.raises(UserError, match=r"source 'cvs' is unknown; did you mean 'csv'\?"):
        parse_recipe(TOY | {"name": "t", "source": "cvs"}, where="test")
    with pytest.raises(UserError, match="test_index is a selection of NAVSIM's"):
        parse_recipe(TOY | {"name": "t", "source": OWN, "data": str(data), "test_index": {}}, where="test")
    assert find_source(OWN) is made_drives.Drives


class Told:
    """A source whose notes or sensors are wrong."""

    def __init__(self, data=None, notes=(), sensors=None):
        self._notes, self._sensors = notes, sensors

    @property
    def notes(self):
        if self._notes == "raise":
            raise KeyError("notes")
        return self._notes

    @property
    def sensors(self):
        return self._sensors

    def tables(self):
        return []


def seen(source):
    """What an index reads of a source besides its tables."""
    wrapped = TablesSource.__new__(TablesSource)
    wrapped._source, wrapped._name, wrapped._own_notes = source, "x", []
    return wrapped.notes, wrapped.sensors


def test_notes_and_sensors_that_are_wrong_are_one_line(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "told", SimpleNamespace(Told=Told))
    assert seen(Told(notes="one note")) == (["one note"], None)
    with pytest.raises(UserError, match=r"^source 'told.Told' cannot be used: KeyError: 'notes'$"):
        open_frames_of("told.Told", data, {"sensors": None}, {"notes": "raise"})
    for made, says in ((Told(notes=None), "notes of source 'x'"), (Told(sensors=3), "sensors of source 'x'")):
        with pytest.raises(UserError, match=f"^{says} cannot be used: TypeError"):
            seen(made)
