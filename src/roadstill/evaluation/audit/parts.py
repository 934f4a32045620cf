"""What two parts have in common by what is known of their frames: logs, drives and their times, pictures, places.

Only the facts in the sets' tables are read, never a picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadstill.evaluation.leaks import common
from roadstill.imagesets import ImageSet
from roadstill.imagesets.records import SOURCE_IMAGE
from roadstill.sources.navsim.places import places_of
from roadstill.sources.pickles.unpickle import BrokenLog

SOON_S, NEAR_M = 10.0, 5.0
"""Times and distances within which two frames show much the same; 5 m as of Lilja et al. 2024 (2312.06420)."""
NAMES = ("location", "town")
_US = 1_000_000


@dataclass(frozen=True)
class Meeting:
    """What a part has in common with an earlier one.

    Attributes:
        first: name of the earlier part, such as train.
        second: name of the other.
        frames: number of frames of the second.
        made: whether the first was picked from, made from, made towards or chosen on the second.
        shared: number, and name of the first, of equal logs, frames, pictures, and drives of which both have the same
            time.
        drives: number of drives that both have, at whatever times.
        gap_s: shortest time between a frame of one and one of the other, of the same drive; None without such.
        soon: number of frames of the second within 10 s of one of the first, of the same drive.
        names: number of places that both name, and that the second names, by fact.
        placed: number of frames of the second whose place is known by a pose.
        near: number of these within 5 m of a frame of the first.
    """

    first: str
    second: str
    frames: int
    made: bool
    shared: Mapping[str, tuple[int, str]]
    drives: int
    gap_s: float | None
    soon: int
    names: Mapping[str, tuple[int, int]]
    placed: int | None = None
    near: int | None = None

    @property
    def leaks(self) -> bool:
        """Whether the second cannot judge what was made from the first."""
        return self.made or bool(self.shared) or self.soon > 0


@dataclass(frozen=True)
class Places:
    """Where the frames of a part were seen.

    Attributes:
        maps: name of each frame's map, ``[n]``.
        metres: x and y on it, ``[n, 2]``; NaN where it is not known.
        problems: one line for each log that could not be read.
    """

    maps: NDArray[np.str_]
    metres: NDArray[np.float64]
    problems: list[str] = field(default_factory=list)


def places_in(images: ImageSet, logs: Path) -> Places:
    """The places of a set's frames, by the poses in their logs; one log is in memory at a time.

    Args:
        images: the set.
        logs: folder of the log pickles.
    """
    rows: dict[str, dict[str, list[int]]] = {}
    for row, facts in enumerate(images.facts):
        if facts.get("log") is not None and facts.get("token") is not None:
            rows.setdefault(str(facts["log"]), {}).setdefault(str(facts["token"]), []).append(row)
    places = Places(
        np.array([str(facts.get("location", "")) for facts in images.facts]), np.full((len(images), 2), np.nan)
    )
    for log, tokens in rows.items():
        try:
            found = places_of(logs, log, tokens)
        except BrokenLog as error:
            places.problems.append(str(error))
            continue
        for token, place in found.items():
            places.metres[tokens[token]] = place
    return places


def meetings_of(parts: Mapping[str, ImageSet], logs: Path | None) -> tuple[list[Meeting], list[str]]:
    """What each part has in common with those before it.

    Args:
        parts: parts by name, in the order in which they may know of each other; the first is made of the second.
        logs: folder of the log pickles, if places are to be compared.

    Returns:
        One meeting a pair but the first, and one line for each log that could not be read.
    """
    places = {} if logs is None else {name: places_in(part, logs) for name, part in parts.items()}
    names = list(parts)
    pairs = [(first, second) for at, second in enumerate(names) for first in names[:at]][1:]
    found = [meeting(first, parts[first], second, parts[second], places) for first, second in pairs]
    return found, list(dict.fromkeys(line for each in places.values() for line in each.problems))


def meeting(
    first: str, one: ImageSet, second: str, other: ImageSet, places: Mapping[str, Places] | None = None
) -> Meeting:
    """What a part has in common with an earlier one.

    Args:
        first: name of the earlier part.
        one: its frames, or a set that was made of some.
        second: name of the other part.
        other: its frames.
        places: places of the parts by name, if they are known.
    """
    ours, theirs = _times(one), _times(other)
    gaps = [_gaps(ours[drive], theirs[drive]) for drive in sorted(ours.keys() & theirs.keys())]
    close = np.concatenate(gaps) if gaps else np.empty(0)
    names = {}
    for fact in NAMES:
        mine, known = (_named(images, fact) for images in (one, other))
        if mine and known:
            names[fact] = len(mine & known), len(known)
    placed = near = None
    if places and first in places and second in places:
        placed, near = _near(places[first], places[second])
    return Meeting(
        first, second, len(other), bool(one.footprint.sets & other.footprint.sets),
        common(one.footprint, other), len(gaps), float(close.min()) if len(close) else None,
        int((close <= SOON_S).sum()), names, placed, near,
    )  # fmt: skip


def _named(images: ImageSet, fact: str) -> set[str]:
    return {str(facts[fact]) for facts in images.facts if facts.get(fact) is not None}


def _times(images: ImageSet) -> dict[str, NDArray[np.int64]]:
    """Times of the frames of each drive in microseconds, ascending; none where every picture is a drive of its own."""
    found: dict[str, list[int]] = {}
    for facts in images.facts:
        time = facts.get("timestamp_us")
        if facts.get("drive") not in (None, facts.get(SOURCE_IMAGE)) and isinstance(time, int) and abs(time) <= 2**62:
            found.setdefault(str(facts["drive"]), []).append(time)
    return {drive: np.sort(np.array(times, np.int64)) for drive, times in found.items()}


def _gaps(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds from each of their times to the nearest of ours."""
    after = np.searchsorted(ours, theirs)
    sides = [np.abs(theirs - ours[(after + step).clip(0, len(ours) - 1)]) for step in (-1, 0)]
    return np.minimum(*sides) / _US


def _near(ours: Places, theirs: Places) -> tuple[int, int]:
    """Number of their frames with a place, and of those within `NEAR_M` of one of ours."""
    from scipy.spatial import cKDTree

    known, others = (np.isfinite(each.metres).all(1) for each in (ours, theirs))
    near = 0
    for name in np.unique(theirs.maps[others]):
        mine = ours.metres[known & (ours.maps == name)]
        if len(mine):
            far, _ = cKDTree(mine).query(theirs.metres[others & (theirs.maps == name)], distance_upper_bound=NEAR_M)
            near += int(np.isfinite(far).sum())
    return int(others.sum()), near
