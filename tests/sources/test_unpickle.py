import datetime
import io
import os
import pickle
import struct
import time
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstill.errors import UserError
from roadstill.sources import unpickle
from roadstill.sources.unpickle import BrokenLog, parse, read_pickle

P4 = b"\x80\x04"


def plain_log():
    rotation = np.arange(12.0).reshape(3, 4)
    shared = np.array([1.0, 2.0])
    return [
        {
            "token": "0123456789abcdef",
            "text": "Straße\U0001f697",
            "long": "x" * 70_000,
            "int": [0, 255, 65535, -1, 2**31, -(2**62), True, False, None],
            "float": 0.1,
            "tuple": [(1, True), (2, np.bool_(False)), (), (1, 2, 3), (1, 2, 3, 4, 5)],
            "nested": {
                "CAM_F0": {"rotation": rotation, "fortran": np.asfortranarray(rotation), "view": rotation[:, ::2]}
            },
            "swapped": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
            "names": np.array(["vehicle", "pedestrian"]),
            "empty": np.array([]),
            "int_array": np.eye(4, dtype=int)[1],
            "scalars": [np.float64(1.5), np.float32(0.5), np.int64(-3)],
            "big_endian": np.arange(3, dtype=">i4"),
            "bools": np.array([True, False]),
            "shared": [shared, shared],
            7: "number as key",
        }
    ]


def same(ours, theirs):
    if isinstance(theirs, np.ndarray):
        assert type(ours) is np.ndarray
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            same(ours[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("python", [False, True], ids=["C pickler", "Python pickler"])
def test_equals_pickle_on_plain_data(protocol, python):
    dumps = pickle._dumps if python else pickle.dumps
    same(parse(dumps(plain_log(), protocol)), plain_log())


@pytest.mark.parametrize("protocol", [2, 5])
def test_opens_old_and_new_numpy_names(protocol):
    log = [{"array": np.arange(6.0)[::2], "dense": np.arange(3.0), "scalar": np.float64(3)}]
    data = pickle._dumps(log, protocol)
    as_is = parse(data)
    if protocol == 2:
        other = data.replace(b"numpy._core.", b"numpy.core.")
        other = other if other != data else data.replace(b"numpy.core.", b"numpy._core.")
    else:  # names carry their length, and the frame its own
        old, new = b"numpy.core.", b"numpy._core."
        have, want = (new, old) if new in data else (old, new)
        other = data
        for tail in (b"multiarray", b"numeric"):
            a, b = have + tail, want + tail
            other = other.replace(bytes([len(a)]) + a, bytes([len(b)]) + b)
    assert other != data
    same(parse(other), as_is)
    same(as_is, log)


def test_arrays_own_their_memory_and_can_be_changed():
    array = parse(pickle.dumps([np.arange(3.0)], 5))[0]
    array[0] = 7
    assert array[0] == 7


class Evil:
    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


class Persistent(pickle._Pickler):
    def persistent_id(self, obj):
        return "stranger" if isinstance(obj, Evil) else None


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "call",
    [(os.system, ("touch {}",)), (eval, ("open('{}', 'w')",)), (np.save, ("{}", 1)), (Path.touch, (Path("{}"),))],
)
def test_calls_nothing(tmp_path, protocol, call):
    trace = tmp_path / "trace.npy"
    function, arguments = call
    arguments = tuple(type(a)(str(a).format(trace)) if "{}" in str(a) else a for a in arguments)
    path = tmp_path / "log.pkl"
    path.write_bytes(pickle.dumps([Evil(function, arguments)], protocol))
    with pytest.raises(BrokenLog, match=r"log\.pkl"):
        read_pickle(path)
    assert not trace.exists()


def named(module, name, arguments=b")"):
    return P4 + b"c" + module + b"\n" + name + b"\n" + arguments + b"R."


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (b"os", b"system"),
        (b"builtins", b"eval"),
        (b"builtins", b"getattr"),
        (b"numpy", b"load"),
        (b"numpy", b"ndarray.tofile"),
        (b"numpy.core.multiarray", b"_reconstruct.__globals__"),
        (b"numpy", b"dtype.__class__"),
        (b"navsim.planning.metric_caching.metric_cache", b"MetricCache"),
        (b"pathlib", b"PosixPath"),
        (b"copyreg", b"_reconstructor"),
        (b"_codecs", b"decode"),
        (b"numpy.core.multiarray", b"fromfile"),
    ],
)
def test_refuses_every_other_name(module, name):
    with pytest.raises(ValueError, match="which is not for plain data"):
        parse(named(module, name))
    text = b"\x8c" + bytes([len(module)]) + module + b"\x8c" + bytes([len(name)]) + name + b"\x93)R."
    with pytest.raises(ValueError, match="which is not for plain data"):
        parse(P4 + text)


