import json

import numpy as np
import pytest
from made import unsealed
from made_streets import grids

from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset

NAMES = ("not_brake", "brake")


def picture(seed, size=8):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def write(folder, labels=(1, 0, 1), facts=None, **about):
    with ImageSetWriter(folder, NAMES, 8) as writer:
        for row, label in enumerate(labels):
            writer.add(picture(row), label, facts[row] if facts else {"token": f"t{row}"})
        writer.about.update(about)
    return open_imageset(folder)


def damage(folder, change):
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    change(lines)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_patch_has_its_own_pixels(tmp_path):
    images = grids(tmp_path / "set", [np.full((8, 8, 3), 10 * number, np.uint8) for number in range(8)])
    assert images.pixels()[1, ::4, ::4, 0].tolist() == [[40, 50], [60, 70]]
    patches = images.unfolded()
    assert patches.pixels()[:, 3, 3, 0].tolist() == [10 * number for number in range(8)]
    np.testing.assert_array_equal(patches.pixels([6, 1]), patches.pixels()[[6, 1]])


def test_what_is_written_is_read(tmp_path):
    images = write(tmp_path / "set", source="here")
    assert images.files == ("1_brake/000000.png", "0_not_brake/000000.png", "1_brake/000001.png")
    assert images.labels.tolist() == [1, 0, 1]
    assert images.labels.dtype == np.int64
    assert images.counts() == {"not_brake": 1, "brake": 2}
    assert images.column("token") == ["t0", "t1", "t2"]
    assert images.about["source"] == "here"
    for row in range(3):
        np.testing.assert_array_equal(images.pixels()[row], picture(row))
    np.testing.assert_array_equal(images.pixels([2, 0]), [picture(2), picture(0)])
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        "0_not_brake",
        "1_brake",
        "README.md",
        "metadata.jsonl",
        "set.json",
    ]


def test_batches_are_all_images_in_order(tmp_path):
    images = write(tmp_path / "set")
    found = list(images.batches(2))
    assert [indices.tolist() for indices, _ in found] == [[0, 1], [2]]
    np.testing.assert_array_equal(np.concatenate([pixels for _, pixels in found]), images.pixels())


def test_digest_follows_content_and_nothing_else(tmp_path):
    digest = write(tmp_path / "a").digest
    assert write(tmp_path / "b", source="elsewhere").digest == digest
    assert write(tmp_path / "c", labels=(0, 1, 1)).digest != digest
    assert write(tmp_path / "d", labels=(1, 0)).digest != digest
    with ImageSetWriter(tmp_path / "e", NAMES, 8) as writer:
        for row, label in enumerate((1, 0, 1)):
            writer.add(picture(row + (row == 2)), label, {"token": f"t{row}"})
    assert open_imageset(tmp_path / "e").digest != digest


def test_facts_cannot_overwrite_the_label(tmp_path):
    images = write(tmp_path / "set", labels=(0,), facts=[{"label": 1, "file_name": "../x", "digest": "0", "log": "a"}])
    assert images.labels.tolist() == [0]
    assert images.files == ("0_not_brake/000000.png",)
    assert images.facts[0]["log"] == "a"


def test_subset_and_save(tmp_path):
    images = write(tmp_path / "set", source="here")
    part = images.subset([2, 1], method="random")
    assert part.labels.tolist() == [1, 0]
    assert part.digest != images.digest
    assert part.about == {**images.about, "method": "random"}
    saved = part.save(tmp_path / "part")
    assert saved.labels.tolist() == [1, 0]
    assert saved.column("token") == ["t2", "t1"]
    np.testing.assert_array_equal(saved.pixels(), images.pixels([2, 1]))
    assert saved.about["method"] == "random"


