"""What Python's own unpickler reads of a log: the same as the machine, and nothing that the machine would refuse."""

import os
import pickle
import tracemalloc

import attacks
import numpy as np
import pytest
from attacks import PICKLES, number, raw, row, text
from damage import damaged
from hypothesis import given, settings
from hypothesis import strategies as st
from made_logs import make_log
from same import same
from watch import WATCH

from roadstill.sources.pickles import regular
from roadstill.sources.pickles.arrays import LogMachine
from roadstill.sources.pickles.plain_tree import check_plain
from roadstill.sources.pickles.regular import read_regular
from roadstill.sources.pickles.unpickle import MAX_STEPS
from roadstill.world.pickles import write_log

FACTOR = int(os.environ.get("ROADSTILL_FUZZ", "1"))
MIXED = [frame for boxes in (9, 0, 3, 40) for frame in make_log(12, boxes)]


def unframed(data):
    """The pickle in one piece: what is changed in it then breaks no length."""
    parts, at = [], 2
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 9], "little")
        parts.append(data[at + 9 : at + 9 + size])
        at += 9 + size
    return b"".join(parts)


def framed(body, protocol=4):
    return bytes([0x80, protocol, 0x95]) + len(body).to_bytes(8, "little") + body


def by_machine(data):
    value = LogMachine(data).run(MAX_STEPS)
    check_plain(value)
    return value


GOOD = {
    "protocol 4": pickle.dumps(make_log(8, 12), 4),
    "protocol 5": pickle.dumps(make_log(8, 12), 5),
    "by the pickler in Python": pickle._dumps(make_log(8, 12), 4),
    "without boxes, with many": pickle.dumps(MIXED, 4),
    "the same, protocol 5": pickle.dumps(MIXED, 5),
    "more than a thousand frames": pickle.dumps(
        make_log(2, 12) + [{"token": str(number)} for number in range(1010)], 4
    ),
    "a single camera": pickle.dumps(
        [frame | {"cams": {"CAM_F0": frame["cams"]["CAM_F0"]}} for frame in make_log(9, 40)], 4
    ),
    "large boxes": pickle.dumps(make_log(5, 200), 4),
    "in one piece": framed(unframed(pickle.dumps(make_log(8, 12), 4))),
}
SMALL = [GOOD["protocol 4"], GOOD["protocol 5"], framed(unframed(GOOD["protocol 4"])), pickle.dumps(MIXED[8:28], 4)]


@pytest.mark.parametrize("name", GOOD)
def test_reads_what_picklers_write(name):
    found = read_regular(GOOD[name], MAX_STEPS)
    assert found is not None
    same(found, by_machine(GOOD[name]))
    same(found, pickle.loads(GOOD[name]))


def test_reads_what_the_built_in_world_writes(tmp_path):
    write_log(tmp_path / "log.pkl", MIXED)
    found = read_regular((tmp_path / "log.pkl").read_bytes(), MAX_STEPS)
    assert found is not None
    same(found, MIXED)


def test_keeps_shared_parts_shared_and_arrays_writable():
    route, matrix = ["1", "2"], np.eye(3)
    log = [frame | {"route": route, "matrix": matrix} for frame in make_log(9, 12)]
    found = read_regular(pickle.dumps(log, 4), MAX_STEPS)
    assert found[0]["route"] is found[8]["route"]
    assert found[0]["matrix"] is found[8]["matrix"]
    found[7]["anns"]["gt_boxes"][0, 0] = 7
    found[7]["can_bus"][0] = 7


