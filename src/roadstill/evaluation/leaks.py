"""Whether what an agent was trained on has something of the test part in it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets import Footprint, ImageSet, read_footprint
from roadstill.imagesets.footprints import hashed, key_of

UNCHECKED = (
    "it could not be checked whether the training set shares anything with the test part: the agent does not record "
    "what it was trained on"
)


def common(train: Footprint, other: ImageSet) -> dict[str, tuple[int, str]]:
    """What a training set has in common with another set: number and name of the first, by what it is.

    Logs, frames (by their tokens), pictures (by their digests), and drives of which both have the same time. The cost
    is linear in the number of images; both footprints are made once per set.
    """
    own = other.footprint
    found = {}
    for what, keys, theirs, fact, key in (
        ("log", own.logs, train.logs, "log", _hash_key),
        ("frame", own.tokens, train.tokens, "token", _hash_key),
        ("picture", own.pictures, train.pictures, "digest", key_of),
    ):
        both = np.intersect1d(keys, theirs, assume_unique=True)
        if len(both):
            found[what] = len(both), _first(other, fact, key, both)
    drives = {drive for drive, spans in own.drives.items() if _meet(spans, train.drives.get(drive, ()))}
    if drives:
        name = next(str(facts["drive"]) for facts in other.facts if hashed(facts.get("drive")) in drives)
        found["drive"] = len(drives), name
    return found


def shared(train: Footprint, test: ImageSet) -> str:
    """What a training set shares with the test part, in words; empty for nothing."""
    found = common(train, test)
    parts = [_many(*found[what], what) for what in ("log", "frame", "picture") if what in found]
    if "drive" in found and "log" not in found:
        parts.insert(0, f"the same time of {_many(*found['drive'], 'drive')}")
    made = ["is made from the test part itself"] if test.footprint.sets & train.sets else []
    made += [f"shares {', '.join(parts)} with the test part"] if parts else []
    return " and ".join(made)


def check_leak(train: Footprint, test: ImageSet, who: str, *, allow: bool) -> str:
    """Refuses a training set that shares something with the test part.

    Args:
        train: footprint of the training set.
        test: the test part.
        who: name of what was trained, or will be, as the message begins with it.
        allow: whether to go on; what is returned is then to be said with every figure.

    Returns:
        The caveat; empty without a leak.

    Raises:
        UserError: there is a leak, and it is not allowed.
    """
    found = shared(train, test)
    if not found:
        return ""
    if allow:
        return f"the training set {found}; --allow_leak let it pass"
    raise UserError(
        f"{who}: the training set {found}: {test.root}; split by drive, or go on with --allow_leak, which the run's "
        "record and the report will say"
    )


def caveat_of(agent: Any, test: ImageSet) -> str:
    """The caveat of one agent's figures on the test part; errors as `check_leak`.

    The test part says, through its ``allow_leak``, whether a leak is allowed, see `open_test`.
    """
    footprint = trained_on(agent)
    if footprint is None:
        return UNCHECKED
    return check_leak(footprint, test, "the agent", allow=bool(test.about.get("allow_leak")))


def trained_on(agent: Any) -> Footprint | None:
    """The footprint of what an agent was trained on; ``None`` where it does not record it, as before 0.2.

    Raises:
        UserError: a damaged record.
    """
    about = getattr(agent, "about", None)
    record = about.get("trained_on") if isinstance(about, Mapping) else None
    if record is None:
        return None
    return read_footprint(record, "the agent's record, trained_on", "train the agent again")


def _hash_key(name: Any) -> int:
    return key_of(hashed(name))


def _first(test: ImageSet, fact: str, key: Callable[[Any], int], common: NDArray[np.int64]) -> str:
    """The first of these logs, frames or pictures, as the test part names it."""
    wanted = set(common.tolist())
    for file, facts in zip(test.files, test.facts, strict=True):
        if facts.get(fact) is not None and key(facts[fact]) in wanted:
            return file if fact == "digest" else str(facts[fact])
    return "what a picture was made from"


def _meet(ours: Any, theirs: Any) -> bool:
    """Whether two lists of times from-to have a moment in common."""
    ours, theirs = sorted(ours), sorted(theirs)
    place = 0
    for first, last in ours:
        while place < len(theirs) and theirs[place][1] < first:
            place += 1
        if place < len(theirs) and theirs[place][0] <= last:
            return True
    return False


def _many(count: int, first: str, what: str) -> str:
    return f"{count:,} {what}s (the first: {first})" if count > 1 else f"1 {what} ({first})"
