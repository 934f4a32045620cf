"""Strangers' log pickles, read without the pickle machine: nothing in the file is ever called.

A pickle is a program for a small stack machine. Python's own unpickler runs all of it, and even a whitelist of classes
leaves ways to kill the process (a memo index of two billion, a hash of a million nested tuples). This reader knows only
the opcodes that plain data and numpy arrays need, protocols 2 to 5. The nine names of numpy (and of byte strings in
protocol 2) that a log may hold stand for functions of our own, which check codes, shapes and sizes before numpy sees a
byte. Everything else is refused, and every failure becomes one `BrokenLog` that names the file and the reason.
"""

import math
import struct
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError

MAX_BYTES = 512 * 2**20
MAX_STEPS = 2**25  # some 25,000 frames of a genuine log; bounds time and memory of a hostile one
MAX_DEPTH = 8
MAX_DIMS = 4
_CODE_DIGITS = 6
_MARK = object()


class BrokenLog(UserError):
    """A log file that cannot be read or will not be: the message names the file and the reason."""


class _Refused(ValueError):
    """The reason alone, before the file's name is known."""


def read_pickle(path: Path, *, max_bytes: int = MAX_BYTES, max_steps: int = MAX_STEPS) -> Any:
    """Plain data of a pickle file: lists, tuples, dicts, strings, numbers, None and numpy arrays, at most 8 deep.

    Raises:
        BrokenLog: missing, too large, truncated or damaged file, or one that holds anything else.
    """
    try:
        if (size := path.stat().st_size) > max_bytes:
            raise _Refused(f"{size:,} bytes are more than the {max_bytes:,} that a log may have")
        return parse(path.read_bytes(), max_steps=max_steps)
    except OSError as error:
        raise BrokenLog(f"{path}: {error.strerror or error}") from None
    except _Refused as error:
        raise BrokenLog(f"{path}: {error}") from None
    except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError, RecursionError, struct.error) as error:
        raise BrokenLog(f"{path}: damaged pickle ({type(error).__name__}: {str(error)[:200]})") from None


def parse(data: bytes, *, max_steps: int = MAX_STEPS) -> Any:
    """What the bytes of a pickle hold; see `read_pickle`, which puts the file's name to what this raises."""
    value = _Machine(data).run(max_steps)
    _check_tree(value, {}, MAX_DEPTH)
    return value


# ---- what the names in a pickle stand for


class _DType:
    """A dtype on its way: numbers and text only, no field, no metadata."""

    __slots__ = ("code", "order")

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        if (
            type(code) is not str
            or code[:1] not in tuple("biufU")
            or not code[1:].isdigit()
            or len(code) > _CODE_DIGITS
        ):
            raise _Refused(
                f"arrays of type {code[:20]!r} are not for logs" if type(code) is str else "an array of no type"
            )
        self.code, self.order = code, "="

    def build(self, state: Any) -> None:
        order, sub, names, fields = state[1:5]
        if order not in ("<", ">", "|", "=") or (sub, names, fields) != (None, None, None) or len(state) > 8:
            raise _Refused("structured or annotated arrays are not for logs")
        self.order = order

    @property
    def numpy(self) -> "np.dtype[Any]":
        return _numpy_dtype(self.order + self.code)


@lru_cache(64)
def _numpy_dtype(code: str) -> "np.dtype[Any]":
    return np.dtype(code)


class _Blank:
    """An array between its creation and its state; ``keys`` are its places in the memo."""

    __slots__ = ("keys",)

    def __init__(self, kind: Any, shape: Any, code: Any) -> None:
        if kind is not _NDARRAY or shape != (0,) or code not in (b"b", "b"):
            raise _Refused("an array that is made in an unknown way")
        self.keys: list[int] = []

    def build(self, state: Any) -> NDArray[Any]:
        _, shape, dtype, fortran, raw = state
        if type(fortran) is not bool:
            raise _Refused("an array with a damaged order")
        return _array(raw, dtype, shape, "F" if fortran else "C")


