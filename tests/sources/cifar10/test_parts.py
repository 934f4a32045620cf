"""CIFAR-10 in every form: the same pictures out of all of them, and one line for what is broken or hostile."""

import pickle
import tarfile

import made_cifar as made
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roadstill.errors import UserError
from roadstill.sources.cifar10.batch import CLASS_NAMES, read_pickle
from roadstill.sources.cifar10.parts import TEST, TRAIN, find_cifar10, open_cifar10
from roadstill.sources.pickles.unpickle import parse


def everything(copy, part):
    batches = list(copy.parts[part]())
    return np.concatenate([each.pixels for each in batches]), np.concatenate([each.labels for each in batches])


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    root = tmp_path_factory.mktemp("cifar")
    binary, python = made.binary(root / "cifar-10-batches-bin"), made.python(root / "py" / "cifar-10-batches-py")
    return {
        "binary": binary,
        "python": python,
        "parquet": made.parquet(root / "hub"),
        "binary archive": made.packed(binary, root / "cifar-10-binary.tar.gz"),
        "python archive": made.packed(python, root / "cifar-10-python.tar.gz"),
        "folder above": python.parent,
    }


FORMS = ["binary", "python", "parquet", "binary archive", "python archive", "folder above"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pictures_in_the_same_order(copies, form):
    assert find_cifar10(copies[form]) is not None
    copy = open_cifar10(copies[form])
    assert copy.class_names == CLASS_NAMES
    for part, batches in (("train", TRAIN), ("test", ("test_batch",))):
        pixels, labels = everything(copy, part)
        records = np.concatenate([made.rows(name) for name in batches])
        np.testing.assert_array_equal(labels, records[:, 0])
        np.testing.assert_array_equal(pixels[0], made.picture(records[0]))
        np.testing.assert_array_equal(pixels[-1], made.picture(records[-1]))
        np.testing.assert_array_equal(pixels.transpose(0, 3, 1, 2).reshape(len(records), -1), records[:, 1:])


def test_an_archive_packed_anew_is_noted_and_read(copies):
    assert not open_cifar10(copies["binary"]).notes
    (note,) = open_cifar10(copies["binary archive"]).notes
    assert note.startswith("WARNING: cifar-10-binary.tar.gz has the MD5 ")
    assert "c32a1d4ab5d03f1284b67883e8d87530" in note


def test_names_come_from_the_copy_and_others_are_noted(tmp_path):
    root = made.binary(tmp_path / "a")
    (root / "batches.meta.txt").unlink()
    assert open_cifar10(root).class_names == CLASS_NAMES
    names = ["plane", *CLASS_NAMES[1:]]
    (root / "batches.meta.txt").write_text("\n".join(names))
    copy = open_cifar10(root)
    assert copy.class_names == tuple(names)
    assert "WARNING: classes are plane" in copy.notes[0]
    assert open_cifar10(made.parquet(tmp_path / "b", names=None)).class_names == CLASS_NAMES
    assert open_cifar10(made.parquet(tmp_path / "c", names=names)).class_names == tuple(names)


@pytest.mark.parametrize(
    "names", [["a"] * 10, CLASS_NAMES[:9], ["../x", *CLASS_NAMES[1:]], ["a\x1b[2J", *CLASS_NAMES[1:]]]
)
def test_names_that_are_none_are_refused(tmp_path, names):
    root = made.binary(tmp_path / "a")
    (root / "batches.meta.txt").write_text("\n".join(names))
    with pytest.raises(UserError, match="ten class names"):
        open_cifar10(root)
    with pytest.raises(UserError, match="ten class names"):
        open_cifar10(made.parquet(tmp_path / "b", names=names))


def test_our_pickles_are_what_python_reads_from_python_2():
    records = made.rows("test_batch", 10)
    theirs = pickle.loads(made.python_batch(records), encoding="latin1")
    ours = parse(made.python_batch(records), python2=True)
    assert list(ours) == list(theirs)
    assert ours["labels"] == theirs["labels"]
    assert ours["filenames"] == theirs["filenames"]
    np.testing.assert_array_equal(ours["data"], theirs["data"])


# ---- what is refused


def refused(path, match, part="train"):
    with pytest.raises(UserError, match=match) as caught:
        everything(open_cifar10(path), part)
    assert "\n" not in str(caught.value)


def test_truncated_and_wrong_records(tmp_path):
    root = made.binary(tmp_path / "bin")
    batch = root / "data_batch_3.bin"
    whole = batch.read_bytes()
    batch.write_bytes(whole[:-1])
    refused(root, r"data_batch_3\.bin: .* \(truncated\?\)")
    batch.write_bytes(b"")
    refused(root, "it is empty")
    batch.write_bytes(whole[:3073] + b"\x0a" + whole[3074:])
    refused(root, "picture 1 has the label 10")
    batch.unlink()
    refused(root, r"lacks data_batch_3\.bin")


def test_hostile_and_odd_pickles(tmp_path):
    root = made.python(tmp_path / "py")
    batch = root / "data_batch_2"
    whole = batch.read_bytes()
    for bad, match in (
        (whole[:-5000], "truncated"),
        (b"cos\nsystem\n(S'touch trace'\ntR.", "data_batch_2"),
        (pickle.dumps(print), "data_batch_2"),
        (pickle.dumps([1]), "holds no array"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}), "1 labels"),
        (pickle.dumps({"data": np.zeros((1, 3072), np.float32), "labels": [1]}), "float32"),
        (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}), "label 10"),
        (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [-1]}), "label -1"),
        (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [2**80]}), "label 99"),
        (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": ["1"]}), "not all labels"),
    ):
        batch.write_bytes(bad)
        refused(root, match)
    assert not (tmp_path / "trace").exists()


