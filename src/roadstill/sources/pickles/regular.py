"""The frames of a log that are written like its first one, read by Python's own unpickler: several times as fast.

Python's unpickler is unsafe by what a pickle may tell it to do: look up names, call them, hash a million nested tuples,
make room for a memo of two billion. So it only gets bytes that were recognised before, one by one:

1. Our own machine reads the first frame, or a few. Then each key that later frames repeat, each function and each type
   of numpy has its place in the memo.
2. A regular expression recognises all remaining bytes. It knows dicts whose keys are short text or places in the memo
   of the first frames; as values short text, numbers, places in the memo, lists and tuples of those, and arrays
   exactly as numpy pickles them, with as many bytes as they claim. No opcode that looks up a name is among them.
3. Python's unpickler reads these bytes with a memo that we fill. Functions of our own stand for those of numpy, so that
   nothing else can be called; what could be costly as a key is replaced by something that cannot be one.
4. What came out is checked: text keys, plain data, no deeper nor larger than a log.

Whatever is not so regular, hostile or merely unusual, is left to the machine, which also words every refusal.
"""

import pickle
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from roadstill.sources.pickles.arrays import NDARRAY, Blank, DType, LogMachine, check_array, make_array
from roadstill.sources.pickles.plain_tree import is_small
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
    if type(first.stack[0]) is not list or not _is_regular(rest, _run(first.places)):
        return None
    numpy, frames = _Numpy(), first.stack[0]
    frames += first.stack[1:]
    end = _Unpickler(map(numpy.known, first.memo), len(first.memo), frames, rest).load()
    return frames if end is frames and numpy.is_sound() and is_small(frames, len(data)) else None


