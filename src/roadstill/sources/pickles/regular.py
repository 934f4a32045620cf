"""The frames of a log that are written like its first one, read by Python's own unpickler: several times as fast.

Python's unpickler is unsafe by what a pickle may tell it to do: look up names, call them, hash a million nested tuples,
make room for a memo of two billion. So it only gets bytes that were recognised before, one by one:

1. Our own machine reads the first frame, or a few. Then each key that later frames repeat, each function and each type
   of numpy has its place in the memo.
2. A regular expression recognises all remaining bytes (`roadstill.sources.pickles.scanner`). It knows dicts whose keys
   are short text or places in the memo of the first frames; as values short text, numbers, places in the memo, lists
   and tuples of those, and arrays exactly as numpy pickles them, with as many bytes as they claim. No opcode that looks
   up a name is among them.
3. Python's unpickler reads these bytes with a memo that we fill. Functions of our own stand for those of numpy, so that
   nothing else can be called; what could be costly as a key is replaced by something that cannot be one.
4. What came out is checked: text keys, plain data, no deeper nor larger than a log.

Whatever is not so regular, hostile or merely unusual, is left to the machine, which also words every refusal.
"""

import pickle
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from roadstill.sources.pickles.arrays import NDARRAY, Blank, DType, LogMachine, check_array, make_array
from roadstill.sources.pickles.plain_tree import is_small
from roadstill.sources.pickles.scanner import is_regular
from roadstill.weights.pickle_machine import HANDLERS, MAX_KEY, Name, table_of

_PATIENCE = 20_000  # opcodes before the first frames should be over
_ROUND = 32  # places in the memo; each number of them needs a regular expression of its own, which takes 5 ms to make


def read_regular(data: bytes, max_steps: int) -> list[Any] | None:
    """The frames of a log, if it is a regular one; None says nothing about it, it is to be read by the machine.

    Args:
        data: whole pickle.
        max_steps: largest number of opcodes; longer pickles than this are not tried.
    """
    if len(data) > max_steps or data[:2] not in (b"\x80\x04", b"\x80\x05"):
        return None
    try:
        return _read(data)
    except Exception:  # whatever it is: the machine says what is wrong with the file
        return None


def _read(data: bytes) -> list[Any] | None:
    first = _FirstFrames(data)
    try:
        first.run(_PATIENCE)
        return None  # too short to be worth more code
    except _EnoughSeen:
        pass
    rest = _without_frames(data, first.at)
    if type(first.stack[0]) is not list or not is_regular(rest, first.places):
        return None
    numpy, frames = _Numpy(), first.stack[0]
    frames += first.stack[1:]
    end = _Unpickler(numpy.known(first.memo), frames, rest).load()
    return frames if end is frames and numpy.is_sound() and is_small(frames, len(data)) else None


def _without_frames(data: bytes, begin: int) -> bytes:
    """The pickle from a byte on, without its division into parts of 64 kB, which any opcode may follow."""
    view, parts, at = memoryview(data), [], 2
    while at < len(data):
        start = at + 9
        stop = start + int.from_bytes(data[at + 1 : start], "little")
        if data[at] != 0x95 or stop > len(data):
            raise ValueError
        parts.append(view[max(start, begin) : stop])
        at = stop
    return b"".join(parts)


# ---- the first frames


class _EnoughSeen(Exception):
    pass


