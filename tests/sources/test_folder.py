"""Folders of pictures in class folders: splits by group, parts as they are, foreign sets, and what is refused."""

import json
import os
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from roadstill.cli import main
from roadstill.data.folders import import_folder, prepare_folder
from roadstill.data.picture_store import PictureConfig
from roadstill.errors import UserError
from roadstill.images import centre_square
from roadstill.imagesets import open_imageset
from roadstill.runs import seed_of
from roadstill.sources.folder import find_parts, groups_of, has_class_folders, read_classes

SMALL = PictureConfig(8)


def picture(seed, size=(16, 12)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8))


def draw(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        picture(seed_of(path)).save(root / path)
    return root


def recording(root, *, classes=("brake", "go"), drives=8, frames=3, below=""):
    return draw(root, *(f"{below}{name}/drive{drive}_{frame}.png" for name in classes for drive in range(drives)
                        for frame in range(frames)))  # fmt: skip


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(call, capsys):
    assert main([str(word) for word in call]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


# ---- splits


def test_groups_are_split_whole_and_facts_name_them(tmp_path):
    root = recording(tmp_path / "data", drives=20)
    made = prepare_folder(root, tmp_path / "out", config=SMALL, group=r"(drive\d+)_")
    assert made.notes == []
    drives = {name: set(images.column("drive")) for name, images in made.sets.items()}
    assert {name: len(part) for name, part in drives.items()} == {"train": 14, "dev": 3, "test": 3}
    assert len(set().union(*drives.values())) == 20
    for name, images in made.sets.items():
        assert images.class_names == ("brake", "go")
        assert images.about["split"] == name
        assert images.column("log") == images.column("drive")
        for row in range(len(images)):
            fact = images.facts[row]
            assert fact["source_image"].startswith(f"{images.class_names[images.labels[row]]}/{fact['drive']}_")
            expected = centre_square(Image.open(root / fact["source_image"]), 8)
            np.testing.assert_array_equal(images.pixels([row])[0], np.asarray(expected))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dev", "test", "train"]


def test_without_groups_pictures_are_dealt_singly_with_a_warning(tmp_path, capsys):
    root = recording(tmp_path / "data", drives=20, frames=1)
    assert main(["prepare", str(root), str(tmp_path / "out"), "--size_px", "8"]) == 0
    told = capsys.readouterr().out
    assert "near-duplicates (neighbouring frames of a video) may be in both train and test" in told
    assert f"{tmp_path / 'out' / 'train'}: 14 brake, 14 go" in told
    images = open_imageset(tmp_path / "out" / "test")
    assert images.column("drive") == images.column("source_image")


def test_rare_classes_are_spread_too(tmp_path):
    root = recording(tmp_path / "data", classes=("a", "b", "c"), drives=10, frames=1)
    draw(root, *(f"rare/{number}.png" for number in range(8)))
    made = prepare_folder(root, tmp_path / "out", config=SMALL)
    assert made.sets["train"].class_names == ("a", "b", "c", "rare")
    assert all(min(images.counts().values()) >= 1 for images in made.sets.values())


def test_equal_calls_workers_and_a_stopped_call_give_equal_bytes(tmp_path, monkeypatch):
    root = recording(tmp_path / "data", drives=30, frames=4)

    def run(name, **settings):
        prepare_folder(root, tmp_path / name, config=SMALL, group=r"(drive\d+)_", **settings)
        return files_of(tmp_path / name)

    first = run("one", workers=1)
    assert run("two", workers=2) == first

    def killed(*arguments, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("roadstill.data.folders.write_pictures", killed)
        with pytest.raises(KeyboardInterrupt):
            run("three")
    assert sorted(path.name for path in (tmp_path / "three").iterdir()) == ["pictures"]
    monkeypatch.setattr("roadstill.data.picture_store.PictureConfig.png", None)
    assert run("three") == first
    with pytest.raises(UserError, match="has no picture in the part"):
        prepare_folder(draw(tmp_path / "few", "a/0.png", "a/1.png", "b/0.png"), tmp_path / "x", config=SMALL)
    assert not (tmp_path / "x").exists()


def test_a_cap_takes_every_group_before_a_second_of_any(tmp_path):
    root = recording(tmp_path / "data", drives=10, frames=5)
    sets = prepare_folder(root, tmp_path / "out", config=SMALL, group=r"(drive\d+)_", max_per_class=4).sets
    assert sets["train"].counts() == {"brake": 4, "go": 4}
    per_drive = Counter(zip(sets["train"].column("drive"), sets["train"].labels.tolist(), strict=True))
    assert set(per_drive.values()) == {1}


# ---- parts that are there


@pytest.mark.parametrize("dev", ["dev", "val", "valid", "validation"])
def test_parts_stay_as_they_are(tmp_path, dev):
    for name, drives in (("train", 5), (dev, 2), ("test", 3)):
        recording(tmp_path / "data", drives=drives, below=f"{name}/")
    made = prepare_folder(tmp_path / "data", tmp_path / "out", config=SMALL, group=r"/(\w+/drive\d+)_")
    assert {name: len(images) for name, images in made.sets.items()} == {"train": 30, "dev": 12, "test": 18}
    assert {image.split("/")[0] for image in made.sets["dev"].column("source_image")} == {dev}
    # Drives 0 and 1 of both classes stand in all three folders, drive 2 in two.
    assert made.notes == ["10 groups are in more than one of the folders train, dev, test"]


def test_a_missing_dev_part_is_cut_from_train(tmp_path):
    recording(tmp_path / "data", drives=17, below="train/")
    recording(tmp_path / "data", drives=4, below="test/")
    made = prepare_folder(tmp_path / "data", tmp_path / "out", config=SMALL, group=r"(drive\d+)_")
    assert {name: len(images) for name, images in made.sets.items()} == {"train": 84, "dev": 18, "test": 24}
    train, dev = (set(made.sets[name].column("source_image")) for name in ("train", "dev"))
    assert not train & dev
    assert {image.split("/")[0] for image in train | dev} == {"train"}


def test_which_folders_are_parts(tmp_path):
    def parts(name, *folders):
        for folder in folders:
            (tmp_path / name / folder).mkdir(parents=True)
        return list(find_parts(tmp_path / name))

    assert parts("a", "train", "val", "test") == ["train", "dev", "test"]
    assert parts("b", "cat", "dog", ".git", "__MACOSX") == []
    assert parts("c", "car", "train") == []
    assert parts("d", "exam", "test", "val") == []
    with pytest.raises(UserError, match=r"holds train, val, but no test; rename .* or give .*train"):
        parts("e", "train", "val")
    with pytest.raises(UserError, match="holds test, val, but no train"):
        parts("f", "val", "test")
    with pytest.raises(UserError, match="holds both dev and val"):
        parts("g", "train", "val", "dev", "test")
    with pytest.raises(UserError, match="and 'notes' beside them"):
        parts("h", "train", "test", "notes")


def test_parts_must_have_the_same_classes(tmp_path):
    recording(tmp_path / "data", below="train/")
    recording(tmp_path / "data", classes=("brake", "stop"), below="test/")
    with pytest.raises(UserError, match=r"test holds the classes brake, stop, but .*train holds brake, go"):
        prepare_folder(tmp_path / "data", tmp_path / "out", config=SMALL)


# ---- classes


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["b", "a", "C"], ("C", "a", "b")),
        (["1_brake", "0_not_brake"], ("not_brake", "brake")),
        (["10_k", "9_j", "2_c"], ("c", "j", "k")),
        (["0_a", "b"], ("0_a", "b")),
        (["0_a", "0_b"], ("0_a", "0_b")),
        (["n01440764", "n01443537"], ("n01440764", "n01443537")),
    ],
)
def test_names_and_order_of_classes(tmp_path, folders, names):
    for folder in folders:
        draw(tmp_path, f"{folder}/x.png")
    found = read_classes(tmp_path)
    assert found.class_names == names
    assert found.labels.tolist() == list(range(len(names)))
    assert all(image.split("/")[0].endswith(name) for image, name in zip(found.images, names, strict=True))


