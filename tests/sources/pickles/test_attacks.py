"""Every hostile file of `attacks` ends in one printable line, soon, within memory, and nothing is called."""

import tracemalloc

import pytest
from attacks import PICKLES
from watch import WATCH

from roadstill.errors import UserError
from roadstill.sources.pickles.unpickle import BrokenLog, read_pickle

MOST_BYTES_PER_BYTE = 130  # a memo or stack place and an empty container, for one byte of the file
SPARE_BYTES = 2**20


@pytest.mark.parametrize("name", PICKLES)
def test_attack(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "log.pkl"
    path.write_bytes(PICKLES[name])
    tracemalloc.start()
    try:
        with WATCH, pytest.raises(BrokenLog) as refused:
            read_pickle(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    line = str(refused.value)
    assert line.startswith(f"{path}: ")
    assert line.isprintable()
    assert len(line) < len(str(path)) + 300
    assert isinstance(refused.value, UserError)
    assert peak < MOST_BYTES_PER_BYTE * len(PICKLES[name]) + SPARE_BYTES
    assert WATCH.acts == [("open", str((str(path),)))]
    assert [entry.name for entry in tmp_path.iterdir()] == ["log.pkl"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("os.system, protocol 4", "it names 'posix.system', which is not plain data"),
        ("by stack: numpy.ndarray.tofile", "it names 'numpy.ndarray.tofile', which is not plain data"),
        ("protocol 0", "not a pickle of protocol 2 to 5"),
        ("protocol 6", "pickle protocol 6 is not read, only 2 to 5"),
        ("opcode BINPERSID", "opcode 0x51 at byte 4 is not for plain data"),
        ("structured, protocol 4", "arrays of type 'V12' are not allowed in logs"),
        ("objects, protocol 4", "arrays of type 'O8' are not allowed in logs"),
        ("array: too few bytes", r"an array of shape \(2,\) and type float64 with 8 bytes"),
        ("array: an empty array of 2\\^40 rows", "an empty array of 1,099,511,627,776 rows"),
        ("a list in itself", "nested more than 8 deep"),
        ("a billion laughs", "shared parts make it more than 33,554,432 items"),
        ("copies of one array", "its arrays hold more bytes than the file"),
        ("text of 2\\^63 bytes", "an item of 9,223,372,036,854,775,807 bytes"),
        ("key: a tuple", "neither text nor a small number"),
        ("key: 600 letters", "a key of 600 letters"),
        ("two pickles", "the pickle ends at byte [0-9]+, and more follows"),
        ("a frame longer than the file", "truncated"),
        ("gzip", "not a pickle of protocol 2 to 5"),
    ],
)
def test_the_line_says_why(name, says, tmp_path):
    path = tmp_path / "log.pkl"
    path.write_bytes(PICKLES[name.replace("\\", "")])
    with pytest.raises(BrokenLog, match=f"{says}.?$" if says.endswith(("deep", "file")) else says):
        read_pickle(path)
