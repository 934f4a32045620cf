"""Valid logs with random damage: frames, or one of our two errors, never anything else.

``ROADSTILL_FUZZ=50`` tries fifty times as many, other ones each time.
"""

import os
import pickle
import tracemalloc

import attacks
import numpy as np
import pytest
from attacks import FIELDS
from damage import damaged
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from made_logs import make_log

from roadstill.sources.navsim.schema import BrokenFrame, Frame, read_frame, read_log_name
from roadstill.sources.pickles.unpickle import BrokenLog, read_pickle

FACTOR = int(os.environ.get("ROADSTILL_FUZZ", "1"))
ODD = make_log(2, 1)
ODD[0]["frame_idx"], ODD[1]["ego_dynamic_state"] = np.int64(0), [np.float64(1), np.float32(2), 3, 4.0]
LOGS = [pickle.dumps(log, protocol) for log in (make_log(2, 2), ODD) for protocol in (2, 3, 4, 5)]


def tries(count):
    return settings(max_examples=count * FACTOR, derandomize=FACTOR == 1, deadline=None)


def look(folder, data):
    """Reads a log as `index` does; returns how many good frames it has, or -1 if it is broken."""
    path = folder / "log.pkl"
    path.write_bytes(data)
    good, said = 0, []
    try:
        entries = read_pickle(path)
    except BrokenLog as error:
        good, entries = -1, []
        said.append(str(error))
    for entry in entries if isinstance(entries, list) else [entries]:
        try:
            frame = read_frame(entry)
            said += [read_log_name(entry), frame.token, frame.image, frame.location]
        except BrokenFrame as error:
            said.append(str(error))
        else:
            assert type(frame) is Frame
            assert isinstance(frame.has_route, bool)
            good += 1
    assert all(line.isprintable() for line in said)
    return good


@tries(400)
@given(damaged(LOGS))
def test_damaged_bytes(tmp_path_factory, data):
    assert look(tmp_path_factory.getbasetemp(), data) >= -1


@tries(60)
@given(damaged(LOGS))
def test_damaged_bytes_take_no_more_memory_than_they_may(tmp_path_factory, data):
    tracemalloc.start()
    try:
        look(tmp_path_factory.getbasetemp(), data)
        assert tracemalloc.get_traced_memory()[1] < 130 * len(data) + 2**20
    finally:
        tracemalloc.stop()


@tries(300)
@given(st.binary(max_size=80))
def test_random_bytes(tmp_path_factory, data):
    look(tmp_path_factory.getbasetemp(), b"\x80\x05" + data + b".")


WORDS = [
    *(attacks.text(value) for value in ("", "a", "C", "K", "f8", "U2", "b1", "latin1", "<", "numpy", "dtype")),
    *(attacks.number(value) for value in (-1, 0, 1, 2, 3, 2**40, 2**100)),
    *(attacks.raw(bytes(size)) for size in (0, 1, 8, 16)),
    *(attacks.FROMBUFFER, attacks.RECONSTRUCT, attacks.SCALAR, attacks.ENCODE, attacks.NDARRAY, attacks.DTYPE),
    *(attacks.F8, attacks.BLANK, attacks.LETTER, attacks.array(), attacks.row(attacks.number(2))),
    *(b"h\x00", b"h\x01", b"h\x02", b"q\x00", b"G" + bytes(8)),
    *(bytes([code]) for code in b"N\x88\x89]})(\x85\x86\x87ttRRRbbbaeus01\x94\x94\x94\x93"),
]


@tries(400)
@given(st.lists(st.sampled_from(WORDS), max_size=25).map(b"".join))
def test_random_programs(tmp_path_factory, program):
    look(tmp_path_factory.getbasetemp(), b"\x80\x04](" + program + b"e.")


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=20),
    st.binary(max_size=5),
    npst.from_dtype(np.dtype("f4")),
    npst.from_dtype(np.dtype("U3")),
    npst.arrays(
        npst.scalar_dtypes() | npst.unicode_string_dtypes(max_len=4) | npst.array_dtypes(max_size=2),
        npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4),
    ),
    st.sampled_from(sorted(FIELDS)).map(lambda name: FIELDS[name][1]),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=8,
)


@tries(300)
@given(
    st.lists(st.tuples(st.sampled_from([*make_log(1, 0)[0], "CAM_F0"]), VALUES), min_size=1, max_size=3),
    st.sampled_from([2, 3, 4, 5]),
)
@example([("ego_dynamic_state", np.zeros((2**40, 0)))], 5)
def test_changed_fields(tmp_path_factory, changes, protocol):
    log = make_log(2, 1)
    for name, value in changes:
        if name == "CAM_F0" and isinstance(log[0]["cams"], dict):
            log[0]["cams"]["CAM_F0"] = value
        else:
            log[0][name] = value
    assert look(tmp_path_factory.getbasetemp(), pickle.dumps(log, protocol)) in (-1, 1, 2)


@pytest.mark.slow
@settings(max_examples=20_000, derandomize=False, deadline=None)
@given(damaged(LOGS))
def test_damaged_bytes_at_length(tmp_path_factory, data):
    assert look(tmp_path_factory.getbasetemp(), data) >= -1


@pytest.mark.parametrize("data", LOGS)
def test_the_logs_are_good(tmp_path, data):
    assert look(tmp_path, data) == 2
