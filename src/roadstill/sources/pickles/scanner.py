"""Recognises the regular part of a log: frames of plain data, as picklers of protocols 4 and 5 write them.

Each pattern below is of whole opcodes with their arguments. Whatever matches them does nothing in Python's unpickler
but build dicts with text keys, lists, tuples, text, numbers and arrays, and take places from the memo. It looks up no
name, puts nothing into the memo by number, hashes nothing but text, and claims no byte that is not there.
"""

import re
from collections.abc import Iterable
from functools import lru_cache


def _sized(opcode: bytes, lengths: Iterable[int], *first: int) -> bytes:
    """An opcode with a length of one byte, and that many bytes; a length that is frequent is tried first."""
    tails = {n: re.escape(bytes([n])) + b".{%d}" % n for n in [*first, *lengths]}
    parts = [tails.pop(n) for n in first]
    for start in range(0, 256, 32):  # in groups, of which the right one is found at once
        some = b"|".join(tail for n, tail in tails.items() if start <= n < start + 32)
        parts += [rb"(?=[\x%02x-\x%02x])(?:%b)" % (start, start + 31, some)] if some else []
    return opcode + b"(?:" + b"|".join(parts) + b")"


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
_TEXT = _sized(rb"\x8c", range(128), 16) + rb"\x94"
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
# A dict is filled by pairs of a key and a value, which are one pattern, so that no value gets into the place of a key.
# Only whole dicts may stand for themselves. One in the place of a key, or a text in the place of the dict that is
# filled, is the worst that ends and beginnings in a wrong order lead to: Python's unpickler then gives up at once.
_AT_MOST = rb"{0,400}"  # the scanner's own memory grows with each repetition
_ITEMS = rb"(?:" + _PLACE + rb"|" + _SCALAR + rb"|[\x85-\x87]\x94)"
_LIST = rb"\]\x94(?:\(" + _ITEMS + rb"{1,4000}e){0,70}(?:(?:" + _PLACE + rb"|" + _SCALAR + rb")a)?"
_VALUE = rb"(?:h.(?!h.K\x00\x85|\()|j....|" + _SMALL_ARRAY + rb"|" + _SCALAR + rb"|" + _LIST + rb"|\}\x94\(?)"
_END_OF_ARRAY = b"\x94t\x94b"
_END_OF_BUFFER = re.compile(rb"\x94" + _TYPE + _SHAPE + _PLACE + rb"t\x94R\x94", re.DOTALL)


@lru_cache(64)
def _pattern_of(places: int) -> re.Pattern[bytes]:
    """Keys with values, ends of dicts, new frames; then perhaps a key with an array, up to the size of its bytes."""
    high, low = divmod(places - 1, 256)
    far = b"".join(rb"|j.\x%02x\x00\x00" % each for each in range(1, high))
    far += rb"|j[\x00-\x%02x]\x%02x\x00\x00" % (low, high) if high else b""
    key = rb"(?:h." + far + rb"|" + _TEXT + rb")"
    some = rb"(?:" + key + _VALUE + rb"|[us]|\}\x94\(?|e\((?=\}))" + _AT_MOST
    large = key + rb"(?:" + _ARRAY + _STATE + rb"B(....)|h.\(\x96(.{8}))"
    return re.compile(some + rb"(?:" + large + rb")?", re.DOTALL)


def is_regular(rest: bytes, places: int) -> bool:
    """Whether all bytes are frames, then the end of their list and of the pickle.

    Args:
        rest: bytes that follow the first frames, without the pickle's own division into frames.
        places: number of places in the memo that may stand for keys.
    """
    at, match = 0, _pattern_of(places).match
    while found := match(rest, at):
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
