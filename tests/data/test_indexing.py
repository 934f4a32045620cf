"""From logs to an index, by one hand or several, and from an index to sets: always the same bytes."""

import json
import pickle
import shutil

import numpy as np
import pyarrow.dataset as ds
import pytest
import yaml
from PIL import Image

from roadstill.cli import main
from roadstill.data.indexing import IndexConfig, index_data
from roadstill.data.thesis_counts import beside_thesis
from roadstill.errors import UserError
from roadstill.frames import open_frames
from roadstill.frames.filters import FrameFilter, SceneFilter, Sieve
from roadstill.frames.splits import open_index
from roadstill.parallel import Shard
from roadstill.pipeline import Road
from roadstill.pipeline.data import make_index, make_sets, make_world
from roadstill.recipes import parse_recipe

DRIVES = 8


def entry(drive, index):
    log = log_name(drive)
    rng = np.random.default_rng([drive, index])
    return {
        "token": f"{drive:08x}{index:08x}",
        "timestamp": 1_620_000_000_000_000 + 500_000 * index,
        "log_name": log,
        "map_location": "us-ma-boston",
        "roadblock_ids": ["1"],
        "ego_dynamic_state": [float(rng.uniform(2, 9)), 0.0, float(rng.normal(0, 2)), 0.0],
        "driving_command": np.eye(4, dtype=int)[rng.choice([1, 1, 1, 0])],
        "cams": {"CAM_F0": {"data_path": f"{log}/CAM_F0/{drive:04x}{index:012x}.jpg"}},
    }


def log_name(drive):
    return f"2021.05.{drive + 1:02d}.10.00.00_veh-35_00001_00002"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Logs and pictures in NAVSIM's layout, one log per drive."""
    root = tmp_path_factory.mktemp("data")
    logs, sensors = root / "navsim_logs" / "trainval", root / "sensor_blobs" / "trainval"
    logs.mkdir(parents=True)
    for drive in range(DRIVES):
        entries = [entry(drive, index) for index in range(24)]
        (logs / f"{log_name(drive)}.pkl").write_bytes(pickle.dumps(entries, 4))
        (sensors / log_name(drive) / "CAM_F0").mkdir(parents=True)
        for index in range(24):
            colour = np.random.default_rng([drive, index]).integers(0, 256, 3)
            path = sensors / entries[index]["cams"]["CAM_F0"]["data_path"]
            Image.new("RGB", (64, 36), tuple(colour.tolist())).save(path)
    return root


def tree(folder):
    """Bytes of every file; the paths of this machine in index.json aside."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    files.pop("index.json", None)
    return files


@pytest.fixture(scope="module")
def index(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index") / "index"
    index_data(data, folder, IndexConfig())
    return folder


def test_an_index_holds_what_it_should(data, index):
    known = open_index(index)
    assert known["counts"] == {"logs": DRIVES, "broken_logs": 0, "entries": 24 * DRIVES, "broken_entries": 0}
    funnel = json.loads((index / "funnel.json").read_text())
    assert [row["left"] for row in funnel["rows"][:3]] == [24 * DRIVES, 11 * DRIVES, 11 * DRIVES]
    parts = {name: open_frames(index / f"{name}.parquet") for name in ("train", "dev", "test")}
    assert {name: len(part) for name, part in parts.items()} == known["frames"]
    assert sum(map(len, parts.values())) == funnel["rows"][-1]["left"]
    for part in parts.values():
        assert np.all(np.abs(part.column("accel_mps2")) > 1)
        assert np.all(part.column("speed_mps") >= 3)
        assert set(part.column("command")) == {1}


def test_other_engines_can_take_the_store(index):
    """A hive-partitioned Parquet data set: the log's name is a column again."""
    found = ds.dataset(index / "frames", partitioning="hive")
    assert found.count_rows() == 24 * DRIVES
    assert set(found.to_table(columns=["log"]).column("log").to_pylist()) == {log_name(n) for n in range(DRIVES)}


