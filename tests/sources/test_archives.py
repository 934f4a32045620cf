"""Archives, good and hostile: nothing is read that cannot be there, and nothing is waited for."""

import bz2
import gzip
import io
import lzma
import tarfile
import time
import tracemalloc

import numpy as np
import pytest

from roadstill.sources.archives import BrokenArchive, EndsEarly, each_member, is_archive

LONG = "folder/" * 40 + "picture.jpg"
CONTENT = {"a/b.jpg": b"1234", LONG: bytes(range(256)) * 9, "empty": b"", "straße/é.jpg": b"x" * 512}


def header(name="a", size=0, kind=tarfile.REGTYPE, form=tarfile.GNU_FORMAT):
    made = tarfile.TarInfo(name)
    made.size, made.type = size, kind
    return made.tobuf(form)


def packed(members, mode="w", form=tarfile.GNU_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as archive:
        for name, data in members.items():
            made = tarfile.TarInfo(name)
            made.size = len(data)
            archive.addfile(made, io.BytesIO(data))
    return buffer.getvalue()


def read(folder, data, *, all_of_it=True):
    (folder / "a.tar").write_bytes(data)
    return {member.name: take() if all_of_it else None for member, take in each_member(folder / "a.tar")}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_reads_what_tarfile_writes(mode, form, tmp_path):
    content = {name: data for name, data in CONTENT.items() if form != tarfile.USTAR_FORMAT or len(name) < 100}
    data = packed(content, mode, form)
    assert read(tmp_path, data) == content
    assert list(read(tmp_path, data, all_of_it=False)) == list(content)
    assert is_archive(tmp_path / "a.tar")


def test_kinds_of_members(tmp_path):
    kinds = {"folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE,
             "pipe": tarfile.FIFOTYPE, "file": tarfile.REGTYPE, "old": tarfile.AREGTYPE}  # fmt: skip
    (tmp_path / "a.tar").write_bytes(b"".join(header(name, kind=kind) for name, kind in kinds.items()) + bytes(1024))
    found = {member.name: (member.is_file, member.is_folder) for member, _ in each_member(tmp_path / "a.tar")}
    assert [name for name, (is_file, _) in found.items() if is_file] == ["file", "old"]
    assert [name for name, (_, is_folder) in found.items() if is_folder] == ["folder"]


def test_an_archive_without_the_blocks_at_its_end(tmp_path):
    assert read(tmp_path, header("a", 3) + b"123" + bytes(509)) == {"a": b"123"}
    assert read(tmp_path, header("a", 3) + b"123") == {"a": b"123"}


def pax(**records):
    body = b"".join(
        f"{len(line) + 3 if len(line) < 97 else len(line) + 4} {line}".encode()
        for line in (f"{name}={value}\n" for name, value in records.items())
    )
    return header("x", len(body), tarfile.XHDTYPE) + body + bytes(-len(body) % 512)


ZEROS = bytes(2**20)
HOSTILE = {
    "a member of a terabyte": header("a", 10**12),
    "the same, packed": gzip.compress(header("a", 10**12)),
    "the same, by bzip2": bz2.compress(header("a", 10**12)),
    "the same, by xz": lzma.compress(header("a", 10**12)),
    "a member of 2^90 bytes": header("a", 2**80),
    "a member one byte too large": header("a", 513) + bytes(512),
    "a terabyte by an extended header": pax(size=10**12) + header("a"),
    "a negative size by an extended header": pax(size=-5) + header("a"),
    "a size of letters": pax(size="x") + header("a"),
    "a size of 5,000 digits": header("x", 5020, tarfile.XHDTYPE) + b"5012 size=" + b"9" * 5001 + b"\n" + bytes(1124),
    "a name of a gigabyte": header("a", 2**30, tarfile.GNUTYPE_LONGNAME),
    "a name of 100 KB": header("a", 10**5, tarfile.GNUTYPE_LONGNAME) + bytes(10**5) + header("a"),
    "a link's name of a gigabyte": gzip.compress(header("a", 2**30, tarfile.GNUTYPE_LONGLINK)),
    "an extended header of a gigabyte": header("a", 2**30, tarfile.XHDTYPE),
    "a global header of a gigabyte": header("a", 2**30, tarfile.XGLTYPE),
    "a damaged extended header": header("x", 8, tarfile.XHDTYPE) + b"99 a=b\n " + bytes(504) + header("a"),
    "a sparse file": header("a", 0, tarfile.GNUTYPE_SPARSE),
    "a bomb": gzip.compress(header("a", 200 * 2**20) + ZEROS * 200),
    "a bomb by bzip2": bz2.compress(header("a", 32 * 2**20) + ZEROS * 32),
    "a bomb of many members": gzip.compress((header("a", 2**20) + ZEROS) * 100),
    "a bomb of headers": gzip.compress(header("a") * 60_000),
    "a bomb of names": gzip.compress((header("a", 60_000, tarfile.GNUTYPE_LONGNAME) + bytes(60_416)) * 1000),
    "text": b"no archive",
    "longer text": b"no archive" * 100,
    "a web page": b"<!DOCTYPE html><html></html>",
    "nothing": b"",
    "a zip": b"PK\x03\x04" + bytes(100),
    "gzip of a web page": gzip.compress(b"<html>" * 1000),
    "gzip of gzip": gzip.compress(gzip.compress(packed(CONTENT))),
    "half a gzip header": b"\x1f\x8b\x08",
    "gzip that is damaged": b"\x1f\x8b\x08\x00" + b"\xff" * 1000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives(name, tmp_path):
    tracemalloc.start()
    start = time.monotonic()
    try:
        with pytest.raises(BrokenArchive) as refused:
            read(tmp_path, HOSTILE[name], all_of_it=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - start < 10
    assert peak < 64 * 2**20
    assert "\n" not in str(refused.value)
    assert not is_archive(tmp_path / "a.tar") or "bomb" in name or "one byte" in name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a member of a terabyte", "'a' claims 1,000,000,000,000 bytes, but so many are not left"),
        ("the same, packed", "claims 1,000,000,000,000 bytes, but from a file of this size at most"),
        ("a bomb of headers", "more than [0-9,]+ members"),
        ("a web page", r"it is a web page \(28 bytes\)"),
        ("nothing", r"it is empty \(0 bytes\); fetch it again"),
        ("a zip", "it is a zip archive .*unpack it"),
        ("text", "not a tar archive"),
    ],
)
def test_the_reason(name, says, tmp_path):
    with pytest.raises(BrokenArchive, match=says):
        read(tmp_path, HOSTILE[name])


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_cut_archive_yields_what_precedes_the_cut_and_says_how_much_is_there(mode, tmp_path):
    noise = np.random.default_rng(0).bytes(300_000)
    data = packed({"a": b"x", "b": noise, "c": noise}, mode)
    (tmp_path / "a.tar").write_bytes(data[: len(data) * 3 // 4])
    found = []

    def take_all():
        for member, take in each_member(tmp_path / "a.tar"):
            found.append(member.name)
            take()

    with pytest.raises(EndsEarly if mode != "w" else BrokenArchive, match=r"300,000 bytes|are not left") as cut:
        take_all()
    assert found[:2] == ["a", "b"]
    if mode != "w":
        assert 0 < int(str(cut.value).split(": ")[1].split(" of")[0].replace(",", "")) < 300_000


def test_every_cut_and_flip_is_told_or_harmless(tmp_path):
    for mode in ("w", "w:gz"):
        data = packed(CONTENT, mode)
        for size in range(1, len(data), 37):
            try:
                read(tmp_path, data[:size])
            except BrokenArchive as error:
                assert "\n" not in str(error)  # noqa: PT017
        for place in range(0, len(data), 29):
            torn = bytearray(data)
            torn[place] ^= 255
            try:
                read(tmp_path, bytes(torn))
            except BrokenArchive as error:
                assert "\n" not in str(error)  # noqa: PT017
