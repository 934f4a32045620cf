"""Files of torch.save, good and hostile: never code, never memory beyond the file, one line for what is wrong."""

import io
import os
import struct
import tracemalloc
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import torch
from damage import damaged
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from watch import WATCH

from roadstill.errors import UserError
from roadstill.weights.torch_file import read_torch_file

BASE = torch.arange(24, dtype=torch.float32)
OBJECTS = {
    "state dict": nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).state_dict(),
    "nested": {"model": {"a": torch.ones(2)}, "ema": {}, "step": 7, "rate": 1e-3, "note": "x", "rows": [1, (2, None)]},
    "parameter": {"a": nn.Parameter(torch.ones(2, 3))},
    "views": {"whole": BASE, "part": BASE[5:9], "turned": BASE.reshape(4, 6).T, "steps": BASE[::3]},
    "types": {
        str(kind): torch.tensor([0, 1, 1], dtype=kind)
        for kind in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
                     torch.uint8, torch.bool)
    },
    "empty": {"none": torch.empty(0), "rows": torch.empty(0, 3), "scalar": torch.tensor(2.5)},
    "tensor": torch.ones(3),
    "size": {"shape": torch.Size([2, 3])},
}  # fmt: skip


def saved(value, *, packed=True):
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=packed)
    return buffer.getvalue()


def read(folder, data):
    (folder / "a.pt").write_bytes(data)
    return read_torch_file(folder / "a.pt")


def same(ours, theirs):
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            same(ours[key], theirs[key])
    elif isinstance(theirs, torch.Tensor):
        assert ours.dtype == theirs.dtype
        assert ours.stride() == theirs.stride()
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", OBJECTS)
def test_reads_what_torch_saves(name, packed, tmp_path):
    same(read(tmp_path, saved(OBJECTS[name], packed=packed)), OBJECTS[name])


def test_tensors_of_one_storage_share_it(tmp_path):
    found = read(tmp_path, saved(OBJECTS["views"]))
    found["whole"][5] = 100
    assert found["part"][0] == 100


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "legacy"])
def test_numbers_of_numpy_are_left_out(packed, tmp_path):
    value = {"a": torch.ones(2), "accuracies": [np.float64(0.5), np.int64(3), np.bool_(True)], "step": 7}
    found = read(tmp_path, saved(value, packed=packed))
    assert torch.equal(found["a"], torch.ones(2))
    assert (found["accuracies"], found["step"]) == ([None] * 3, 7)
    with pytest.raises(UserError, match=r"it names 'numpy\._?core\.multiarray\._reconstruct'"):
        read(tmp_path, saved({"a": np.ones(2)}, packed=packed))


# ---- hostile files


