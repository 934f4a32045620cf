import json
import logging
import shutil

import numpy as np
import pytest
from made import frame_table
from PIL import Image

from roadstill.cli import main
from roadstill.data.choosing import choose_frames
from roadstill.data.picture_store import PictureConfig
from roadstill.data.prepare import prepare
from roadstill.errors import UserError
from roadstill.images import centre_square
from roadstill.imagesets import open_imageset


def frames_of(accel, logs=None, images=None):
    logs = logs if logs is not None else [f"day{row % 2}_car_1" for row in range(len(accel))]
    return frame_table(accel, vx=5.0, logs=logs, images=images, timestamp_us=list(range(len(accel))))


def picture(seed, size=(32, 18)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8))


def draw(frames, sensors, size=(32, 18)):
    for row, image in enumerate(frames.column("image")):
        path = sensors / image
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(row, size).save(path.with_suffix(".png"))
        path.with_suffix(".png").rename(path)  # a PNG under the name .jpg: exact pixels, and Pillow looks at content


def test_pictures_labels_and_facts(tmp_path):
    frames = frames_of([2.0, -2.0, -3.0])
    draw(frames, tmp_path / "sensors")
    images = prepare(frames, tmp_path / "sensors", tmp_path / "out", config=PictureConfig(9), about={"source": "test"})
    assert images.files == ("0_not_brake/000000.png", "1_brake/000000.png", "1_brake/000001.png")
    assert images.labels.tolist() == [0, 1, 1]
    assert images.class_names == ("not_brake", "brake")
    for row in range(3):
        np.testing.assert_array_equal(images.pixels([row])[0], np.asarray(centre_square(picture(row), 9)))
    fact = {
        key: value for key, value in images.facts[1].items() if key not in ("file_name", "label", "digest", "crc32")
    }
    assert fact == {
        "token": f"{1:016x}",
        "log": "day1_car_1",
        "drive": "day1_car_1",
        "timestamp_us": 1,
        "speed_mps": 5.0,
        "accel_mps2": -2.0,
        "location": "us-ma-boston",
        "command": "straight",
        "source_image": "day1_car_1/CAM_F0/0001.jpg",
    }
    assert images.about["missing"] == 0
    assert images.about["source"] == "test"
    assert not (tmp_path / "out" / "missing.txt").exists()
    assert open_imageset(tmp_path / "out").digest == images.digest


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_the_set(tmp_path, workers):
    frames = frames_of([2.0, -2.0] * 120)
    draw(frames, tmp_path / "sensors", (4, 4))
    alone = prepare(frames, tmp_path / "sensors", tmp_path / "alone", config=PictureConfig(4))
    done = []
    other = prepare(
        frames, tmp_path / "sensors", tmp_path / "other", config=PictureConfig(4), workers=workers,
        progress=lambda *state: done.append(state),
    )  # fmt: skip
    assert other.digest == alone.digest
    assert list(other.facts) == list(alone.facts)
    assert done[-1] == (240, 240)
    assert sorted(done) == done or workers > 1


def test_unreadable_pictures_are_counted_and_the_rest_goes_on(tmp_path, caplog):
    frames = frames_of([2.0, -2.0, 2.0, -2.0, 2.0])
    draw(frames, tmp_path / "sensors")
    paths = [tmp_path / "sensors" / image for image in frames.column("image")]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:400])
    paths[2].write_text("no picture")
    with caplog.at_level(logging.WARNING):
        images = prepare(frames, tmp_path / "sensors", tmp_path / "out", config=PictureConfig(9))
    assert images.column("token") == [f"{row:016x}" for row in (3, 4)] or images.counts() == {
        "not_brake": 1,
        "brake": 1,
    }
    assert sorted(images.column("timestamp_us")) == [3, 4]
    assert images.about["missing"] == 3
    lines = (tmp_path / "out" / "missing.txt").read_text().splitlines()
    assert [str(path.name) in line for path, line in zip(paths[:3], lines, strict=True)] == [True] * 3
    assert "missing" in lines[0]
    assert [record.getMessage().split(",")[0] for record in caplog.records] == ["3 of 5 pictures cannot be read"]


def test_nothing_readable_is_the_users_error(tmp_path):
    frames = frames_of([2.0, -2.0])
    (tmp_path / "sensors" / "elsewhere").mkdir(parents=True)
    with pytest.raises(UserError, match=r"none of the 2 pictures could be read; the first: .*0000\.jpg: missing"):
        prepare(frames, tmp_path / "sensors", tmp_path / "out", config=PictureConfig(9))
    assert not (tmp_path / "out").exists()


def test_wrong_settings(tmp_path):
    frames = frames_of([2.0, -2.0])
    with pytest.raises(UserError, match="should be the sensor folder"):
        prepare(frames, tmp_path / "none", tmp_path / "out", config=PictureConfig(9))
    with pytest.raises(UserError, match="no frame"):
        prepare(frames.take(np.array([], np.int64)), tmp_path.parent, tmp_path / "out", config=PictureConfig(9))
    with pytest.raises(UserError, match="max_per_class 0"):
        choose_frames(frames, 0)


def test_a_path_that_leaves_the_sensor_folder_is_not_opened(tmp_path):
    frames = frames_of([2.0, -2.0], images=["a/1.jpg", "../secret.jpg"])
    draw(frames, tmp_path / "sensors")
    assert (tmp_path / "secret.jpg").is_file()
    images = prepare(frames, tmp_path / "sensors", tmp_path / "out", config=PictureConfig(9))
    assert len(images) == 1
    assert "leaves the sensor folder" in (tmp_path / "out" / "missing.txt").read_text()


