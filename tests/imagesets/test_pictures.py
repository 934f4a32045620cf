"""Pictures of a set: damage of every kind is one line that names the file."""

import json
import os
import shutil

import numpy as np
import pytest
from made import picture_set, unseal_set
from PIL import Image

from roadstill.errors import UserError
from roadstill.images import encode_png
from roadstill.imagesets import open_imageset
from roadstill.imagesets.pictures import picture_digest
from roadstill.runs import digest_of

FILE = "1_brake/000001.png"


@pytest.fixture
def folder(tmp_path):
    picture_set(tmp_path / "set", 8)
    return tmp_path / "set"


def without_sums(folder):
    """The set as versions before 0.2 wrote it: without CRCs."""
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    lines = [json.dumps({key: value for key, value in row.items() if key != "crc32"}) + "\n" for row in rows]
    (folder / "metadata.jsonl").write_text("".join(lines))
    unseal_set(folder)


def test_the_digest_is_the_one_that_sets_always_had():
    for png in (b"", b"\x00\xff", encode_png(np.zeros((8, 8, 3), np.uint8))):
        assert picture_digest(png) == digest_of(png.hex())


def test_a_row_has_both_sums(folder):
    facts = open_imageset(folder).facts[0]
    assert facts["digest"] == picture_digest((folder / facts["file_name"]).read_bytes())
    assert isinstance(facts["crc32"], int)
    saved = open_imageset(folder).subset([3]).save(folder.parent / "part")
    assert (saved.facts[0]["crc32"], saved.facts[0]["digest"]) == (
        open_imageset(folder).facts[3]["crc32"], open_imageset(folder).facts[3]["digest"],
    )  # fmt: skip


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def replaced(path):
    path.write_bytes((path.parent / "000000.png").read_bytes())


def cut(path):
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("change", [flipped, replaced, cut])
def test_a_picture_that_was_changed_is_named(folder, change, older):
    if older:
        without_sums(folder)
    change(folder / FILE)
    images = open_imageset(folder)
    for read in (images.pixels, images.check_pictures, lambda: images.save(folder.parent / "copy")):
        with pytest.raises(UserError, match=rf"{FILE} is not the picture that the set was written with"):
            read()
    assert not (folder.parent / "copy").exists()
    assert images.pixels([0, 1, 2]).shape == (3, 16, 16, 3)


def test_a_picture_and_its_sum_changed_together_are_noticed_by_the_digest(folder):
    import zlib

    replaced(folder / FILE)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    row = next(row for row in rows if row["file_name"] == FILE)
    row["crc32"] = zlib.crc32((folder / FILE).read_bytes())
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=r"metadata\.jsonl is not what set\.json was written with"):
        open_imageset(folder)
    unseal_set(folder)
    with pytest.raises(UserError, match=FILE):
        open_imageset(folder).check_pictures()


def missing(path):
    path.unlink()


def folder_there(path):
    path.unlink()
    path.mkdir()


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def huge(path):
    with path.open("wb") as file:
        file.truncate(10**9)


def shut(path):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    path.chmod(0)


def endless(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def link_out(path):
    shutil.move(path, path.parents[2] / "elsewhere.png")
    path.symlink_to(path.parents[2] / "elsewhere.png")


def loop(path):
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.parametrize("change", [missing, folder_there, pipe, huge, shut, endless, link_out, loop])
def test_a_file_that_is_no_picture_of_the_set(folder, change):
    change(folder / FILE)
    with pytest.raises(UserError, match=FILE):
        open_imageset(folder).pixels()


def test_a_bomb_is_refused_before_it_is_decoded(folder):
    Image.new("1", (20_000, 20_000)).save(folder / FILE)
    without_sums(folder)
    images = open_imageset(folder)
    images.facts[3].pop("digest")
    with pytest.raises(UserError, match=rf"{FILE}: .*pixels"):
        images.pixels()


def test_links_within_the_set_are_followed(folder):
    (folder / FILE).rename(folder / "kept.png")
    (folder / FILE).symlink_to(folder / "kept.png")
    assert open_imageset(folder).pixels().shape == (8, 16, 16, 3)


def test_a_class_folder_that_leads_out_is_refused(folder):
    shutil.move(folder / "1_brake", folder.parent / "elsewhere")
    (folder / "1_brake").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(UserError, match="1_brake is a link that leads out of the set"):
        open_imageset(folder)
