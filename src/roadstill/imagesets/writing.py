"""Writes an image set's folder."""

import json
import os
import shutil
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from roadstill.errors import UserError
from roadstill.images import encode_png
from roadstill.imagesets.card import Portrait, card_of
from roadstill.imagesets.pictures import picture_digest
from roadstill.imagesets.records import FORMAT, METADATA, class_folder, renamed
from roadstill.imagesets.tally import Tally
from roadstill.imagesets.values import FILE
from roadstill.runs import atomic_path, digest_file, digest_of, folder_name, write_json
from roadstill.weights.tensors import write_tensors


class ImageSetWriter:
    """Writes an `ImageSet` folder; ``folder`` appears only when the block ends without an error.

    Attributes:
        about: further contents of ``set.json``.
        values: numbers behind the pictures, see `roadstill.imagesets.values`; None for most sets.

    Raises:
        UserError: a class name that cannot name a folder; at the end of the block, if nothing was added.
    """

    def __init__(self, folder: Path, class_names: Iterable[str], size_px: int) -> None:
        self.folder, self.size_px = folder, size_px
        self.class_names = tuple(folder_name(name, "class name") for name in class_names)
        self.about: dict[str, Any] = {}
        self.values: Mapping[str, Tensor] | None = None
        self._rows: list[dict[str, Any]] = []
        self._tally = Tally(self.class_names)

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
        name = f"{class_folder(label, self.class_names[label])}/{self._tally.counts[label]:06d}.png"
        own = {"file_name": name, "label": label, "digest": picture_digest(png), "crc32": zlib.crc32(png)}
        row = own | {key: value for key, value in renamed(dict(facts)).items() if key not in own}
        self._rows.append(row)
        self._tally.add(row)
        return name

    def __exit__(self, *error: Any) -> None:
        if error[0] is None and not self._rows:
            empty = UserError(f"{self.folder}: no image to write; loosen the filters or check the source")
            self._context.__exit__(UserError, empty, None)
            raise empty
        if error[0] is None:
            lines = "".join(json.dumps(row) + "\n" for row in self._rows)
            (self._path / METADATA).write_text(lines, encoding="utf-8")
            values = None
            if self.values is not None:
                write_tensors(self._path / FILE, self.values)
                values = digest_file(self._path / FILE)
            record = {
                "format": FORMAT,
                "class_names": self.class_names,
                "size_px": self.size_px,
                "num_images": len(self._rows),
                "digest": digest_rows(self.class_names, self._rows, values),
                "metadata": digest_file(self._path / METADATA),
                "about": self.about,
            }
            if values is not None:
                record["values"] = values
            write_json(self._path / "set.json", record)
            card = card_of(Portrait(self._tally, self.about, self.size_px))
            (self._path / "README.md").write_text(card, encoding="utf-8")
        self._context.__exit__(*error)


def digest_rows(names: Sequence[str], rows: Sequence[Mapping[str, Any]], values: str | None = None) -> str:
    """A set's digest: of its class names, of each picture's file, label and digest, and of the file of values."""
    parts = [list(names), [[row["file_name"], row["label"], row["digest"]] for row in rows]]
    return digest_of(parts if values is None else [*parts, values])
