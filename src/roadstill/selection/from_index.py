"""Selection before any picture exists: which frames of an index to fetch, by facts from the logs alone.

The result is another index, whose train part holds only the chosen frames::

    index.json  train.parquet  dev.parquet  test.parquet  images.txt
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.frames import BrakeLabel, frame_writers, stream_frames
from roadstill.frames.splits import open_index
from roadstill.runs import atomic_path, digest_file, write_json
from roadstill.selection.base import Method, describe, pick_rows

_FACTS = ("timestamp_us", "speed_mps", "accel_mps2", "command")


@dataclass(frozen=True)
class FrameFacts:
    """The facts of many frames as plain numbers, some 30 bytes a frame: selectors take them instead of an `ImageSet`.

    Attributes:
        root: file that they come from.
        columns: facts ``[n]`` by name; drives and logs are numbered, in the order of the file.
        labels: labels 0 or 1 per frame, ``[n]``.
        rule: rule that sets the labels.
    """

    root: Path
    columns: dict[str, NDArray[Any]]
    labels: NDArray[np.int64]
    rule: BrakeLabel

    def __len__(self) -> int:
        return len(self.labels)

    def column(self, name: str) -> NDArray[Any]:
        """One fact of every frame, ``[n]``.

        Raises:
            UserError: an unknown fact.
        """
        if name not in self.columns:
            raise UserError(f"{self.root}: an index has no fact {name!r} to select by, only {', '.join(self.columns)}")
        return self.columns[name]


def read_facts(path: Path) -> FrameFacts:
    """Reads a frame table in chunks; errors as `stream_frames`."""
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in (*_FACTS, "drive", "log")}
    numbers: dict[str, dict[str, int]] = {"drive": {}, "log": {}}
    labels, rule = [np.empty(0, np.int8)], BrakeLabel()
    for frames in stream_frames(path):
        for name in _FACTS:
            values = frames.column(name)
            parts[name].append(values.astype(np.float32) if values.dtype == np.float64 else values)
        for name, known in numbers.items():
            encoded = frames.table.column(name).combine_chunks().dictionary_encode()
            codes = [known.setdefault(text, len(known)) for text in encoded.dictionary.to_pylist()]
            parts[name].append(np.asarray(codes, np.int32)[encoded.indices.to_numpy()])
        labels.append(frames.labels.astype(np.int8))
        rule = frames.label
    columns = {name: np.concatenate(values) if values else np.empty(0) for name, values in parts.items()}
    return FrameFacts(path, columns, np.concatenate(labels).astype(np.int64), rule)


def select_from_index(
    index: Path, out: Path, method: Method, *, per_class: int, seed: int, train_only: bool = False
) -> int:
    """Chooses frames of an index's train part and writes an index of them, which `prepare` takes.

    Memory grows by some 100 bytes a frame; the table itself is read and written in chunks.

    Args:
        index: folder that `roadstill index` made.
        out: folder to make: the chosen frames, ``images.txt`` with the pictures to fetch (relative to the sensor
            folder), and dev and test unchanged.
        method: selector that needs facts alone.
        per_class: frames per class.
        seed: seed of the draw.
        train_only: whether to leave out dev and test, for a machine that only trains.

    Returns:
        Number of chosen frames.

    Raises:
        UserError: no index, too few frames of a class, a fact that the index does not have.
    """
    known = open_index(index)
    source = index / "train.parquet"
    facts = read_facts(source)
    names = facts.rule.class_names
    chosen = pick_rows(facts, facts.labels, names, method, per_class=per_class, seed=seed, where=str(source))
    rows = np.sort(np.concatenate(chosen))
    with atomic_path(out) as folder:
        folder.mkdir(parents=True)
        images = _write_rows(source, rows, folder / "train.parquet", facts.rule)
        (folder / "images.txt").write_text("".join(f"{image}\n" for image in images), encoding="utf-8")
        frames = {"train": len(rows)}
        for name in () if train_only else ("dev", "test"):
            if name not in known["frames"]:
                raise UserError(f"{index} has no part {name}; leave it out with train_only")
            _link(index / f"{name}.parquet", folder / f"{name}.parquet")
            frames[name] = known["frames"][name]
        about = {"method": describe(method), "per_class": per_class, "seed": seed, "selected_from": digest_file(source)}
        write_json(folder / "index.json", {**known, "frames": frames, "selected": about})
    return len(rows)


def _write_rows(source: Path, rows: NDArray[np.int64], path: Path, rule: BrakeLabel) -> list[str]:
    """Writes these rows (ascending) of a frame table to another, and returns the paths of their pictures."""
    images: list[str] = []
    start = 0
    with frame_writers([path], rule) as (write,):
        for frames in stream_frames(source):
            low, high = np.searchsorted(rows, [start, start + len(frames)])
            part = frames.take(rows[low:high] - start)
            write(part)
            images += map(str, part.column("image"))
            start += len(frames)
    return images


def _link(file: Path, target: Path) -> None:
    """Puts the same file at another place, without a second copy if the file system can share it."""
    if not file.is_file():
        raise UserError(f"{file} does not exist; run `roadstill index` again, or leave the part out with train_only")
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)
