"""The test part is opened by one call, which writes a line to a ledger: how often, for what, with which recipe.

The ledger is a `chain`: its lines cannot be changed, removed or moved without a trace.
"""

import getpass
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from roadstill.errors import UserError
from roadstill.evaluation import chain
from roadstill.evaluation.leaks import check_leak
from roadstill.imagesets import Footprint, ImageSet, open_imageset
from roadstill.runs import Count, Record, digest_of, typed, versions

LEDGER = "test_ledger.jsonl"
_REMEDY = "put the ledger back as it was"


class _Line(Record, kw_only=True, frozen=True):
    """A line of the ledger: an opening, or the outcome of one."""

    opening: Count | msgspec.UnsetType = msgspec.UNSET
    outcome_of: Count | msgspec.UnsetType = msgspec.UNSET
    outcome: Any = None
    time: str = ""
    what: str = ""


def open_test(
    test: Path | ImageSet,
    *,
    ledger: Path,
    config: Any,
    what: str,
    trained_on: Mapping[str, Footprint] | None = None,
    allow_leak: bool = False,
) -> ImageSet:
    """Returns the test part and records the opening (who, when, for what), before anything is measured on it.

    Its pictures are compared with their digests, so that it is the set that its digest names.

    Args:
        test: prepared test set.
        ledger: file, by convention ``test_ledger.jsonl`` next to the data that all runs share.
        config: settings of the run; their digest tells recipes apart.
        what: purpose of the opening, in words.
        trained_on: footprints of the training sets that are to be judged, by name.
        allow_leak: whether sets that share something with the test part are judged all the same, with a caveat.

    Raises:
        UserError: no such set, or one that is marked as another split; a picture that is not the one that was written;
            a training set that shares something with it; a ledger whose lines are not as they were written.
    """
    images = test if isinstance(test, ImageSet) else open_imageset(test)
    split = images.about.get("split", "test")
    if split != "test":
        raise UserError(f"{images.root} is the {split} part, not the test part")
    for name, footprint in (trained_on or {}).items():
        check_leak(footprint, images, name, allow=allow_leak)
    images.check_pictures()
    known = chain.read(ledger)
    if known.faults:
        raise UserError(
            f"{known.faults[0]}; openings can no longer be counted: put the ledger back as it was, or move it away, "
            "which begins another count, and say so beside the figures"
        )
    entry = {
        "opening": 1 + sum("opening" in row for row in known.rows),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "who": _user(),
        "version": versions()["roadstill"],
        "images": images.digest,
        "num_images": len(images),
        "config": digest_of(config),
        "what": what,
    }
    if allow_leak:
        entry["allow_leak"] = True
    chain.append(ledger, [entry])
    opened = {"split": "test", "test_opening": entry["opening"], "allow_leak": allow_leak}
    return replace(images, about={**images.about, **opened})


def open_dev(dev: Path) -> ImageSet:
    """Opens a part that serves to choose; the test part may not.

    Raises:
        UserError: no such set, or the test part.
    """
    images = open_imageset(dev)
    if images.about.get("split") == "test":
        raise UserError(f"{dev} is the test part, on which nothing may be chosen; give the dev part")
    return images


def note_outcome(images: ImageSet, *, ledger: Path, outcome: Any) -> None:
    """Adds the outcome of an opening to the ledger."""
    if "test_opening" not in images.about:
        raise UserError(
            f"{images.root} did not come from open_test, so it has no opening to add an outcome to; open it first"
        )
    chain.append(ledger, [{"outcome_of": images.about["test_opening"], "outcome": outcome}])


def read_ledger(ledger: Path) -> list[dict[str, Any]]:
    """One row per opening, with its ``outcome`` if one was noted.

    Raises:
        UserError: as `chain.read`; a line of another form.
    """
    rows = chain.read(ledger).rows
    for number, row in enumerate(rows, 1):
        typed(row, _Line, f"{ledger}, record {number}", _REMEDY)
    outcomes = {row["outcome_of"]: row.get("outcome") for row in rows if "outcome_of" in row}
    hidden = ("before", "digest")
    return [
        {name: value for name, value in row.items() if name not in hidden} | {"outcome": outcomes.get(row["opening"])}
        for row in rows
        if "opening" in row
    ]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # containers may have users without a name
        return "unknown"
