"""What a set is made of, small enough to be kept with whatever was trained on it: two sets that share some of it leak.

Compared are pictures (by their digests), tokens, logs, and stretches of drives: the time that a log of a drive covers.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets.records import SOURCE_IMAGE
from roadstill.runs import Digest, Record, typed

_BYTES = 6  # of a hash: among a million images and a hundred thousand, one in 3,000 pairs of sets meets by chance
_HEX = re.compile(r"[0-9a-f]{16}")

_Hashes = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9+/]*$", max_length=2**26)]
_Time = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]


class _FootprintRecord(Record, kw_only=True, frozen=True):
    """A footprint in a record."""

    sets: tuple[Digest, ...]
    pictures: _Hashes
    tokens: _Hashes
    logs: _Hashes
    drives: tuple[tuple[Digest, _Time, _Time], ...]


@dataclass(frozen=True)
class Footprint:
    """What a set is made of.

    Attributes:
        sets: digests of the set and of those that it was picked from, made from, made towards and chosen on.
        pictures: hashes of the pictures, ascending, ``[p]``.
        tokens: hashes of the frames' tokens, also of those that generation started from, ascending, ``[t]``.
        logs: hashes of the logs, ascending, ``[l]``; none where every picture is a log of its own.
        drives: by hash of a drive, the first and last time of each of its logs in microseconds.
    """

    sets: frozenset[str]
    pictures: NDArray[np.int64]
    tokens: NDArray[np.int64]
    logs: NDArray[np.int64]
    drives: Mapping[str, Sequence[tuple[int, int]]]

    def as_record(self) -> dict[str, Any]:
        """A plain value that `read_footprint` takes: 8 bytes a picture, token and log."""
        hashes = {name: _packed(getattr(self, name)) for name in ("pictures", "tokens", "logs")}
        drives = [[drive, *times] for drive, its in sorted(self.drives.items()) for times in its]
        return {"sets": sorted(self.sets), **hashes, "drives": drives}


def footprint_of(digest: str, facts: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> Footprint:
    """The footprint of a set, from its digest, the facts of its pictures and what else its record says."""
    origins = [about.get("selected_from")]
    for made in (about.get("refined"), about.get("distilled")):
        origins += [made.get(role) for role in ("from", "real", "dev")] if isinstance(made, Mapping) else []
    updated = about.get("updated")
    if isinstance(updated, Mapping):
        lists = [its for role in ("from", "with") if isinstance(its := updated.get(role), list)]
        origins += [each for its in lists for each in its]
    starts = [fact["start"] for fact in facts if isinstance(fact.get("start"), str)]
    # Where a picture's own path is its log, it tells nothing apart: another folder may use the same names.
    recorded = [fact for fact in facts if fact.get("log") is not None and fact["log"] != fact.get(SOURCE_IMAGE)]
    spans: dict[tuple[str, str], tuple[int, int]] = {}
    for fact in recorded:
        time = fact.get("timestamp_us")
        if fact.get("drive") is not None and isinstance(time, int) and abs(time) <= 2**62:
            key = str(fact["drive"]), str(fact["log"])
            first, last = spans.get(key, (time, time))
            spans[key] = min(first, time), max(last, time)
    drives: dict[str, list[tuple[int, int]]] = {}
    for (drive, _), span in sorted(spans.items()):
        drives.setdefault(hashed(drive), []).append(span)
    return Footprint(
        frozenset([digest, *(each for each in origins if isinstance(each, str) and _HEX.fullmatch(each))]),
        _ascending([*(fact.get("digest") for fact in facts), *(start for start in starts if _HEX.fullmatch(start))]),
        _ascending([hashed(each) for each in (*(fact.get("token") for fact in facts), *starts) if each is not None]),
        _ascending([hashed(fact["log"]) for fact in recorded]),
        drives,
    )


def read_footprint(value: Any, where: str, remedy: str) -> Footprint:
    """A footprint from a record.

    Raises:
        UserError: a value of another form; the line names ``where`` and ``remedy``.
    """
    record = typed(value, _FootprintRecord, where, remedy)
    drives: dict[str, list[tuple[int, int]]] = {}
    for drive, first, last in record.drives:
        drives.setdefault(drive, []).append((first, last))
    try:
        pictures, tokens, logs = (_unpacked(text) for text in (record.pictures, record.tokens, record.logs))
    except ValueError as error:
        raise UserError(f"{where}: {error}; {remedy}") from None
    return Footprint(frozenset(record.sets), pictures, tokens, logs, drives)


def hashed(name: Any) -> str:
    """16 hex digits of a token, log or drive."""
    return hashlib.sha256(str(name).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def key_of(digest: str) -> int:
    """The part of a digest that footprints hold."""
    return int(digest[: 2 * _BYTES], 16)


def _ascending(digests: Iterable[str | None]) -> NDArray[np.int64]:
    return np.unique(np.array([key_of(each) for each in digests if each is not None], np.int64))


def _packed(keys: NDArray[np.int64]) -> str:
    octets = keys.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - _BYTES :]
    return base64.b64encode(octets.tobytes()).decode("ascii")


def _unpacked(text: str) -> NDArray[np.int64]:
    octets = base64.b64decode(text, validate=True)
    if len(octets) % _BYTES:
        raise ValueError(f"{len(octets)} bytes are no whole number of hashes")
    padded = np.zeros((len(octets) // _BYTES, 8), np.uint8)
    padded[:, 8 - _BYTES :] = np.frombuffer(octets, np.uint8).reshape(-1, _BYTES)
    return padded.view(">u8").reshape(-1).astype(np.int64)
