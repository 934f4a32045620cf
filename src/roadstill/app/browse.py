"""The sets of a run, what they can be sifted by, and pages of their pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.report.captions import Tile
from roadstill.report.lens import Lens, teacher_of, tiles_of, training_part
from roadstill.report.parts import recipe_labels
from roadstill.runs import require_folder

PER_PAGE = 24
_PARTS = {"train": "Training part", "dev": "Dev part"}  # the test part is opened through its ledger only
_MOST_VALUES = 40
# Facts that tell which picture it is, or how all of a set were made, and nothing of what it shows.
_NO_STRATA = {
    "file_name", "digest", "token", "log", "drive", "image", "source_image", "start", "checkpoint", "betas", "teacher",
}  # fmt: skip
_FIRST = ("light", "weather", "cause", "town", "location", "command")


@dataclass(frozen=True)
class Entry:
    """A set of a run.

    Attributes:
        title: its name on the page.
        folder: its folder.
        arm: the arm that it is of; empty for a part of the data.
    """

    title: str
    folder: Path
    arm: str = ""


@dataclass(frozen=True)
class Page:
    """Some of the pictures that were asked for.

    Attributes:
        tiles: pictures with what is known of them.
        number: this page's number, from 1.
        pages: number of pages, at least 1.
        found: number of all pictures that were asked for.
    """

    tiles: Sequence[Tile]
    number: int
    pages: int
    found: int


def require_run(run: Path) -> Path:
    """Refuses what is no run folder.

    Raises:
        UserError: no folder, or one that no run has begun.
    """
    require_folder(run, "a run folder (made by roadstill run or demo)")
    if not (run / "recipe.yaml").is_file() and not entries_of(run) and not list(run.glob("comparison*.json")):
        raise UserError(f"{run} is no run folder (it has no recipe.yaml); give the folder that run or demo made")
    return run


def entries_of(run: Path) -> list[Entry]:
    """The sets of a run: the parts of its data but for the test part, then those of its arms, seed by seed.

    Those that a link leads to elsewhere are none of the run.
    """
    parts = [(title, run / "sets" / name) for name, title in _PARTS.items()]
    found = [Entry(title, folder) for title, folder in parts if (folder / "set.json").is_file()]
    try:
        labels = recipe_labels(run)
    except UserError:
        labels = {}  # what is wrong with the recipe is said where it matters
    arms = [Entry("", path.parent, path.parent.parent.name) for path in sorted(run.glob("arms/*/seed*/set.json"))]
    picked = [path.parent for path in sorted(run.glob("select/*-seed*/set.json"))]
    arms += [Entry("", folder, folder.name.rpartition("-seed")[0]) for folder in picked]
    found, arms = ([each for each in some if is_within(run, each.folder)] for some in (found, arms))
    order = {name: place for place, name in enumerate(labels)}
    arms.sort(key=lambda each: (order.get(each.arm, len(order)), each.arm, len(each.folder.name), each.folder.name))
    for each in arms:
        label = labels.get(each.arm, each.arm)
        shown = label if list(labels.values()).count(label) < 2 else f"{label} ({each.arm})"
        seed = each.folder.name.rpartition("seed")[2].lstrip("-")
        found.append(Entry(f"{shown}, set {seed}", each.folder, each.arm))
    return found


def is_within(run: Path, path: Path) -> bool:
    """Whether a path leads to what lies in the run folder."""
    return path.resolve().is_relative_to(run.resolve())


def open_entry(entry: Entry) -> ImageSet:
    """A set; those that were looked at last are kept.

    Raises:
        UserError: as `open_imageset`.
    """
    record = entry.folder / "set.json"
    return _opened(entry.folder, record.read_bytes() if record.is_file() else b"")


@lru_cache(maxsize=8)
def _opened(folder: Path, record: bytes) -> ImageSet:
    """``record`` is the set's own, another one for another set in this place."""
    return open_imageset(folder)


@lru_cache(maxsize=1)
def lens_of(run: Path) -> tuple[Lens, tuple[str, ...]]:
    """What pictures are looked at with, and what of it cannot be read."""
    lacks = []
    real = scores = None
    try:
        real = training_part(run)
    except UserError as error:
        lacks.append(str(error))
    try:
        scores = teacher_of(run)
    except UserError as error:
        lacks.append(str(error))
    return Lens(real, scores), tuple(lacks)


def strata_of(images: ImageSet) -> dict[str, list[str]]:
    """What a set can be sifted by: its facts in words that differ, such as light and weather, with their values."""
    values: dict[str, set[str]] = {}
    for facts in images.facts:
        for name, value in facts.items():
            if isinstance(value, str) and value and name not in _NO_STRATA:
                values.setdefault(name, set()).add(value)
    order = {name: place for place, name in enumerate(_FIRST)}
    names = sorted(values, key=lambda name: (order.get(name, len(order)), name))
    return {name: sorted(values[name]) for name in names if 1 < len(values[name]) <= _MOST_VALUES}


def rows_of(images: ImageSet, label: int | None = None, where: Mapping[str, str] | None = None) -> list[int]:
    """Rows of the pictures of a class, or of all of them, that show everything asked for."""
    rows = np.arange(len(images)) if label is None else np.flatnonzero(images.labels == label)
    asked = (where or {}).items()
    return [row for row in rows.tolist() if all(images.facts[row].get(name) == value for name, value in asked)]


def page_of(images: ImageSet, rows: Sequence[int], number: int, title: str, lens: Lens, size: int = PER_PAGE) -> Page:
    """A page of some rows; a number beyond the last page gives the last one.

    Raises:
        UserError: a picture that is missing or damaged.
    """
    pages = max(1, -(-len(rows) // size))
    number = min(max(1, number), pages)
    shown = rows[(number - 1) * size : number * size]
    return Page(tiles_of(images, shown, title, lens), number, pages, len(rows))
