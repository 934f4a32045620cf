"""What a check of pictures says and leaves; that it finds them, tests/data/test_archives.py shows with archives."""

import io
import json

import pytest

from roadstill.data.verify import Presence, Verification, is_whole, verify_pictures

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