class _FirstFrames(LogMachine):
    """Stops after a frame, once the memo has the places of all keys of the first one.

    Attributes:
        places: number of places of the memo that later frames may use for keys.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.places, self._keys = 0, set[Any]()

    def set_items(self, items: list[Any]) -> None:
        super().set_items(items)
        self._keys.update(items[::2])

    def end_of_dict(self) -> None:
        self.set_items(self.popped())
        if self.marks == [1]:
            self.places = self.places or self._places_of_keys()
            if self.places <= len(self.memo):
                raise _EnoughSeen

    def _places_of_keys(self) -> int:
        last = next(n for n, value in enumerate(reversed(self.memo)) if type(value) is str and value in self._keys)
        return max(256, ((len(self.memo) - 1 - last) // _ROUND + 1) * _ROUND)

    opcodes: ClassVar = table_of(HANDLERS | {b"u": end_of_dict})


# ---- what Python's unpickler finds in the memo


class _Unpickler(pickle.Unpickler):
    """Reads the rest of a list.

    Args:
        known: contents of the memo at its beginning.
        frames: list that takes the rest.
        rest: pickle from the next item of the list on.
    """

    def __init__(self, known: list[Any], frames: list[Any], rest: bytes) -> None:
        # M..Q takes one by its number, 0x94 puts it into the memo, 1 throws all of them off the stack again.
        take = [b"M" + number.to_bytes(2, "little") + b"Q" for number in range(len(known) + 1)]
        parts = [b"(" + b"\x94".join(take[:-1]) + b"\x941" + take[-1] + b"(", rest]
        pieces = [(b"\x95", len(part).to_bytes(8, "little"), part) for part in parts]
        super().__init__(_Pieces([b"\x80", b"\x04", *chain.from_iterable(pieces)]))
        self._given = [*known, frames]

    def persistent_load(self, pid: Any) -> Any:
        return self._given[pid]

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError("nothing can be looked up here")


class _Pieces:
    """A file that is read in these pieces, so that the large ones are not copied."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._left = iter(pieces)

    def read(self, size: int) -> bytes:
        return next(self._left)

    def readline(self) -> bytes:
        raise pickle.UnpicklingError("no line is read here")


class _Unusable:
    """Stands in the memo for what cannot be a key, nor be called, nor be in a log."""

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


_AS_THEY_ARE = frozenset((list, dict, np.ndarray))


class _Numpy:
    """What stands in the memo for numpy's names; keeps what it makes, to be checked at the end."""

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []
        self.types: list[np.dtype[Any]] = []
        self._calls = {Blank: self.blank, DType: self.text_type, make_array: self.from_buffer}
        self._unusable = _Unusable()

    def known(self, memo: list[Any]) -> list[Any]:
        """What stands for the values of the machine's memo."""
        return [
            value if type(value) in _AS_THEY_ARE or (type(value) is str and len(value) <= MAX_KEY) else self._one(value)
            for value in memo
        ]

    def _one(self, value: Any) -> Any:
        if value is NDARRAY or (type(value) is bytes and len(value) <= MAX_KEY):
            return value
        if type(value) is DType and value.numpy.isnative:
            return np.dtype(value.numpy, copy=True)
        return self._calls.get(value.call, self._unusable) if type(value) is Name else self._unusable

    def blank(self, kind: Any, shape: Any, code: Any) -> NDArray[Any]:
        """An array; Python's unpickler then gives it the state that the scanner has recognised."""
        if kind is not NDARRAY:
            raise TypeError
        array = np.empty(0)
        self.arrays.append(array)
        return array

    def text_type(self, code: Any, align: Any, copy: Any) -> "np.dtype[Any]":
        """A type of text, whose state is recognised as well."""
        if type(code) is not str or code[:1] != "U" or align is not False or copy is not True:
            raise TypeError
        self.types.append(np.dtype(code, copy=True))
        return self.types[-1]

    def from_buffer(self, raw: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
        """How protocol 5 writes an array."""
        if type(raw) is not bytearray or not isinstance(dtype, np.dtype) or order not in ("C", "F"):
            raise TypeError
        flat = np.frombuffer(raw, dtype) if raw else np.empty(0, dtype)
        self.arrays.append(flat.reshape(shape, order=order))
        return self.arrays[-1]

    def is_sound(self) -> bool:
        """Whether all has only what `make_array` lets through, as far as the scanner could not see it."""
        of_note = [array for array in self.arrays if array.dtype.char in "?U" or not array.size]
        letters = [array.ravel("K") for array in of_note if array.dtype.char == "U" and array.size]
        others = [array for array in of_note if array.dtype.char == "?" or not array.size]
        for array in [*others, *([np.concatenate([row.view("u4") for row in letters]).view("U1")] if letters else [])]:
            check_array(array)
        return all(each.byteorder == "=" for each in self.types)
