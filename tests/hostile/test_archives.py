"""Bad archives of pictures and of CIFAR-10."""

import gzip
import io
import pickle
import tarfile

import made_cifar as made
import numpy as np
from hostile import Case, check, each


def header(name, size, kind=tarfile.REGTYPE):
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.GNU_FORMAT)


PACKED = {
    "a member of a terabyte": (header("a.jpg", 10**12), "claims 1,000,000,000,000 bytes, but so many are not left"),
    "the same, packed": (gzip.compress(header("a.jpg", 10**12)), "claims 1,000,000,000,000 bytes, but from a file"),
    "a bomb": (lambda: gzip.compress(header("a", 700 * 2**20) + bytes(700 * 2**20)), "claims 734,003,200 bytes"),
    "a name of a gigabyte": (header("a", 2**30, tarfile.GNUTYPE_LONGNAME), "1,073,741,824 bytes for the name"),
    "an extended header of a gigabyte": (header("a", 2**30, tarfile.XHDTYPE), "bytes for the name of a member"),
    "a web page": (b"<!DOCTYPE html><html></html>", r"it is a web page \(28 bytes\); download the file itself"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
    "nothing": (b"", r"it is empty \(0 bytes\); fetch it again"),
    "a zip": (b"PK\x03\x04" + bytes(99), "it is a zip archive"),
    "text": (b"no archive", "not a tar archive"),
    "gzip of text": (gzip.compress(b"no archive" * 99), "not a tar archive"),
    "half a gzip header": (b"\x1f\x8b\x08", "cannot be read as an archive"),
    "damaged gzip": (b"\x1f\x8b\x08\x00" + b"\xff" * 999, "cannot be read as an archive"),
    "holes": (header("a", 0, tarfile.GNUTYPE_SPARSE), "a negative size or holes"),
}


def written(folder, name, data):
    (folder / name).write_bytes(data() if callable(data) else data)


def sensors(name, data, says):
    """A case of an archive that pictures should come from."""

    def command(folder, good):
        written(folder, "a.tgz", data)
        return "prepare", good / "index", "out", "--size_px", 16, "--from_archive", "[a.tgz]"

    return Case(f"pictures: {name}", command, says, 2, ("out",))


def cifar(name, data, says):
    """A case of an archive that CIFAR-10 should be in."""

    def command(folder, good):
        written(folder, "cifar.tar.gz", data)
        return "prepare", "cifar.tar.gz", "out", "--dev_images", 10

    return Case(f"cifar: {name}", command, says)


def changed(name, says, change, *, source="cifar-10-batches-py", make=made.python):
    """A case of a copy of CIFAR-10 in which something is wrong."""

    def command(folder, good):
        root = make(folder / source)
        return "prepare", change(root) or source, "out", "--dev_images", 10

    return Case(f"cifar: {name}", command, says)


def batch(value):
    return lambda root: (root / "data_batch_2").write_bytes(pickle.dumps(value)) and None


def cut(root):
    path = made.packed(root, root.parent / "cut.tar.gz")
    path.write_bytes(path.read_bytes()[:-30_000])
    return path.name


def linked(root):
    entry = tarfile.TarInfo("x/link")
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return made.packed(root, root.parent / "linked.tar.gz", [(entry, b"")]).name


def climbing(root):
    return made.packed(root, root.parent / "up.tar.gz", [(tarfile.TarInfo("../../x"), b"x")]).name


def large(root):
    entry, noise = tarfile.TarInfo("x"), np.random.default_rng(0).bytes(2**20)
    path = root.parent / "large.tar"
    with tarfile.open(path, "w") as tar:
        entry.size = 65 * 2**20
        tar.addfile(entry, io.BytesIO(noise * 65))
    return path.name


def hundred(root):
    for old, new in (("data_batch_1", "train"), ("test_batch", "test"), ("batches.meta", "meta")):
        (root / old).rename(root / new)


ROWS = np.zeros((1, 3072), np.uint8)
CASES = [
    *(sensors(name, *case) for name, case in PACKED.items()),
    *(cifar(name, *case) for name, case in PACKED.items()),
    changed("cut archive", r"is cut off: .*of the 6[0-9,]* bytes of .*It has [0-9,]+ bytes, the authors'", cut),
    changed("link in the archive", "which leaves the archive or is not a file", linked),
    changed("way up in the archive", "which leaves the archive or is not a file", climbing),
    changed("member too large", "is too large, or one of too many", large),
    changed("CIFAR-100", "is CIFAR-100, which has 100 classes", hundred),
    changed("batch gone", "lacks data_batch_3", lambda root: (root / "data_batch_3").unlink()),
    changed("batch of os.system", r"data_batch_2: damaged.*it names 'os\.system'",
            lambda root: (root / "data_batch_2").write_bytes(b"\x80\x02cos\nsystem\n(X\x02\0\0\0lstR.") and None),
    changed("batch is a web page", r"data_batch_2: it is a web page \(6 bytes\)",
            lambda root: (root / "data_batch_2").write_bytes(b"<html>") and None),
    changed("record is a pointer", r"data_batch_2\.bin: it is a Git LFS pointer",
            lambda root: (root / "data_batch_2.bin").write_bytes(b"version https://git-lfs.github.com/spec") and None,
            source="cifar-10-batches-bin", make=made.binary),
    changed("batch is a list", "holds no array 'data'", batch([1])),
    changed("batch of floats", "of shape .* and type float32", batch({"data": ROWS.astype("f4"), "labels": [1]})),
    changed("label 10", "label 10, but CIFAR-10 has 0 to 9", batch({"data": ROWS, "labels": [10]})),
    changed("label text", "not all labels are numbers", batch({"data": ROWS, "labels": ["1"]})),
    changed("label nested", "not all labels are numbers", batch({"data": ROWS, "labels": [[1]]})),
    changed("names that climb", "should hold the ten class names",
            lambda root: (root / "batches.meta").write_bytes(pickle.dumps({"label_names": ["../x"] * 10})) and None),
    changed("record torn", "are not a whole number of records",
            lambda root: (root / "data_batch_2.bin").write_bytes(b"x" * 100) and None,
            source="cifar-10-batches-bin", make=made.binary),
]  # fmt: skip


@each(CASES)
def test_a_bad_archive(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