def test_pictures_below_and_files_of_other_types(tmp_path, monkeypatch):
    draw(tmp_path, "a/deep/er/x.PNG", "a/y.png", "b/z.jpg")
    for name in ("a/notes.txt", "a/.hidden.png", "b/x.gif", "README.md", ".DS_Store", "b/noise"):
        (tmp_path / name).write_text("")
    os.mkfifo(tmp_path / "b" / "pipe.png")
    (tmp_path / "b" / "line\nbreak.png").write_bytes(b"")
    found = read_classes(tmp_path)
    assert found.images == ["a/deep/er/x.PNG", "a/y.png", "b/pipe.png", "b/z.jpg"]
    assert found.ignored == {
        "files of other types": 3,
        "hidden files": 1,
        "pictures whose names not every file system accepts": 1,
    }
    monkeypatch.chdir(tmp_path)
    assert read_classes(type(tmp_path)()).images == found.images


def test_links_may_not_leave_the_folder(tmp_path):
    outside = draw(tmp_path / "outside", "secret.png", "more/x.png")
    root = draw(tmp_path / "data", "a/x.png", "b/y.png")
    (root / "a" / "inside.png").symlink_to(root / "b" / "y.png")
    assert read_classes(root).images == ["a/inside.png", "a/x.png", "b/y.png"]
    for link, target, message in (
        ("a/out.png", outside / "secret.png", "is a link that leaves"),
        ("a/up.png", "../../outside/secret.png", "is a link that leaves"),
        ("a/more", outside / "more", "is a link that leaves"),
        ("a/again", root / "b", "is a link to a folder"),
        ("c", root / "b", "is a link to a folder"),
    ):
        (root / link).symlink_to(target)
        with pytest.raises(UserError, match=message):
            prepare_folder(root, tmp_path / "out", config=SMALL)
        (root / link).unlink()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name", ["a\nb", "a\x1b[31m", "\u0085", "x" * 101, "a\\b", " a", "c:x", b"\xff".decode("utf-8", "surrogateescape")]
)
def test_names_that_are_no_plain_names(tmp_path, name):
    draw(tmp_path, "a/x.png")
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=r"the class folder .* cannot name a folder") as refusal:
        read_classes(tmp_path)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).isprintable()


