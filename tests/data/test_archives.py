"""Archives, the store of small pictures, and what is missing: torn files, strangers' names, several hands."""

import io
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from roadstill.data.archives import wanted_members
from roadstill.data.picture_store import PictureConfig, PictureStore, fill_from_archive, fill_from_folder
from roadstill.data.verify import is_whole, verify_pictures
from roadstill.errors import UserError
from roadstill.images import BrokenImage, centre_square, read_image

NAMES = [f"log{log}/CAM_F0/{number:04x}.jpg" for log in range(3) for number in range(4)]


def scenery(height, seed=0):
    """A smooth picture with edges, 16:9, as a camera's."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (9, 16, 3), np.uint8))
    return small.resize((height * 16 // 9, height), Image.Resampling.BICUBIC)


def jpeg(height=36, seed=0, quality=90):
    buffer = io.BytesIO()
    scenery(height, seed).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write_sensors(folder, names=NAMES):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg(seed=number))
    return folder


def write_tar(path, members, mode="w:gz"):
    """Members by name; a string makes a link."""
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def contents(store):
    return {path.relative_to(store.root).as_posix(): path.read_bytes() for path in store.root.rglob("*.png")}


@pytest.fixture
def sensors(tmp_path):
    return write_sensors(tmp_path / "sensors")


@pytest.fixture
def whole(tmp_path, sensors):
    store = PictureStore(tmp_path / "whole", PictureConfig(16))
    fill_from_folder(store, NAMES, sensors)
    return contents(store)


# ---- decoding


@pytest.mark.parametrize(
    ("height", "size", "side"), [(1080, 256, 270), (1080, 300, 540), (1080, 600, 1080), (144, 128, 144)]
)
def test_the_decoder_shrinks_no_further_than_wanted(tmp_path, height, size, side):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(height))
    assert min(read_image(path, at_least_px=size).size) == side
    assert min(read_image(path).size) == height


def test_fast_and_full_decoding_look_the_same(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(1080, quality=92))
    fast, full = (np.asarray(centre_square(read_image(path, at_least_px=least), 256), float) for least in (256, None))
    assert 10 * np.log10(255**2 / np.mean((fast - full) ** 2)) > 40  # dB


def test_png_and_grey_pictures_decode_too(tmp_path):
    scenery(90).save(tmp_path / "a.png")
    scenery(90).convert("L").save(tmp_path / "b.jpg")
    assert read_image(tmp_path / "a.png", at_least_px=10).size == (160, 90)
    assert read_image(tmp_path / "b.jpg", at_least_px=40).mode == "RGB"


# ---- the store


def test_an_interrupted_job_goes_on(tmp_path, sensors, whole, monkeypatch):
    store = PictureStore(tmp_path / "store", PictureConfig(16))
    fill_from_folder(store, NAMES[:5], sensors)
    made = []
    put = PictureStore.put
    monkeypatch.setattr(PictureStore, "put", lambda self, image, *file: (made.append(image), put(self, image, *file)))
    fill_from_folder(PictureStore(tmp_path / "store", PictureConfig(16)), NAMES, sensors)
    assert made == NAMES[5:]
    assert contents(store) == whole


def test_a_store_keeps_its_configuration(tmp_path):
    PictureStore(tmp_path, PictureConfig(16))
    with pytest.raises(UserError, match=r"was begun with .*16.*, not .*32"):
        PictureStore(tmp_path, PictureConfig(32))
    for wrong in ({"size_px": 0}, {"size_px": 8, "decode": "slow"}):
        with pytest.raises(UserError, match=list(wrong)[-1]):
            PictureConfig(**wrong)


@pytest.mark.parametrize("name", ["../x.jpg", "/etc/x.jpg", "a/" + "x" * 250 + ".jpg", "a\0b"])
def test_no_name_leaves_the_store(tmp_path, name):
    store = PictureStore(tmp_path / "store", PictureConfig(16))
    assert not store.has(name)
    with pytest.raises(BrokenImage, match="leaves the sensor folder"):
        store.put(name, io.BytesIO(jpeg()))
    fill_from_folder(store, [name], tmp_path)
    assert contents(store) == {}


# ---- archives


def test_an_archive_gives_the_same_pictures_as_the_folder(tmp_path, sensors, whole):
    members = [(f"openscene/sensor_blobs/trainval/{name}", (sensors / name).read_bytes()) for name in reversed(NAMES)]
    members.insert(2, ("openscene/sensor_blobs/trainval/log0/CAM_B0/0001.jpg", jpeg()))
    archives = [write_tar(tmp_path / f"{part}.tgz", members[part::2]) for part in (0, 1)]
    store = PictureStore(tmp_path / "store", PictureConfig(16))
    gave = [fill_from_archive(store, NAMES, archive) for archive in archives]
    assert sum(part.found for part in gave) == sum(part.made for part in gave) == len(NAMES)
    assert [part.problems for part in gave] == [[], []]
    assert contents(store) == whole
    again = fill_from_archive(store, NAMES, archives[0])
    assert (again.found, again.made) == (gave[0].found, 0)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_broken_archive_keeps_what_lies_before_the_break(tmp_path, mode):
    members = [(name, jpeg(180, seed, quality=95)) for seed, name in enumerate(NAMES)]
    path = write_tar(tmp_path / "a.tgz", members, mode)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    store = PictureStore(tmp_path / "store", PictureConfig(16))
    gave = fill_from_archive(store, NAMES, path)
    assert 3 <= gave.made < len(NAMES)
    assert len(gave.problems) == 1
    assert gave.problems[0].startswith("a.tgz: ")
    assert len(contents(store)) == gave.made


def test_hostile_members_touch_nothing(tmp_path):
    bad = [
        ("../../evil.jpg", jpeg()),
        ("/tmp/evil.jpg", jpeg()),
        (NAMES[0], "/etc/passwd"),
        (f"x/{NAMES[1]}", b"\xff\xd8\xff no picture"),
        (f"x/{NAMES[2]}", jpeg()),
    ]
    store = PictureStore(tmp_path / "store", PictureConfig(16))
    gave = fill_from_archive(store, NAMES, write_tar(tmp_path / "a.tar", bad, "w"))
    assert (gave.found, gave.made) == (2, 1)
    assert len(gave.problems) == 1
    assert sorted(contents(store)) == [f"{NAMES[2]}.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "store"]


def test_a_member_that_claims_gigabytes_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("roadstill.data.archives.MAX_MEMBER_BYTES", 1000)
    problems = []
    path = write_tar(tmp_path / "a.tgz", [(NAMES[0], bytes(5000)), (NAMES[1], b"small")])
    assert [name for name, _ in wanted_members(path, set(NAMES), problems.append)] == [NAMES[1]]
    assert "5,000 bytes are too many" in problems[0]


def test_no_archive(tmp_path):
    (tmp_path / "a.tgz").write_text("no archive")
    for name, reason in (("a.tgz", "cannot be read as an archive"), ("b.tgz", "is not a file")):
        with pytest.raises(UserError, match=reason):
            list(wanted_members(tmp_path / name, set(NAMES), print))


# ---- what is missing


def test_whole_and_torn_files():
    buffer = io.BytesIO()
    scenery(36).save(buffer, "PNG")
    for data in (jpeg(), buffer.getvalue()):
        assert is_whole(io.BytesIO(data))
        assert is_whole(io.BytesIO(data + bytes(512)))  # padded by some tools
        assert not is_whole(io.BytesIO(data[:-10]))
        assert not is_whole(io.BytesIO(data[:100] + bytes(len(data) - 100)))  # space that the download reserved
    for data in (b"", b"\xff\xd8", b"text"):
        assert not is_whole(io.BytesIO(data))


def test_missing_and_torn_pictures_are_listed_and_the_check_goes_on(tmp_path, sensors, monkeypatch):
    (sensors / NAMES[5]).unlink()
    torn = sensors / NAMES[9]
    torn.write_bytes(torn.read_bytes()[:-20])
    found = verify_pictures(NAMES, sensors, tmp_path)
    assert [(row.name, row.wanted, row.present, row.truncated, row.missing) for row in found.logs] == [
        ("log0", 4, 4, 0, 0), ("log1", 4, 3, 0, 1), ("log2", 4, 3, 1, 0),
    ]  # fmt: skip
    assert found.lacking == [NAMES[5], NAMES[9]]
    found.save(tmp_path)
    assert (tmp_path / "lacking.txt").read_text().split() == found.lacking
    assert "log1" in str(found)
    assert "log0 " not in str(found)

    with (tmp_path / "verified.jsonl").open("a") as file:
        file.write('{"key": "torn')  # killed while it wrote
    looked = []
    monkeypatch.setattr("roadstill.data.verify._state", lambda folder, image: looked.append(image) or "present")
    again = verify_pictures(NAMES, sensors, tmp_path)
    assert looked == NAMES[4:]
    assert again.lacking == []
    assert str(verify_pictures(NAMES, sensors, tmp_path)).splitlines()[-1].split()[-4:] == ["12", "12", "0", "0"]


def test_archives_are_looked_into(tmp_path, sensors):
    archives = [
        write_tar(tmp_path / "a.tgz", [(f"x/{name}", (sensors / name).read_bytes()) for name in NAMES[:5]]),
        write_tar(tmp_path / "b.tgz", [(f"x/{NAMES[5]}", jpeg()[:-20]), (f"x/{NAMES[6]}", jpeg())]),
    ]
    found = verify_pictures(NAMES, None, tmp_path, archives=archives)
    assert [(row.name, row.present, row.truncated) for row in found.archives] == [("a.tgz", 5, 0), ("b.tgz", 1, 1)]
    assert found.lacking == [NAMES[5], *NAMES[7:]]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_picture_that_may_not_be_read_is_missing(tmp_path, sensors):
    (sensors / NAMES[0]).chmod(0)
    assert verify_pictures(NAMES, sensors, tmp_path).lacking == [NAMES[0]]