def packed(pickle, *, data=b"", compress=zipfile.ZIP_STORED, **members):
    """A file of torch.save with this pickle, and the bytes of storage 0."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        archive.writestr("archive/data.pkl", pickle)
        archive.writestr("archive/data/0", data)
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def integer(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def storage(count=4, kind=b"FloatStorage", key=b"0"):
    name = b"X" + struct.pack("<I", len(key)) + key
    return b"(X\x07\x00\x00\x00storagectorch\n" + kind + b"\n" + name + b"X\x03\x00\x00\x00cpu" + integer(count) + b"tQ"


def tensor(size=(4,), stride=(1,), offset=0, **about):
    sides, steps = (b"(" + b"".join(map(integer, each)) + b"t" for each in (size, stride))
    dict_of = b"ccollections\nOrderedDict\n)R"
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(**about) + integer(offset) + sides + steps + b"\x89"
            + dict_of + b"tR")  # fmt: skip


def program(body):
    return b"\x80\x02" + body + b"."


NUMBERS = struct.pack("<q4f", 4, 1, 2, 3, 4)


def legacy(body, keys=b"]X\x01\x00\x00\x000a", numbers=NUMBERS):
    magic = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
    return b"".join(map(program, (magic, b"M\xe9\x03", b"}", body, keys))) + numbers


DEEP = b"})" + b"\x85" * 100_000 + b"K\x01s"
HOSTILE = {
    "os.system": packed(program(b"cos\nsystem\n(X\x0b\x00\x00\x00touch tracetR")),
    "a bytearray of 3 GB": packed(program(b"cbuiltins\nbytearray\n" + integer(3 * 2**30) + b"\x85R")),
    "a tensor of 4 GB": packed(program(b"ctorch\nTensor\n" + integer(2**30) + b"\x85R")),
    "nested tuples as a key": packed(program(DEEP)),
    "nested tuples as a key, legacy": legacy(DEEP),
    "a storage larger than its bytes": packed(program(tensor(count=2**40)), data=bytes(16)),
    "a storage smaller than its bytes": packed(program(tensor(count=2)), data=bytes(16)),
    "a storage that is not there": packed(program(tensor(key=b"7")), data=bytes(16)),
    "a storage by a path": packed(program(tensor(key=b"../../etc/passwd")), data=bytes(16)),
    "a storage of objects": packed(program(tensor(kind=b"TypedStorage")), data=bytes(16)),
    "a storage of minus one": packed(program(tensor(count=-1)), data=bytes(16)),
    "a storage of two types": packed(program(b"](" + storage() + storage(2, b"DoubleStorage") + b"e"), data=bytes(16)),
    "a tensor beyond its storage": packed(program(tensor((5,))), data=bytes(16)),
    "a tensor by its offset beyond": packed(program(tensor(offset=1)), data=bytes(16)),
    "a tensor by its steps beyond": packed(program(tensor((2,), (4,))), data=bytes(16)),
    "a tensor that repeats a number": packed(program(tensor((2**40,), (0,))), data=bytes(16)),
    "a tensor that repeats a number little": packed(program(tensor((5,), (0,))), data=bytes(16)),
    "a negative side": packed(program(tensor((-1,))), data=bytes(16)),
    "a negative offset": packed(program(tensor(offset=-1)), data=bytes(16)),
    "nine sides": packed(program(tensor((1,) * 9, (1,) * 9)), data=bytes(16)),
    "more sides than steps": packed(program(tensor((2, 2), (1,))), data=bytes(16)),
    "a tensor without a storage": packed(program(b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00)))\x89}tR")),
    "many views of one storage": packed(
        program(b"](" + storage(2**20) + b"q\x000" + (tensor((2**20,), count=2**20)) * 200 + b"e"), data=bytes(2**22)
    ),
    "a reference that is a text": packed(program(b"X\x01\x00\x00\x00aQ")),
    "a function as data": packed(program(b"ctorch._utils\n_rebuild_parameter\n)R")),
    "compressed": packed(program(tensor()), data=bytes(16), compress=zipfile.ZIP_DEFLATED),
    "a bomb": packed(program(tensor(count=2**26)), data=bytes(2**28), compress=zipfile.ZIP_DEFLATED),
    "highest byte first": packed(program(tensor()), data=bytes(16), byteorder=b"big"),
    "another zip": packed(b"").replace(b"data.pkl", b"else.pkl"),
    "legacy, os.system": legacy(b"cos\nsystem\n(X\x0b\x00\x00\x00touch tracetR"),
    "legacy, a storage of 1 TB": legacy(tensor(count=2**38)),
    "legacy, another storage": legacy(tensor(), keys=b"]X\x01\x00\x00\x001a"),
    "legacy, no storage": legacy(tensor(), keys=b"]", numbers=b""),
    "legacy, keys that are lists": legacy(tensor(), keys=b"]]a"),
    "legacy, a storage of another size": legacy(tensor(), numbers=struct.pack("<q4f", 5, 1, 2, 3, 4)),
    "legacy, more after it": legacy(tensor()) + b"x",
    "legacy, two pickles": program(b"]") * 2,
    "legacy, a pickle of numpy": program(b"cnumpy\ndtype\n"),
    "a web page": b"<!DOCTYPE html><html></html>",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "nothing": b"",
    "a byte": b"\x80",
    "text": b"hello",
    "an array": b"\x93NUMPY" + bytes(100),
}


def test_good_files_of_the_same_make_are_read(tmp_path):
    numbers = struct.pack("<4f", 1, 2, 3, 4)
    assert read(tmp_path, packed(program(tensor()), data=numbers)).tolist() == [1, 2, 3, 4]
    assert read(tmp_path, legacy(tensor())).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pt").write_bytes(HOSTILE[name])
    tracemalloc.start()
    try:
        with WATCH, pytest.raises(UserError) as refused:
            read_torch_file(tmp_path / "a.pt")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    line = str(refused.value)
    assert line.startswith(f"{tmp_path / 'a.pt'}: ")
    assert line.isprintable()
    assert "weights_only" not in line
    assert len(line) < len(str(tmp_path)) + 300
    assert peak < 130 * len(HOSTILE[name]) + 2**20
    assert {act for act, _ in WATCH.acts} <= {"open"}
    assert os.listdir(tmp_path) == ["a.pt"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("os.system", r"it names 'os\.system', which is not a part of tensors; save the state dict alone"),
        ("a storage larger than its bytes", "claims 4,398,046,511,104 bytes, which are not there"),
        ("legacy, a storage of 1 TB", "claim more bytes than the file has"),
        ("compressed", "compressed, which torch.save does not do"),
        ("a web page", r"it is a web page \(28 bytes\); download the file itself"),
        ("a pointer", "it is a Git LFS pointer .* by `git lfs pull`"),
        ("nothing", r"it is empty \(0 bytes\)"),
        ("another zip", "a zip archive, but not of torch.save"),
        ("an array", "it is a NumPy file"),
    ],
)
def test_the_line_says_why(name, says, tmp_path):
    with pytest.raises(UserError, match=says):
        read(tmp_path, HOSTILE[name])


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "legacy"])
def test_every_truncation_and_many_flips_are_refused_or_harmless(packed, tmp_path):
    data = saved(OBJECTS["nested"], packed=packed)
    for size in range(0, len(data), 7):
        with pytest.raises(UserError):
            read(tmp_path, data[:size])
    rng = np.random.default_rng(0)
    for _ in range(300):
        torn = bytearray(data)
        torn[rng.integers(len(torn))] ^= 1 << rng.integers(8)
        with suppress(UserError):
            read(tmp_path, bytes(torn))


@given(st.sampled_from([True, False]).flatmap(lambda packed: damaged([saved(OBJECTS["nested"], packed=packed)])))
@settings(max_examples=200)
def test_random_damage(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    tracemalloc.start()
    try:
        with suppress(UserError):
            read(folder, data)
        assert tracemalloc.get_traced_memory()[1] < 130 * len(data) + 2**20
    finally:
        tracemalloc.stop()


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(UserError, match=path.name):
            read_torch_file(path)