@pytest.mark.parametrize(
    "data",
    [
        b"P1\n.",  # protocol 0
        b"\x80\x01].",
        b"\x80\x06].",
        P4 + b"Pid\n.",  # PERSID
        P4 + b"K\x01Q.",  # BINPERSID
        P4 + b"\x82\x01.",  # EXT1
        P4 + b"(cos\nsystem\no.",  # OBJ
        P4 + b"(ios\nsystem\n.",  # INST
        P4 + b"cos\nsystem\n)\x81.",  # NEWOBJ
        P4 + b"\x8f.",  # a set
        P4 + b"\x97.",  # NEXT_BUFFER
        P4 + b"2.",  # DUP
    ],
)
def test_refuses_every_other_opcode(data):
    with pytest.raises(ValueError, match=r"not for plain data|protocol"):
        parse(data)


def test_refuses_persistent_ids(tmp_path):
    with (tmp_path / "log.pkl").open("wb") as file:
        Persistent(file, 4).dump([Evil()])
    with pytest.raises(BrokenLog, match="0x51"):
        read_pickle(tmp_path / "log.pkl")


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}, "a"], object),
        np.zeros(2, [("x", "f8"), ("y", "i4")]),
        np.array(["2021-01-01"], "datetime64[D]"),
        np.array([1], "timedelta64[s]"),
        np.array([b"ab"]),
        np.zeros(1, "V4"),
        np.zeros(2, complex),
        np.zeros((1, 1, 1, 1, 1)),
        np.dtype("f8"),
        {1, 2},
        frozenset((1,)),
        1j,
        b"bytes",
        datetime.date(2021, 1, 1),
        {(1, 2): 3},
        2**200,
        range(3),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_refuses_other_kinds_of_data(tmp_path, array, protocol):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([array], protocol))
    with pytest.raises(BrokenLog, match=r"a\.pkl: "):
        read_pickle(tmp_path / "a.pkl")


def reduced(function, *arguments):
    """Bytes of a protocol 4 pickle of one call by name, whose arguments may be calls too."""

    class Call:
        def __reduce__(self):
            return (function, arguments)

    return Call()


