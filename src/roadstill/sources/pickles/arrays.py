"""What numpy's names in a pickle stand for: functions of our own, which check before numpy receives a byte.

The arguments cannot be trusted. So a type is compared by ``type(...) is``, never by ``==`` (an array's comparison is
an array), numbers are bounded before they are multiplied, and arrays together hold no more than the file does.
"""

import math
import re
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from roadstill.weights.guarded import Budget, Refused
from roadstill.weights.pickle_machine import HANDLERS, Machine, Name, table_of

MAX_DIMS = 4
MAX_EMPTY_ROWS = 10_000  # an array of shape (2**40, 0) holds no byte, but 2**40 lists once it is made one
_CODES = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"))
_TEXT_CODE = re.compile("U[1-9][0-9]{0,4}")
_ORDERS = frozenset("<>|=")
_LAST_LETTER = 0x10FFFF


class DType:
    """A dtype under construction: numbers and text only, no field, no metadata."""

    __slots__ = ("code", "numpy")

    def __init__(self, _: Budget, code: Any, align: Any = False, copy: Any = True) -> None:
        if type(code) is not str or not (code in _CODES or _TEXT_CODE.fullmatch(code)):
            raise Refused(
                f"arrays of type {code[:20]!r} are not allowed in logs"
                if type(code) is str
                else "a type without a name"
            )
        self.code, self.numpy = code, _numpy_dtype("=", code)

    def build(self, state: tuple[Any, ...]) -> None:
        """Takes the byte order from numpy's state of a dtype."""
        if len(state) != 8 or type(state[1]) is not str or state[1] not in _ORDERS:
            raise Refused("a type of damaged byte order")
        if not (state[2] is state[3] is state[4] is None):
            raise Refused("structured arrays are not allowed in logs")
        self.numpy = _numpy_dtype(state[1], self.code)


@lru_cache(64)
def _numpy_dtype(order: str, code: str) -> "np.dtype[Any]":
    return np.dtype(order + code)


class Blank:
    """An array between its creation and its state; ``key`` is its future place in the memo."""

    __slots__ = ("key",)

    def __init__(self, _: Budget, kind: Any, shape: Any, code: Any) -> None:
        if kind is not NDARRAY:
            raise Refused("an array that is made in an unknown way")
        self.key = -1  # shape and code are those of an empty array; the state replaces both

    @staticmethod
    def build(budget: Budget, state: tuple[Any, ...]) -> NDArray[Any]:
        """The array of numpy's state: version, shape, type, whether in Fortran's order, bytes."""
        _, shape, dtype, fortran, raw = state
        if type(fortran) is not bool:
            raise Refused("an array of damaged order")
        return make_array(budget, raw, dtype, shape, "F" if fortran else "C")


def make_array(budget: Budget, raw: Any, dtype: Any, shape: Any, order: Any = "C", axes: Any = None) -> NDArray[Any]:
    """A new, writable array.

    Raises:
        Refused: bytes, type, shape or order are not what they should be, or do not fit each other.
    """
    if type(raw) is str and budget.python2:
        budget.spend(len(raw))
        raw = raw.encode("latin1")
    if type(dtype) is not DType or (type(raw) is not bytes and type(raw) is not bytearray):
        raise Refused("an array without type or bytes")
    size, kind = _size_of(shape), dtype.numpy
    if size * kind.itemsize != len(raw):
        raise Refused(f"an array of shape {shape} and type {kind} with {len(raw)} bytes")
    budget.spend(len(raw))
    memory = raw if type(raw) is bytearray else bytearray(raw)
    flat: NDArray[Any] = np.frombuffer(memory, kind) if size else np.empty(0, kind)
    if kind.kind in "bU" and size:
        _check_values(flat)
    if type(order) is str and order == "K":
        if type(axes) is not tuple or len(axes) != len(shape) or any([type(axis) is not int for axis in axes]):
            raise Refused("an array with damaged axes")
        return flat.reshape(shape).transpose(axes)
    if type(order) is not str or order not in ("C", "F"):
        raise Refused("an array of damaged order")
    return flat if len(shape) == 1 else flat.reshape(shape, order="F" if order == "F" else "C")