def test_hidden_folders_are_skipped_at_every_depth_and_counted(tmp_path, capsys):
    root = recording(tmp_path / "data", drives=20, frames=1)
    for below in (".ipynb_checkpoints", "__MACOSX", "brake/.ipynb_checkpoints", "brake/__MACOSX/brake", "go/b/.thumbs",
                  "go/@eaDir/x.jpg", "brake/$RECYCLE.BIN"):  # fmt: skip
        draw(root, f"{below}/d1_1-checkpoint.png")
    draw(root, "brake/sub/deep/x.png")
    found = read_classes(root)
    assert found.class_names == ("brake", "go")
    assert len(found.images) == 41
    assert not any("checkpoint" in image for image in found.images)
    assert found.ignored == {"hidden folders, or such as __MACOSX,": 7}
    assert main(["prepare", str(root), str(tmp_path / "out"), "--size_px", "8"]) == 0
    assert "7 hidden folders, or such as __MACOSX, were left out" in capsys.readouterr().out


def test_a_link_to_itself_costs_itself_alone(tmp_path, capsys):
    root = recording(tmp_path / "data", drives=20, frames=1)
    for name, target in (("loop.png", "loop.png"), ("gone.png", "nowhere.png")):
        (root / "brake" / name).symlink_to(target)
    assert main(["prepare", str(root), str(tmp_path / "out"), "--size_px", "8"]) == 3
    told = capsys.readouterr().out
    assert "pictures missing, see missing.txt" in told
    listed = "".join(path.read_text() for path in (tmp_path / "out").glob("*/missing.txt"))
    assert "brake/loop.png: Too many levels of symbolic links" in listed
    assert "brake/gone.png: a link that leads nowhere" in listed
    assert listed.count("\n") == 2


def test_a_folder_of_one_class_is_told(tmp_path):
    made = prepare_folder(recording(tmp_path / "data", classes=("go",), drives=20), tmp_path / "out", config=SMALL)
    assert made.notes[0] == "there is one class alone, so nothing can be learnt or measured"


@pytest.mark.parametrize(("name", "kind"), [("x.pt", "PyTorch"), ("x.NPY", "NumPy"), ("x.h5", "HDF5")])
def test_tensor_files_are_named(tmp_path, name, kind, capsys):
    (tmp_path / name).write_bytes(b"x")
    says = f"{tmp_path / name} is a {kind} file of tensors, which is not read; save each picture as PNG"
    with pytest.raises(UserError, match=says):
        import_folder(tmp_path / name, tmp_path / "out", SMALL)
    if kind != "PyTorch":  # which may hold a distilled set
        assert says in refused(["prepare", tmp_path / name, tmp_path / "out"], capsys)
    draw(tmp_path / "data", "a/0.png")
    (tmp_path / "data" / "b").mkdir()
    (tmp_path / "data" / "b" / name).write_bytes(b"x")
    line = refused(["prepare", tmp_path / "data", tmp_path / "out"], capsys)
    assert f"but {kind} files, which are not read; save each picture as PNG" in line


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=4, unique=True))
@settings(max_examples=60, deadline=None)
def test_names_of_any_kind_are_classes_or_one_line(names):
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            try:
                (Path(folder) / name).mkdir()
                picture(0).save(Path(folder) / name / "0.png")
            except (OSError, ValueError):  # the file system has no such name
                continue
        with suppress(UserError):
            assert all(name.isprintable() for name in read_classes(Path(folder)).class_names)


