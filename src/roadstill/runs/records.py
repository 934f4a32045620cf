"""Records: JSON files that come from strangers, read within bounds and checked against a type in one place.

A record's type is a `Record` beside its reader. msgspec does the checking; it adds 20 ms and 4 MB to a start, where
pydantic's first model adds 120 ms and 20 MB.
"""

import json
import math
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

from roadstill.errors import UserError, one_line
from roadstill.runs.digests import digest_of
from roadstill.runs.files import atomic_path, folder_name
from roadstill.runs.kinds import PRODUCTS, product_in
from roadstill.runs.settings import plain

T = TypeVar("T")

MOST_BYTES = 64 * 2**20
"""A longer record is refused before it is read; a line of a longer file, too."""
SEAL = "seal"
"""Field with the digest of the others."""
DEEPEST = 64
"""Lists and mappings that lie in one another."""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number of things: images, rows, steps."""
Pixels: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=16_384)]
"""An edge of a picture."""
Digest: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
"""What `digest_of` and `digest_file` give."""
ClassNames: TypeAlias = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=10_000)]
"""Names of at least one class."""


class Record(msgspec.Struct, kw_only=True, frozen=True):
    """A record's fields and their types; fields that are not named are let be, for files of later versions."""


class WithClasses(Record, kw_only=True, frozen=True):
    """A record that names classes: 1 to 10,000 different ones, each a `folder_name`."""

    class_names: ClassNames

    def __post_init__(self) -> None:
        for name in self.class_names:
            folder_name(name, "class name")
        if len(set(self.class_names)) < len(self.class_names):
            raise ValueError("two classes have one name")


def require_within(name: str) -> None:
    """Refuses a posix path that a record names if it leads out of its folder, or cannot be shown on one line.

    Raises:
        ValueError: names it; `typed` puts file, field and way out around that.
    """
    if name.startswith("/") or "\\" in name or not name.isprintable() or {"", ".", ".."} & set(name.split("/")):
        raise ValueError(f"{name[:200]!a} leaves the folder")


def write_json(path: Path, value: Any, *, sealed: bool = True) -> None:
    """Writes a plain value as indented JSON, atomically.

    Args:
        path: file.
        value: plain value, or dataclass.
        sealed: whether a mapping gets the digest of the rest, by which `read_json` notices a change.
    """
    made = plain(value)
    with atomic_path(path) as temporary:
        made = with_seal(made) if sealed and isinstance(made, dict) else made
        temporary.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def with_seal(record: Mapping[str, Any]) -> dict[str, Any]:
    """A plain mapping with the digest of what is in it, as JSON tells it."""
    return {**record, SEAL: digest_of(json.loads(json.dumps(record)))}


def without_seal(value: Any, where: str) -> Any:
    """What `with_seal` got; anything else as it is.

    Raises:
        UserError: it was changed since.
    """
    if not isinstance(value, dict) or not re.fullmatch("[0-9a-f]{16}", str(value.get(SEAL))):
        return value
    rest = {name: part for name, part in value.items() if name != SEAL}
    if digest_of(rest) != value[SEAL]:
        raise UserError(
            f"{where} was changed after it was written; put it back or make it again, or, if the change is meant, "
            f"remove its {SEAL!r}"
        )
    return rest


def read_json(path: Path) -> Any:
    """Reads JSON within bounds.

    Raises:
        UserError: a missing or broken file, one of more than 64 MiB, deeper than 64 lists in one another, a name that
            stands twice, NaN or infinity, one that was changed after it was sealed; the line names the file.
    """
    return without_seal(parse_json(read_text(path), str(path)), str(path))


def parse_json(text: str | bytes, where: str) -> Any:
    """The value of a JSON text; bounds and errors as `read_json`."""
    try:
        value = json.loads(text, object_pairs_hook=_different, parse_constant=_refuse, parse_float=_finite)
        if _depth_exceeds(value, DEEPEST):
            raise RecursionError
    except RecursionError:
        raise UserError(f"{where} cannot be read as JSON: its lists lie too deep in one another") from None
    except ValueError as error:  # also a number of more digits than Python converts
        raise UserError(f"{where} cannot be read as JSON: {_short(error)}") from None
    return value


def read_record(path: Path, kind: type[T], remedy: str, *, format: str | None = None) -> T:
    """Reads a JSON file into a record's type.

    Args:
        path: file.
        kind: type of the record, mostly a `Record`.
        remedy: way out, as "make the set again".
        format: value that the field ``format`` must have.

    Raises:
        UserError: as `read_json`, another format, or a field that is missing or of another type; the line names file,
            field and remedy.
    """
    value = read_json(path)
    if format is not None and (not isinstance(value, dict) or value.get("format") != format):
        raise UserError(f"{path} is not of format {format}; {remedy} with this version")
    return typed(value, kind, str(path), remedy)


def typed(value: Any, kind: type[T], where: str, remedy: str) -> T:
    """A plain value as a type that msgspec knows: a `Record`, a dataclass, a list of them.

    Raises:
        UserError: a value that does not fit; the line names ``where``, the field and ``remedy``.
    """
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError, UnicodeEncodeError) as error:  # the last of half a letter
        said, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".")
        raise UserError(f"{where}{f', {field}' if field else ''}: {_short(said)}; {remedy}") from None


def read_rows(path: Path, kind: type[T], remedy: str) -> Iterator[T]:
    """Reads a file of one JSON record a line, one line in memory at a time.

    Raises:
        UserError: as `read_record`; the line names file, line number, field and remedy.
    """
    number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(MOST_BYTES + 1):
                number += 1
                where = f"{path}, line {number}"
                if len(line) > MOST_BYTES:
                    raise UserError(f"{where}: more than {MOST_BYTES // 2**20} MiB; {remedy}")
                yield typed(parse_json(line, where), kind, where, remedy)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {_short(error)}") from None


def read_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """The text of a file in UTF-8.

    Raises:
        UserError: missing, no regular file (a pipe would be waited for without end), too long, or no UTF-8.
    """
    try:
        with _opened(path) as file:
            data = file.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise UserError(f"{path} is longer than {most_bytes // 2**20} MiB, which no file of its kind is")
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} cannot be read: it is no text in UTF-8") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {_short(error)}") from None


def _opened(path: Path) -> Any:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path} is not a file")
        return path.open("rb")
    except FileNotFoundError:
        found, (_, verbs) = product_in(path.parent), PRODUCTS.get(path.name, ("", ""))
        holds, makers = f" ({path.parent} holds {found})" if found else "", f" ({verbs})" if verbs else ""
        raise UserError(f"{path} does not exist{holds}; check the path or run the verb that makes it{makers}") from None


def _different(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"it holds {constant}, which is no number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"it holds {text[:40]}, which is beyond all numbers")
    return value


def _depth_exceeds(value: Any, most: int) -> bool:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(most):
        level = [part for each in level for part in (each.values() if isinstance(each, Mapping) else each)
                 if isinstance(part, (dict, list))]  # fmt: skip
        if not level:
            return False
    return True


def _short(error: object) -> str:
    return one_line(" ".join(str(error).split())[:200])
