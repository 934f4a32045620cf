"""Equal pictures: never in two parts, never with two labels, always named."""

import shutil

import numpy as np
import pytest
from PIL import Image

from roadstill.cli import main
from roadstill.data.copies import contents
from roadstill.data.folders import prepare_folder
from roadstill.data.picture_store import PictureConfig
from roadstill.errors import UserError
from roadstill.imagesets import open_imageset

PARTS = ("train", "dev", "test")


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)).save(path)


def class_folders(root, per_class=20, classes=("a", "b")):
    """Different pictures only."""
    for place, name in enumerate(classes):
        for number in range(per_class):
            picture(root / name / f"{number:02d}.png", [place, number])
    return root


def digests(out):
    """Digests of the pictures of each part."""
    sets = {part: open_imageset(out / part) for part in PARTS}
    return {part: [fact["digest"] for fact in images.facts] for part, images in sets.items()}


def check_apart(out):
    """No picture is in two parts."""
    found = [set(each) for each in digests(out).values()]
    assert sum(map(len, found)) == len(set().union(*found))


def test_contents_are_equal_for_equal_bytes_alone(tmp_path):
    same_end = bytes(100)
    files = {"a": b"1" + same_end, "b": b"2" + same_end, "c": b"1" + same_end, "d": b"", "e": b"", "f": b"1" * 101}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths = [*(tmp_path / name for name in files), tmp_path / "missing", tmp_path / "gone", tmp_path]
    a, b, c, d, e, f, *others = contents(paths).tolist()
    assert (a == c, d == e) == (True, True)
    assert len({a, b, d, f, *others}) == 7


def test_equal_pictures_are_one_group(tmp_path):
    root = class_folders(tmp_path / "data")
    for number in range(20, 36):
        shutil.copyfile(root / "a" / "00.png", root / "a" / f"{number}.png")
    made = prepare_folder(root, tmp_path / "out", config=PictureConfig(16)).sets
    check_apart(tmp_path / "out")
    assert sum(map(len, made.values())) == 56  # none was left out
    (part,) = [name for name, images in made.items() if "a/00.png" in images.column("drive")]
    assert made[part].column("drive").count("a/00.png") == 17


@pytest.mark.parametrize("group", [None, r"/(\d)"])
def test_equal_pictures_of_two_classes_are_left_out(tmp_path, group, capsys):
    root = class_folders(tmp_path / "data")
    shutil.copyfile(root / "a" / "10.png", root / "b" / "20.png")
    words = ["prepare", root, tmp_path / "out", "--size_px", 16, *(["--group", group] if group else [])]
    if group:  # ten groups, by the first digit, would be two
        words = ["prepare", root, tmp_path / "out", "--size_px", 16, "--group", r"/\d(\d)"]
    assert main([str(word) for word in words]) == 0
    told = capsys.readouterr().out
    assert "equal pictures left out, see left_out.txt" in told
    lines = [line for path in (tmp_path / "out").glob("*/left_out.txt") for line in path.read_text().splitlines()]
    assert sorted(lines) == [
        "a/10.png: the same picture as b/20.png, which is b",
        "b/20.png: the same picture as a/10.png, which is a",
    ]
    sets = [open_imageset(tmp_path / "out" / part) for part in PARTS]
    assert sum(map(len, sets)) == 39
    assert sum(images.about.get("left_out", 0) for images in sets) == 2
    check_apart(tmp_path / "out")


def test_groups_that_share_a_picture_keep_it_in_the_part_that_measures(tmp_path):
    root = tmp_path / "data"
    for drive in range(20):
        for place, name in enumerate("ab"):
            for number in range(3):
                picture(root / name / f"d{drive:02d}_{number}.png", [place, drive, number])
            picture(root / name / f"d{drive:02d}_same.png", [place, 99])  # a black picture in every drive
    made = prepare_folder(root, tmp_path / "out", config=PictureConfig(16), group=r"(d\d+)_").sets
    check_apart(tmp_path / "out")
    kept = {part: sum("same" in image for image in images.column("source_image")) for part, images in made.items()}
    assert kept["train"] == kept["dev"] == 0
    assert kept["test"] > 0
    assert sum(map(len, made.values())) == 120 + kept["test"]
    assert "_same.png: the same picture as a/d" in (tmp_path / "out" / "train" / "left_out.txt").read_text()


def test_parts_that_are_there_lose_what_test_has(tmp_path):
    for place, part in enumerate(PARTS):
        class_folders(tmp_path / "data" / part)
        for number in range(20):
            for name in "ab":
                picture(tmp_path / "data" / part / name / f"{number:02d}.png", [place, number, ord(name)])
    root = tmp_path / "data"
    shutil.copyfile(root / "test" / "a" / "03.png", root / "train" / "a" / "x.png")
    shutil.copyfile(root / "test" / "b" / "04.png", root / "dev" / "b" / "y.png")
    shutil.copyfile(root / "dev" / "a" / "05.png", root / "train" / "a" / "z.png")
    made = prepare_folder(root, tmp_path / "out", config=PictureConfig(16)).sets
    assert {part: len(images) for part, images in made.items()} == dict.fromkeys(PARTS, 40)
    assert (tmp_path / "out" / "train" / "left_out.txt").read_text().splitlines() == [
        "train/a/x.png: the same picture as test/a/03.png in test",
        "train/a/z.png: the same picture as dev/a/05.png in dev",
    ]


def test_a_train_part_that_is_the_test_part_is_refused(tmp_path):
    class_folders(tmp_path / "data" / "train")
    class_folders(tmp_path / "data" / "test")
    with pytest.raises(UserError, match=r"all \d+ pictures are copies: train/a/\d+.png: the same picture as test/a"):
        prepare_folder(tmp_path / "data", tmp_path / "out", config=PictureConfig(16))


def test_placeholders_are_said_to_be_some(tmp_path, caplog):
    root = class_folders(tmp_path / "data", per_class=1)
    for name in "ab":
        for number in range(1, 30):
            shutil.copyfile(root / name / "00.png", root / name / f"{number:02d}.png")
    with caplog.at_level("WARNING"):
        made = prepare_folder(root, tmp_path / "out", config=PictureConfig(16), group=r"/(\d+)\.").sets
    assert sum(map(len, made.values())) == 60
    assert "only 2 of 60 pictures differ (placeholders?)" in caplog.text


def test_a_hundred_thousand_copies_are_no_trouble(tmp_path):
    picture(tmp_path / "a.png", 0)
    assert set(contents([tmp_path / "a.png"] * 3000).tolist()) == {0}
