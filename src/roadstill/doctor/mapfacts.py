"""The structure of nuPlan's maps: layers, column types and coordinate systems of one GeoPackage."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from roadstill.errors import one_line

INDEX = "nuplan-maps-v1.0.json"
_MOST = 40
_SECONDS = 2.0
_STEPS_BETWEEN_LOOKS = 10_000


def map_facts(root: Path) -> dict[str, Any]:
    """The number of maps below a maps root, and the structure of the smallest of them."""
    files = list(islice(_maps(root), _MOST))
    facts: dict[str, Any] = {"index": (root / INDEX).is_file(), "maps": len(files)}
    if files:
        smallest = min(files, key=lambda path: path.stat().st_size)
        facts |= {"looked_at": "/".join(smallest.parts[-3:]), **_inside(smallest)}
    return facts


def _maps(root: Path) -> Iterator[Path]:
    """Yields the files ``<location>/<version>/map.gpkg``."""
    with os.scandir(root) as places:
        for place in sorted(islice(places, _MOST), key=lambda entry: entry.name):
            if place.is_dir():
                yield from (path for path in sorted(Path(place.path).glob("*/map.gpkg"))[:_MOST] if path.is_file())


def _inside(path: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as base:
        deadline = time.monotonic() + _SECONDS
        base.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
        base.execute(
            "PRAGMA trusted_schema = OFF"
        )  # a view in an untrusted file must not call functions with side effects
        systems = base.execute("SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns").fetchmany(_MOST)
        facts: dict[str, Any] = {
            "layers": {
                _short(table): {"geometry": _short(column), "srs_id": _short(system), "columns": _columns(base, table)}
                for table, column, system in systems
            }
        }
        if "meta" in {row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}:
            rows = base.execute("SELECT key, value FROM meta WHERE key = 'projectedCoordSystem'").fetchmany(1)
            facts["projected"] = _short(rows[0][1]) if rows else None
    return facts


def _columns(base: sqlite3.Connection, table: Any) -> dict[str, str]:
    """Declared type of each column, and the type of its first value."""
    quoted = str(table).replace('"', '""')
    declared = {row[1]: row[2] for row in base.execute(f'PRAGMA table_info("{quoted}")').fetchmany(_MOST)}
    names = ", ".join(f'typeof("{name.replace(chr(34), 2 * chr(34))}")' for name in declared)
    first = base.execute(f'SELECT {names} FROM "{quoted}" LIMIT 1').fetchone() if names else None
    stored = first or ["no row"] * len(declared)
    return {_short(n): f"{_short(kind)} ({held})" for (n, kind), held in zip(declared.items(), stored, strict=True)}


def _short(value: Any) -> str:
    return one_line(str(value)[:60])
