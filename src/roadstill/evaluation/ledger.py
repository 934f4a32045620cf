"""The test part is opened by one call, which writes a line to a ledger: how often, for what, with which recipe."""

import getpass
import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.runs import digest_of, plain, read_metrics, versions

LEDGER = "test_ledger.jsonl"


def open_test(test: Path | ImageSet, *, ledger: Path, config: Any, what: str) -> ImageSet:
    """Returns the test part and records the opening (who, when, for what), before anything is read from it.

    Args:
        test: prepared test set.
        ledger: file, by convention ``test_ledger.jsonl`` next to the data that all runs share.
        config: settings of the run; their digest tells recipes apart.
        what: purpose of the opening, in words.

    Raises:
        UserError: no such set, or one that is marked as another split.
    """
    images = test if isinstance(test, ImageSet) else open_imageset(test)
    split = images.about.get("split", "test")
    if split != "test":
        raise UserError(f"{images.root} is the {split} part, not the test part; evaluate on it without open_test")
    entry = {
        "opening": 1 + sum("opening" in row for row in read_metrics(ledger)),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "who": _user(),
        "version": versions()["roadstill"],
        "images": images.digest,
        "num_images": len(images),
        "config": digest_of(config),
        "what": what,
    }
    _append(ledger, entry)
    return replace(images, about={**images.about, "split": "test", "test_opening": entry["opening"]})


def note_outcome(images: ImageSet, *, ledger: Path, outcome: Any) -> None:
    """Adds the outcome of an opening to the ledger."""
    if "test_opening" not in images.about:
        raise UserError(
            f"{images.root} did not come from open_test, so it has no opening to add an outcome to; open it first"
        )
    _append(ledger, {"outcome_of": images.about["test_opening"], "outcome": plain(outcome)})


def read_ledger(ledger: Path) -> list[dict[str, Any]]:
    """One row per opening, with its ``outcome`` if one was noted."""
    rows = read_metrics(ledger)
    outcomes = {row["outcome_of"]: row["outcome"] for row in rows if "outcome_of" in row}
    return [row | {"outcome": outcomes.get(row["opening"])} for row in rows if "opening" in row]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # containers may have users without a name
        return "unknown"


def _append(path: Path, row: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