def test_an_empty_set_is_the_users_error_and_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="no image to write"), ImageSetWriter(tmp_path / "set", NAMES, 8):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path):
    def fail(folder):
        with ImageSetWriter(folder, NAMES, 8) as writer:
            writer.add(picture(0), 0, {})
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []
    old = write(tmp_path / "set")
    with pytest.raises(RuntimeError, match="killed"):
        fail(tmp_path / "set")
    assert open_imageset(tmp_path / "set").digest == old.digest
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_new_set_takes_the_place_of_an_old_one(tmp_path):
    write(tmp_path / "set")
    assert len(write(tmp_path / "set", labels=(0,))) == 1
    assert not (tmp_path / "set" / "1_brake" / "000000.png").exists()


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "1_brake/../../x.png", "a\0b.png"])
def test_a_file_name_that_leaves_the_folder(tmp_path, name):
    write(tmp_path / "set")
    damage(tmp_path / "set", lambda lines: lines[1].update(file_name=name))
    with pytest.raises(UserError, match=r"metadata\.jsonl, line 2: .* leaves the folder"):
        open_imageset(tmp_path / "set")


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[0].update(label=2),
        lambda lines: lines[0].update(label="brake"),
        lambda lines: lines[0].pop("label"),
        lambda lines: lines[0].pop("file_name"),
        lambda lines: lines[0].update(file_name=3),
        lambda lines: lines.__setitem__(0, [1]),
        lambda lines: lines.pop(),
    ],
)
def test_damaged_metadata(tmp_path, change):
    write(tmp_path / "set")
    damage(tmp_path / "set", change)
    with pytest.raises(UserError, match=r"metadata\.jsonl"):
        open_imageset(tmp_path / "set")


def test_no_set(tmp_path):
    with pytest.raises(UserError, match="does not exist; it should be an image set"):
        open_imageset(tmp_path / "none")
    (tmp_path / "set").mkdir()
    with pytest.raises(UserError, match="is empty"):
        open_imageset(tmp_path / "set")
    (tmp_path / "set" / "set.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        open_imageset(tmp_path / "set")
    (tmp_path / "set" / "set.json").write_text('{"format": "other"}')
    with pytest.raises(UserError, match="not of format"):
        open_imageset(tmp_path / "set")


def test_a_picture_of_another_size(tmp_path):
    write(tmp_path / "set")
    record = unsealed(tmp_path / "set" / "set.json")
    (tmp_path / "set" / "set.json").write_text(json.dumps(record | {"size_px": 9}))
    with pytest.raises(UserError, match=r"8 x 8 pixels, but set\.json states 9"):
        open_imageset(tmp_path / "set").pixels()
    (tmp_path / "set" / "set.json").write_text(json.dumps(record | {"size_px": 4097}))
    with pytest.raises(UserError, match=r"set\.json, size_px"):
        open_imageset(tmp_path / "set")


def test_pictures_that_stand_twice_are_named(tmp_path):
    with ImageSetWriter(tmp_path / "set", NAMES, 8) as writer:
        for seed, label in ((0, 0), (1, 1), (0, 0), (2, 1), (0, 0), (1, 0)):
            writer.add(picture(seed), label, {})
    torn, copies = open_imageset(tmp_path / "set").twins()
    assert "WARNING" in torn
    assert "1 picture is under two classes, the first as 1_brake/000000.png and 0_not_brake/000003.png" in torn
    assert "2 pictures are each a copy of another of the same class, the first 0_not_brake/000001.png" in copies
    assert write(tmp_path / "other").twins() == []


@pytest.mark.parametrize(("name", "value"), [("log", ["a"]), ("log", "x" * 1001), ("speed_mps", "fast"), ("crc32", -1)])
def test_a_fact_of_another_type(tmp_path, name, value):
    write(tmp_path / "set")
    damage(tmp_path / "set", lambda lines: lines[1].update({name: value}))
    with pytest.raises(UserError, match=rf"metadata\.jsonl, line 2, {name}: "):
        open_imageset(tmp_path / "set")


def test_a_fact_that_no_image_has(tmp_path):
    with pytest.raises(UserError, match="no image has the fact 'log'"):
        write(tmp_path / "set").column("log")
