"""Clusters of motion: from an image set's facts, and from an index before any picture exists."""

import json
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from made import frame_table
from toys import pictureless

from roadstill.cli import main
from roadstill.data.picture_store import PictureConfig
from roadstill.data.prepare import prepare_splits
from roadstill.errors import UserError
from roadstill.frames import BrakeLabel, frame_writers, open_frames
from roadstill.runs import write_json
from roadstill.selection import Dynamics, PerDriveRandom, Random, select
from roadstill.selection.dynamics import motion
from roadstill.selection.from_index import read_facts, select_from_index


def moving(speeds, drives=None, times=None, commands=None):
    n = len(speeds)
    return pictureless(
        [0] * n,
        facts=[
            {
                "drive": (drives or ["d"] * n)[row],
                "timestamp_us": (times or [0] * n)[row],
                "speed_mps": speeds[row],
                "accel_mps2": 0.0,
                "command": (commands or ["straight"] * n)[row],
            }
            for row in range(n)
        ],
    )


def files(images, method, count, seed=0):
    return sorted(int(file.removesuffix(".png")) for file in select(images, method, per_class=count, seed=seed).files)


@pytest.mark.parametrize("seed", range(3))
def test_the_frame_nearest_to_each_cluster_whatever_its_size(seed):
    images = moving([1.0, 1.1, 1.2, 1.3, 1.4, 5.0, 5.1, 5.2, 30.0])
    assert files(images, Dynamics(quota=3), 3, seed) == [2, 6, 8]