class _Names(pickle._Pickler):
    """Writes the stand-in functions below under the names of numpy."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_function(self, function):
        self.write(b"c" + function.module.encode() + b"\n" + function.__name__.encode() + b"\n")

    dispatch[types.FunctionType] = save_function


def _frombuffer(*_): ...
def scalar(*_): ...


_frombuffer.module = "numpy.core.numeric"
scalar.module = "numpy.core.multiarray"


def dump(value):
    file = io.BytesIO()
    _Names(file, 4).dump(value)
    return file.getvalue()


F8 = np.dtype("f8")


@pytest.mark.parametrize(
    "arguments",
    [
        (b"\0" * 8, F8, (2,), "C"),
        (b"\0" * 16, F8, (-2,), "C"),
        (b"\0" * 16, F8, (2**62, 2**62), "C"),
        (b"\0" * 16, F8, (2.0,), "C"),
        (b"\0" * 16, F8, [2], "C"),
        (b"\0" * 16, F8, 2, "C"),
        (b"\0" * 16, F8, ((2,),), "C"),
        (b"\0" * 16, F8, (2,), "Z"),
        (b"\0" * 16, F8, (2,), ["C"]),
        (b"\0" * 16, F8, (2, 1), "K", (0, 0)),
        (b"\0" * 16, F8, (2, 1), "K", (0, 5)),
        (b"\0" * 16, F8, (2, 1), "K", (0, (1,))),
        (b"\0" * 16, "f8", (2,), "C"),
        ("\0" * 16, F8, (2,), "C"),
        (b"\0" * 16, F8),
        (b"\xff" * 8, np.dtype("U2"), (1,), "C"),
        (b"", np.dtype("U0"), (10**12,), "C"),
    ],
    ids=str,
)
def test_refuses_damaged_arrays(tmp_path, arguments):
    good = dump([reduced(_frombuffer, b"\0" * 16, F8, (2,), "C")])
    assert parse(good)[0].tolist() == [0, 0]
    (tmp_path / "a.pkl").write_bytes(dump([reduced(_frombuffer, *arguments)]))
    with pytest.raises(BrokenLog):
        read_pickle(tmp_path / "a.pkl")


def test_refuses_a_scalar_of_another_size():
    assert parse(dump([reduced(scalar, F8, struct.pack("<d", 2.5))])) == [2.5]
    with pytest.raises(ValueError, match="4 bytes"):
        parse(dump([reduced(scalar, F8, b"\0" * 4)]))


def test_refuses_an_array_without_its_state():
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
    state = b"(K\x01K\x02\x85cnumpy\ndtype\n\x8c\x02i1\x85R\x89C\x02\x03\x04tb"
    assert parse(P4 + b"](" + made + state + b"e.")[0].tolist() == [3, 4]
    assert parse(P4 + b"](" + made + b"\x94" + state + b"h\x00e.")[0].tolist() == [3, 4]
    with pytest.raises(ValueError, match="Blank"):
        parse(P4 + b"](" + made + b"e.")
    with pytest.raises(ValueError, match="takes none"):
        parse(P4 + b"](" + made + state + state + b"e.")


def test_state_cannot_change_what_names_stand_for():
    attack = P4 + b"cnumpy.core.numeric\n_frombuffer\nN}\x8c\x08__code__K\x01s\x86b."
    with pytest.raises(ValueError, match="takes none"):
        parse(attack)
    same(parse(pickle.dumps([np.arange(3.0)], 5)), [np.arange(3.0)])


def test_nested_lists_are_refused_and_eight_are_not():
    def nested(depth):
        value = []
        for _ in range(depth - 1):
            value = [value]
        return pickle.dumps(value, 4)

    parse(nested(8))
    for depth in (9, 200):
        with pytest.raises(ValueError, match="nested more than 8"):
            parse(nested(depth))


@pytest.mark.parametrize(
    "data",
    [
        P4 + b"]" * 300_000 + b"a" * 299_999 + b".",
        P4 + b")" + b"\x85" * 300_000 + b".",
        P4 + b"})" + b"\x85" * 300_000 + b"K\x01s.",  # hashing this as a key overflows C's stack in plain pickle
        P4 + b")" + b"\x85" * 300_000 + b")R.",  # called
        P4 + b"cnumpy\ndtype\n)" + b"\x85" * 300_000 + b"\x85R.",
        P4
        + b"cnumpy.core.numeric\n_frombuffer\n(C\x00cnumpy\ndtype\n\x8c\x02f8\x85R)"
        + b"\x85" * 999
        + b"\x8c\x01CtR.",
        P4 + b"]r\xff\xff\xff\x7f.."[:-1] + b"].",  # plain pickle makes a memo of 2^32 places for this
        P4 + b"\x96" + b"\xff" * 7 + b"\x7f.",
        P4 + b"\x8a\xff" + b"\xff" * 255 + b".",
        P4 + b"]\x94h\x00a.",  # a list that holds itself
    ],
    ids=[
        "lists",
        "tuples",
        "tuple key",
        "tuple called",
        "dtype of tuples",
        "shape",
        "memo",
        "length",
        "number",
        "cycle",
    ],
)
def test_bombs_are_refused_quickly(tmp_path, data):
    (tmp_path / "bomb.pkl").write_bytes(data)
    start = time.monotonic()
    with pytest.raises(BrokenLog):
        read_pickle(tmp_path / "bomb.pkl")
    assert time.monotonic() - start < 20


def test_shared_references_cost_nothing():
    wide = P4 + b"]\x94" + b"]\x94(" + b"h\x00" * 100_000 + b"e]\x94(" + b"h\x01" * 100_000 + b"e0" + b"0."
    assert parse(wide) == []
    bomb = ["end"]
    for _ in range(6):
        bomb = [bomb] * 50_000  # 1.5e28 leaves for a walk that forgets
    start = time.monotonic()
    parse(pickle.dumps(bomb, 4))
    assert time.monotonic() - start < 10


def test_deep_parts_found_through_a_second_reference():
    deep = [[[[[]]]]]
    assert parse(pickle.dumps([deep, deep], 4))
    with pytest.raises(ValueError, match="nested more than 8"):
        parse(pickle.dumps([deep, [[[[deep]]]]], 4))


def test_budget_of_steps(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(list(range(1000)), 4))
    read_pickle(path, max_steps=2_000)
    with pytest.raises(BrokenLog, match="more than 500 steps"):
        read_pickle(path, max_steps=500)


def test_oversize(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([1], 4))
    with pytest.raises(BrokenLog, match=r"a\.pkl: .* bytes are more than the 5"):
        read_pickle(path, max_bytes=5)
    with path.open("wb") as file:
        file.truncate(unpickle.MAX_BYTES + 1)
    with pytest.raises(BrokenLog, match="536,870,913 bytes"):
        read_pickle(path)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.pkl", tmp_path):
        with pytest.raises(UserError, match=str(path.name)):
            read_pickle(path)


def test_every_truncation_is_refused(tmp_path):
    data = pickle.dumps([{"a": np.arange(3.0), "b": [1, "x", 2.5, None], "c": (1, 2)}], 5)
    path = tmp_path / "a.pkl"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(BrokenLog):
            read_pickle(path)
    path.write_bytes(data + b"x")
    with pytest.raises(BrokenLog):
        read_pickle(path)


def outcome(path):
    """What the one error says, or nothing if the file can be read; any other error fails the test."""
    try:
        read_pickle(path)
    except BrokenLog as error:
        return str(error)
    return ""


SAMPLE = pickle.dumps(
    plain_log()[0]["nested"] | {"s": np.float64(2), "n": np.array(["a", "bc"]), "l": [1, 2.5, (3,)]}, 5
)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(SAMPLE) * 8 - 1), st.integers(0, len(SAMPLE) * 8 - 1))
def test_flipped_bits_end_in_data_or_one_error(tmp_path_factory, first, second):
    damaged = bytearray(SAMPLE)
    for bit in (first, second):
        damaged[bit // 8] ^= 1 << bit % 8
    path = tmp_path_factory.getbasetemp() / "flipped.pkl"
    path.write_bytes(bytes(damaged))
    said = outcome(path)
    assert said == "" or "flipped.pkl: " in said
    assert "\n" not in said


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_random_bytes_end_in_data_or_one_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "random.pkl"
    path.write_bytes(b"\x80\x05" + data + b".")
    said = outcome(path)
    assert said == "" or "random.pkl: " in said