def _array(raw: Any, dtype: Any, shape: Any, order: Any = "C", axes: Any = None) -> NDArray[Any]:
    if type(dtype) is not _DType or type(raw) not in (bytes, bytearray) or type(shape) is not tuple:
        raise _Refused("an array without type, shape or bytes")
    if len(shape) > MAX_DIMS or not all([type(n) is int and n >= 0 for n in shape]):
        raise _Refused(f"an array of damaged shape, or of more than {MAX_DIMS} dimensions")
    kind = dtype.numpy
    size = math.prod(shape)
    if size * kind.itemsize != len(raw) or (size and not kind.itemsize):
        raise _Refused(f"an array of shape {shape} and type {kind} with {len(raw)} bytes")
    flat: NDArray[Any] = np.frombuffer(bytearray(raw), kind) if size else np.empty(0, kind)
    if kind.kind == "U" and size and flat.view(kind.str[0] + "u4").max() > 0x10FFFF:
        raise _Refused("an array of text with impossible letters")
    if order == "K" and axes is not None:
        if type(axes) is not tuple or not all([type(n) is int for n in axes]) or sorted(axes) != [*range(len(shape))]:
            raise _Refused("an array with damaged axes")
        return flat.reshape(shape).transpose(axes)
    if type(order) is not str or order not in ("C", "F"):
        raise _Refused("an array with a damaged order")
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: Any, raw: Any) -> Any:
    return _array(raw, dtype, (1,))[0]


def _encode(text: str, coding: str) -> bytes:
    """How protocol 2 writes byte strings."""
    if type(text) is not str or coding != "latin1":
        raise _Refused("bytes in an unknown coding")
    return text.encode("latin1")


def _never(*_: Any) -> None:
    raise _Refused("an array that is made in an unknown way")


