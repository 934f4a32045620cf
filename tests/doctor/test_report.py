"""The doctor: facts of data, logs, maps and weights; whatever is damaged, it answers, and names nobody."""

import builtins
import json
import os
import pickle
import platform
import shutil
import sqlite3
import time
from pathlib import Path

import made_cifar
import numpy as np
import pytest
import torch
from moving_logs import write_logs
from PIL import Image

from roadstill.cli import VERBS, main
from roadstill.doctor import as_text, examine
from roadstill.doctor import data as data_facts
from roadstill.doctor import report as doctor_report
from roadstill.doctor.logfacts import describe, log_facts
from roadstill.doctor.mapfacts import map_facts
from roadstill.doctor.needs import NEEDS
from roadstill.doctor.picturefacts import picture_facts
from roadstill.world.geopackage import GeoPackage, Layer, blob_of

LOG = "2021.05.12.22.00.38_veh-35_01008_01518"


def entry(index):
    return {
        "token": f"secret{index:010x}",
        "timestamp": 1_620_000_000_000_000 + 500_000 * index,
        "log_name": LOG,
        "map_location": "us-ma-boston",
        "roadblock_ids": ["1", "2"],
        "ego_dynamic_state": [5.0, 0.0, 1.0, 0.0],
        "driving_command": np.eye(4, dtype=int)[1],
        "ego2global": np.eye(4),
        "cams": {"CAM_F0": {"data_path": f"{LOG}/CAM_F0/{index:016x}.jpg", "cam_intrinsic": np.eye(3)}},
        "anns": {"gt_boxes": np.zeros((3, 7))},
    }


def make_data(root):
    """One split with one log of 20 frames, and the pictures of all but the first."""
    logs, sensors = root / "navsim_logs" / "mini", root / "sensor_blobs" / "mini"
    logs.mkdir(parents=True)
    entries = [entry(index) for index in range(20)]
    (logs / f"{LOG}.pkl").write_bytes(pickle.dumps(entries, 4))
    (sensors / LOG / "CAM_F0").mkdir(parents=True)
    for each in entries[1:]:
        Image.new("RGB", (96, 54), (9, 99, 199)).save(sensors / each["cams"]["CAM_F0"]["data_path"], quality=85)
    return root


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch):
    for name in data_facts.ROOTS:
        monkeypatch.delenv(name, raising=False)


