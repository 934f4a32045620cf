"""Bad files of weights that others made: files of torch.save, EDM's pickles, safetensors."""

import os
import pickle
import struct
import zipfile

import torch
from attacks import PICKLES
from hostile import Case, check, each


def given(name, says, data, file="x.pt"):
    """A case of a generator that is exported."""

    def command(folder, good):
        content = data(folder / file) if callable(data) else data
        if content is not None:
            (folder / file).write_bytes(content)
        return "export", "out", "--checkpoint", file, "--layout", "original"

    return Case(f"{file}: {name}", command, says)


class Calls:
    def __reduce__(self):
        return os.system, ("touch trace",)


def zipped(pickled, storage=b"", compress=zipfile.ZIP_STORED):
    def write(path):
        with zipfile.ZipFile(path, "w", compress) as archive:
            archive.writestr("a/data.pkl", b"\x80\x02" + pickled + b".")
            archive.writestr("a/data/0", storage)

    return write


def torn(path):
    torch.save({"a": torch.ones(1000)}, path)
    return path.read_bytes()[:3000]


def saved(value, **settings):
    return lambda path: torch.save(value, path, **settings)


def tensor(count, side):
    number = b"\x8a\x06" + struct.pack("<q", count)[:6]
    size = b"\x8a\x06" + struct.pack("<q", side)[:6]
    return (
        b"}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0"
        b"0X\x03\0\0\0cpu" + number + b"tQK\x00" + size + b"\x85K\x00\x85\x89}tRs"
    )


PAGE = b"<!DOCTYPE html><html><body>404</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
FOREIGN = {
    "a web page": (PAGE, r"it is a web page \(44 bytes\); download the file itself"),
    "a pointer": (POINTER, "it is a Git LFS pointer .*`git lfs pull`"),
    "nothing": (b"", r"it is empty \(0 bytes\); fetch it again"),
    "gzip": (b"\x1f\x8b" + bytes(99), "it is a gzip file"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "it is an HDF5 file"),
    "zeros": (bytes(999), "nothing but zeros"),
    "an error in JSON": (b'{"error": "not found"}', "it is a JSON file"),
}
CASES = [
    *(given(name, says, data, file) for file in ("x.pt", "x.pkl", "x.safetensors")
      for name, (data, says) in FOREIGN.items()),
    given("os.system", r"it names '.*system', which is not .*save the state dict alone", saved({"a": Calls()})),
    given("os.system, older form", r"it names '.*system'",
          saved({"a": Calls()}, _use_new_zipfile_serialization=False)),
    given("a bytearray of 3 GB", r"it names 'builtins\.bytearray'",
          zipped(b"cbuiltins\nbytearray\n\x8a\x05" + (3 * 2**30).to_bytes(5, "little") + b"\x85R")),
    given("two million nested tuples as a key", "neither text nor a small number", zipped(b"})" + b"\x85" * 2_000_000
                                                                                        + b"K\x01s")),
    given("a bomb", "its parts are larger than the file|compressed",
          zipped(tensor(2**27, 2**27), bytes(2**29), zipfile.ZIP_DEFLATED)),
    given("a storage of a terabyte", "claims 1,099,511,627,776 bytes, which are not there",
          zipped(tensor(2**38, 4), bytes(16))),
    given("a tensor of 2^40 numbers from one", "a tensor of shape", zipped(tensor(4, 2**40), bytes(16))),
    given("torn", "damaged or truncated", torn),
    given("a list", "no named tensors", saved([1, 2])),
    given("a dict of nothing", "holds no DiT", saved({})),
    given("another network", "holds no DiT", saved({"a": torch.ones(2)})),
    given("a safetensors file", "it is a safetensors file .*name it .safetensors",
          struct.pack("<Q", 2) + b"{}"),
    given("another zip", "a zip archive, but not of torch.save", lambda path: zipfile.ZipFile(path, "w").close()),
    given("pickle of numpy", "a pickle, but not of torch.save", pickle.dumps([1], 2)),
    *(given(name, says, PICKLES[name], "x.pkl") for name, says in {
        "os.system, protocol 4": r"it names 'posix\.system'", "a memo of two billion": "damaged or truncated",
        "nested tuples as a key": "neither text nor", "text of 2^63 bytes": "ends too early",
        "a billion laughs": "holds no network", "two pickles": "and more follows",
    }.items()),
    given("a pickle", "it is a pickle", pickle.dumps([1], 4), "x.safetensors"),
    given("a file of torch.save", "it is a zip archive", saved({"a": torch.ones(2)}), "x.safetensors"),
    given("a header of 2^60 bytes", "safetensors", struct.pack("<Q", 2**60) + b"{}", "x.safetensors"),
]  # fmt: skip


@each(CASES)
def test_bad_weights(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