def test_facts_are_standardised_and_time_counts_from_the_drive_s_first_frame():
    images = moving([2.0, 4.0, 6.0], ["a", "a", "b"], [10, 30, 70], ["left", "right", "left"])
    facts, drive = motion(images, np.array([0, 1, 2]))
    assert drive.tolist() == [0, 0, 1]
    np.testing.assert_allclose(facts.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(facts.std(0), [1, 0, 1, 1, 1], atol=1e-6)
    assert facts[0, 2] == facts[2, 2] < facts[1, 2]  # 0, 20, 0 microseconds into the drive
    assert facts[0, 3:].tolist() == facts[2, 3:].tolist()
    # Of the second and third frame alone, the third's drive still begins with its own first frame.
    assert motion(images, np.array([1, 2]))[0][:, 2].tolist() == [1, -1]


def test_no_drive_gives_more_than_its_quota():
    # Six clusters, and all frames near their centres are of drive a.
    speeds = [float(speed) for speed in range(0, 60, 10)] * 2
    images = moving(speeds, ["a"] * 6 + ["b", "b", "c", "c", "d", "d"])
    taken = Counter("aaaaaabbccdd"[row] for row in files(images, Dynamics(), 4))
    assert max(taken.values()) <= 2
    taken = Counter("aaaaaabbccdd"[row] for row in files(images, Dynamics(quota=1), 4))
    assert set(taken) == set("abcd")
    with pytest.raises(UserError, match="4 drives with at most 1 frames each hold fewer than the 5"):
        files(images, Dynamics(quota=1), 5)


def test_frames_without_facts_are_refused():
    images = moving([1.0, 2.0])
    images.facts[1]["speed_mps"] = None
    with pytest.raises(UserError, match="no speed, acceleration or time"):
        files(images, Dynamics(), 1)


@pytest.fixture
def index(tmp_path):
    return write_index(tmp_path / "index", 2000)


def write_index(folder, rows, per_drive=100):
    rng = np.random.default_rng(0)
    folder.mkdir()
    with frame_writers([folder / "train.parquet"], BrakeLabel(-0.5)) as (write,):
        for start in range(0, rows, per_drive):
            log = f"2021.05.12.10.00.00_veh-{start // per_drive:04d}_00000_00001"
            accel = rng.normal(0, 1.5, per_drive)
            write(frame_table(accel, vx=rng.normal(8, 3, per_drive), command=rng.integers(0, 3, per_drive),
                              logs=[log] * per_drive))  # fmt: skip
    for part in ("dev", "test"):
        frame_table([1.0, -1.0]).save(folder / f"{part}.parquet")
    write_json(folder / "index.json", {"data": "d", "sensors": "s", "frames": {"train": rows, "dev": 2, "test": 2}})
    return folder


@pytest.mark.parametrize("method", [Random(), PerDriveRandom(), Dynamics()])
def test_an_index_of_the_chosen_frames(index, tmp_path, method):
    out = tmp_path / "out"
    assert select_from_index(index, out, method, per_class=20, seed=0) == 40
    whole, chosen = open_frames(index / "train.parquet"), open_frames(out / "train.parquet")
    assert chosen.label == BrakeLabel(-0.5)
    assert np.bincount(chosen.labels).tolist() == [20, 20]
    assert set(chosen.column("image")) < set(whole.column("image"))
    assert (out / "images.txt").read_text().splitlines() == chosen.column("image").tolist()
    about = json.loads((out / "index.json").read_text())
    assert about["frames"] == {"train": 40, "dev": 2, "test": 2}
    assert about["selected"]["method"]["type"] == type(method).__name__
    assert open_frames(out / "dev.parquet").table.equals(open_frames(index / "dev.parquet").table)
    first = (out / "images.txt").read_text()
    select_from_index(index, out, method, per_class=20, seed=0)
    assert (out / "images.txt").read_text() == first
    select_from_index(index, out, method, per_class=20, seed=1)
    assert (out / "images.txt").read_text() != first


def test_an_index_and_an_image_set_give_the_same_frames(index):
    facts = read_facts(index / "train.parquet")
    frames = open_frames(index / "train.parquet")
    names = ("drive", "timestamp_us", "speed_mps", "accel_mps2", "command")
    columns = [frames.column(name).tolist() for name in names]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    images = pictureless(frames.labels, facts=rows)
    of_index = Dynamics().choose(facts, np.arange(500), count=9, rng=np.random.default_rng(0))
    of_images = Dynamics().choose(images, np.arange(500), count=9, rng=np.random.default_rng(0))
    assert of_index.tolist() == of_images.tolist()


def test_the_verb_and_prepare_take_it_from_there(index, tmp_path, capsys):
    def call(*words):
        return main([str(word) for word in words]), capsys.readouterr()

    out = tmp_path / "out"
    code, told = call("select", "--from_index", index, out, "--method", "dynamics", "--per_class", 3, "--train_only")
    assert code == 0, told.err
    assert "6 frames by dynamics" in told.out
    assert sorted(path.name for path in out.iterdir()) == ["images.txt", "index.json", "train.parquet"]
    from PIL import Image

    sensors = tmp_path / "sensors"
    for image in (out / "images.txt").read_text().splitlines():
        (sensors / image).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 36)).save(sensors / image)
    made = prepare_splits(out, sensors, tmp_path / "sets", config=PictureConfig(32), workers=1)
    assert {name: its.counts() for name, its in made.items()} == {"train": {"not_brake": 3, "brake": 3}}
    code, told = call("select", "--from_index", index, out, "--method", "herding")
    assert code == 2
    assert "looks at pictures; from an index choose random, per_drive or dynamics" in told.err
    code, told = call("select", "--from_index", index, out, "--per_class", 5000)
    assert code == 2
    assert "5000 images per class were requested" in told.err
    code, told = call("select", tmp_path / "sets" / "train", tmp_path / "other", "--train_only")
    assert code == 2
    assert "train_only belongs to from_index" in told.err


@pytest.mark.parametrize("lost", ["index.json", "train.parquet", "dev.parquet"])
def test_a_damaged_index_leaves_nothing(index, tmp_path, lost):
    (index / lost).unlink()
    with pytest.raises(UserError, match=lost.replace(".", r"\.")):
        select_from_index(index, tmp_path / "out", Random(), per_class=2, seed=0)
    assert not (tmp_path / "out").exists()


def test_many_frames_take_little_memory(tmp_path):
    index = write_index(tmp_path / "index", 200_000, per_drive=1000)
    tracemalloc.start()
    try:
        select_from_index(index, tmp_path / "out", Dynamics(), per_class=50, seed=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200_000 * 400  # bytes; a table of Python objects would take some 2,000 a row
    chosen = open_frames(tmp_path / "out" / "train.parquet")
    assert max(Counter(chosen.column("drive")[chosen.labels == 0]).values()) <= 5  # twice the even share of 20 drives
