"""`ImageSet`: pictures with labels. A distilled set, a random subset and the full set are this same type.

On disk it is a class-folder tree that any loader opens::

    0_not_brake/000000.png ...  1_brake/...  metadata.jsonl  set.json  README.md

The number before the class name keeps the label order in loaders that sort folder names.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets.footprints import Footprint, footprint_of
from roadstill.imagesets.pictures import REMEDY, check_digest, check_sum, decoded, read_bytes
from roadstill.imagesets.records import METADATA, read_facts, read_set
from roadstill.imagesets.values import FILE, Values, to_uint8
from roadstill.imagesets.writing import ImageSetWriter, digest_rows
from roadstill.runs import digest_file, digest_of

MOST_PATCHES = 16


@dataclass(frozen=True)
class ImageSet:
    """Prepared pictures on disk, all square and of one size.

    Attributes:
        root: folder that the file names are relative to.
        class_names: one name per label, in label order.
        files: posix paths relative to ``root``, ``n`` of them.
        labels: int64 ``[n]``.
        facts: one mapping per image (token, log, drive, speed_mps, accel_mps2, seed, ...).
        size_px: side length in pixels.
        digest: digest of the file names, labels and image bytes' digests.
        about: further contents of ``set.json``: source, crop, method, licences.
        values: numbers behind the pictures, which agents then see in their place; None for most sets.
    """

    root: Path
    class_names: tuple[str, ...]
    files: tuple[str, ...]
    labels: NDArray[np.int64]
    facts: Sequence[Mapping[str, Any]]
    size_px: int
    digest: str
    about: Mapping[str, Any] = field(default_factory=dict)
    values: Values | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.files)

    @property
    def num_classes(self) -> int:
        """Number of classes, including those without an image."""
        return len(self.class_names)

    @property
    def brakes(self) -> int:
        """Number of classes, counted from the last, that brake; 0 if there are two, or if the set does not tell."""
        found = self.about.get("brakes", 0)
        return found if isinstance(found, int) and 0 <= found < self.num_classes else 0

    def counts(self) -> dict[str, int]:
        """Images per class, by class name."""
        found = np.bincount(self.labels, minlength=self.num_classes)
        return dict(zip(self.class_names, found.tolist(), strict=True))

    def column(self, name: str) -> list[Any]:
        """One fact of every image.

        Raises:
            UserError: no image has it.
        """
        values = [fact.get(name) for fact in self.facts]
        if all(value is None for value in values):
            raise UserError(f"{self.root}: no image has the fact {name!r}; choose one of {sorted(self.facts[0])}")
        return values

    def pixels(self, indices: Sequence[int] | NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """Decoded pictures, uint8 ``[len(indices), size, size, 3]`` (all of them by default)."""
        chosen = range(len(self)) if indices is None else indices
        if self.values is not None and self.values.places is not None:  # files hold whole grids of patches
            return to_uint8(self.values.pictures(chosen))
        out = np.empty((0, self.size_px, self.size_px, 3), np.uint8)
        for place, index in enumerate(chosen):
            picture = decoded(self.picture_bytes(int(index)), self._path(int(index)), self.size_px)
            if not place:  # not before one picture has the size that set.json claims
                out = np.empty((len(chosen), *picture.shape), np.uint8)
            out[place] = picture
        return out

    def picture_bytes(self, index: int) -> bytes:
        """The PNG file of one picture, as it was written.

        Raises:
            UserError: a missing picture, a link that leaves the set, or another picture than was written.
        """
        png = read_bytes(self.root, self.files[index], self.size_px)
        check_sum(png, self.facts[index], self._path(index))
        return png

    def check_pictures(self) -> None:
        """Compares every picture with its digest.

        Raises:
            UserError: as `picture_bytes`.
        """
        for row, facts in enumerate(self.facts):
            check_digest(read_bytes(self.root, self.files[row], self.size_px), facts, self._path(row))
        if self.values is not None:
            self.values.check()

    def missing(self) -> list[str]:
        """Files of the set that are not there; only the class folders are listed, no picture is opened."""
        folders = {file.partition("/")[0] for file in self.files}
        there = {f"{name}/{file.name}" for name in folders for file in (self.root / name).glob("*")}
        missing = [file for file in self.files if file not in there]
        return missing + ([FILE] if self.values is not None and not self.values.path.is_file() else [])

    def _path(self, index: int) -> Path:
        return self.root / self.files[index]

    @cached_property
    def footprint(self) -> Footprint:
        """What the set is made of; two sets that share something of it are not independent."""
        return footprint_of(self.digest, self.facts, self.about)

    def twins(self) -> list[str]:
        """Remarks on pictures that the set holds more than once: under two classes, and under one."""
        places: dict[str | None, list[int]] = {}
        for row, facts in enumerate(self.facts):
            places.setdefault(facts.get("digest"), []).append(row)
        again = [rows for digest, rows in places.items() if len(rows) > 1 and digest is not None]
        torn = [rows for rows in again if len(set(self.labels[rows].tolist())) > 1]
        notes = []
        if torn:
            first, second = torn[0][0], next(row for row in torn[0] if self.labels[row] != self.labels[torn[0][0]])
            notes.append(
                f"WARNING: {self.root}: {_pictures(len(torn))} under two classes, the first as {self.files[first]} and "
                f"{self.files[second]}; no agent can get both right, so leave one out"
            )
        if copies := sum(len(rows) - len(set(self.labels[rows].tolist())) for rows in again):
            first = next(rows for rows in again if len(rows) > len(set(self.labels[rows].tolist())))[1]
            notes.append(
                f"{self.root}: {_pictures(copies)} a copy of another of the same class, the first {self.files[first]}"
            )
        return notes

    def batches(self, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        """Indices and pictures, ``size`` at a time, in order: memory stays flat whatever ``n``."""
        for start in range(0, len(self), size):
            indices = np.arange(start, min(start + size, len(self)))
            yield indices, self.pixels(indices)

    def subset(self, indices: Sequence[int] | NDArray[np.int64], **about: Any) -> "ImageSet":
        """The chosen images, in the given order, over the same files."""
        rows = [int(index) for index in indices]
        return ImageSet(
            root=self.root,
            class_names=self.class_names,
            files=tuple(self.files[row] for row in rows),
            labels=self.labels[rows],
            facts=[self.facts[row] for row in rows],
            size_px=self.size_px,
            digest=digest_of([self.digest, rows]),
            about={**self.about, **about},
            values=None if self.values is None else self.values.subset(rows),
        )

    def unfolded(self) -> "ImageSet":
        """The set in which each patch of a picture is a picture of its own, where its recipe has them (IDC)."""
        recipe = self.about.get("recipe")
        patches = recipe.get("patches", 1) if isinstance(recipe, Mapping) else 1
        if (
            self.values is None
            or type(patches) is not int
            or not 1 < patches <= MOST_PATCHES
            or self.values.patches > 1
        ):
            return self
        rows = np.repeat(np.arange(len(self)), patches**2)
        made = self.subset(rows)
        return replace(made, values=self.values.unfolded(patches))

    def save(self, folder: Path) -> "ImageSet":
        """Copies the pictures into a folder of their own, atomically, and opens it."""
        with ImageSetWriter(folder, self.class_names, self.size_px) as writer:
            for index, label in enumerate(self.labels):
                writer.add_bytes(self.picture_bytes(index), int(label), self.facts[index])
            writer.about.update(self.about)
            writer.values = None if self.values is None else self.values.kept()
        return open_imageset(folder)


def _pictures(count: int) -> str:
    return f"{count:,} pictures are each" if count > 1 else "1 picture is"


def open_imageset(folder: Path | str) -> ImageSet:
    """Opens an `ImageSet` folder.

    Raises:
        UserError: missing or empty folder, foreign or damaged ``set.json`` / ``metadata.jsonl``, labels out of range,
            a file name that leaves the folder, a class folder that is a link out of it.
    """
    root = Path(folder)
    record = read_set(root)
    rows: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for facts in read_facts(root, record):
        if (first := seen.setdefault(facts["file_name"], len(rows) + 1)) <= len(rows):
            where = f"{root / METADATA}, line {len(rows) + 1}"
            raise UserError(f"{where}: {facts['file_name']!r} is the file of line {first}, too; {REMEDY}")
        rows.append(facts)
    is_as_written = record.metadata in (None, digest_file(root / METADATA))
    if digest_rows(record.class_names, rows, record.values) != record.digest or not is_as_written:
        raise UserError(f"{root}: metadata.jsonl is not what set.json was written with; {REMEDY}")
    values = None
    if record.values is not None:
        values = Values(root / FILE, record.values, record.size_px, np.arange(len(rows)))
    return ImageSet(
        root=root,
        class_names=record.class_names,
        files=tuple(row["file_name"] for row in rows),
        labels=np.array([row["label"] for row in rows], np.int64),
        facts=rows,
        size_px=record.size_px,
        digest=record.digest,
        about=record.about,
        values=values,
    )
