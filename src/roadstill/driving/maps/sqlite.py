"""Strangers' SQLite files: read-only, tables only, with an end to every question."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from roadstill.errors import UserError, one_line

_MOST_MOVES = 2**31  # of SQLite's machine for one question: a minute or so
_BETWEEN = 2**20
_MOST_ROWS = 2_000_000  # of one answer
_LIMIT_LENGTH = 0  # SQLITE_LIMIT_LENGTH, which Python 3.10 does not name
_MOST_BYTES = 2**26  # of one value


class Tables:
    """An SQLite file of somebody else.

    Views and virtual tables are never asked: they can make SQLite work without end, or run what the file says.

    Args:
        path: the file, which exists.
        what: description of the file, for messages.

    Raises:
        UserError: not an SQLite file.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path, self._what = path, what
        # Immutable: no lock, journal or shared memory beside the file, which may lie where nothing may be written.
        self._base = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        for setting in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "mmap_size = 0"):
            self._base.execute(f"PRAGMA {setting}")
        if hasattr(self._base, "setlimit"):  # from Python 3.11 on
            self._base.setlimit(_LIMIT_LENGTH, _MOST_BYTES)
        found = self._ask("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND rootpage > 0", ())
        self._names = {str(name) for name, sql in found if str(sql).lstrip()[:12].upper() == "CREATE TABLE"}

    def rows(
        self, table: str, columns: Sequence[str], where: str = "", values: Sequence[int] = ()
    ) -> Iterator[tuple[Any, ...]]:
        """Rows of a table, these columns of it.

        Args:
            table: its name, a literal of the caller.
            columns: names or expressions of the caller.
            where: condition of the caller with places for ``values``.
            values: numbers for them.

        Raises:
            UserError: no such table or column, a damaged file, a question that takes too long, or too many rows.
        """
        if table not in self._names:
            raise UserError(f"{self._path} has no table {table}; it should be {self._what}")
        condition = f" WHERE {where}" if where else ""
        found = self._ask(f'SELECT {", ".join(columns)} FROM "{table}"{condition}', tuple(values))
        for count, row in enumerate(found):
            if count >= _MOST_ROWS:
                raise UserError(f"{self._path}: {table} has more than {_MOST_ROWS:,} rows")
            yield row

    def _ask(self, question: str, values: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
        moves = iter(range(_MOST_MOVES // _BETWEEN))
        self._base.set_progress_handler(lambda: next(moves, None) is None, _BETWEEN)
        try:
            yield from self._base.execute(question, values)
        except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
            raise UserError(
                f"{self._path} cannot be read ({one_line(str(error))[:200]}); it should be {self._what}"
            ) from None
