"""Accuracy by kind of scene as the page shows it: what is too little to tell is marked, what is told twice left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

FEW_FRAMES = 10  # below, one frame moves a class's accuracy by more than ten points
_FEW_IMAGES = 20  # the same for records that do not tell the classes of a stratum
_PLACES = ("location", "town")


@dataclass(frozen=True)
class Row:
    """One kind of scene.

    Attributes:
        name: its name, or its names if several facts name the same frames.
        images: number of its frames.
        classes: their number by class; empty if the record does not tell.
        only: the class of all its frames, if they are of one.
        few: whether a class has so few frames that its figures mean little.
        scores: mean and deviation for each arm.
    """

    name: str
    images: int
    classes: dict[str, int]
    only: str
    few: bool
    scores: list[Mapping[str, float]]


@dataclass(frozen=True)
class Table:
    """The rows of one kind of stratum, most frames first.

    Attributes:
        kind: what it is by: ``light``, ``location and town``.
        rows: its rows.
        measure: what its figures are.
        knows_classes: whether its rows tell the number of frames of each class.
    """

    kind: str
    rows: list[Row]
    measure: str
    knows_classes: bool


def tables(arms: Sequence[Mapping[str, Any]]) -> list[Table]:
    """A table for each kind of stratum that has several names.

    Location and town share one, in which rows that hold the same figures are one row: a location often has one town.
    """
    found = (arms[0].get("strata") or {}) if arms else {}
    kinds = [kind for kind, names in found.items() if len(names) > 1]
    places = [kind for kind in kinds if kind in _PLACES]
    groups = [places] if places else []
    groups += [[kind] for kind in kinds if kind not in _PLACES]
    return [_table(group, _rows(arms, group)) for group in groups]


def _rows(arms: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> list[Row]:
    """The rows of some kinds, most frames first, those of equal figures as one."""
    rows: dict[Any, Row] = {}
    for kind in kinds:
        for name in arms[0]["strata"][kind]:
            row = _row(arms, kind, name)
            key = _figures(arms, kind, name) if len(kinds) > 1 else name
            if key in rows and rows[key].name != name:
                row = replace(row, name=f"{rows[key].name} / {name}")
            rows[key] = row
    return sorted(rows.values(), key=lambda row: (-row.images, row.name))


def _figures(arms: Sequence[Mapping[str, Any]], kind: str, name: str) -> tuple[Any, ...]:
    """All that the table shows of a stratum but its name."""
    first = arms[0]["strata"][kind][name]
    scores = (arm["strata"][kind][name]["balanced_accuracy"] for arm in arms)
    classes = sorted((first.get("classes") or {}).items())
    return (first["images"], *classes, *((score["mean"], *(score.get("values") or ())) for score in scores))


def _row(arms: Sequence[Mapping[str, Any]], kind: str, name: str) -> Row:
    its = [arm["strata"][kind][name] for arm in arms]
    images, classes = its[0]["images"], dict(its[0].get("classes") or {})
    few = min(classes.values()) < FEW_FRAMES if classes else images < _FEW_IMAGES
    only = next(iter(classes)) if len(classes) == 1 else ""
    return Row(name, images, classes, only, few, [each["balanced_accuracy"] for each in its])


def _table(kinds: Sequence[str], rows: list[Row]) -> Table:
    knows = all(row.classes for row in rows)
    measure = "Balanced accuracy"
    if not knows:
        measure = "Accuracy, mean over the classes that occur,"
    elif all(row.only for row in rows):
        measure = "Share of right answers"
    elif any(row.only for row in rows):
        measure = "Balanced accuracy, or of a single class the share of right answers,"
    return Table(" and ".join(kinds), rows, measure, knows)
