"""Hostile logs by name: `PICKLES` are whole files, `FIELDS` are values of one field of an otherwise good frame.

Nothing here is dangerous to import. The payloads of the first group would make the file ``trace`` in the working folder
if anything called them.
"""

import bz2
import collections
import datetime
import decimal
import fractions
import gzip
import io
import lzma
import os
import pathlib
import pickle
import struct
import zipfile
from typing import Any

import numpy as np

# ---- a small assembler: each function gives the opcodes that leave one value on the stack

NONE, TRUE, FALSE, EMPTY = b"N", b"\x88", b"\x89", b")"


def text(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def raw(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    packed = value.to_bytes(size, "little", signed=True)
    return b"\x8a" + bytes([size]) + packed if size < 256 else b"\x8b" + struct.pack("<I", size) + packed


def row(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def name(module: str, attribute: str) -> bytes:
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + row(*arguments) + b"R"


def listed(*parts: bytes) -> bytes:
    return b"](" + b"".join(parts) + b"e"


def kept(value: bytes) -> bytes:
    """In the memo, not on the stack."""
    return value + b"\x940"


def log(value: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + value + b"."


FROMBUFFER = name("numpy.core.numeric", "_frombuffer")
RECONSTRUCT = name("numpy.core.multiarray", "_reconstruct")
SCALAR = name("numpy.core.multiarray", "scalar")
ENCODE = name("_codecs", "encode")
NDARRAY = name("numpy", "ndarray")
DTYPE = name("numpy", "dtype")
BLANK = call(RECONSTRUCT, NDARRAY, row(number(0)), raw(b"b"))


def dtype(code: bytes, *state: bytes) -> bytes:
    return call(DTYPE, code, FALSE, TRUE) + (row(*state) + b"b" if state else b"")


F8 = dtype(text("f8"))


def array(data: bytes = raw(bytes(16)), kind: bytes = F8, shape: bytes = row(number(2)), *more: bytes) -> bytes:
    return call(FROMBUFFER, data, kind, shape, *(more or (text("C"),)))


LETTER = array(raw(b"C\0\0\0"), dtype(text("U1")), row(number(1)))

# ---- whole files


class Reduced:
    """Pickles as a call of whatever it is given."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


class Stranger:
    pass


class Persistent(pickle._Pickler):  # type: ignore[misc,name-defined]
    def persistent_id(self, obj: Any) -> Any:
        return "stranger" if isinstance(obj, Stranger) else None


def persistent(protocol: int) -> bytes:
    file = io.BytesIO()
    Persistent(file, protocol).dump([Stranger()])
    return file.getvalue()


def pickled(value: Any, protocol: int = 4) -> bytes:
    return pickle.dumps([value], protocol)


CALLS = {
    "os.system": (os.system, ("touch trace",)),
    "eval": (eval, ("open('trace', 'w')",)),
    "exec": (exec, ("open('trace', 'w')",)),
    "getattr": (getattr, (pathlib.Path("trace"), "touch")),
    "numpy.save": (np.save, ("trace", 1)),
    "Path.touch": (pathlib.Path.touch, (pathlib.Path("trace"),)),
    "__import__": (__import__, ("this",)),
    "numpy.load": (np.load, ("trace",)),
}

OTHER_NAMES = [
    ("os", "system"),
    ("builtins", "eval"),
    ("builtins", "getattr"),
    ("numpy", "load"),
    ("numpy", "ndarray.tofile"),
    ("numpy.core.multiarray", "_reconstruct.__globals__"),
    ("numpy.core.multiarray", "fromfile"),
    ("numpy", "dtype.__class__"),
    ("navsim.planning.metric_caching.metric_cache", "MetricCache"),
    ("pathlib", "PosixPath"),
    ("copyreg", "_reconstructor"),
    ("_codecs", "decode"),
    ("__builtin__", "eval"),
    ("numpy", ""),
    ("numpy", "dtype\x1b[2J"),
    ("numpy\u202e", "dtype"),
    ("x" * 100_000, "y" * 100_000),
]


def executing() -> dict[str, bytes]:
    found = {}
    for title, (function, arguments) in CALLS.items():
        for protocol in range(6):
            found[f"{title}, protocol {protocol}"] = pickled(Reduced(function, arguments), protocol)
    for module, attribute in OTHER_NAMES:
        title = ascii(f"{module}.{attribute}"[:60])[1:-1]
        found[f"by stack: {title}"] = log(text(module) + text(attribute) + b"\x93)R")
        if len(module) < 100:
            found[f"by line: {title}"] = log(b"c" + f"{module}\n{attribute}\n".encode() + b")R")
    system = name("os", "system") + row(text("touch trace"))
    return found | {
        "newobj": log(system + b"\x81"),
        "newobj_ex": log(system + b"}\x92"),
        "inst": log(b"(" + text("touch trace") + b"ios\nsystem\n"),
        "obj": log(b"(cos\nsystem\n" + text("touch trace") + b"o"),
        "names of numbers": log(number(1) + number(2) + b"\x93)R"),
        "names of lists": log(b"]]\x93)R"),
        "a name of no end": log(b"cnumpy" + b"y" * 10_000),
        "another codec": log(listed(call(ENCODE, text("x"), text("rot13")))),
        "a codec that unpacks": log(listed(call(ENCODE, text("x"), text("zlib_codec")))),
        "a codec that is an array": log(listed(call(ENCODE, text("x"), LETTER))),
        "bytes with arguments": log(listed(call(name("__builtin__", "bytes"), number(2**31)))),
        "ndarray called": log(listed(call(NDARRAY, row(number(2**40))))),
        "arguments that are a list": log(listed(FROMBUFFER + listed(raw(bytes(8)), F8, row(number(1))) + b"R")),
        "a list called": log(b"])R"),
        "a method called": log(text("x") + EMPTY + b"R"),
        "a function as data": log(listed(FROMBUFFER)),
        "a dtype as data": log(listed(F8)),
        "an array that is never filled": log(listed(BLANK)),
        "a state for a function": log(FROMBUFFER + row(NONE, b"}" + text("__code__") + number(1) + b"s") + b"b"),
        "a state for a list": log(b"]" + row(number(1)) + b"b"),
        "a state for an array": log(array() + row(number(1)) + b"b"),
        "a state that is a dict": log(F8 + b"}b"),
    }


def other_kinds() -> dict[str, bytes]:
    values = {
        "objects": np.array([{}, "a"], object),
        "an object scalar": Reduced(np.array([{}], object).__reduce__()[0], (np.ndarray, (0,), b"b"), None),
        "structured": np.zeros(2, [("x", "f8"), ("y", "i4")]),
        "structured in a structure": np.zeros(2, [("x", [("y", "O")])]),
        "subarrays": np.zeros(2, [("x", "f8", (2,))]),
        "datetime": np.array(["2021-01-01"], "datetime64[D]"),
        "timedelta": np.array([1], "timedelta64[s]"),
        "a datetime scalar": np.datetime64("2021-01-01"),
        "byte text": np.array([b"ab"]),
        "void": np.zeros(1, "V4"),
        "complex array": np.zeros(2, complex),
        "long double": np.zeros(2, np.longdouble),
        "a complex scalar": np.complex128(1),
        "annotated dtype": np.zeros(2, np.dtype("f8", metadata={"a": 1})) if np.__version__ < "2" else 1j,
        "five dimensions": np.zeros((1, 1, 1, 1, 1)),
        "a dtype": np.dtype("f8"),
        "a masked array": np.ma.masked_array([1, 2]),
        "a record array": np.rec.array([(1, 2)], dtype=[("x", "i4"), ("y", "i4")]),
        "a random generator": np.random.default_rng(0).bit_generator.__class__,
        "a set": {1, 2},
        "a frozen set": frozenset((1,)),
        "a complex number": 1j,
        "bytes": b"bytes",
        "a bytearray": bytearray(b"bytes"),
        "a date": datetime.date(2021, 1, 1),
        "a fraction": fractions.Fraction(1, 3),
        "a decimal": decimal.Decimal(1),
        "an ordered dict": collections.OrderedDict(a=1),
        "a path": pathlib.PurePosixPath("/etc"),
        "a range": range(3),
        "a slice": slice(3),
        "a type": int,
        "an exception": ValueError("x"),
        "an integer of 200 bits": 2**200,
        "an integer of 5,000 digits": 10**5000,
        "not implemented": NotImplemented,
        "an ellipsis": ...,
    }
    found = {f"{title}, protocol {p}": pickled(value, p) for title, value in values.items() for p in (2, 4, 5)}
    file = io.BytesIO()
    buffers: list[Any] = []
    pickle.Pickler(file, 5, buffer_callback=buffers.append).dump([np.arange(3.0)])
    return found | {"buffers outside the file": file.getvalue()}


def damaged_arrays() -> dict[str, bytes]:
    two, letters = row(number(2)), dtype(text("U2"))
    state = (number(1), two, F8, FALSE, raw(bytes(16)))
    order = (number(3), text("<"), NONE, NONE, NONE, number(-1), number(-1), number(0))

    def swapped(values: tuple[bytes, ...], **changes: bytes) -> tuple[bytes, ...]:
        return tuple(changes.get(f"at{index}", value) for index, value in enumerate(values))

    arrays = {
        "too few bytes": array(raw(bytes(8))),
        "too many bytes": array(raw(bytes(24))),
        "a negative side": array(shape=row(number(-2))),
        "two negative sides": array(shape=row(number(-1), number(-2))),
        "an overflowing product": array(shape=row(number(2**62), number(2**62))),
        "a product that overflows to two": array(shape=row(number(2**63), number(2**63), number(2))),
        "a side of 120 bits": array(raw(b""), F8, row(number(2**120))),
        "an empty array of 2^40 rows": array(raw(b""), F8, row(number(2**40), number(0))),
        "an empty array of 10^4 x 10^4": array(raw(b""), F8, row(number(10**4), number(10**4), number(0))),
        "empty letters": array(raw(b""), dtype(text("U0")), row(number(10**12))),
        "a side that is a float": array(shape=row(b"G" + struct.pack(">d", 2))),
        "a side that is a bool": array(raw(bytes(8)), F8, row(TRUE)),
        "a side that is None": array(shape=row(NONE)),
        "a side that is a tuple": array(shape=row(two)),
        "a side that is an array": array(shape=row(array())),
        "a shape that is a list": array(shape=listed(number(2))),
        "a shape that is a number": array(shape=number(2)),
        "five sides": array(shape=row(number(2), *[number(1)] * 4)),
        "an unknown order": array(raw(bytes(16)), F8, two, text("Z")),
        "an order that is a list": array(raw(bytes(16)), F8, two, listed(text("C"))),
        "an order that is an array": array(raw(bytes(16)), F8, two, LETTER),
        "axes twice": array(raw(bytes(16)), F8, row(number(2), number(1)), text("K"), row(number(0), number(0))),
        "axes too far": array(raw(bytes(16)), F8, row(number(2), number(1)), text("K"), row(number(0), number(5))),
        "axes of 120 bits": array(raw(bytes(16)), F8, row(number(2)), text("K"), row(number(2**120))),
        "axes that are tuples": array(raw(bytes(16)), F8, two, text("K"), row(row(number(0)))),
        "no axes": array(raw(bytes(16)), F8, two, text("K")),
        "no type": array(kind=text("f8")),
        "a type without a code": array(kind=dtype(number(8))),
        "a type of 16 bytes": array(raw(bytes(32)), dtype(text("f16"))),
        "a type of no size": array(kind=dtype(text("f"))),
        "a type with an order": array(kind=dtype(text("<f8"))),
        "a type with letters of digits": array(kind=dtype(text("f\u00b2"))),
        "a type of two": array(kind=dtype(text("f8,f8"))),
        "a type with a shape": array(kind=dtype(text("(2,)f8"))),
        "a type of 10^9 letters": array(kind=dtype(text("U1000000000"))),
        "a type of a long code": array(kind=dtype(text("U" + "9" * 100_000))),
        "objects by code": array(kind=dtype(text("O8"))),
        "void by code": array(kind=dtype(text("V8"))),
        "dates by code": array(kind=dtype(text("M8"))),
        "bytes by code": array(kind=dtype(text("S8"))),
        "complex by code": array(kind=dtype(text("c16"))),
        "text as bytes": array(text("\0" * 16)),
        "too few arguments": call(FROMBUFFER, raw(bytes(16)), F8),
        "too many arguments": call(FROMBUFFER, *[NONE] * 9),
        "letters beyond the last": array(raw(b"\xff" * 8), letters, row(number(1))),
        "letters beyond, turned": array(
            raw(b"\x7f" * 8), dtype(text("U2"), *swapped(order, at1=text(">"))), row(number(1))
        ),
        "bools of two": array(raw(b"\x01\x02"), dtype(text("b1"))),
        "a bool scalar of 255": call(SCALAR, dtype(text("b1")), raw(b"\xff")),
        "a scalar of another size": call(SCALAR, F8, raw(bytes(4))),
        "an object scalar by code": call(SCALAR, dtype(text("O8")), raw(bytes(8))),
        "an unknown byte order": array(kind=dtype(text("f8"), *swapped(order, at1=text("!")))),
        "an empty byte order": array(kind=dtype(text("f8"), *swapped(order, at1=text("")))),
        "two byte orders": array(kind=dtype(text("f8"), *swapped(order, at1=text("<>")))),
        "a byte order that is an array": array(kind=dtype(text("f8"), *swapped(order, at1=LETTER))),
        "fields": array(kind=dtype(text("f8"), *swapped(order, at3=row(text("x")), at4=b"}"))),
        "a subtype": array(kind=dtype(text("f8"), *swapped(order, at2=row(F8, two)))),
        "a subtype that is an array": array(kind=dtype(text("f8"), *swapped(order, at2=array()))),
        "metadata": array(kind=dtype(text("f8"), *order, b"}")),
        "a short type state": array(kind=dtype(text("f8"), *order[:3])),
        "an empty type state": array(kind=DTYPE + row(text("f8")) + b"R)b"),
        "another class": listed(call(RECONSTRUCT, DTYPE, row(number(0)), raw(b"b")) + row(*state) + b"b"),
        "a class that is a text": listed(call(RECONSTRUCT, text("ndarray"), row(number(0)), raw(b"b"))),
        "a short state": BLANK + row(*state[:4]) + b"b",
        "an order that is a number": BLANK + row(*swapped(state, at3=number(1))) + b"b",
        "a list of objects as bytes": BLANK + row(*swapped(state, at4=listed(number(1)))) + b"b",
        "two states": BLANK + row(*state) + b"b" + row(*state) + b"b",
    }
    return {f"array: {title}": log(listed(value)) for title, value in arrays.items()}


def colliding_keys(count: int) -> bytes:
    """All of these numbers have the hash 0: a dict of them takes time with the square of their number."""
    return b"".join(number((index + 1) * (2**61 - 1)) + NONE for index in range(count))


def bombs() -> dict[str, bytes]:
    deep, put0, get0, get1 = 50_000, b"\x94", b"h\x00", b"h\x01"
    laughs: Any = ["ha"]
    for _ in range(6):
        laughs = [laughs] * 10_000
    big = raw(bytes(2**20))
    letters = text("x" * 2**20)
    copies = array(get0, get1, row(number(2**17)), text("C")) * 2_000
    state = kept(row(number(1), row(number(2)), F8, FALSE, raw(bytes(16))))
    return {
        "a list of 70,000 parts": log(b"](" + NONE * 70_000 + b"e"),
        "70,000 times the same frame": log(b"]" + kept(b"}") + b"(" + get0 * 70_000 + b"e"),
        "nested lists": log(b"]" * deep + b"a" * (deep - 1)),
        "nested tuples": log(EMPTY + b"\x85" * deep),
        "nested dicts": log(b"}" + (text("a") + b"}") * 1000 + b"s" * 1000),
        "nested nine deep": log(b"]" * 9 + b"a" * 8),
        "nested tuples as a key": log(b"})" + b"\x85" * deep + b"K\x01s"),
        "nested tuples called": log(EMPTY + b"\x85" * deep + b")R"),
        "nested tuples as arguments": log(DTYPE + EMPTY + b"\x85" * deep + b"\x85R"),
        "nested tuples as a shape": log(array(shape=EMPTY + b"\x85" * 999)),
        "nested tuples as a state": log(F8 + EMPTY + b"\x85" * deep + b"b"),
        "a list in itself": log(b"]" + put0 + get0 + b"a"),
        "a list in itself, often": log(b"]" + put0 + b"(" + get0 * 20_000 + b"e"),
        "a dict in itself": log(b"}" + put0 + text("a") + get0 + b"s"),
        "a circle of three": log(b"]" + put0 + b"]\x94]\x94" + get0 + b"aaa"),
        "a billion laughs": pickle.dumps(laughs, 4),
        "a memo of two billion": log(b"]r\xff\xff\xff\x7f"),
        "a memo of four billion": log(b"]r\xff\xff\xff\xff"),
        "a memo that begins at one": log(b"]q\x01"),
        "a place that the memo has not": log(b"]j\xff\xff\xff\xff"),
        "copies of one array": log(kept(big) + kept(F8) + listed(copies)),
        "copies of one byte string": log(kept(letters) + listed(call(ENCODE, get0, text("latin1")) * 2_000)),
        "keys of one hash": log(b"}(" + colliding_keys(20_000) + b"u"),
        "keys that are long and equal": log(
            kept(letters) + kept(letters) + b"}(" + (get0 + NONE + get1 + NONE) * 50_000 + b"u"
        ),
        "an array with many places in the memo, filled often": log(
            state + BLANK + put0 * 50_000 + get1 * 50_000 + (get0 + b"b0") * 50_000 + b"0]"
        ),
        "a hundred thousand marks": log(b"(" * 10**5),
        "a hundred thousand empty lists": log(b"(" + b"]" * 10**5 + b"l"),
        "a hundred thousand empty dicts in a list": log(b"](" + b"}" * 10**5 + b"e0b"),
        "text of 4 GB": log(b"X\xff\xff\xff\xff"),
        "text of 2^63 bytes": log(b"\x8d" + b"\xff" * 7 + b"\x7f"),
        "text of 2^64 bytes": log(b"\x8d" + b"\xff" * 8),
        "bytes of 4 GB": log(b"B\xff\xff\xff\xff"),
        "bytes of 2^63 bytes": log(b"\x8e" + b"\xff" * 7 + b"\x7f"),
        "a bytearray of 2^63 bytes": log(b"\x96" + b"\xff" * 7 + b"\x7f", 5),
        "a bytearray of 500 MB": log(b"\x96" + struct.pack("<Q", 500 * 2**20), 5),
        "an integer of 255 bytes": log(b"\x8a\xff" + b"\xff" * 255),
        "an integer of 2 GB": log(b"\x8b\xff\xff\xff\x7f"),
        "an integer of a negative size": log(b"\x8b\xff\xff\xff\xff"),
    }


def odd_dicts() -> dict[str, bytes]:
    keys = {
        "a list": b"]",
        "a dict": b"}",
        "a tuple": row(number(1)),
        "an array": array(),
        "a numpy number": call(SCALAR, F8, raw(bytes(8))),
        "a numpy text": call(SCALAR, dtype(text("U1")), raw(b"a\0\0\0")),
        "a float": b"G" + struct.pack(">d", 1.0),
        "not a number": b"G" + struct.pack(">d", float("nan")),
        "None": NONE,
        "a bool": TRUE,
        "bytes": raw(b"a"),
        "a large number": number(2**61 - 1),
        "a function": DTYPE,
        "600 letters": text("x" * 600),
    }
    return {f"key: {title}": log(b"}" + key + NONE + b"s") for title, key in keys.items()}


def odd_opcodes() -> dict[str, bytes]:
    bodies = {
        "PERSID": b"Pid\n",
        "BINPERSID": b"K\x01Q",
        "EXT1": b"\x82\x01",
        "EXT2": b"\x83\x01\x00",
        "EXT4": b"\x84\x01\x00\x00\x00",
        "NEXT_BUFFER": b"\x97",
        "READONLY_BUFFER": b"]\x98",
        "EMPTY_SET": b"\x8f",
        "ADDITEMS": b"\x8f(\x90",
        "FROZENSET": b"(\x91",
        "LONG4": b"\x8b\x01\x00\x00\x00\x01",
        "DUP": b"]2",
        "INT": b"I1\n",
        "LONG": b"L" + b"9" * 5000 + b"L\n",
        "STRING": b"S'x'\n",
        "BINSTRING": b"T\x01\x00\x00\x00x",
        "SHORT_BINSTRING": b"U\x01x",
        "UNICODE": b"Vx\n",
        "FLOAT": b"F1\n",
        "GET": b"]g0\n",
        "PUT": b"]p0\n",
        "LIST": b"(l",
        "DICT": b"(d",
        "an opcode that there is not": b"\xff",
    }
    return {f"opcode {title}": log(body) for title, body in bodies.items()} | {
        "protocol 0": pickle.dumps([1], 0),
        "protocol 1": pickle.dumps([1], 1),
        "protocol 6": log(b"]", 6),
        "protocol 255": log(b"]", 255),
        "a second protocol": log(b"\x80\xff]"),
        "persistent ids, protocol 2": persistent(2),
        "persistent ids, protocol 5": persistent(5),
    }


def odd_stacks() -> dict[str, bytes]:
    return {
        "nothing left": log(b""),
        "two values left": log(b"]]"),
        "a mark left": log(b"](" * 2),
        "a mark left below a value": log(b"(]"),
        "no mark": log(b"]K\x01e"),
        "pop of nothing": log(b"0]"),
        "append to nothing": log(b"K\x01a"),
        "append to a tuple": log(EMPTY + b"K\x01a"),
        "append to a text": log(text("x") + b"K\x01a"),
        "items for a list": log(b"](K\x01K\x02u"),
        "half an item": log(b"}(" + text("a") + b"u"),
        "a tuple of too few": log(b"K\x01\x87"),
        "memoize nothing": log(b"\x94]"),
        "put nothing": log(b"q\x00]"),
        "get nothing": log(b"h\x00"),
        "build nothing": log(b"b"),
        "reduce nothing": log(b"R"),
    }


def odd_files() -> dict[str, bytes]:
    good = pickle.dumps([{"token": "a", "array": np.arange(3.0)}], 4)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("log.pkl", bytes(10**6))
    framed = pickle.dumps(["x" * 100], 4)
    assert framed[2:3] == b"\x95"
    return {
        "an empty file": b"",
        "one byte": b"\x80",
        "a header alone": b"\x80\x04",
        "zeros": bytes(1000),
        "zeros after a header": b"\x80\x04" + bytes(1000),
        "a stop alone": b".",
        "text": b"hello\n",
        "a pointer of git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "a web page": b"<!DOCTYPE html><html></html>",
        "gzip": gzip.compress(good),
        "gzip of a gigabyte's sort": gzip.compress(bytes(10**6)),
        "bzip2": bz2.compress(good),
        "xz": lzma.compress(good),
        "zip": packed.getvalue(),
        "two pickles": good * 2,
        "a pickle and more": good + b"x",
        "a pickle and a stop": good + b".",
        "a frame longer than the file": framed[:3] + struct.pack("<Q", 10**6) + framed[11:],
        "a frame of 2^64 bytes": framed[:3] + b"\xff" * 8 + framed[11:],
        "half a frame's length": b"\x80\x04\x95\x01\x00.",
        "text that is no utf-8": log(b"\x8c\x02\xff\xff"),
        "half a letter": log(b"\x8c\x01\xc3"),
        "a name that is no ascii": log(b"c\xff\n\xff\n"),
        "letters beyond latin1": log(listed(call(ENCODE, text("\u1234"), text("latin1")))),
    }


PICKLES: dict[str, bytes] = {
    **executing(),
    **other_kinds(),
    **damaged_arrays(),
    **bombs(),
    **odd_dicts(),
    **odd_opcodes(),
    **odd_stacks(),
    **odd_files(),
}

# ---- fields of a frame

TEXTS: dict[str, Any] = {
    "a number": 7,
    "None": None,
    "an empty one": "",
    "a list": ["a"],
    "an array": np.array(["a"]),
    "a numpy number": np.float64(1),
    "NUL": "a\0b",
    "a line break": "a\nroadstill: all is well",
    "a carriage return": "a\rb",
    "a line separator": "a\u2028b",
    "a colour": "\x1b[31mred\x1b[0m",
    "a terminal's title": "\x1b]0;title\x07",
    "a C1 control": "a\x9b2Jb",
    "right to left": "a\u202egpj.exe",
    "an isolate": "a\u2066b\u2069",
    "a zero width space": "a\u200bb",
    "half a pair": "a\ud800",
    "a tag letter": "a\U000e0041",
    "600 letters": "x" * 600,
    "a million letters": "x" * 10**6,
}
NAMES: dict[str, Any] = TEXTS | {
    "a path": "a/b",
    "an absolute path": "/etc/passwd",
    "a way up": "..",
    "a long way up": "x/../../../../tmp/evil",
    "here": ".",
    "a backslash": "a\\b",
    "a drive": "C:evil",
    "256 bytes": "x" * 256,
    "100 letters of 4 bytes": "\U0001f697" * 100,
}
PATHS: dict[str, Any] = TEXTS | {
    "absolute": "/etc/passwd",
    "two slashes": "//host/share",
    "a way up": "log/../../x.jpg",
    "a way up at the end": "log/..",
    "a backslash": "log\\x.jpg",
    "a Windows way up": "..\\..\\x.jpg",
    "a drive": "C:/x.jpg",
    "a scheme": "file:///etc/passwd",
    "a part of 300 letters": "log/" + "x" * 300,
    "600 short parts": "a/" * 600 + "x.jpg",
    "a part of 400 bytes": "log/" + "\U0001f697" * 100,
}
MOTIONS: dict[str, Any] = {
    "None": None,
    "a number": 1.0,
    "a text": "1234",
    "three": [1.0, 2.0, 3.0],
    "five": [1.0] * 5,
    "none": [],
    "nan": [1.0, 2.0, float("nan"), 0.0],
    "inf": [1.0, 2.0, float("inf"), 0.0],
    "1e308": [1e308, 1e308, 0.0, 0.0],
    "a numpy nan": [np.float32("nan"), 1.0, 1.0, 1.0],
    "a half inf": [np.float16("inf"), 1.0, 1.0, 1.0],
    "2^100": [2**100, 0, 0, 0],
    "5,000 digits": [10**5000, 0, 0, 0],
    "a fraction of 5,000 digits": [fractions.Fraction(10**5000), 0, 0, 0],
    "a bool": [True, 0.0, 0.0, 0.0],
    "a numpy bool": [np.True_, 0.0, 0.0, 0.0],
    "bools": np.zeros(4, bool),
    "complex": [1j, 0.0, 0.0, 0.0],
    "texts": ["1", "2", "3", "4"],
    "array of texts": np.array(["1", "2", "3", "4"]),
    "a text among numbers": [1.0, 2.0, "3", 0.0],
    "lists": [[1.0], [2.0], [3.0], [4.0]],
    "arrays": [np.zeros(1)] * 4,
    "a column": np.zeros((4, 1)),
    "a row": np.zeros((1, 4)),
    "no dimension": np.array(1.0),
    "a million": np.zeros(10**6),
    "2^40 empty rows": np.zeros((2**40, 0)),
    "a dict": dict.fromkeys(range(4), 1.0),
}
TIMES: dict[str, Any] = {
    "a float": 1.5,
    "a whole float": 1.0,
    "negative": -1,
    "a bool": True,
    "a numpy bool": np.True_,
    "2^63": 2**63,
    "5,000 digits": 10**5000,
    "a text": "1",
    "an array": np.array([1]),
    "no dimension": np.array(1),
    "None": None,
    "nan": float("nan"),
    "complex": 1 + 0j,
}
COMMANDS: dict[str, Any] = {
    "two": [0, 1, 1, 0],
    "none": [0, 0, 0, 0],
    "a half": [0, 0.5, 0.5, 0],
    "minus": [0, 1, 1, -1],
    "a bool": [False, True, False, False],
    "bools": np.eye(4, dtype=bool)[1],
    "an index": 1,
    "three": [0, 1, 0],
    "a matrix": np.eye(4),
    "nan": [0, float("nan"), 0, 1],
    "None": None,
}
ROUTES: dict[str, Any] = {
    "a text": "123",
    "None": None,
    "a number": 3,
    "a dict": {"1": 1},
    "no dimension": np.array("1"),
}


def _camera(path: Any) -> Any:
    return {"CAM_F0": {"data_path": path}}


FIELDS: dict[str, tuple[str, Any]] = {
    **{f"token: {title}": ("token", value) for title, value in NAMES.items()},
    **{f"map_location: {title}": ("map_location", value) for title, value in NAMES.items()},
    **{f"log_name: {title}": ("log_name", value) for title, value in NAMES.items()},
    **{f"cams.CAM_F0.data_path: {title}": ("cams", _camera(value)) for title, value in PATHS.items()},
    **{f"ego_dynamic_state: {title}": ("ego_dynamic_state", value) for title, value in MOTIONS.items()},
    **{f"timestamp: {title}": ("timestamp", value) for title, value in TIMES.items()},
    **{f"driving_command: {title}": ("driving_command", value) for title, value in COMMANDS.items()},
    **{f"roadblock_ids: {title}": ("roadblock_ids", value) for title, value in ROUTES.items()},
    "cams: no dict": ("cams", [1]),
    "cams: empty": ("cams", {}),
    "cams.CAM_F0: no dict": ("cams", {"CAM_F0": None}),
    "cams.CAM_F0: empty": ("cams", {"CAM_F0": {}}),
}
