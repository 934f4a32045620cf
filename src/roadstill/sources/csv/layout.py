"""The layout of a table of camera frames: delimiter, header, and which column holds what, from its first line."""

import csv
import difflib
from pathlib import Path
from typing import NamedTuple

from roadstill.errors import UserError, one_line
from roadstill.sources.csv.config import CSV_PRESETS, CsvConfig

_MOST_HEADER = 1 << 16
_DELIMITERS = {",": ",", ";": "';'", "\t": "tab", "|": "'|'"}  # and how they are given


class Layout(NamedTuple):
    """The layout of the file: number of columns, whether it has a header, and which column holds what."""

    width: int
    header: bool
    places: dict[str, int]


def find_layout(path: Path, config: CsvConfig) -> Layout:
    """Finds the wanted columns in the first line.

    Raises:
        UserError: the file is missing, empty or not text, lacks a column, has other cells between its delimiters, or
            names columns in another order than the preset; the message lists those that it has.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(_MOST_HEADER)
        cells = _cells(line, config.delimiter)
    except UnicodeDecodeError:
        raise UserError(f"{path} cannot be read as CSV: it is no text in UTF-8; save it as that") from None
    except (OSError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV: {error}") from None
    if not line.strip():
        raise UserError(f"{path} is empty, or begins with an empty line; it should be a table of camera frames")
    if len(line) == _MOST_HEADER and not line.endswith("\n"):
        raise UserError(f"{path}: its first line is longer than {_MOST_HEADER:,} letters; is it a table of frames?")
    wanted = config.columns
    if all(name.isdecimal() for name in wanted.values()):
        names = [str(place) for place in range(len(cells))]
        return Layout(len(cells), False, _places(path, names, wanted, _hint(line, config, 2)))
    if config.preset and not set(wanted.values()) & set(cells):
        cells = [cell.lower() for cell in cells]
    if config.preset and not set(wanted.values()) & set(cells):
        names = list(CSV_PRESETS[config.preset].columns)
        if len(cells) != len(names):
            what = f"{config.preset} has {len(names)}: {', '.join(names)}"
            if hint := _hint(line, config, len(names)):
                raise UserError(f"{path}: the first line has {len(cells)} columns, {what}{hint}")
            raise UserError(f"{path} has no header and {len(cells)} columns, {what}")
        return Layout(len(cells), False, _places(path, names, wanted))
    if config.preset:
        _check_order(path, cells, config.preset)
    return Layout(len(cells), True, _places(path, cells, wanted, _hint(line, config, 2)))


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]


def _hint(line: str, config: CsvConfig, least: int) -> str:
    """The delimiter that the line most likely has, if it is not the one that was given."""
    given = len(_cells(line, config.delimiter))
    counts = {each: len(_cells(line, each)) for each in _DELIMITERS if each != config.delimiter}
    best = max(counts, key=lambda each: counts[each])
    return f"; its cells seem to lie between {_DELIMITERS[best]}: give --csv.delimiter {_DELIMITERS[best]}" * (
        counts[best] >= max(least, given + 1)
    )


def _check_order(path: Path, cells: list[str], preset: str) -> None:
    """Refuses a header with a preset's names in another order: either the header is wrong, or it is another table."""
    order = [name for name in CSV_PRESETS[preset].columns if cells.count(name) == 1]
    found = [name for name in cells if name in order]
    if found != order:
        raise UserError(
            f"{path}: its header names the columns in the order {', '.join(found)}, {preset} has {', '.join(order)}; "
            "remove the header if it is wrong, else put the columns into that order"
        )


def _places(path: Path, names: list[str], wanted: dict[str, str], hint: str = "") -> dict[str, int]:
    for role, name in wanted.items():
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            near = f" (closest: {close[0]!r})" if close else ""
            way = hint or f"; name the right one with --csv.{role}"
            listed = one_line(", ".join(names)[:400])
            raise UserError(f"{path} has no column {name!r}{near}; its columns are {listed}{way}")
        if names.count(name) > 1:
            raise UserError(f"{path} has {names.count(name)} columns called {name!r}; give them different names")
    return {role: names.index(name) for role, name in wanted.items()}
