"""Single cells of a table of camera frames: numbers, times, paths, driving commands."""

import re
from datetime import datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from roadstill.errors import UserError, one_line
from roadstill.frames import COMMANDS

_NUMBER = r"^-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
_OTHER_NUMBER = {".": r"^-?\d+,\d+$", ",": r"^-?\d+\.\d+$"}
_MOST_LETTERS = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ALSO = {"lanefollow": "straight", "follow": "straight"}  # CARLA's names for following the lane


def relative_path(text: str, root: str, keep: int | None) -> str:
    """A picture's path below ``root/``, with forward slashes; absolute if it is not below it.

    Args:
        text: text of the cell.
        root: folder of the pictures, with a slash at its end.
        keep: number of last parts to keep, whatever precedes them; None keeps all.
    """
    path = text.replace("\\", "/")
    if keep is None and path.startswith(root):
        path = path[len(root) :]
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if keep is not None:
        return "/".join(parts[-keep:])
    return "/" * path.startswith("/") + "/".join(parts)


def mask_of(found: pa.Array) -> NDArray[np.bool_]:
    """The result of a comparison of a column, ``[n]``."""
    return np.asarray(found.to_numpy(zero_copy_only=False)).astype(np.bool_)


def numbers_of(cells: pa.Array, decimal: str = ".") -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers ``[n]``, and whether each cell holds none (NaN).

    Args:
        cells: texts, ``[n]``.
        decimal: character before the decimals.
    """
    if decimal == ",":
        cells = pc.replace_substring(pc.if_else(pc.match_substring(cells, "."), "", cells), ",", ".")
    values = pc.cast(pc.if_else(pc.match_substring_regex(cells, _NUMBER), cells, "nan"), pa.float64()).to_numpy()
    return values, ~np.isfinite(values)


def other_decimals(cells: pa.Array, decimal: str) -> bool:
    """Whether most numbers of a column have the other character before their decimals."""
    found = mask_of(pc.match_substring_regex(cells, _OTHER_NUMBER[decimal]))
    return 2 * int(found.sum()) > int(mask_of(pc.not_equal(cells, "")).sum())


def are_numbers(cells: pa.Array) -> bool:
    """Whether all cells that are not empty are numbers, some of them with decimals; file names may be whole numbers."""
    filled = cells.filter(pc.not_equal(cells, ""))
    return len(filled) > 0 and bool(
        pc.all(pc.match_substring_regex(filled, _NUMBER)).as_py() and pc.any(pc.match_substring(filled, ".")).as_py()
    )


def check_form(form: str) -> None:
    """Refuses a strptime format that no text could be read by.

    Raises:
        UserError: an unknown directive, one that stands twice, or a format that does not read what it writes.
    """
    try:
        if len(form) > _MOST_LETTERS:
            raise ValueError(f"over {_MOST_LETTERS} letters")
        datetime.strptime(datetime(2016, 12, 1, 13, 30, 48, 404_000, timezone.utc).strftime(form), form)
    except (ValueError, re.error, OverflowError, KeyError, IndexError) as error:
        raise UserError(
            f"csv.time_unit {one_line(form[:80])!r} is not a strptime format: {one_line(str(error)[:120])}"
        ) from None


def parsed_us(text: str, form: str) -> int | None:
    """Microseconds since 1970, by a strptime format, UTC if it names no zone; None if the text does not fit."""
    try:
        moment = datetime.strptime(text, form)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return (aware - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None


def command_of(text: str, order: list[str]) -> int | None:
    """A command's number in `COMMANDS`: from its name, its place, or one-hot numbers; None if it is not one."""
    if not text:
        return COMMANDS.index("unknown")
    word = text.lower().rsplit(".", 1)[-1].replace("_", "")
    if (name := _ALSO.get(word, word)) in COMMANDS:
        return COMMANDS.index(name)
    digits = re.sub(r"[\[\](),;]", " ", text).split()
    if not all(re.fullmatch(r"\d{1,4}(\.0*)?", digit) for digit in digits) or not digits:
        return None
    numbers = [int(float(digit)) for digit in digits]
    if len(numbers) > 1:
        if sorted(numbers) != [0] * (len(numbers) - 1) + [1]:
            return None
        numbers = [numbers.index(1)]
    return COMMANDS.index(order[numbers[0]]) if numbers[0] < len(order) else None
