"""JSON files with one long list or mapping, written entry by entry, so that memory does not grow with them."""

import json
from collections.abc import Iterable
from typing import Any, TextIO


def write_entries(file: TextIO, entries: Iterable[str], brackets: str) -> None:
    """Writes the entries of a list (``[]``) or mapping (``{}``), each on a line of its own."""
    file.write(brackets[0])
    for number, entry in enumerate(entries):
        file.write((",\n " if number else "\n ") + entry)
    file.write(f"\n{brackets[1]}")


def pair(name: str, value: Any) -> str:
    """An entry of a mapping."""
    return f"{json.dumps(name)}: {json.dumps(value)}"
