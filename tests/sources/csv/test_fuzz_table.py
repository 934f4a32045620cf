"""Tables of any bytes and of odd cells: frames, or one line."""

import tempfile
from pathlib import Path

import fuzz_csv as fuzz
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

ODD = [
    *("", " ", "0", "1", "0.5", "-1", "1e3", "1e400", "nan", "inf", "0,5", "1_0", "٣", "-0", "99999999999999999999"),
    *("a", "a/b.jpg", "../a.jpg", "/a.jpg", "C:\\a.jpg", "\\\\server\\a.jpg", "a//b/./c.jpg", "x" * 300, "é"),
    *('"', '""', '"a', "a\0b", "\x1b", "\u2028", "{}", "%s"),
    *("2016-12-01 13:30:48.5", "left", "RoadOption.VOID", "0 1 0 0"),
]
CELLS = st.one_of(st.sampled_from(ODD), st.text(max_size=8), st.floats().map(str), st.integers(0, 9).map(str))
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=5), max_size=12)


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@given(data=st.binary(max_size=300))
@example(data=b"")
@example(data=b"\0")
@example(data=b"\0image,time,speed,run\na,1,2,b\n\xd9,1\n")  # torn, and no text
@example(data=b"\0image,time,speed,run\r\r\n\n\x00,\xff")
@settings(max_examples=150, deadline=None)
def test_any_bytes(folder, data):
    fuzz.read(data, folder)


@given(setting=st.integers(0, len(fuzz.SETTINGS) - 1), rows=ROWS, ends=st.sampled_from(["\n", "\r\n", "\r"]))
@settings(max_examples=250, deadline=None)
def test_odd_cells(folder, setting, rows, ends):
    delimiter = fuzz.SETTINGS[setting].get("delimiter", ",")
    lines = [delimiter.join(["image", "time", "speed", "run"]), *(delimiter.join(row) for row in rows)]
    fuzz.read(bytes([setting]) + ends.join(lines).encode("utf-8", "surrogatepass"), folder)
