"""Hooks on the way from logs to sets: what they are told, what a set remembers, what is refused and left out."""

import json
import pickle
import tarfile

import numpy as np
import pytest
from made import copy_stages, frame_table
from PIL import Image

from roadstill.cli import main
from roadstill.data.folders import prepare_folder
from roadstill.data.picture_store import PictureConfig
from roadstill.data.prepare import Incomplete, prepare, prepare_splits
from roadstill.data.privacy import BlurBoxes, describe
from roadstill.errors import UserError
from roadstill.frames import PICTURE_FACTS
from roadstill.frames.splits import SPLITS
from roadstill.images import BrokenImage
from roadstill.imagesets import open_imageset
from roadstill.pipeline import Road
from roadstill.pipeline.data import make_index, make_sets, make_world
from roadstill.recipes import Arm, Recipe, World

WIDTH_PX, HEIGHT_PX, FOCAL_PX = 160, 90, 130.0
BLUR = "roadstill.data.privacy.BlurBoxes"
CAR = [11.6, 0.0, 1.5, 2.0, 2.0, 2.0, 0.0]  # its rear is 9 m away: 29 px wide and high, in the middle


def entry_of(token, image):
    front = {
        "data_path": image,
        "sensor2lidar_rotation": np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]),
        "sensor2lidar_translation": np.array([1.6, 0.0, 1.5]),
        "cam_intrinsic": np.array([[FOCAL_PX, 0, WIDTH_PX / 2], [0, FOCAL_PX, HEIGHT_PX / 2], [0, 0, 1]]),
        "distortion": np.zeros(5),
    }
    anns = {"gt_boxes": np.array([CAR]), "gt_names": np.array(["vehicle"])}
    return {"token": token, "lidar2ego": np.eye(4), "cams": {"CAM_F0": front}, "anns": anns}


def write_logs(folder, frames, without_boxes=()):
    folder.mkdir(exist_ok=True)
    entries = {}
    for token, log, image in zip(*(frames.column(name) for name in ("token", "log", "image")), strict=True):
        entry = entry_of(token, image)
        if image in without_boxes:
            del entry["anns"]
        entries.setdefault(log, []).append(entry)
    for log, content in entries.items():
        (folder / f"{log}.pkl").write_bytes(pickle.dumps(content))


@pytest.fixture
def frames(tmp_path):
    """Frames of four logs with their pictures (noise, as PNG under the name .jpg) and logs."""
    frames = frame_table(np.tile([1.5, 1.5, 1.5, 1.5, -1.5, -1.5, -1.5, -1.5], 3))
    for row, image in enumerate(frames.column("image")):
        pixels = np.random.default_rng(row).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        (tmp_path / "sensors" / image).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "sensors" / image, "PNG")
    write_logs(tmp_path / "logs", frames)
    return frames


@pytest.fixture
def index(tmp_path, frames):
    """What `roadstill index` would have made of them: two logs for train, one each for dev and test."""
    part = np.arange(len(frames)) % 4
    for name, rows in zip(SPLITS, (part < 2, part == 2, part == 3), strict=True):
        frames.take(rows).save(tmp_path / "index" / f"{name}.parquet")
    about = {name: str(tmp_path / name) for name in ("logs", "sensors")}
    about |= {"data": str(tmp_path), "frames": dict.fromkeys(SPLITS, 1)}
    (tmp_path / "index" / "index.json").write_text(json.dumps(about))
    return tmp_path / "index"


def bytes_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def call(*words):
    return main([str(word) for word in words])


# ---- from the command line


