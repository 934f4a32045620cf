"""A verb's folder in a run: what it was made from, with what, and how far it is."""

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec

from roadstill.errors import UserError
from roadstill.runs.digests import digest_of
from roadstill.runs.files import append_line
from roadstill.runs.records import Count, Record, read_json, read_rows, typed, write_json

_AGAIN = "run the recipe again"
_Metric: TypeAlias = float | Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)] | str | None


def versions() -> dict[str, str]:
    """Versions of everything that can change a number."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("roadstill", "torch", "numpy", "diffusers", "accelerate", "peft", "transformers", "pillow", "panda3d"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass
class Stage:
    """One verb's folder in a run: ``stage.json`` when it is done, ``metrics.jsonl`` while it goes on."""

    folder: Path
    config: Any
    inputs: Mapping[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> str:
        """Digest of the configuration and of all inputs: an equal key means equal work."""
        return digest_of({"config": self.config, "inputs": dict(self.inputs)})

    @property
    def done(self) -> bool:
        """Whether the folder holds the finished product of exactly this work."""
        return (self.record or {}).get("key") == self.key

    @property
    def record(self) -> dict[str, Any] | None:
        """What ``stage.json`` holds; None if there is none, or one that is damaged and so says nothing."""
        try:
            found = read_json(self.folder / "stage.json")
        except UserError:
            return None
        return found if isinstance(found, dict) else None

    def begin(self) -> "Stage":
        """Starts the clock anew, for work that waited its turn."""
        self.started = time.monotonic()
        return self

    def log(self, **metrics: float | int | str) -> None:
        """Appends one line to ``metrics.jsonl``."""
        append_line(self.folder / "metrics.jsonl", json.dumps(metrics))

    def finish(self, **outputs: Any) -> None:
        """Writes ``stage.json``: key, inputs, resolved configuration, versions, outputs, seconds."""
        record = {
            "key": self.key,
            "inputs": dict(self.inputs),
            "config": self.config,
            "versions": versions(),
            "seconds": round(time.monotonic() - self.started, 2),
            "outputs": outputs,
        }
        write_json(self.folder / "stage.json", record)


class _Step(Record, kw_only=True, frozen=True):
    """What every line of ``metrics.jsonl`` may have."""

    step: Count = 0


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``, none without one; a torn last line (a killed run) is left out.

    Raises:
        UserError: another line that is damaged.
    """
    rows: list[dict[str, Any]] = []
    if not path.is_file():
        return rows
    try:
        for row in read_rows(path, dict[str, _Metric], _AGAIN):
            typed(row, _Step, str(path), _AGAIN)
            rows.append(row)
    except UserError:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read() == b"\n":
                raise
    return rows
