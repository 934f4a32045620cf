"""The test part is reached through one call, and that call leaves a line: how often, for what, with which recipe."""

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
    """Hands out the test part and writes the opening down (who, when, for what), before anything is read from it.

    Args:
        test: the prepared test set.
        ledger: file, ``test_ledger.jsonl`` by habit, beside the data that all runs share.
        config: what decided the run; its digest tells recipes apart.
        what: what is asked of the test set, in words.

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
    """Adds what came out of an opening."""
    if "test_opening" not in images.about:
        raise UserError(f"{images.root} did not come from open_test; there is no opening to add an outcome to")
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