def test_pictures_change_where_the_boxes_are_and_the_set_says_so(tmp_path, index, capsys):
    """At the pictures' own height nothing is resized, so that pixels can be compared one by one."""
    assert call("prepare", index, tmp_path / "plain", "--size_px", HEIGHT_PX) == 0
    assert call("prepare", index, tmp_path / "made", "--size_px", HEIGHT_PX, "--hook", BLUR,
                "--hook_settings", '{"margin": 0}') == 0  # fmt: skip
    blur = BlurBoxes(tmp_path / "logs", margin=0)
    for name in SPLITS:
        plain, made = (open_imageset(tmp_path / each / name) for each in ("plain", "made"))
        assert plain.column("token") == made.column("token")
        rows = range(len(made))
        mask = (plain.pixels(rows) != made.pixels(rows)).any(-1)
        middle = slice(HEIGHT_PX // 2 - 14, HEIGHT_PX // 2 + 14)
        assert mask[:, middle, middle].mean() > 0.97  # noise may hit its own average
        mask[:, 29:62, 29:62] = False
        assert not mask.any()
        assert "hook" not in plain.about
        # Nobody named the logs: the index knows them.
        assert made.about["hook"] == describe(blur)
        assert made.about["decode"] == "full"


def test_a_picture_without_boxes_stops_all_and_nothing_is_half_written(tmp_path, index, frames, capsys):
    image = str(frames.column("image")[0])
    write_logs(tmp_path / "logs", frames, without_boxes=[image])
    assert call("prepare", index, tmp_path / "sets", "--size_px", 8, "--hook", BLUR) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"{image}: its boxes cannot be found (anns: missing); set missing to leave_out or keep" in told
    assert not (tmp_path / "sets").exists()
    settings = ["--hook_settings", '{"missing": "leave_out"}']
    assert call("prepare", index, tmp_path / "others", "--size_px", 8, "--hook", BLUR, *settings) == 0
    assert "1 pictures missing, see missing.txt" in capsys.readouterr().out
    train = open_imageset(tmp_path / "others" / "train")
    assert train.about["missing"] == 1
    assert image not in train.column("source_image")
    lines = (tmp_path / "others" / "train" / "missing.txt").read_text().splitlines()
    assert lines == [f"{image}: its boxes cannot be found (anns: missing)"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hook_settings", '{"logs": "x"}'], "hook_settings are for a hook; name it with --hook"),
        (["--hook", "nowhere.Blur"], "hook 'nowhere.Blur' with settings {} cannot be used"),
        (["--hook", BLUR, "--hook_settings", '{"logs": "nowhere"}'], "nowhere does not exist"),
        (["--hook", BLUR, "--hook_settings", '{"cells": 40}'], "cells 40 should be 1 to 10"),
        (["--hook", BLUR, "--hook_settings", "sharp"], "hook_settings"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_made(tmp_path, index, capsys, words, message):
    assert call("prepare", index, tmp_path / "sets", *words) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "sets").exists()


def test_an_index_of_a_table_has_no_logs_to_offer(tmp_path, index, capsys):
    about = json.loads((index / "index.json").read_text()) | {"source": "csv"}
    (index / "index.json").write_text(json.dumps(about))
    assert call("prepare", index, tmp_path / "sets", "--hook", BLUR) == 2
    assert "missing 1 required positional argument: 'logs'" in capsys.readouterr().err


# ---- in code


class Watch:
    """Leaves pictures as they are and remembers what it was told."""

    def __init__(self):
        self.seen = []

    def __call__(self, picture, facts):
        self.seen.append((picture.size, dict(facts)))
        return picture


def test_a_hook_sees_full_pictures_and_their_facts(tmp_path, frames):
    for image in frames.column("image"):
        path = tmp_path / "sensors" / image
        Image.open(path).save(path, "JPEG")  # a decoder could shrink it
    watch = Watch()
    config = PictureConfig(8, "fast", hook=watch)
    assert config.decode == "full"
    prepare(frames, tmp_path / "sensors", tmp_path / "out", config=config)
    assert {size for size, _ in watch.seen} == {(WIDTH_PX, HEIGHT_PX)}
    rows = frames.table.select(PICTURE_FACTS).to_pylist()
    assert sorted((facts for _, facts in watch.seen), key=lambda fact: fact["token"]) == rows


def test_processes_do_not_change_the_set(tmp_path):
    frames = frame_table(np.tile([1.5, -1.5], 105))  # more than one process does by itself
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    for row, image in enumerate(frames.column("image")):
        (tmp_path / "sensors" / image).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(picture, row, 1)).save(tmp_path / "sensors" / image, "JPEG")
    write_logs(tmp_path / "logs", frames)
    config = PictureConfig(32, hook=BlurBoxes(tmp_path / "logs"))
    one, two = (
        prepare(frames, tmp_path / "sensors", tmp_path / f"by{count}", config=config, workers=count) for count in (1, 2)
    )
    assert one.digest == two.digest
    assert bytes_of(one.root) == bytes_of(two.root)
    assert one.about == two.about


def test_an_error_in_another_process_stops_all(tmp_path):
    frames = frame_table(np.tile([1.5, -1.5], 105))
    for image in frames.column("image"):
        (tmp_path / "sensors" / image).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH_PX, HEIGHT_PX)).save(tmp_path / "sensors" / image, "JPEG")
    write_logs(tmp_path / "logs", frames, without_boxes=[str(frames.column("image")[150])])
    config = PictureConfig(32, hook=BlurBoxes(tmp_path / "logs"))
    with pytest.raises(UserError, match="its boxes cannot be found"):
        prepare(frames, tmp_path / "sensors", tmp_path / "out", config=config, workers=2)
    assert not (tmp_path / "out").exists()