def told(capsys, *arguments):
    assert main(["doctor", *map(str, arguments), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_cifar10_is_recognised(tmp_path, capsys):
    root = made_cifar.binary(tmp_path / "cifar-10-batches-bin", 10)
    facts = json.loads(told(capsys, "--data", root, "--json"))["data"]["--data"]
    assert (facts["state"], facts["cifar10"], facts["splits"]) == ("found", "binary", [])
    assert "cifar10: binary" in told(capsys, "--data", root)


def test_every_verb_has_its_needs():
    assert set(VERBS) <= set(NEEDS)


def test_what_is_here(tmp_path, capsys):
    facts = json.loads(told(capsys, "--data", make_data(tmp_path), "--json"))
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["too_old"] == {}
    assert facts["machine"]["cpu_cores"] >= 1
    assert facts["weights"]["shipped"]["codec"]["state"] == "found"
    (split,) = facts["data"]["--data"]["splits"]
    assert (split["split"], split["logs"], split["pictures"], split["more_pictures"]) == ("mini", 1, 19, False)
    assert facts["data"]["--data"]["free_gib"] > 0
    log = facts["log"]
    assert (log["frames"], log["good_frames"], log["frames_with_boxes"], log["pickle_protocol"]) == (20, 20, 20, 4)
    assert log["step_s"] == {"least": 0.5, "median": 0.5, "most": 0.5}
    assert log["keys"]["ego2global"] == "float64 (4, 4)"
    assert log["keys"]["roadblock_ids"] == "list of 2 str"
    assert log["keys"]["cams"]["CAM_F0"]["cam_intrinsic"] == "float64 (3, 3)"
    picture = facts["picture"]
    assert (picture["width_px"], picture["height_px"], picture["format"]) == (96, 54, "JPEG")
    assert abs(picture["jpeg_quality_about"] - 85) <= 2
    assert picture["chroma"] == "4:2:0"
    assert facts["needs"]["index"] == facts["needs"]["prepare"] == []


def test_no_content_of_a_log_is_told(tmp_path):
    said = json.dumps(examine(make_data(tmp_path)))
    assert "secret" not in said
    assert "us-ma-boston" not in said
    assert "images" not in examine(tmp_path)["log"]


def test_in_words(tmp_path, capsys):
    said = told(capsys, "--data", make_data(tmp_path))
    first, *rest = said.splitlines()
    assert first.startswith("can start: ")
    assert "index" in first
    assert "keys: 10, see --json" in said
    assert max(map(len, rest)) <= 160
    said = told(capsys)
    assert "index: needs logs (name their folder with --data" in said
    assert "prepare: needs pictures of the front camera" in said


def test_data_named_by_the_environment(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OPENSCENE_DATA_ROOT", str(make_data(tmp_path)))
    facts = json.loads(told(capsys, "--json"))
    assert facts["environment"]["OPENSCENE_DATA_ROOT"]["state"] == "found"
    assert facts["data"]["OPENSCENE_DATA_ROOT"]["splits"][0]["logs"] == 1
    assert facts["needs"]["index"] == []


def test_nobody_is_named(tmp_path, capsys, monkeypatch):
    home = tmp_path / "home" / "jane"
    make_data(home / "data")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LOGNAME", "jane")
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    monkeypatch.setenv("NAVSIM_EXP_ROOT", "https://joe:word@store/media/jane/exp")
    monkeypatch.setenv("NAVSIM_DEVKIT_ROOT", f"/mnt/{'calculon'}/kit")
    monkeypatch.setattr(platform, "node", lambda: "calculon.example.org")
    for options in ([], ["--json"]):
        said = told(capsys, "--data", home / "data", *options)
        assert "~/data/navsim_logs/mini" in said
        for name in (str(home), "jane", "joe:word", "calculon", "hf_verysecret"):
            assert name not in said
    assert set(os.environ) & set(json.loads(said)) == set()


def test_only_whole_names_are_blotted_out(monkeypatch):
    monkeypatch.setenv("HOME", "/home/a")
    monkeypatch.setattr(platform, "node", lambda: "box")
    facts = {"x": ["/home/a/data", "/home/ab/data", "/home/a", "boxes", "box", 1.5, None, True], "y\n": "a\x1b\n"}
    assert doctor_report.blotted(facts, doctor_report._names()) == {
        "x": ["~/data", "/home/ab/data", "~", "boxes", "<host>", 1.5, None, True],
        "y\n": "a\\x1b\\n",
    }


# ---- damaged surroundings


def damage_nothing_there(root, monkeypatch):
    pass


def damage_torn_log(root, monkeypatch):
    (root / "navsim_logs" / "mini" / f"{LOG}.pkl").write_bytes(b"torn")


def damage_logs_are_pipes(root, monkeypatch):
    path = root / "navsim_logs" / "mini" / f"{LOG}.pkl"
    path.unlink()
    os.mkfifo(path)


def damage_log_is_a_folder(root, monkeypatch):
    path = root / "navsim_logs" / "mini" / f"{LOG}.pkl"
    path.unlink()
    path.mkdir()


def damage_no_list(root, monkeypatch):
    (root / "navsim_logs" / "mini" / f"{LOG}.pkl").write_bytes(pickle.dumps({"a": 1}))


def damage_no_frames(root, monkeypatch):
    (root / "navsim_logs" / "mini" / f"{LOG}.pkl").write_bytes(pickle.dumps([None, 1, {}]))


def damage_pictures(root, monkeypatch):
    for path in (root / "sensor_blobs").rglob("*.jpg"):
        path.write_bytes(b"torn")


def damage_sensors_are_a_file(root, monkeypatch):
    shutil.rmtree(root / "sensor_blobs" / "mini")
    (root / "sensor_blobs" / "mini").touch()


def damage_maps(root, monkeypatch):
    path = root / "maps" / "us-ma-boston" / "9.12.1817" / "map.gpkg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"SQLite format 3\0torn")


def damage_environment(root, monkeypatch):
    monkeypatch.setenv("NUPLAN_MAPS_ROOT", "/dev/null")
    monkeypatch.setenv("OPENSCENE_DATA_ROOT", "x" * 5000)
    monkeypatch.setenv("NAVSIM_EXP_ROOT", "\n\x1b[2J")


def damage_no_home(root, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(OSError("nobody")))


def damage_packages(root, monkeypatch):
    """Imports raise all sorts."""
    known = builtins.__import__

    def broken(name, *rest):
        if name.split(".")[0] in ("torch", "safetensors", "huggingface_hub", "PIL"):
            raise {"torch": OSError, "PIL": SystemExit}.get(name, ImportError)(f"{name} is broken\nbadly")
        return known(name, *rest)

    monkeypatch.setattr(builtins, "__import__", broken)


def damage_weights(root, monkeypatch):
    (root / "weights").write_bytes(b"torn")
    monkeypatch.setattr("roadstill.doctor.weights.shipped", lambda name: root / "weights")


DAMAGES = {name.removeprefix("damage_"): work for name, work in globals().items() if name.startswith("damage_")}


@pytest.mark.skipif(os.name != "posix", reason="POSIX files")
@pytest.mark.parametrize("damage", DAMAGES)
def test_it_answers_whatever_is_damaged(damage, tmp_path, monkeypatch, capsys):
    make_data(tmp_path)
    DAMAGES[damage](tmp_path, monkeypatch)
    started = time.monotonic()
    facts = examine(tmp_path)
    said = as_text(facts)
    assert time.monotonic() - started < 60
    assert json.loads(json.dumps(facts)) == facts
    assert all(line.isprintable() for line in said.splitlines())
    assert "Traceback" not in said
    wanted = {
        "torn_log": "no log can be read",
        "log_is_a_folder": "no log can be read",
        "logs_are_pipes": "no log can be read",
        "no_list": "holds",
        "no_frames": "good_frames: 0",
        "pictures": "cannot be examined (UnidentifiedImageError",
        "maps": "cannot be examined (DatabaseError",
        "packages": "cannot be examined (OSError: torch is broken badly)",
        "weights": "codec: damaged",
        "environment": "is not a folder",
    }
    assert wanted.get(damage, "") in said


def test_a_file_and_nothing_as_data(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert "is not a folder" in told(capsys, "--data", tmp_path / "file")
    assert "does not exist" in told(capsys, "--data", tmp_path / "none")


def test_a_dead_disk_costs_seconds(monkeypatch):
    monkeypatch.setattr(doctor_report, "SECONDS", 0.1)
    assert doctor_report._within(0.1, lambda: time.sleep(30)) == {"state": "no answer within 0.1 seconds"}


def test_a_torn_first_log_hides_nothing(tmp_path):
    folder = make_data(tmp_path) / "navsim_logs" / "mini"
    (folder / "0.pkl").write_bytes(b"torn")
    facts = log_facts(folder)
    assert facts["frames"] == 20
    assert facts["broken_before_it"] == ["0.pkl: not a pickle of protocol 2 to 5"]


def test_counting_stops(tmp_path, monkeypatch):
    root = make_data(tmp_path)
    monkeypatch.setattr(data_facts, "MOST_PICTURES", 7)
    monkeypatch.setattr(data_facts, "MOST_LOGS", 2)
    for number in range(5):
        (root / "navsim_logs" / "mini" / f"{number}.pkl").touch()
    (split,) = data_facts.splits(root)
    assert (split["logs"], split["more_logs"], split["pictures"], split["more_pictures"]) == (2, True, 7, True)
    assert data_facts.count_pictures(root / "sensor_blobs" / "mini", time.monotonic())[1]


def make_map(root):
    path = root / "us-ma-boston" / "9.12.1817" / "map.gpkg"
    path.parent.mkdir(parents=True)
    file = GeoPackage(
        path,
        {"lanes": Layer("LINESTRING", {"lane_fid": "INTEGER"}), "none": Layer("POINT")},
        {"projectedCoordSystem": "EPSG:32619", "secret": "word"},
    )
    file.add("lanes", [(1, blob_of("LINESTRING", np.zeros((2, 2))), 7.5)])
    file.close()
    return path


def test_maps(tmp_path):
    make_map(tmp_path)
    (tmp_path / "nuplan-maps-v1.0.json").write_text("{}")
    facts = map_facts(tmp_path)
    assert (facts["index"], facts["maps"], facts["projected"]) == (True, 1, "EPSG:32619")
    assert facts["looked_at"] == "us-ma-boston/9.12.1817/map.gpkg"
    lanes = {"fid": "INTEGER (integer)", "geom": "LINESTRING (blob)", "lane_fid": "INTEGER (real)"}
    assert facts["layers"]["lanes"] == {"geometry": "geom", "srs_id": "4326", "columns": lanes}
    assert facts["layers"]["none"]["columns"]["geom"] == "POINT (no row)"
    assert "word" not in json.dumps(facts)
    assert [path.name for path in tmp_path.rglob("map.gpkg*")] == ["map.gpkg"]


def test_a_map_without_end_is_given_up(tmp_path, monkeypatch):
    path = make_map(tmp_path)
    with sqlite3.connect(path) as base:
        base.execute("DROP TABLE lanes")
        endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n WHERE x < 0"
        base.execute(f"CREATE VIEW lanes AS {endless}")
    base.close()
    monkeypatch.setattr("roadstill.doctor.mapfacts._SECONDS", 0.1)
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        map_facts(tmp_path)


@pytest.mark.parametrize(
    "layout", ["navsim_logs/mini", "trainval_navsim_logs/trainval", "openscene-v1.1/meta_datas/x", "any", ""]
)
def test_layouts(tmp_path, layout):
    folder = tmp_path / layout
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.pkl").touch()
    (split,) = data_facts.splits(tmp_path)
    assert split["logs_path"] == str(folder)


def test_types_in_place_of_values():
    assert describe({"a": [1, "x"], "b": {"c": None}, "d": np.array(["x"])}) == {
        "a": "list of 2 int/str",
        "b": "dict of 1",
        "d": "<U1 (1,)",
    }
    assert describe(()) == "tuple of 0"
    assert describe({"a\x1b": 1}) == {"a\\x1b": "int"}


def test_pictures_that_lack_or_are_no_jpeg(tmp_path):
    assert picture_facts(tmp_path, ["a.jpg", "b.jpg"]) == {"state": "none of the first 2 pictures is there"}
    Image.new("L", (4, 3)).save(tmp_path / "b.png")
    facts = picture_facts(tmp_path, ["a.jpg", "b.png"])
    assert (facts["mode"], facts["format"]) == ("L", "PNG")
    assert "jpeg_quality_about" not in facts


@pytest.mark.parametrize(
    ("settings", "axes", "note"),
    [
        ({}, "in the vehicle's frame, by the poses", None),
        ({"poses": False}, "in a frame that the poses do not show", None),
        ({"axes": "map"}, "along the map's axes", "its velocities lie along the axes of the map"),
        ({"axes": "left"}, "in a frame that the poses do not show", "NOTE: 100.0% of the speed is sideways"),
        ({"sign": -1.0}, "in the vehicle's frame, by the poses", "so they have the other sign"),
    ],
)
def test_the_motion_of_a_log_is_told(tmp_path, settings, axes, note):
    write_logs(tmp_path, [70], **settings)
    log = examine(tmp_path)["log"]
    assert log["velocities"] == axes
    assert ("NOTE" in log["motion"] or "axes of the map" in log["motion"]) == (note is not None)
    assert (note or "0.0% of the speed is sideways (median of 40 frames above 2 m/s)") in log["motion"]


def test_pictures_without_logs_are_recognised(tmp_path, capsys):
    (tmp_path / "sensor_blobs" / "test" / "log1" / "CAM_F0").mkdir(parents=True)
    facts = json.loads(told(capsys, "--data", tmp_path, "--json"))["data"]["--data"]
    assert (facts["splits"], facts["sensors"]) == ([], str(tmp_path / "sensor_blobs" / "test"))
    assert facts["note"] == "pictures without logs, which are an archive of their own"
