import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from roadstill.runs.kinds import HEAD_BYTES, file_not_wanted, kind_of, not_wanted


def saved(save):
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def tar(mode):
    def write(buffer):
        with tarfile.open(fileobj=buffer, mode=mode) as archive:
            archive.addfile(tarfile.TarInfo("x"))

    return write


FILES = {
    "an empty file": [b""],
    "a web page": [b"<!DOCTYPE html><html></html>", b"\xef\xbb\xbf\n <html lang=en>", b"<!-- x --> <HEAD>"],
    "an XML file": [b"<?xml version='1.0'?><Error/>"],
    "a Git LFS pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"],
    "a zip archive": [saved(lambda file: torch.save({}, file)), saved(lambda f: zipfile.ZipFile(f, "w").close())],
    "a gzip file": [gzip.compress(b"x"), saved(tar("w:gz"))],
    "a bzip2 file": [bz2.compress(b"x")],
    "an xz file": [lzma.compress(b"x")],
    "a tar archive": [saved(tar("w"))],
    "an HDF5 file": [b"\x89HDF\r\n\x1a\n" + bytes(100)],
    "a NumPy file": [saved(lambda file: np.save(file, np.zeros(2)))],
    "a Parquet file": [b"PAR1" + bytes(100)],
    "a PNG picture": [saved(lambda file: Image.new("L", (2, 2)).save(file, "PNG"))],
    "a JPEG picture": [saved(lambda file: Image.new("L", (2, 2)).save(file, "JPEG"))],
    "a safetensors file": [save({"a": torch.zeros(2)})],
    "a pickle": [pickle.dumps([1], protocol) for protocol in (2, 3, 4, 5)],
    "a JSON file": [json.dumps({"error": "not found"}).encode(), b"[]", b'[\n  {"a": 1}]'],
    "nothing but zeros": [bytes(600)],
    "unknown data": [b"hello", bytes(10), b"drive,time\n1,2\n", b"\xff\xfe", b"<3", pickle.dumps([1], 0)],
}


@pytest.mark.parametrize("kind", FILES)
def test_kinds(kind):
    assert [kind_of(data[:HEAD_BYTES]) for data in FILES[kind]] == [kind] * len(FILES[kind])


def test_says_kind_size_and_way_out():
    assert not_wanted(b"<html>", 1234) == "it is a web page (1,234 bytes); download the file itself"
    assert not_wanted(b"", 0) == "it is empty (0 bytes); fetch it again"
    assert not_wanted(b"\x89HDF\r\n\x1a\n", 9) == "it is an HDF5 file (9 bytes)"
    assert not_wanted(b"\x1f\x8b", 9, "a gzip file") is None
    assert not_wanted(b"hello", 9) is None


def test_files(tmp_path):
    (tmp_path / "page.pt").write_bytes(b"<html>" + bytes(2000))
    assert file_not_wanted(tmp_path / "page.pt") == "it is a web page (2,006 bytes); download the file itself"
    assert file_not_wanted(tmp_path / "none.pt") is None
    assert file_not_wanted(tmp_path) is None
