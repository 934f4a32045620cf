"""Frames -> `ImageSet`: decode, centre square, antialiased resize; unreadable pictures are counted and left out."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.frames import CLASS_NAMES, COMMANDS, FrameTable, leaves_folder
from roadstill.images import BrokenImage, centre_square, encode_png, read_image
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.runs import atomic_path, require_folder, seed_of

FACTS = ("token", "log", "drive", "timestamp_us", "speed_mps", "accel_mps2", "location", "command", "image")
LABELS = {"brake": "accel_mps2 < 0", "location": "location"}
_WINDOW = 64  # pictures in flight per worker: bounds memory

_log = logging.getLogger(__name__)


def choose_frames(frames: FrameTable, max_per_class: int | None, seed: int = 0) -> FrameTable:
    """At most ``max_per_class`` frames of each class, spread over the logs, in the table's order; None keeps all.

    One frame of every log is taken before a second of any, so that a small set shows as many places as it can.
    """
    if max_per_class is None:
        return frames
    if max_per_class < 1:
        raise UserError(f"max_per_class {max_per_class} should be at least 1")
    labels = frames.labels
    _, log = np.unique(frames.column("log"), return_inverse=True)
    kept = np.zeros(len(frames), np.bool_)
    for label in range(len(CLASS_NAMES)):
        rows = np.flatnonzero(labels == label)
        rng = np.random.default_rng(seed_of("choose frames", seed, label))
        rank = _rank_within(log[rows], rng.random(len(rows)))
        order = np.lexsort((rng.random(len(rows)), rank))
        kept[rows[order[:max_per_class]]] = True
    return frames.take(kept)


def _rank_within(group: NDArray[np.int64], key: NDArray[np.float64]) -> NDArray[np.int64]:
    """Place of each row among the rows of its group, ordered by key: 0 is the first of its group."""
    order = np.lexsort((key, group))
    starts = np.concatenate([[True], np.diff(group[order]) != 0]) if len(group) else np.zeros(0, np.bool_)
    place = np.arange(len(group))
    rank = np.empty(len(group), np.int64)
    rank[order] = place - np.maximum.accumulate(np.where(starts, place, 0))
    return rank


def label_frames(frames: FrameTable, label: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Class names in label order, and the label of every frame ``[n]``."""
    if label not in LABELS:
        raise UserError(f"label {label!r} is unknown; choose one of {', '.join(LABELS)}")
    if label == "brake":
        return CLASS_NAMES, frames.labels
    names, labels = np.unique(frames.column("location").astype(str), return_inverse=True)
    return tuple(names.tolist()), labels.astype(np.int64)


def wanted_images(frames: FrameTable, max_per_class: int | None = None, seed: int = 0) -> list[str]:
    """The pictures that `prepare` will open for the same arguments, so that only these need be drawn or unpacked."""
    return [str(image) for image in choose_frames(frames, max_per_class, seed).column("image")]


def prepare(
    frames: FrameTable,
    sensors: Path,
    out: Path,
    *,
    size_px: int,
    workers: int = 0,
    max_per_class: int | None = None,
    label: str = "brake",
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImageSet:
    """Square pictures of ``size_px`` with labels and facts, in the order of the frames.

    Args:
        frames: filtered frames; their labels become the set's.
        sensors: folder that the frames' picture paths are relative to.
        out: folder to write; it appears only when all is done.
        size_px: side of the pictures.
        workers: threads that decode (0: none besides the caller's); the result does not depend on it.
        max_per_class: cap per class, see `choose_frames`.
        label: ``brake``, or ``location`` (a generator can be pretrained on such foreign classes).
        seed: of the choice under that cap.
        about: what to remember in ``set.json``.
        progress: called with (pictures done, pictures in all).

    Returns:
        The set; ``about["missing"]`` counts the pictures that could not be read, ``missing.txt`` lists them.

    Raises:
        UserError: no frame, no sensor folder, or not one readable picture.
    """
    if not len(frames):
        raise UserError("there is no frame to prepare; loosen the filters")
    if size_px < 1:
        raise UserError(f"size_px {size_px} should be at least 1")
    sensors = require_folder(Path(sensors), "the sensor folder, with one folder per log")
    frames = choose_frames(frames, max_per_class, seed)
    class_names, labels = label_frames(frames, label)
    facts = _facts(frames)
    missing: list[str] = []
    with ImageSetWriter(out, class_names, size_px) as writer:
        results = _ordered_map(partial(_square_png, sensors, size_px), [fact["image"] for fact in facts], workers)
        for row, result in enumerate(results):
            if isinstance(result, bytes):
                writer.add_bytes(result, int(labels[row]), facts[row])
            else:
                missing.append(result)
            if progress:
                progress(row + 1, len(frames))
        if len(missing) == len(frames):
            raise UserError(
                f"not one of the {len(frames):,} pictures can be read; the first: {missing[0]}; "
                f"{sensors} should hold <log>/CAM_F0/*.jpg"
            )
        writer.about.update({"crop": "centre square", "resize": "bicubic, antialiased", "labels": LABELS[label]})
        writer.about.update({"max_per_class": max_per_class, "seed": seed, "missing": len(missing)} | dict(about or {}))
    if missing:
        with atomic_path(out / "missing.txt") as temporary:
            temporary.write_text("".join(line + "\n" for line in missing), encoding="utf-8")
        _log.warning("%s of %s pictures cannot be read, see %s", len(missing), len(frames), out / "missing.txt")
    return open_imageset(out)


def _facts(frames: FrameTable) -> list[dict[str, Any]]:
    columns = [frames.column(name).tolist() for name in FACTS]
    facts = [dict(zip(FACTS, row, strict=True)) for row in zip(*columns, strict=True)]
    for fact in facts:
        fact["command"] = COMMANDS[fact["command"]]
    return facts


def _square_png(sensors: Path, size_px: int, image: str) -> bytes | str:
    """PNG bytes, or the line that says why not."""
    if leaves_folder(image):
        return f"{image!r}: leaves the sensor folder"
    try:
        return encode_png(np.asarray(centre_square(read_image(sensors / image), size_px)))
    except BrokenImage as error:
        return " ".join(str(error).split())


def _ordered_map(function: Callable[[str], bytes | str], items: Sequence[str], workers: int) -> Iterator[bytes | str]:
    """``map`` over threads (Pillow decodes and resizes outside the interpreter's lock), few items ahead."""
    if workers < 1:
        yield from map(function, items)
        return
    rest = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        while window := list(islice(rest, workers * _WINDOW)):
            yield from pool.map(function, window)
