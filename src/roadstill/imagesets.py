"""`ImageSet`: pictures with labels. A distilled set, a random subset and the full set are this same type.

On disk it is a class-folder tree that any loader opens::

    0_not_brake/000000.png ...  1_brake/...  metadata.jsonl  set.json  README.md

The number before the class name keeps the label order in loaders that sort folder names.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.images import encode_png, read_image
from roadstill.runs import (
    Count,
    Digest,
    Pixels,
    Record,
    WithClasses,
    atomic_path,
    digest_of,
    folder_name,
    read_record,
    read_rows,
    require_folder,
    typed,
    write_json,
)

FORMAT = "roadstill-imageset-1"
_REMEDY = "make the set again"


class _SetRecord(WithClasses, kw_only=True, frozen=True):
    """``set.json``."""

    size_px: Pixels
    num_images: Count
    digest: Digest
    about: dict[str, Any] = msgspec.field(default_factory=dict)


class _Row(Record, kw_only=True, frozen=True):
    """A line of ``metadata.jsonl``; what else stands there are the picture's facts."""

    file_name: str
    label: Count
    digest: Digest

    def __post_init__(self) -> None:
        try:
            for part in self.file_name.split("/"):
                folder_name(part, "part")
        except UserError:
            raise ValueError(f"{self.file_name[:200]!a} leaves the folder") from None


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
        about: further contents of ``set.json``: source, crop, method, licences.
        digest: digest of the file names, labels and image bytes' digests.
    """

    root: Path
    class_names: tuple[str, ...]
    files: tuple[str, ...]
    labels: NDArray[np.int64]
    facts: Sequence[Mapping[str, Any]]
    size_px: int
    digest: str
    about: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.files)

    @property
    def num_classes(self) -> int:
        """Number of classes, including those without an image."""
        return len(self.class_names)

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
        out = np.empty((len(chosen), self.size_px, self.size_px, 3), np.uint8)
        for row, index in enumerate(chosen):
            picture = np.asarray(read_image(self.root / self.files[int(index)]))
            if picture.shape != out.shape[1:]:
                raise UserError(
                    f"{self.root / self.files[int(index)]} is {picture.shape[1]} x {picture.shape[0]} pixels, "
                    f"but set.json states {self.size_px}; make the set again"
                )
            out[row] = picture
        return out

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
        )

    def save(self, folder: Path) -> "ImageSet":
        """Copies the pictures into a folder of their own, atomically, and opens it."""
        with ImageSetWriter(folder, self.class_names, self.size_px) as writer:
            for index, label in enumerate(self.labels):
                writer.add_bytes((self.root / self.files[index]).read_bytes(), int(label), self.facts[index])
            writer.about.update(self.about)
        return open_imageset(folder)


def class_folder(label: int, name: str) -> str:
    """``0_not_brake``: the number keeps label order in loaders that sort names."""
    return f"{label}_{name}"


class ImageSetWriter:
    """Writes an `ImageSet` folder; ``folder`` appears only when the block ends without an error.

    Raises:
        UserError: a class name that cannot name a folder; at the end of the block, if nothing was added.
    """

    def __init__(self, folder: Path, class_names: Iterable[str], size_px: int) -> None:
        self.folder, self.size_px = folder, size_px
        self.class_names = tuple(folder_name(name, "class name") for name in class_names)
        self.about: dict[str, Any] = {}
        self._rows: list[dict[str, Any]] = []
        self._counts = [0] * len(self.class_names)

    def __enter__(self) -> "ImageSetWriter":
        self._context = atomic_path(self.folder)
        self._path = self._context.__enter__()
        for label, name in enumerate(self.class_names):
            (self._path / class_folder(label, name)).mkdir(parents=True)
        return self

    def add(self, pixels: NDArray[np.uint8], label: int, facts: Mapping[str, Any]) -> None:
        """Adds one RGB picture ``[size, size, 3]``."""
        self.add_bytes(encode_png(pixels), label, facts)

    def add_bytes(self, png: bytes, label: int, facts: Mapping[str, Any]) -> None:
        """Adds one picture that is already encoded as PNG."""
        (self._path / self._note(png, label, facts)).write_bytes(png)

    def add_file(self, png: Path, label: int, facts: Mapping[str, Any]) -> None:
        """Adds one PNG file, without a second copy on disk where the file system can share it."""
        target = self._path / self._note(png.read_bytes(), label, facts)
        try:
            os.link(png, target)
        except OSError:
            shutil.copyfile(png, target)

    def _note(self, png: bytes, label: int, facts: Mapping[str, Any]) -> str:
        name = f"{class_folder(label, self.class_names[label])}/{self._counts[label]:06d}.png"
        self._counts[label] += 1
        kept = {key: value for key, value in facts.items() if key not in ("file_name", "label", "digest")}
        self._rows.append({"file_name": name, "label": label, "digest": digest_of(png.hex())} | kept)
        return name

    def __exit__(self, *error: Any) -> None:
        if error[0] is None and not self._rows:
            empty = UserError(f"{self.folder}: no image to write; loosen the filters or check the source")
            self._context.__exit__(UserError, empty, None)
            raise empty
        if error[0] is None:
            lines = "".join(json.dumps(row) + "\n" for row in self._rows)
            (self._path / "metadata.jsonl").write_text(lines, encoding="utf-8")
            record = {
                "format": FORMAT,
                "class_names": self.class_names,
                "size_px": self.size_px,
                "num_images": len(self._rows),
                "digest": _digest_rows(self.class_names, self._rows),
                "about": self.about,
            }
            write_json(self._path / "set.json", record)
            (self._path / "README.md").write_text(_card(self.class_names, self._counts, self.about), encoding="utf-8")
        self._context.__exit__(*error)


def open_imageset(folder: Path | str) -> ImageSet:
    """Opens an `ImageSet` folder.

    Raises:
        UserError: missing or empty folder, foreign or damaged ``set.json`` / ``metadata.jsonl``, labels out of range,
            a file name that leaves the folder.
    """
    root = require_folder(Path(folder), "an image set (a folder with set.json, made by prepare, select or generate)")
    record = read_record(root / "set.json", _SetRecord, _REMEDY, format=FORMAT)
    folders = [class_folder(label, name) for label, name in enumerate(record.class_names)]
    rows: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for facts in read_rows(root / "metadata.jsonl", dict[str, Any], _REMEDY):
        where = f"{root / 'metadata.jsonl'}, line {len(rows) + 1}"
        row = typed(facts, _Row, where, _REMEDY)
        if row.label >= len(folders):
            raise UserError(f"{where}: label {row.label} is not in 0..{len(folders) - 1}; {_REMEDY}")
        if row.file_name.rpartition("/")[0] != folders[row.label]:
            raise UserError(
                f"{where}: label {row.label} is {record.class_names[row.label]!r}, but {row.file_name!r} does not lie "
                f"in the folder {folders[row.label]}; {_REMEDY}"
            )
        if (first := seen.setdefault(row.file_name, len(rows) + 1)) <= len(rows):
            raise UserError(f"{where}: {row.file_name!r} is the file of line {first}, too; {_REMEDY}")
        rows.append(facts)
    if len(rows) != record.num_images:
        raise UserError(f"{root}: set.json counts {record.num_images} images, metadata.jsonl {len(rows)}; {_REMEDY}")
    if _digest_rows(record.class_names, rows) != record.digest:
        raise UserError(f"{root}: metadata.jsonl is not what set.json was written with; {_REMEDY}")
    return ImageSet(
        root=root,
        class_names=record.class_names,
        files=tuple(row["file_name"] for row in rows),
        labels=np.array([row["label"] for row in rows], np.int64),
        facts=rows,
        size_px=record.size_px,
        digest=record.digest,
        about=record.about,
    )


def _digest_rows(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    return digest_of([list(names), [[row["file_name"], row["label"], row["digest"]] for row in rows]])


def _card(names: Sequence[str], counts: Sequence[int], about: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"| {label} | {name} | {count} |" for label, (name, count) in enumerate(zip(names, counts, strict=True))
    )
    facts = "\n".join(f"- {key}: `{json.dumps(value)}`" for key, value in about.items() if key != "config")
    return (
        "---\ntask_categories:\n- image-classification\ntags:\n- roadstill\n---\n"
        f"# Image set\n\nWritten by roadstill. Labels are in `metadata.jsonl`.\n\n"
        f"| label | class | images |\n|---|---|---|\n{rows}\n\n{facts}\n"
    )