def test_an_old_set_stays_if_the_new_one_fails(tmp_path):
    frames = frames_of([2.0, -2.0])
    draw(frames, tmp_path / "sensors")
    first = prepare(frames, tmp_path / "sensors", tmp_path / "out", config=PictureConfig(9))
    gone = frames_of([2.0, -2.0], images=["x.jpg", "y.jpg"])
    with pytest.raises(UserError):
        prepare(gone, tmp_path / "sensors", tmp_path / "out", config=PictureConfig(9))
    assert open_imageset(tmp_path / "out").digest == first.digest


def test_prepare_opens_exactly_the_wanted_images(tmp_path):
    frames = frames_of([2.0, -2.0] * 20)
    wanted = [str(image) for image in choose_frames(frames, 3, seed=1).column("image")]
    draw(frames.take(np.isin(frames.column("image").astype(str), wanted)), tmp_path / "sensors")
    images = prepare(frames, tmp_path / "sensors", tmp_path / "out", config=PictureConfig(9), max_per_class=3, seed=1)
    assert images.about["missing"] == 0
    assert sorted(images.column("source_image")) == sorted(wanted)
    assert images.counts() == {"not_brake": 3, "brake": 3}


# ---- the parts of an index


def split_index(folder, parts):
    """An index of these parts and their accelerations, with its pictures below ``sensors``."""
    counts, seed = {}, 0
    for name, accel in parts.items():
        rows = range(len(accel))
        images = [f"{name}{row // 4}/{row}.png" for row in rows]
        logs = [f"{name}{row // 4}" for row in rows]
        frames = frame_table(accel, vx=5.0, logs=logs, images=images, timestamp_us=list(rows))
        frames.save(folder / "index" / f"{name}.parquet")
        counts[name] = len(accel)
        for image in images:
            (folder / "sensors" / image).parent.mkdir(parents=True, exist_ok=True)
            picture(seed).save(folder / "sensors" / image)
            seed += 1
    about = {"data": str(folder), "sensors": str(folder / "sensors"), "frames": counts}
    (folder / "index" / "index.json").write_text(json.dumps(about))
    return folder / "index"


def call(*words):
    return main(["prepare", *map(str, words), "--size_px", "16"])


WHOLE = {"train": [2.0, -2.0] * 8, "dev": [2.0, -2.0] * 4, "test": [2.0, -2.0] * 4}


def test_missing_pictures_end_with_3_and_are_loud(tmp_path, capsys):
    index = split_index(tmp_path, WHOLE)
    assert call(index, tmp_path / "whole") == 0
    assert "WARNING" not in capsys.readouterr().out
    (tmp_path / "sensors" / "train0" / "1.png").unlink()
    assert call(index, tmp_path / "hole") == 3
    told, error = capsys.readouterr()
    assert "train: 8 not_brake, 7 brake (1 pictures missing, see missing.txt)\n" in told
    assert "WARNING" not in told
    where = tmp_path / "sensors" / "train0" / "1.png"
    said = f"roadstill: part of the input could not be read: {where}: missing; the rest is on disk"
    assert error.splitlines()[-1] == said
    shutil.rmtree(tmp_path / "sensors" / "train1")
    shutil.rmtree(tmp_path / "sensors" / "train2")
    assert call(index, tmp_path / "loud") == 3
    told = capsys.readouterr().out
    assert "(9 pictures missing, see missing.txt) (2 logs have no picture at all: not fetched?)" in told
    assert "WARNING: 9 of 32 wanted pictures (28%) are missing or damaged" in told


def test_not_one_picture_names_the_first_path_and_leaves_nothing(tmp_path, capsys):
    index = split_index(tmp_path, WHOLE)
    (tmp_path / "sensors").rename(tmp_path / "moved")
    (tmp_path / "sensors").mkdir()
    (tmp_path / "sensors" / "x").touch()
    assert call(index, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert f"none of the 32 pictures was found; the first: {tmp_path}/sensors/train0/0.png" in said
    assert f"it lies in {tmp_path}/moved/: name that folder with --sensors" in said
    assert not (tmp_path / "out").exists()
    assert call(index, tmp_path / "out", "--sensors", tmp_path / "moved") == 0


@pytest.mark.parametrize("part", ["train", "dev", "test"])
@pytest.mark.parametrize(("accel", "lacking"), [([2.0] * 8, "brake"), ([-2.0] * 8, "not_brake")])
def test_a_part_of_one_class_is_refused_before_a_picture_is_opened(tmp_path, part, accel, lacking, capsys):
    index = split_index(tmp_path, WHOLE | {part: accel})
    assert call(index, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert f"the part {part} has no frame of the class {lacking} (8 in all)" in said
    assert not (tmp_path / "out").exists()


def test_a_picture_of_two_parts_stays_in_the_later_one(tmp_path, capsys):
    index = split_index(tmp_path, WHOLE)
    sensors = tmp_path / "sensors"
    shutil.copyfile(sensors / "test0" / "0.png", sensors / "train0" / "2.png")
    shutil.copyfile(sensors / "test0" / "1.png", sensors / "dev0" / "2.png")  # of another class
    assert call(index, tmp_path / "out") == 0
    assert "train: 7 not_brake, 8 brake (1 equal pictures left out, see left_out.txt)" in capsys.readouterr().out
    listed = {part: (tmp_path / "out" / part / "left_out.txt").read_text() for part in WHOLE}
    assert listed == {
        "train": "train0/2.png: the same picture as test0/0.png in test\n",
        "dev": "dev0/2.png: the same picture as test0/1.png, which is brake\n",
        "test": "test0/1.png: the same picture as dev0/2.png, which is not_brake\n",
    }