def _without_frames(data: bytes, begin: int) -> bytes:
    """The pickle from a byte on, without its division into parts of 64 kB, which any opcode may follow."""
    parts, at = [], 2
    while at < len(data):
        start = at + 9
        stop = start + int.from_bytes(data[at + 1 : start], "little")
        if data[at] != 0x95 or stop > len(data):
            raise ValueError
        parts.append(data[max(start, begin) : stop])
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
        last = max(place for place, value in enumerate(self.memo) if type(value) is str and value in self._keys)
        return max(256, (last // _ROUND + 1) * _ROUND)

    opcodes: ClassVar = table_of(HANDLERS | {b"u": end_of_dict})


# ---- what may follow them; each name below is a pattern of whole opcodes with their arguments


def _sized(opcode: bytes, lengths: Iterable[int]) -> bytes:
    """An opcode with a length of one byte, and that many bytes; what comes first is tried first."""
    return opcode + b"(?:" + b"|".join(re.escape(bytes([n])) + b".{%d}" % n for n in dict.fromkeys(lengths)) + b")"


def _text_type(width: int) -> bytes:
    code = b"U%d" % width
    return (
        re.escape(bytes([len(code)]) + code)
        + rb"\x94\x89\x88\x87\x94R\x94\(K\x03"
        + _PLACE
        + rb"NNNK"
        + re.escape(bytes([4 * width]))
    )


_PLACE = rb"(?:h.|j....)"
_TEXT = _sized(rb"\x8c", (16, *range(128))) + rb"\x94"
_SIDE = rb"(?:K.|M.[\x00-\x26])"
_SHAPE = rb"(?:" + _SIDE + rb"\x85|" + _SIDE + rb"{2}\x86|" + _SIDE + rb"{3}\x87)\x94"
_NO_ROWS = rb"(?:K\x00\x85|K\x00" + _SIDE + rb"\x86)\x94"
# A type of text is made anew for every array; that of numbers has its place in the memo. Size, alignment and flags are
# literal and follow from the width: numpy would believe others.
_TYPE = rb"(?:h.\x8c(?:" + b"|".join(map(_text_type, range(1, 33))) + rb")K\x04K\x08t\x94b|" + _PLACE + rb")"
_ARRAY = rb"h.h.K\x00\x85\x94h.\x87\x94R\x94\(K\x01"
_STATE = _SHAPE + _TYPE + rb"[\x88\x89]"
_SMALL_ARRAY = (
    _ARRAY
    + rb"(?:"
    + _STATE
    + _sized(b"C", range(0, 256, 4))
    + rb"\x94|"
    + _NO_ROWS
    + _PLACE
    + rb"[\x88\x89]"
    + _PLACE
    + rb")t\x94b"
)
_SCALAR = (
    _TEXT + rb"|[N\x88\x89)]|G.{8}|K.|M..|J....|\x8a(?:" + b"|".join(b"\\x%02x.{%d}" % (n, n) for n in range(17)) + b")"
)
# What a dict is filled with comes in pairs that begin with a key. So a dict at the place of a key, which cannot be one,
# is the worst that a wrong order of pairs, ends and beginnings leads to: Python's unpickler then gives up.
_AT_MOST = rb"{0,400}"  # the scanner's own memory grows with each repetition
_ITEMS = rb"(?:" + _PLACE + rb"|" + _SCALAR + rb"|[\x85-\x87]\x94)"
_LIST = rb"\]\x94(?:\(" + _ITEMS + rb"{1,4000}e){0,70}(?:(?:" + _PLACE + rb"|" + _SCALAR + rb")a)?"
_VALUE = rb"(?:h.(?!h.K\x00\x85|\()|j....|" + _SMALL_ARRAY + rb"|" + _SCALAR + rb"|" + _LIST + rb"|\}\x94\(?)"
_END_OF_ARRAY = b"\x94t\x94b"
_END_OF_BUFFER = re.compile(rb"\x94" + _TYPE + _SHAPE + _PLACE + rb"t\x94R\x94", re.DOTALL)


@lru_cache(64)
def _run(places: int) -> re.Pattern[bytes]:
    """Keys with values, ends of dicts, new frames; then perhaps a key with an array, up to the size of its bytes."""
    high, low = divmod(places - 1, 256)
    far = b"".join(rb"|j.\x%02x\x00\x00" % each for each in range(1, high))
    far += rb"|j[\x00-\x%02x]\x%02x\x00\x00" % (low, high) if high else b""
    key = rb"(?:h." + far + rb"|" + _TEXT + rb")"
    some = rb"(?:" + key + _VALUE + rb"|[us]|\}\x94\(?|e\((?=\}))" + _AT_MOST
    large = key + rb"(?:" + _ARRAY + _STATE + rb"B(....)|h.\(\x96(.{8}))"
    return re.compile(some + rb"(?:" + large + rb")?", re.DOTALL)


def _is_regular(rest: bytes, run: re.Pattern[bytes]) -> bool:
    """Whether all bytes are frames, then the end."""
    at = 0
    while found := run.match(rest, at):
        start, at = at, found.end()
        if kind := found.lastindex:
            at += int.from_bytes(found[kind], "little")
            if kind == 1 and rest.startswith(_END_OF_ARRAY, at):
                at += len(_END_OF_ARRAY)
            elif kind == 2 and (end := _END_OF_BUFFER.match(rest, at)):
                at = end.end()
            else:
                return False
        elif at == start:
            break
    return len(rest) == at + 2 and rest.endswith(b"e.")


# ---- what Python's unpickler finds in the memo


class _Unpickler(pickle.Unpickler):
    """Reads the rest of a list.

    Args:
        known: contents of the memo at its beginning.
        places: number of them.
        frames: list that takes the rest.
        rest: pickle from the next item of the list on.
    """

    def __init__(self, known: Iterable[Any], places: int, frames: list[Any], rest: bytes) -> None:
        self._given = chain(known, [frames])
        # NQ takes one from persistent_load, 0x94 puts it into the memo, 1 throws all of them off the stack again.
        parts = [b"(" + b"NQ\x94" * places + b"1NQ(", rest]
        pieces = [(b"\x95", len(part).to_bytes(8, "little"), part) for part in parts]
        super().__init__(_Pieces([b"\x80", b"\x04", *chain.from_iterable(pieces)]))

    def persistent_load(self, pid: Any) -> Any:
        return next(self._given)

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


class _Numpy:
    """What stands in the memo for numpy's names; keeps what it makes, to be checked at the end."""

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []
        self.types: list[np.dtype[Any]] = []
        self._calls = {Blank: self.blank, DType: self.text_type, make_array: self.from_buffer}
        self._unusable = _Unusable()

    def known(self, value: Any) -> Any:
        """What stands for a value of the machine's memo."""
        kind = type(value)
        if kind in (list, dict, np.ndarray) or value is NDARRAY or (kind in (str, bytes) and len(value) <= MAX_KEY):
            return value
        if kind is DType and value.numpy.isnative:
            return np.dtype(value.numpy, copy=True)
        return self._calls.get(value.call, self._unusable) if kind is Name else self._unusable

    def blank(self, kind: Any, shape: Any, code: Any) -> NDArray[Any]:
        """An array; Python's unpickler then gives it the state that the scanner has recognised."""
        if kind is not NDARRAY:
            raise TypeError
        self.arrays.append(np.empty(0))
        return self.arrays[-1]

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
        for array in self.arrays:
            check_array(array)
        return all(each.byteorder == "=" for each in self.types)