@pytest.mark.parametrize(
    "change",
    [
        {"tuple as key": {(1, 2): 3}},
        {"number as key": {7: 3}},
        {"long": "x" * 300},
        {"scalar": np.float64(1)},
        {"large": 2**200},
        {"turned": np.arange(3, dtype=">i4")},
        {"complex": np.zeros(2, complex)},
        {"bytes": b"x"},
        {"set": {1}},
        {"four dimensions": np.zeros((1, 1, 1, 2))},
        {"deep": [[[[[[[[]]]]]]]]},
        {"wide": list(range(70_000))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_leaves_the_rest_to_the_machine(change):
    log = make_log(9, 12)
    log[7] |= change
    assert read_regular(pickle.dumps(log, 4), MAX_STEPS) is None


def test_short_logs_and_long_ones_are_left_to_the_machine():
    assert read_regular(pickle.dumps(make_log(1, 12), 4), MAX_STEPS) is None
    assert read_regular(GOOD["protocol 4"], len(GOOD["protocol 4"]) - 1) is None
    assert read_regular(pickle.dumps(make_log(8, 12), 2), MAX_STEPS) is None


# ---- hostile bytes in the part that Python's unpickler would read

BODY = unframed(GOOD["protocol 4"])
SHORT = unframed(pickle.dumps(make_log(3, 12), 4))
END = b"uue."  # of anns, of the last frame, of the list, of the pickle
assert BODY.endswith(END)
assert SHORT.endswith(END)
KEY = text("x").replace(b"X\x01\0\0\0", b"\x8c\x01") + b"\x94"


def with_value(value):
    """The log with one more pair in its last frame."""
    return framed(BODY[: -len(END)] + b"u" + KEY + value + b"ue.")


PLACES = {
    "a value": with_value,
    "a key": lambda program: framed(BODY[: -len(END)] + b"u" + program + b"Nue."),
    "a frame": lambda program: framed(BODY[:-2] + program + b"e."),
}


@pytest.mark.parametrize("place", PLACES)
def test_programs_of_the_corpus_within_a_log(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tried = 0
    for data in PICKLES.values():
        if len(data) > 400_000 or data[:1] != b"\x80" or data[1:2] not in b"\x02\x03\x04\x05" or data[-1:] != b".":
            continue
        tried += 1
        log = PLACES[place](data[11:-1] if data[2:3] == b"\x95" else data[2:-1])
        with WATCH:
            found = read_regular(log, MAX_STEPS)
        assert WATCH.acts == []
        if found is not None:  # harmless where it now stands
            same(found, by_machine(log))
    assert tried > 300


def test_values_are_added_as_the_tests_of_attacks_take_for_granted():
    found = read_regular(with_value(b"K\x07"), MAX_STEPS)
    assert found[-1]["x"] == 7
    assert read_regular(with_value(b"]\x94(K\x01NK\x02\x88\x86\x94e"), MAX_STEPS)[-1]["x"] == [1, None, (2, True)]


def place_of(value):
    """An opcode that takes a value from the memo as the first frame left it."""
    machine = regular._FirstFrames(GOOD["protocol 4"])
    with pytest.raises(regular._EnoughSeen):
        machine.run(MAX_STEPS)
    return b"h" + bytes([next(place for place, found in enumerate(machine.memo) if value(found))])


BLANK, KIND = (
    place_of(lambda v, call=call: getattr(v, "call", None) is call) for call in (regular.Blank, regular.DType)
)
NDARRAY, NUMBERS = place_of(lambda v: v is regular.NDARRAY), place_of(lambda v: type(v) is regular.DType)
LETTER, ORDER = place_of(lambda v: type(v) is bytes), place_of(lambda v: str(v) == "<")
A_TEXT = place_of(lambda v: str(v) == "token")


def array(shape=b"K\x02\x85\x94", kind=NUMBERS, data=b"C\x10" + bytes(16), start=BLANK + NDARRAY, order=b"\x89"):
    return start + b"K\x00\x85\x94" + LETTER + b"\x87\x94R\x94(K\x01" + shape + kind + order + data + b"\x94t\x94b"


def text_type(width=b"\x02U2", size=b"\x08", order=ORDER, call=KIND, flags=b"K\x08"):
    return (
        call
        + b"\x8c"
        + width
        + b"\x94\x89\x88\x87\x94R\x94(K\x03"
        + order
        + b"NNNK"
        + size
        + b"K\x04"
        + flags
        + b"t\x94b"
    )


LETTERS = {"kind": text_type(), "data": b"C\x10" + "abcd".encode("utf-32-le")}


def test_arrays_are_written_as_the_tests_below_take_for_granted():
    assert read_regular(with_value(array()), MAX_STEPS)[-1]["x"].tolist() == [0, 0]
    assert read_regular(with_value(array(**LETTERS)), MAX_STEPS)[-1]["x"].tolist() == ["ab", "cd"]


ARRAYS = {
    "too few bytes": array(data=b"C\x08" + bytes(8)),
    "more bytes than there are": array(data=b"B\xff\xff\xff\x7f" + bytes(16)),
    "bytes that end elsewhere": array(data=b"C\x0c" + bytes(16)),
    "a type of a size of its own": array(**LETTERS | {"kind": text_type(size=b"\x04")}),
    "a type of no size": array(**LETTERS | {"kind": text_type(size=b"\x00")}),
    "a type of odd size": array(**LETTERS | {"kind": text_type(size=b"\x07")}),
    "a type that claims objects": array(**LETTERS | {"kind": text_type(flags=b"K\x3f")}),
    "a type of objects": array(**LETTERS | {"kind": text_type(b"\x01O")}),
    "a type of records": array(**LETTERS | {"kind": text_type(b"\x05U2,f8")}),
    "a type of numbers": array(**LETTERS | {"kind": text_type(b"\x02f8")}),
    "a type that is turned": array(**LETTERS | {"kind": text_type(order=b"\x8c\x01>\x94")}),
    "a type of odd order": array(**LETTERS | {"kind": text_type(order=A_TEXT)}),
    "a type by another function": array(**LETTERS | {"kind": text_type(call=BLANK)}),
    "a type of text": array(kind=A_TEXT),
    "a type that is an array's class": array(kind=NDARRAY),
    "letters beyond the last": array(**LETTERS | {"data": b"C\x10" + b"\xff" * 16}),
    "another class": array(start=BLANK + KIND),
    "another function": array(start=KIND + NDARRAY),
    "a text as function": array(start=A_TEXT + NDARRAY),
    "an array's class as function": array(start=NDARRAY + NDARRAY),
    "no rows of many": array(b"K\x00M\xff\xff\x86\x94", data=b"C\x00"),
    "no bytes": array(b"K\x00\x85\x94", data=A_TEXT),
    "many empty rows": array(b"M\xff\x26M\xff\x26K\x00\x87\x94", data=b"C\x00"),
    "an order that is a number": array(order=b"K\x01"),
    "a state of another version": array().replace(b"(K\x01", b"(K\x03"),
    "a function as a value": BLANK,
    "a class as a value": NDARRAY,
    "a type as a value": NUMBERS,
    "bytes as a value": LETTER,
    "bytes of an array as a value": array() + KEY + b"j" + (2**20).to_bytes(4, "little"),
    "a state for a text": A_TEXT + b"(K\x01t\x94b",
    "a call of a text": A_TEXT + b")R",
    "a memo of two billion": b"]r\xff\xff\xff\x7f",
    "a memo of 255": b"]q\xff",
    "a name": b"cos\nsystem\n",
    "a name by stack": b"\x8c\x02os\x94\x8c\x06system\x94\x93",
    "a persistent id": b"NQ",
    "an extension": b"\x82\x01",
    "a tuple as key": b"}\x94(" + b"K\x01\x85\x94Nu",
    "a dict as key": b"}\x94(}\x94(uNu",
    "a number as key": b"}\x94(K\x01Nu",
    "a place beyond the first frames as key": b"}\x94(j\x00\x10\x00\x00Nu",
    "bytes as key": b"}\x94(" + LETTER + b"Nu",
    "a type as key": b"}\x94(" + NUMBERS + b"Nu",
    "a dict as key, one by one": b"}\x94}\x94(uNs",
    "a tuple as key, one by one": b"}\x94K\x01\x85\x94Ns",
    "half an item": b"}\x94(" + KEY + b"u",
    "an end too many": b"}\x94uu",
    "no end": b"}\x94(",
    "the list in itself": b"h\x00",
    "a dict that the list's end closes": b"}\x94(e.",
}


@pytest.mark.parametrize("name", ARRAYS)
def test_nothing_else_is_taken(name):
    assert read_regular(with_value(ARRAYS[name]), MAX_STEPS) is None


def test_types_of_numpy_are_as_before():
    """A state that got through would have changed a type for the whole process."""
    for name in ARRAYS:
        read_regular(with_value(ARRAYS[name]), MAX_STEPS)
    for code in ("f8", "i8", "U2", "b1"):
        kind = np.dtype(code)
        assert kind.isnative
        assert not kind.hasobject
        assert (kind.itemsize, kind.names) == ({"f8": 8, "i8": 8, "U2": 8, "b1": 1}[code], None)


def test_a_bomb_of_references():
    many = [["ha"] * 1000]
    for _ in range(5):
        many = [many] * 1000
    log = make_log(9, 12)
    log[8]["x"] = many
    with pytest.raises(ValueError, match="more than"):
        by_machine(pickle.dumps(log, 4))
    assert read_regular(pickle.dumps(log, 4), MAX_STEPS) is None


def tries(count):
    return settings(max_examples=count * FACTOR, derandomize=FACTOR == 1, deadline=None)


def compare(data):
    tracemalloc.start()
    try:
        found = read_regular(data, MAX_STEPS)
        assert tracemalloc.get_traced_memory()[1] < 130 * len(data) + 2**20
    finally:
        tracemalloc.stop()
    if found is not None:
        same(found, by_machine(data))
    return found


@tries(200)
@given(damaged(SMALL))
def test_damaged_logs(data):
    compare(data)


WORDS = [
    *(
        KEY,
        KEY,
        b"h\x05",
        A_TEXT,
        A_TEXT,
        b"j\x10\x01\x00\x00",
        b"K\x01",
        b"N",
        b"u",
        b"u",
        b"}\x94",
        b"}\x94(",
        b"e",
        b"e(",
    ),
    *(b"]\x94", b"]\x94(", b"a", b"\x85\x94", b"\x86\x94", b"t\x94", b"(", b")", b"\x94", b"0", b"b", b"R", b"s"),
    *(array(), text_type(), array(**LETTERS), array(b"K\x00\x85\x94", data=b"C\x00"), BLANK, KIND, NDARRAY, NUMBERS),
    *(raw(b"x"), number(2**40), row(number(1)), text("x"), attacks.F8, LETTER, ORDER),
]


@tries(150)
@given(st.lists(st.sampled_from(WORDS), max_size=16).map(b"".join), st.sampled_from([b"ue.", b"e.", b"uue."]))
def test_random_programs_at_the_end_of_a_log(program, end):
    compare(framed(SHORT[: -len(END)] + b"u" + program + end))