def test_bytes_of_python_2_hold_no_more_than_the_file():
    old = made.Python2()
    array = old.array(np.zeros((2, 300), np.uint8))
    assert parse(b"\x80\x02" + array + b".", python2=True).shape == (2, 300)
    wide = array.replace(b"M\x02\x00M\x2c\x01", b"M\x02\x00M\x2d\x01")
    with pytest.raises(ValueError, match="with 600 bytes"):
        parse(b"\x80\x02" + wide + b".", python2=True)
    with pytest.raises(UserError, match="damaged"):
        read_pickle(b"\x80\x02q\x02.", "data_batch_1", "x")  # a memo that begins elsewhere


def as_python_3_read_it(folder):
    """The folder's pickles, read with encoding="bytes" and written again."""
    for path in folder.iterdir():
        path.write_bytes(pickle.dumps(pickle.loads(path.read_bytes(), encoding="bytes"), PROTOCOLS[path.name]))
    return folder


NAMES = (*TRAIN, *TEST, "batches.meta")
PROTOCOLS = dict(zip(NAMES, (2, 3, 4, 5, 4, 5, 4), strict=True))


def test_batches_that_python_3_wrote_with_keys_of_bytes(tmp_path):
    ours, theirs = (made.python(tmp_path / name) for name in ("a", "b"))
    assert b"data" in pickle.loads((as_python_3_read_it(theirs) / "data_batch_1").read_bytes())
    for part in ("train", "test"):
        for one, other in zip(*(open_cifar10(root).parts[part]() for root in (ours, theirs)), strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)
            np.testing.assert_array_equal(one.labels, other.labels)
    assert open_cifar10(theirs).class_names == CLASS_NAMES