def test_shards_and_a_killed_run_give_the_same_bytes(data, index, tmp_path, monkeypatch):
    for number in (2, 1):
        assert index_data(data, tmp_path / "shards", IndexConfig(), shard=Shard(number, 2)) is None
    index_data(data, tmp_path / "shards", IndexConfig(), workers=2)
    assert tree(tmp_path / "shards") == tree(index)

    def killed(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_data(data, tmp_path / "killed", IndexConfig(), progress=killed)
    assert not (tmp_path / "killed" / "index.json").exists()
    index_data(data, tmp_path / "killed", IndexConfig())
    assert tree(tmp_path / "killed") == tree(index)


def test_another_filter_reads_no_log_again(data, index, tmp_path, monkeypatch):
    shutil.copytree(index, tmp_path / "index")
    monkeypatch.setattr("roadstill.sources.navsim.logs.read_log", None)
    loose = FrameFilter(command=None, min_abs_accel_mps2=0.1)
    again = index_data(data, tmp_path / "index", IndexConfig(filter=loose, scenes=SceneFilter(interval=14)))
    assert again.funnel.rows[1].left == DRIVES
    assert [row.rule for row in again.funnel.rows[3:]] == ["|accel_mps2| > 0.1", "speed_mps >= 3"]


def test_pictures_by_shards_archives_and_one_hand_are_the_same(data, index, tmp_path, capsys):
    def call(*arguments):
        assert main([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out

    call("prepare", index, tmp_path / "one", "--size_px", 16)
    told = call("prepare", index, tmp_path / "shards", "--size_px", 16, "--shard", "1/2")
    assert "wanted pictures are ready" in told
    call("prepare", index, tmp_path / "shards", "--size_px", 16, "--shard", "2/2")
    call("prepare", index, tmp_path / "shards", "--size_px", 16)
    assert tree(tmp_path / "shards") == tree(tmp_path / "one")

    sensors = data / "sensor_blobs"
    for part in (0, 1):
        for number, folder in enumerate(sorted((sensors / "trainval").iterdir())):
            if number % 2 == part:
                shutil.copytree(folder, tmp_path / f"part{part}" / "trainval_sensor_blobs" / folder.name)
        shutil.make_archive(str(tmp_path / f"part{part}"), "gztar", tmp_path / f"part{part}")
    told = call("prepare", index, tmp_path / "tar", "--size_px", 16, "--from_archive", tmp_path / "part0.tar.gz")
    assert "wanted pictures are ready; give the other archives" in told
    call("prepare", index, tmp_path / "tar", "--size_px", 16, "--from_archive", tmp_path / "part1.tar.gz")
    assert tree(tmp_path / "tar") == tree(tmp_path / "one")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["dev", "test", "train"]


def test_index_verifies_pictures_and_says_what_is_wrong(data, tmp_path, capsys):
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    (copy / "navsim_logs" / "trainval" / f"{log_name(0)}.pkl").write_bytes(b"torn")
    shutil.rmtree(copy / "sensor_blobs" / "trainval" / log_name(1))
    assert main(["index", str(copy), str(tmp_path / "index"), "--verify", "--quiet"]) == 3
    told, line = capsys.readouterr()
    assert line.startswith("roadstill: part of the input could not be read: ")
    assert line.endswith(".pkl: not a pickle of protocol 2 to 5; the rest is on disk\n")
    assert f"1 of {DRIVES} logs cannot be read" in told
    assert "1 problems, see" in told
    lacking = (tmp_path / "index" / "lacking.txt").read_text().split()
    assert f"{len(lacking)} pictures are missing or truncated" in told
    assert lacking
    assert all(line.startswith(log_name(1)) for line in lacking)


def test_presets_choose_logs_and_count_against_navsims_numbers(data, tmp_path, capsys):
    tokens = [entry(drive, index)["token"] for drive in range(DRIVES) for index in range(3, 14)]
    scenes = {"num_history_frames": 4, "num_future_frames": 10, "frame_interval": 1, "has_route": True}
    names = [log_name(drive) for drive in range(DRIVES)]
    (tmp_path / "navtrain.yaml").write_text(yaml.safe_dump(scenes | {"log_names": [*names, "gone"], "tokens": tokens}))
    split = {"train_logs": [*names[:5], "gone"], "val_logs": names[5:]}
    (tmp_path / "default_train_val_test_log_split.yaml").write_text(yaml.safe_dump(split))
    call = ["index", str(data), str(tmp_path / "index"), "--navsim_config", str(tmp_path), "--expect", "thesis"]
    assert main([*call, "--preset", "navtrain-train"]) == 0
    told = capsys.readouterr().out
    assert f"navtrain-train: 55 scenes, 85,109 expected of the full data ({55 - 85_109:+,})" in told
    assert "beside the thesis, navtrain-train" in told
    assert "1 of the 6 wanted logs are missing" in (tmp_path / "index" / "problems.txt").read_text()
    assert main([*call[:-2], "--preset", "navtrain"]) == 0
    test = open_frames(tmp_path / "index" / "test.parquet")
    assert set(test.column("log")) <= set(names[5:])
    assert main([*call, "--preset", "all"]) == 2
    assert "the thesis counted navtrain-train and navtrain-val" in capsys.readouterr().err


def test_the_thesis_counts_stand_beside_both_orders():
    from made import frame_table

    sieve = Sieve((), FrameFilter())
    sieve(frame_table([2.0, 2.0, -2.0, 0.5], vx=[9, 9, 1, 9], command=[1, 0, 1, 1]))
    lines = beside_thesis(sieve.funnel(), "navtrain-train").splitlines()
    cells = {line[:56].strip(): line[56:].split() for line in lines[1:]}
    assert cells["all scenes"] == ["4", "85,109", "-85,105"]
    assert cells["all scenes: brake"] == ["1", "45,836", "-45,835"]
    assert cells["|accel| > 1, straight only"][0] == "2"
    assert cells["|accel| > 1, all commands"][0] == "3"
    assert cells["|accel| > 1, speed >= 3, straight only: not brake"] == ["1", "2,859", "-2,858"]
    assert cells["|accel| > 1, speed >= 3, all commands"][0] == "2"
    loose = Sieve((), FrameFilter(min_speed_mps=None))
    loose(frame_table([2.0]))
    with pytest.raises(UserError, match="default filter"):
        beside_thesis(loose.funnel(), "navtrain-val")


def test_an_unreadable_frame_is_part_of_the_input(data, tmp_path, capsys):
    shutil.copytree(data / "navsim_logs", tmp_path / "navsim_logs")
    call = ["index", str(tmp_path), str(tmp_path / "index")]
    assert main(call) == 0
    assert "have something wrong" not in capsys.readouterr().out
    path = tmp_path / "navsim_logs" / "trainval" / f"{log_name(2)}.pkl"
    frames = pickle.loads(path.read_bytes())
    del frames[7]["ego_dynamic_state"]
    path.write_bytes(pickle.dumps(frames, 4))
    assert main(call) == 3
    assert f"1 of {24 * DRIVES} frames or rows have something wrong" in capsys.readouterr().out
    assert "frame 7: ego_dynamic_state: missing" in (tmp_path / "index" / "problems.txt").read_text()


def test_an_empty_log_is_named(data, tmp_path, capsys):
    shutil.copytree(data / "navsim_logs", tmp_path / "navsim_logs")
    (tmp_path / "navsim_logs" / "trainval" / "empty.pkl").write_bytes(pickle.dumps([], 4))
    assert main(["index", str(tmp_path), str(tmp_path / "index")]) == 3
    assert "empty.pkl: it holds 0 frames (an empty list)" in (tmp_path / "index" / "problems.txt").read_text()
    assert f"1 of {DRIVES + 1} logs cannot be read" in capsys.readouterr().out


def test_every_picture_missing_is_said_with_the_first_path(data, tmp_path, capsys):
    (tmp_path / "sensors" / "CAM_F0").mkdir(parents=True)
    call = ["index", str(data), str(tmp_path / "index"), "--verify", "--sensors", str(tmp_path / "sensors")]
    assert main(call) == 3
    told = capsys.readouterr().out
    assert "logs have no picture at all (not fetched?)" in told
    assert f"pictures was found; the first: {tmp_path / 'sensors'}/2021.05." in told
    assert "(100%) are missing or damaged" in told


def test_sensors_of_another_split_are_offered(data, tmp_path, capsys):
    shutil.copytree(data / "navsim_logs", tmp_path / "navsim_logs")
    (tmp_path / "sensor_blobs" / "test" / log_name(0) / "CAM_F0").mkdir(parents=True)
    assert main(["index", str(tmp_path), str(tmp_path / "index"), "--verify"]) == 2
    assert f"with --sensors (there is {tmp_path / 'sensor_blobs' / 'test'})" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/2/3", "-1/2"])
def test_shards_are_i_of_n(text):
    with pytest.raises(UserError, match="i/n"):
        Shard.parse(text)


def test_shards_share_all():
    items = list(range(10))
    assert sorted(item for number in (1, 2, 3) for item in Shard(number, 3).of(items)) == items


def test_strange_and_missing_logs(data, index, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.pkl").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"none of the 1 logs can be read; the first: a\.pkl"):
        index_data(tmp_path / "logs", tmp_path / "out", IndexConfig())
    (tmp_path / "names.txt").write_text("gone\n")
    with pytest.raises(UserError, match="none of the 1 wanted logs was found"):
        index_data(data, tmp_path / "out", IndexConfig(scenes=SceneFilter(logs=tmp_path / "names.txt")))
    shutil.copytree(index, tmp_path / "index")
    (tmp_path / "names.txt").write_text("".join(log_name(drive) + "\n" for drive in range(5)))
    fewer = index_data(data, tmp_path / "index", IndexConfig(scenes=SceneFilter(logs=tmp_path / "names.txt")))
    assert "holds 3 logs of another selection" in fewer.problems[0]
    assert fewer.counts["logs"] == 5


def test_the_benchmarks_own_test_part_leaves_val_logs_for_dev(data, tmp_path):
    """The honest protocol on NAVSIM: train_logs teach, val_logs choose, and another folder of logs is the test part."""
    root, names = tmp_path / "data", [log_name(drive) for drive in range(DRIVES)]
    for kind, ending in (("navsim_logs", ".pkl"), ("sensor_blobs", "")):
        for split, mine in (("trainval", names[:6]), ("test", names[6:])):
            (root / kind / split).mkdir(parents=True)
            for name in mine:
                (root / kind / split / f"{name}{ending}").symlink_to(data / kind / "trainval" / f"{name}{ending}")
    scenes = {
        "num_history_frames": 4,
        "num_future_frames": 10,
        "frame_interval": 1,
        "has_route": True,
        "max_scenes": None,
    }
    for preset in ("navtrain", "navtest"):
        (tmp_path / f"{preset}.yaml").write_text(yaml.safe_dump(scenes | {"log_names": None, "tokens": None}))
    split = {"train_logs": names[:4], "val_logs": names[4:6], "test_logs": names[6:]}
    (tmp_path / "default_train_val_test_log_split.yaml").write_text(yaml.safe_dump(split))
    loose = {"filter": {"min_abs_accel_mps2": None, "min_speed_mps": None}, "navsim_config": str(tmp_path)}
    fields = {
        "name": "navsim",
        "data": str(root),
        "image_px": 64,
        "index": loose | {"preset": "navtrain"},
        "test_index": loose | {"preset": "navtest"},
        "arms": {"random": {"kind": "random", "label": "random"}},
    }
    road = Road(parse_recipe(fields, where="test"), tmp_path / "run", workers=1)
    for stage in (make_world, make_index, make_sets):
        stage(road)
    found = {name: sorted(set(road.split(name).column("log"))) for name in ("train", "dev", "test")}
    assert found == {"train": names[:4], "dev": names[4:6], "test": names[6:]}
    assert road.split("test").about["split"] == "test"
    assert not list((tmp_path / "run").glob("index*/dev.parquet"))[1:]