def test_groups():
    images = ["a/d1_0.png", "b/d2_0.png"]
    assert groups_of(images, None) == images
    assert groups_of(images, r"(d\d)_") == ["d1", "d2"]
    with pytest.raises(UserError, match=r"finds nothing in 1 of 2 paths; the first: b/d2_0\.png"):
        groups_of(images, "(d1)")
    with pytest.raises(UserError, match="has 2 groups; put exactly one"):
        groups_of(images, "(d)(1)")
    with pytest.raises(UserError, match="is not a regular expression"):
        groups_of(images, "(")


# ---- one clear line


def test_what_is_wrong_is_one_line_and_leaves_nothing(tmp_path, capsys):
    out = tmp_path / "out"
    root = recording(tmp_path / "data")
    assert "lies inside" in refused(["prepare", root, root / "out"], capsys)
    assert "2 groups cannot fill 3 parts" in refused(["prepare", root, out, "--group", "(brake|go)"], capsys)
    assert "are for an index" in refused(["prepare", root, out, "--shard", "1/2"], capsys)
    assert "are for an index" in refused(["prepare", root, out, "--label", "location"], capsys)
    assert "max_per_class is 0; it must be" in refused(["prepare", root, out, "--max_per_class", "0"], capsys)
    (root / "empty").mkdir()
    line = refused(["prepare", root, out], capsys)
    assert f"{root / 'empty'} holds no picture" in line
    flat = draw(tmp_path / "flat", "x.png")
    assert "index.json" in refused(["prepare", flat, out], capsys)
    (tmp_path / "index" / "frames").mkdir(parents=True)
    assert "index.json" in refused(["prepare", tmp_path / "index", out], capsys)
    (tmp_path / "index" / "index.json").write_text('{"data": "", "sensors": "", "frames": {}}')
    assert not has_class_folders(tmp_path / "index")
    assert "group is for folders" in refused(["prepare", tmp_path / "index", out, "--group", "(a)"], capsys)
    assert not out.exists()


def test_broken_pictures_are_counted(tmp_path, capsys):
    root = recording(tmp_path / "data")
    (root / "brake" / "drive0_0.png").write_bytes(b"torn")
    assert main(["prepare", str(root), str(tmp_path / "out"), "--size_px", "8"]) == 3
    assert "(1 pictures missing, see missing.txt)" in capsys.readouterr().out
    (listed,) = [path.read_text() for path in (tmp_path / "out").glob("*/missing.txt")]
    assert "brake/drive0_0.png" in listed


# ---- sets that others made


def test_a_foreign_set_is_taken_as_it_is(tmp_path):
    root = tmp_path / "theirs"
    for name, seed in (("go/1.png", 1), ("brake/9.png", 2), ("brake/10.png", 3)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(seed, (8, 8)).save(root / name)
    made = import_folder(root, tmp_path / "set", SMALL, class_names=("go", "brake"), about={"method": "theirs"})
    assert made.class_names == ("go", "brake")
    assert made.labels.tolist() == [0, 1, 1]
    assert made.column("source_image") == ["go/1.png", "brake/10.png", "brake/9.png"]
    for row, seed in enumerate((1, 3, 2)):
        np.testing.assert_array_equal(made.pixels([row])[0], np.asarray(picture(seed, (8, 8))))
    assert made.about["method"] == "theirs"
    assert open_imageset(tmp_path / "set").digest == made.digest
    again = import_folder(str(root), str(tmp_path / "again"), SMALL, class_names=("go", "brake"))
    assert again.digest == made.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "set", "theirs"]

    record = json.loads((tmp_path / "set" / "set.json").read_text())
    assert str(tmp_path) not in json.dumps(record)  # nothing of this machine goes along
    with pytest.raises(UserError, match="holds the classes brake, go, but brake, not_brake are required"):
        import_folder(root, tmp_path / "x", SMALL, class_names=("brake", "not_brake"))
    draw(tmp_path / "parts", "train/a/0.png", "test/a/0.png")
    with pytest.raises(UserError, match="holds the parts train, test; give one, such as"):
        import_folder(tmp_path / "parts", tmp_path / "x", SMALL)
    (root / "go" / "1.png").write_bytes(b"")
    (root / "brake" / "9.png").unlink()
    (root / "brake" / "10.png").write_bytes(b"")
    with pytest.raises(UserError, match="none of the 2 pictures could be read"):
        import_folder(root, tmp_path / "x", SMALL)
    assert not (tmp_path / "x").exists()