def cifar100(folder, form):
    folder.mkdir(parents=True)
    for name in {"python": ("meta", "train", "test"), "binary": ("fine_label_names.txt", "train.bin", "test.bin")}[
        form
    ]:
        (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize("form", ["python", "binary"])
def test_cifar_100_is_named(form, tmp_path):
    inner = cifar100(tmp_path / "x" / f"cifar-100-{form}", form)
    for path in (inner, inner.parent, made.packed(inner, tmp_path / "a.tar.gz")):
        assert find_cifar10(path) in ("CIFAR-100", "archive")
        refused(path, "is CIFAR-100, which has 100 classes")


def test_cifar_100_of_the_hub_is_named(tmp_path):
    (tmp_path / "cifar100").mkdir()
    table = pa.table({"img": ["a"], "fine_label": [1], "coarse_label": [1]})
    for part in ("train", "test"):
        pq.write_table(table, tmp_path / "cifar100" / f"{part}-00000-of-00001.parquet")
    refused(tmp_path, "is CIFAR-100")


def member(name, kind=tarfile.REGTYPE, target=""):
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


@pytest.mark.parametrize(
    ("extra", "match"),
    [
        (member("../outside"), "leaves the archive"),
        (member("/etc/outside"), "leaves the archive"),
        (member("a/link", tarfile.SYMTYPE, "/etc/passwd"), "is not a file"),
        (member("a/hard", tarfile.LNKTYPE, "a/b"), "is not a file"),
        (member("b/data_batch_1.bin"), "two files called 'data_batch_1.bin'"),
    ],
)
def test_archives_that_leave_their_root_are_refused(tmp_path, extra, match):
    root = made.binary(tmp_path / "cifar-10-batches-bin", 10)
    refused(made.packed(root, tmp_path / "a.tar.gz", [(extra, b"")]), match)


def test_broken_and_foreign_archives(tmp_path):
    root = made.binary(tmp_path / "cifar-10-batches-bin", 10)
    archive = made.packed(root, tmp_path / "a.tar.gz")
    cut = archive.read_bytes()[:-20_000]
    archive.write_bytes(cut)
    refused(archive, rf"is cut off: .* of the 30,730 bytes of .* It has {len(cut):,} bytes, the authors' .*170,498,071")
    archive.write_bytes(b"no archive")
    refused(archive, "cannot be read as an archive")
    archive.write_bytes(b"<!DOCTYPE html><html></html>")
    refused(archive, r"it is a web page \(28 bytes\); download the file itself")
    (root / "data_batch_1.bin").rename(root / "other.bin")
    refused(made.packed(root, archive), "not of CIFAR-10")


@pytest.mark.parametrize(
    ("row", "label", "match"),
    [
        ({"bytes": b"no picture"}, 1, "row 0 cannot be read"),
        ({"bytes": made.png(np.zeros((8, 8, 3)))}, 1, "8 x 8 pixels"),
        ({"bytes": None}, 1, "row 0 has no picture"),
        ({"bytes": made.png(np.zeros((32, 32, 3)))}, 10, "label 10"),
        ({"bytes": made.png(np.zeros((32, 32, 3)))}, None, "a number in every row"),
    ],
)
def test_bad_rows_of_the_hub(tmp_path, row, label, match):
    root = made.parquet(tmp_path / "hub", 10)
    kind = pa.struct([("bytes", pa.binary())])
    table = pa.table({"img": pa.array([row], kind), "label": pa.array([label], pa.int64())})
    pq.write_table(table, root / "plain_text" / "train-00000-of-00001.parquet")
    refused(root, match)


def test_other_data_are_not_taken_for_cifar10(tmp_path):
    assert find_cifar10(tmp_path / "nothing") is None
    (tmp_path / "brake").mkdir()
    assert find_cifar10(tmp_path) is None
    pq.write_table(pa.table({"token": ["a"]}), tmp_path / "train-0.parquet")
    pq.write_table(pa.table({"token": ["a"]}), tmp_path / "test-0.parquet")
    assert find_cifar10(tmp_path) is None
    with pytest.raises(UserError, match="holds no CIFAR-10"):
        open_cifar10(tmp_path)