def _size_of(shape: Any) -> int:
    if type(shape) is not tuple or len(shape) > MAX_DIMS:
        raise Refused(f"an array of no shape, or of more than {MAX_DIMS} dimensions")
    size = 1
    for side in shape:
        if type(side) is not int or side < 0:
            raise Refused("an array of damaged shape")
        size *= side
    if not size:
        _check_rows(shape)
    return size


def check_array(array: NDArray[Any]) -> None:
    """Checks an array that somebody else made as `make_array` does its own.

    Raises:
        Refused: many empty rows, or numbers that are no letters or bools.
    """
    if not array.size:
        _check_rows(array.shape)
    elif array.dtype.char in "?U":
        _check_values(array.ravel("K"))


def _check_rows(shape: tuple[int, ...]) -> None:
    if math.prod(filter(None, shape)) > MAX_EMPTY_ROWS:
        raise Refused(f"an empty array of {max(shape):,} rows")


def _check_values(flat: NDArray[Any]) -> None:
    """Refuses bools that are neither true nor false, and codes of no letter: undefined behaviour in numpy."""
    if flat.dtype.kind == "b" and flat.view(np.uint8).max() > 1:
        raise Refused("an array of bools that are neither true nor false")
    if flat.dtype.kind == "U" and flat.view(flat.dtype.str[0] + "u4").max() > _LAST_LETTER:
        raise Refused("an array of text with impossible letters")


def _scalar(budget: Budget, dtype: Any, raw: Any) -> Any:
    return make_array(budget, raw, dtype, (1,))[0]


def _encode(budget: Budget, text: Any, coding: Any) -> bytes | str:
    """How protocol 2 writes byte strings."""
    if type(text) is not str or type(coding) is not str or coding != "latin1":
        raise Refused("bytes in an unknown coding")
    budget.spend(len(text))
    return text if budget.python2 else text.encode("latin1")


def _no_bytes(budget: Budget) -> bytes | str:
    """How protocol 2 writes an empty byte string."""
    return "" if budget.python2 else b""


def _never(*_: Any) -> None:
    raise Refused("an array that is made in an unknown way")


NDARRAY = Name(_never)
NAMES = {
    ("numpy", "dtype"): Name(DType),
    ("numpy", "ndarray"): NDARRAY,
    ("_codecs", "encode"): Name(_encode),
    ("__builtin__", "bytes"): Name(_no_bytes),
}
for _core in ("numpy.core", "numpy._core"):  # numpy 1 and numpy 2
    NAMES[f"{_core}.multiarray", "_reconstruct"] = Name(Blank)
    NAMES[f"{_core}.multiarray", "scalar"] = Name(_scalar)
    NAMES[f"{_core}.numeric", "_frombuffer"] = Name(make_array)


class LogMachine(Machine):
    """The machine that knows numpy's names."""

    names: ClassVar = NAMES
    opcodes: ClassVar = table_of(HANDLERS)

    def reduce(self) -> None:
        """REDUCE, after which picklers memoize what was made."""
        super().reduce()
        if type(self.stack[-1]) is Blank:
            self.stack[-1].key = len(self.memo)

    def build(self) -> None:
        """BUILD: gives a type or an array its state."""
        state, target = self.stack.pop(), self.stack[-1]
        if type(state) is not tuple or type(target) not in (DType, Blank):
            raise Refused("a state for something that takes none")
        if type(target) is DType:
            target.build(state)
            return
        self.stack[-1] = array = target.build(self.budget, state)
        if target.key < len(self.memo) and self.memo[target.key] is target:
            self.memo[target.key] = array
