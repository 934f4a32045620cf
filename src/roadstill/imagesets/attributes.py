"""Attributes: columns of a set's index that say what a picture shows, over a closed vocabulary.

A vocabulary names each attribute's values: ``{"light": ("day", "night"), "weather": ("clear", "rain")}``. All values of
all attributes are numbered together, attributes by name and values as they stand: these numbers are the rows of a
generator's attribute table, so that one table serves any number of attributes.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError, one_line
from roadstill.imagesets.sets import ImageSet
from roadstill.runs import folder_name

Vocabulary: TypeAlias = Mapping[str, tuple[str, ...]]
"""Values by attribute."""
VocabularyRecord: TypeAlias = dict[str, Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=256)]]
"""The same in a record; `check_vocabulary` does the rest."""

MOST_ATTRIBUTES, MOST_VALUES = 16, 256
UNKNOWN = -1
"""Code of a picture that lacks the attribute: it adds nothing to what a generator is told."""
# Facts that tell which picture it is or how it was made: as attributes they would be copied onto generated pictures.
_OTHERS = (
    "file_name", "digest", "token", "log", "drive", "image", "source_image", "start", "checkpoint", "solver", "betas",
    "teacher",
)  # fmt: skip


def check_names(names: Sequence[str], where: str) -> None:
    """Refuses names that cannot be a set's attributes.

    Args:
        names: names of attributes.
        where: setting that holds them, for messages.

    Raises:
        UserError: more than 16, one twice, no proper name, or a fact that tells a picture's identity.
    """
    if len(names) > MOST_ATTRIBUTES:
        raise UserError(f"{where} names {len(names):,} attributes; take at most {MOST_ATTRIBUTES}")
    for name in names:
        folder_name(name, f"{where}: attribute")
        if name in _OTHERS:
            raise UserError(f"{where}: {name!r} says which picture it is, not what it shows; name another column")
    if len(set(names)) < len(names):
        raise UserError(f"{where} is {list(names)}; each attribute may stand once")


def check_vocabulary(vocabulary: Vocabulary) -> None:
    """Refuses a vocabulary beyond its limits.

    Raises:
        UserError: names that `check_names` refuses, no or more than 256 values, values that cannot be told apart in
            words ("red light", "red_light" and "Red-Light" are one).
    """
    check_names(tuple(vocabulary), "attributes")
    for name, values in vocabulary.items():
        if not 0 < len(values) <= MOST_VALUES:
            raise UserError(f"attribute {name!r} has {len(values):,} values; it may have 1 to {MOST_VALUES}")
        seen: dict[str, str] = {}
        for value in values:
            folder_name(value, f"value of the attribute {name!r}")
            if (first := seen.setdefault(spoken(value), value)) != value or values.count(value) > 1:
                raise UserError(f"attribute {name!r} has both {first!r} and {value!r}; name them apart")


def spoken(value: str) -> str:
    """A value as words: lower case, single blanks for ``-`` and ``_``."""
    return " ".join(value.lower().replace("_", " ").replace("-", " ").split())


def rows_of(vocabulary: Vocabulary) -> dict[tuple[str, str], int]:
    """The row of each (attribute, value): attributes by name, values as they stand."""
    pairs = [(name, value) for name in sorted(vocabulary) for value in vocabulary[name]]
    return {pair: row for row, pair in enumerate(pairs)}


def extended(known: Vocabulary, more: Vocabulary) -> dict[str, tuple[str, ...]]:
    """A vocabulary with another one's attributes and values behind its own.

    Raises:
        UserError: together they are no vocabulary.
    """
    both = {name: known.get(name, ()) for name in sorted({*known, *more})}
    for name, values in more.items():
        both[name] += tuple(value for value in values if value not in both[name])
    check_vocabulary(both)
    return both


def described(vocabulary: Vocabulary) -> str:
    """A vocabulary on one line: ``light: day, night; weather: clear, rain``."""
    return "; ".join(f"{name}: {', '.join(vocabulary[name])}" for name in sorted(vocabulary))


def codes_of(images: ImageSet, names: Sequence[str]) -> tuple[dict[str, tuple[str, ...]], NDArray[np.int64]]:
    """Columns of a set as a vocabulary and codes.

    Args:
        images: the set.
        names: columns that hold texts.

    Returns:
        The vocabulary, values sorted, and the place of each picture's value in it, `UNKNOWN` where it has none,
        ``[n, a]``; columns are the attributes by name.

    Raises:
        UserError: a column that no picture has or that holds something other than texts, too many values.
    """
    check_names(names, "attributes")
    columns = {name: images.column(name) for name in sorted(names)}
    for name, column in columns.items():
        if wrong := [each for each in column if not isinstance(each, str | None)]:
            shown = one_line(str(wrong[0])[:40])
            raise UserError(f"{images.root}: {name!r} holds {shown}; an attribute is a column of texts")
    vocabulary = {name: tuple(sorted({each for each in column if each})) for name, column in columns.items()}
    try:
        check_vocabulary(vocabulary)
    except UserError as error:
        raise UserError(f"{images.root}: {error}") from None
    codes = np.full((len(images), len(columns)), UNKNOWN, np.int64)
    for place, (name, column) in enumerate(columns.items()):
        number: dict[Any, int] = {value: code for code, value in enumerate(vocabulary[name])}
        codes[:, place] = [number.get(each, UNKNOWN) for each in column]
    return vocabulary, codes