class LeaveOut:
    """Leaves out one log's pictures."""

    def __init__(self, log):
        self.log = log

    def __call__(self, picture, facts):
        if facts["log"] == self.log:
            raise BrokenImage("nobody may see it")
        return picture


def test_what_a_hook_leaves_out_of_an_archive_is_told_at_the_end(tmp_path, index, frames):
    with tarfile.open(tmp_path / "sensors.tgz", "w:gz") as archive:
        archive.add(tmp_path / "sensors", "openscene-v1.1/sensor_blobs/mini")
    log = str(frames.column("log")[0])
    config = PictureConfig(8, hook=LeaveOut(log))
    made = prepare_splits(index, None, tmp_path / "sets", config=config, archives=[tmp_path / "sensors.tgz"])
    assert isinstance(made, Incomplete)
    assert (made.ready, made.wanted, len(made.problems)) == (18, 24, 6)
    sets = prepare_splits(index, None, tmp_path / "sets", config=config)
    assert len(sets["train"]) == 6
    lines = (tmp_path / "sets" / "train" / "missing.txt").read_text().splitlines()
    assert lines == [f"{image}: nobody may see it" for image in frames.column("image") if image.startswith(log)]


def test_a_store_goes_on_with_its_own_hook_alone(tmp_path, frames):
    def begin(config):
        return prepare(frames, tmp_path / "sensors", tmp_path / "out", config=config)

    write_logs(tmp_path / "logs", frames, without_boxes=frames.column("image")[20:])
    with pytest.raises(UserError, match="boxes cannot be found"):
        begin(PictureConfig(8, hook=BlurBoxes(tmp_path / "logs")))
    for other in (None, BlurBoxes(tmp_path / "logs", cells=4), Watch()):
        with pytest.raises(UserError, match="was begun with"):
            begin(PictureConfig(8, "full", other))
    write_logs(tmp_path / "logs", frames)
    assert len(begin(PictureConfig(8, hook=BlurBoxes(tmp_path / "logs")))) == len(frames)


def test_class_folders(tmp_path):
    for number in range(12):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"drive{number // 2}_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 9), (number, 0, 0)).save(path)
    watch = Watch()
    settings = {"group": r"(drive\d+)_"}
    prepare_folder(tmp_path / "pictures", tmp_path / "out", config=PictureConfig(4, hook=watch), **settings)
    assert len(watch.seen) == 12
    assert {"log": "drive0", "drive": "drive0", "image": "a/drive0_0.png"} in [facts for _, facts in watch.seen]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "some.pkl").write_bytes(b"")
    blur = BlurBoxes(tmp_path / "logs")
    with pytest.raises(UserError, match="it is not a frame of a log: its token is unknown"):
        prepare_folder(tmp_path / "pictures", tmp_path / "blurred", config=PictureConfig(4, hook=blur), **settings)


# ---- in a recipe


def test_a_recipe_prepares_with_its_hook(tmp_path):
    """The whole road to sets on a small world: the world's own boxes, the index's own logs."""

    def go(folder, **settings):
        said = []
        if not folder.exists() and folder.name != "plain":
            copy_stages(tmp_path / "plain", folder, "world", "index")
        recipe = Recipe("r", {"random": Arm("random", "Random")}, World(4, 3, height_px=72), image_px=32,
                        max_per_class=3, **settings)  # fmt: skip
        road = Road(recipe, folder, said.append, 1)
        make_world(road)
        make_index(road)
        make_sets(road)
        return road.split("train"), said

    plain, _ = go(tmp_path / "plain")
    made, said = go(tmp_path / "blurred", hook=BLUR)
    assert "sets" in said
    assert "index" not in said
    assert made.about["hook"]["settings"]["logs"].endswith("navsim_logs/mini")
    assert made.column("token") == plain.column("token")
    assert made.digest != plain.digest
    assert go(tmp_path / "blurred", hook=BLUR)[1] == []
    assert "sets" in go(tmp_path / "more", hook=BLUR, hook_settings={"margin": 0.2})[1]
    with pytest.raises(UserError, match=r"stage sets, hook: none, now"):
        go(tmp_path / "plain", hook=BLUR)
    with pytest.raises(UserError, match="hook_settings are for a hook"):
        go(tmp_path / "none", hook_settings={"margin": 0.2})
