"""What a check of pictures says and leaves; that it finds them, tests/data/test_archives.py shows with archives."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from roadstill.data.verify import Presence, Verification, is_whole, none_there, verify_pictures

JPEG, PNG = b"\xff\xd8\xff_\xff\xd9", b"\x89PNG\r\n\x1a\n_IEND\xae\x42\x60\x82"


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (JPEG, True),
        (JPEG + b"\0" * 9000, False),  # zeros beyond the tail hide the end
        (JPEG + b"\0" * 9, True),
        (JPEG[:-1], False),
        (PNG, True),
        (PNG[:-1], False),
        (b"BM_", True),
        (b"<html>", False),
        (b"", False),
    ],
)
def test_a_picture_is_whole_if_it_ends_as_it_should(data, whole):
    assert is_whole(io.BytesIO(data)) is whole


def test_a_log_that_was_complete_is_not_looked_at_again(tmp_path):
    (tmp_path / "sensors" / "a").mkdir(parents=True)
    for name in ("0.jpg", "1.jpg"):
        (tmp_path / "sensors" / "a" / name).write_bytes(JPEG)
    images, notes = ["a/0.jpg", "a/1.jpg", "b/0.jpg"], tmp_path / "index"
    first = verify_pictures(images, tmp_path / "sensors", notes)
    assert first.logs == [Presence("a", 2, 2, 0, 0), Presence("b", 1, 0, 0, 1)]
    assert first.lacking == ["b/0.jpg"]
    with (notes / "verified.jsonl").open("a") as file:
        file.write('{"key": "torn by a ki')
    (tmp_path / "sensors" / "a" / "1.jpg").unlink()
    assert verify_pictures(images, tmp_path / "sensors", notes) == first
    # Other wanted pictures of the log are another question.
    assert verify_pictures(images[1:], tmp_path / "sensors", notes).lacking == ["a/1.jpg", "b/0.jpg"]


def test_paths_out_of_the_sensor_folder_are_missing(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(JPEG)
    (tmp_path / "sensors").mkdir()
    found = verify_pictures(["../secret.jpg"], tmp_path / "sensors", tmp_path / "index")
    assert found.lacking == ["../secret.jpg"]


def test_the_table_names_twenty_odd_logs_and_adds_up(tmp_path):
    logs = [Presence(f"log{number:02d}", 3, 1, 1, 1) for number in range(25)] + [Presence("whole", 2, 2, 0, 0)]
    found = Verification(logs, [Presence("a.tgz", 5, 4, 1, 0)], ["x", "y"], ["a.tgz: ends early"])
    lines = str(found).splitlines()
    assert len(lines) == 1 + 20 + 1 + 1 + 1 + 1
    assert not any("whole" in line for line in lines)
    assert lines[21].startswith("... and 5 more logs")
    assert lines[22].split()[-4:] == ["77", "27", "25", "25"]
    found.save(tmp_path)
    assert (tmp_path / "lacking.txt").read_text() == "x\ny\n"
    assert json.loads((tmp_path / "pictures.json").read_text())["lacking"] == 2


def noisy_jpeg(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    return path


def test_damage_inside_a_file_is_found_by_decoding(tmp_path):
    sensors = tmp_path / "sensors"
    for name in ("0.jpg", "1.jpg", "2.jpg", "3.png"):
        noisy_jpeg(sensors / "a" / name)
    whole = (sensors / "a" / "1.jpg").read_bytes()
    start = whole.index(b"\xff\xda") + 20
    (sensors / "a" / "1.jpg").write_bytes(whole[:start] + bytes(len(whole) - start - 2) + whole[-2:])
    (sensors / "a" / "2.jpg").write_bytes(whole[:200] + bytes(len(whole) - 202) + whole[-2:])
    images = [f"a/{name}" for name in ("0.jpg", "1.jpg", "2.jpg", "3.png", "4.jpg")]
    assert verify_pictures(images, sensors, tmp_path).lacking == ["a/4.jpg"]
    found = verify_pictures(images, sensors, tmp_path, decode=True)
    assert found.logs == [Presence("a", 5, 2, 2, 1)]
    assert found.lacking == ["a/1.jpg", "a/2.jpg", "a/4.jpg"]


def test_a_log_that_seemed_complete_is_decoded_when_that_is_asked(tmp_path):
    path = noisy_jpeg(tmp_path / "sensors" / "a" / "0.jpg")
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + bytes(len(whole) - 202) + whole[-2:])
    assert verify_pictures(["a/0.jpg"], tmp_path / "sensors", tmp_path).lacking == []
    assert verify_pictures(["a/0.jpg"], tmp_path / "sensors", tmp_path, decode=True).lacking == ["a/0.jpg"]


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "0.jpg")
    (tmp_path / "1.jpg").symlink_to("/dev/zero")
    (tmp_path / "2.jpg").symlink_to("2.jpg")
    (tmp_path / "3.jpg").mkdir()
    images = [f"{number}.jpg" for number in range(4)]
    assert verify_pictures(images, tmp_path, tmp_path / "notes").lacking == images


def test_logs_without_pictures_and_holes_are_told_apart():
    logs = [Presence("a", 3, 0, 0, 3), Presence("b", 3, 0, 3, 0), Presence("c", 3, 2, 0, 1), Presence("d", 3, 3, 0, 0)]
    assert Verification(logs, [], ["x"] * 7, []).summary() == [
        "1 of 4 logs have no picture at all (not fetched?): a",
        "2 of 4 logs lack some of theirs (holes): b, c",
        "WARNING: 7 of 12 wanted pictures (58%) are missing or damaged",
    ]
    many = [Presence(f"log{number}", 30, 29, 0, 1) for number in range(5)]
    assert Verification(many, [], ["x"] * 5, []).summary() == [
        "5 of 5 logs lack some of theirs (holes): log0, log1, log2 ..."
    ]


def test_that_none_is_there_names_the_first_path_and_another_place(tmp_path):
    sensors = tmp_path / "sensor_blobs" / "test"
    said = none_there(sensors, "log1/CAM_F0/a.jpg", 9)
    assert f"none of the 9 pictures was found; the first: {sensors}/log1/CAM_F0/a.jpg; name the folder" in said
    noisy_jpeg(sensors / "CAM_F0" / "a.jpg")
    assert f"a file of that name is {sensors}/CAM_F0/a.jpg: put" in none_there(sensors, "log1/CAM_F0/a.jpg", 9)
    noisy_jpeg(tmp_path / "sensor_blobs" / "trainval" / "log1" / "CAM_F0" / "b.jpg")
    said = none_there(sensors, "log1/CAM_F0/b.jpg", 9)
    assert f"it lies in {tmp_path}/sensor_blobs/trainval/: name that folder with --sensors" in said
    assert none_there(None, "a", 9) == "none of the 9 pictures was found; name their folder with --sensors"
    assert none_there(None, "a", 9, [tmp_path]).endswith(f"--sensors (there is {tmp_path})")