class _Name:
    """A name found in a pickle: told by its own type, since even a hash or a comparison of strangers can hang."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call


_NDARRAY = _Name(_never)
_NAMES = {
    ("numpy", "dtype"): _Name(_DType),
    ("numpy", "ndarray"): _NDARRAY,
    ("_codecs", "encode"): _Name(_encode),
    ("__builtin__", "bytes"): _Name(lambda: b""),
}
for _core in ("numpy.core", "numpy._core"):
    _NAMES[f"{_core}.multiarray", "_reconstruct"] = _Name(_Blank)
    _NAMES[f"{_core}.multiarray", "scalar"] = _Name(_scalar)
    _NAMES[f"{_core}.numeric", "_frombuffer"] = _Name(_array)


# ---- the stack machine


class _Machine:
    """Runs the opcodes; each handler is one method, and ``_OPCODES`` says which."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, max_steps: int) -> Any:
        data, handlers, stack, memo = self.data, _OPCODES, self.stack, self.memo
        if data[:1] != b"\x80":
            raise _Refused("no pickle of protocol 2 to 5")
        end = len(data) - 1  # the last byte can only be STOP
        for _ in range(max_steps):
            at = self.at
            if at >= end:
                break
            opcode = data[at]
            # These four are two thirds of every log; written out, they halve the time.
            if opcode == 0x94:  # MEMOIZE
                self.at = at + 1
                self.put(len(memo)) if type(stack[-1]) is _Blank else memo.__setitem__(len(memo), stack[-1])
            elif opcode == 0x68:  # BINGET
                self.at = at + 2
                stack.append(memo[data[at + 1]])
            elif opcode == 0x8C:  # SHORT_BINUNICODE
                self.at = stop = at + 2 + data[at + 1]
                stack.append(data[at + 2 : stop].decode("utf-8", "surrogatepass"))
            elif opcode == 0x4B:  # BININT1
                self.at = at + 2
                stack.append(data[at + 1])
            elif handler := handlers[opcode]:
                self.at = at + 1
                handler(self)
            else:
                raise _Refused(f"opcode 0x{opcode:02x} at byte {at} is not for plain data")
        else:
            raise _Refused(f"more than {max_steps:,} steps")
        if self.at != end or data[end] != 0x2E or len(stack) != 1 or self.marks:
            raise _Refused("the file ends too early (truncated?)")
        return stack[0]

    def take(self, size: int) -> bytes:
        start, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise _Refused("the file ends too early (truncated?)")
        return self.data[start : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def popped(self) -> list[Any]:
        """All items above the last mark, which is removed."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def protocol(self) -> None:
        if not 2 <= (number := self.number(1)) <= 5:
            raise _Refused(f"pickle protocol {number} is not read, only 2 to 5")

    def frame(self) -> None:
        self.at += 8

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def put(self, key: int) -> None:
        value = self.stack[-1]
        if type(value) is _Blank:
            value.keys.append(key)
        self.memo[key] = value

    def get(self, key: int) -> None:
        self.stack.append(self.memo[key])

    def append(self) -> None:
        value = self.stack.pop()
        self.container(list).append(value)

    def appends(self) -> None:
        items = self.popped()
        self.container(list).extend(items)

    def container(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise _Refused(f"damaged pickle (a {kind.__name__} is missing)")
        return self.stack[-1]

    def set_items(self, items: list[Any]) -> None:
        target = self.container(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str and type(key) is not int:
                raise _Refused("a dict with a key that is neither text nor number")
            target[key] = value

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def tuple_of(self, size: int) -> None:
        if len(self.stack) < size:
            raise _Refused("damaged pickle (too few items)")
        items = tuple(self.stack[-size:])
        del self.stack[-size:]
        self.stack.append(items)

    def look_up(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise _Refused("a name that is no text")
        if (module, name) not in _NAMES:
            raise _Refused(f"it names {f'{module}.{name}'[:80]!r}, which is not for plain data")
        self.stack.append(_NAMES[module, name])

    def line(self) -> str:
        end = self.data.index(b"\n", self.at, self.at + 200)
        start, self.at = self.at, end + 1
        return self.data[start:end].decode("ascii")

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.look_up(module, name)

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(arguments) is not tuple or type(function) is not _Name:
            raise _Refused("a call of something that is no function of numpy")
        self.stack.append(function.call(*arguments))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(state) is not tuple or type(target) not in (_DType, _Blank):
            raise _Refused("a state for something that takes none")
        if type(target) is _DType:
            target.build(state)
        else:
            self.stack[-1] = array = target.build(state)
            self.memo.update(dict.fromkeys(target.keys, array))


def _pushes(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(make(machine))


def _sized(width: int, convert: Callable[[bytes], Any], limit: int = MAX_BYTES) -> Callable[[_Machine], None]:
    """An opcode with a length of ``width`` bytes, then that many bytes."""

    def handler(machine: _Machine) -> None:
        if (size := machine.number(width)) > limit:
            raise _Refused(f"an item of {size:,} bytes")
        machine.stack.append(convert(machine.take(size)))

    return handler


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _integer(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


_HANDLERS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": _Machine.protocol,
    b"\x95": _Machine.frame,
    b"(": _Machine.mark,
    b"0": lambda m: m.stack.pop(),
    b"1": _Machine.popped,
    b"N": _pushes(lambda m: None),
    b"\x88": _pushes(lambda m: True),
    b"\x89": _pushes(lambda m: False),
    b"M": _pushes(lambda m: m.number(2)),
    b"J": _pushes(lambda m: _integer(m.take(4))),
    b"\x8a": _sized(1, _integer, 16),
    b"G": _pushes(lambda m: struct.unpack(">d", m.take(8))[0]),
    b"X": _sized(4, _text),
    b"\x8d": _sized(8, _text),
    b"B": _sized(4, bytes),
    b"C": _sized(1, bytes),
    b"\x8e": _sized(8, bytes),
    b"\x96": _sized(8, bytes),
    b"]": _pushes(lambda m: []),
    b"}": _pushes(lambda m: {}),
    b")": _pushes(lambda m: ()),
    b"a": _Machine.append,
    b"e": _Machine.appends,
    b"s": _Machine.set_item,
    b"u": lambda m: m.set_items(m.popped()),
    b"t": _pushes(lambda m: tuple(m.popped())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"q": lambda m: m.put(m.number(1)),
    b"r": lambda m: m.put(m.number(4)),
    b"j": lambda m: m.get(m.number(4)),
    b"c": lambda m: m.look_up(m.line(), m.line()),
    b"\x93": _Machine.stack_global,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
}
_OPCODES = [_HANDLERS.get(bytes([code])) for code in range(256)]
_LEAVES = (str, int, float, bool, type(None), np.ndarray)


def _check_tree(value: Any, heights: dict[int, int], room: int) -> int:
    """Height of a tree of plain data; shared parts are looked at once, so a bomb of references costs nothing."""
    kind = type(value)
    if kind in _LEAVES or isinstance(value, np.generic):
        return 0
    if kind not in (list, tuple, dict):
        raise _Refused(f"it holds a {kind.__name__.strip('_')}, which is no plain data")
    height = heights.get(id(value))
    if height is None and room:
        children = value.values() if kind is dict else value
        height = 1 + max((_check_tree(child, heights, room - 1) for child in children), default=0)
        heights[id(value)] = height
    if height is None or height > room:
        raise _Refused(f"containers are nested more than {MAX_DEPTH} deep")
    return height
