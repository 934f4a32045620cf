"""Pictures of a store, with labels and facts -> `ImageSet`; those that could not be read are counted and left out."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.data.picture_store import PictureStore
from roadstill.errors import UserError, one_line
from roadstill.frames import COMMANDS, FrameTable
from roadstill.images import BrokenImage, LeftOut
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.runs import atomic_path

FACTS = ("token", "log", "drive", "timestamp_us", "speed_mps", "accel_mps2", "location", "command", "image")
LABELS = ("brake", "location")
_ROWS = 4096  # frames whose facts are in memory at a time

_log = logging.getLogger(__name__)


def label_frames(frames: FrameTable, label: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Class names in label order, and the label of every frame ``[n]``."""
    if label not in LABELS:
        raise UserError(f"label {label!r} is unknown; choose one of {', '.join(LABELS)}")
    if label == "brake":
        return frames.label.class_names, frames.labels
    names, labels = np.unique(frames.column("location").astype(str), return_inverse=True)
    return tuple(names.tolist()), labels.astype(np.int64)


def write_set(
    frames: FrameTable,
    store: PictureStore,
    sensors: Path | None,
    out: Path,
    *,
    label: str,
    about: Mapping[str, Any],
    known: Mapping[str, Mapping[str, Any]] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> ImageSet:
    """The set of these frames from the pictures in a store; see `prepare`.

    Args:
        frames: frames of the set.
        store: store of the pictures; it keeps them.
        sensors: folder in which pictures missing in the store are tried once more, to state why; None if there is none.
        out: folder to write.
        label: kind of the classes.
        about: further contents of ``set.json``.
        known: further facts, by token.
        left_out: reasons by picture, see `write_pictures`.

    Raises:
        UserError: no frame, or no picture.
    """
    if not len(frames):
        raise UserError("no frame is left to prepare; loosen the filters")
    class_names, labels = label_frames(frames, label)
    more = known or {}
    facts = (fact | dict(more.get(fact["token"], {})) for fact in _facts(frames))
    rows = zip(facts, labels.tolist(), strict=True)
    about = {"labels": str(frames.label) if label == "brake" else label, **about}
    if label == "brake" and frames.label.edges_mps2:
        about |= {"brakes": frames.label.brakes, "edges_mps2": list(frames.label.edges_mps2)}
    return write_pictures(rows, store, sensors, out, class_names=class_names, about=about, left_out=left_out)


def write_pictures(
    rows: Iterable[tuple[Mapping[str, Any], int]],
    store: PictureStore,
    sensors: Path | None,
    out: Path,
    *,
    class_names: Sequence[str],
    about: Mapping[str, Any],
    left_out: Mapping[str, str] | None = None,
) -> ImageSet:
    """The set of these pictures; missing ones are listed in ``missing.txt``, others in ``left_out.txt``.

    Args:
        rows: facts, ``image`` among them, and label of every picture, in the set's order.
        store: store of the pictures; it keeps them.
        sensors: folder that images are relative to, as for `write_set`.
        out: folder to write.
        class_names: names of the classes, in label order.
        about: further contents of ``set.json``.
        left_out: why a picture is not wanted, by picture.

    Raises:
        UserError: no picture.
    """
    missing: list[str] = []
    copies: list[str] = []
    count = by_hook = 0
    wanted_of: Counter[str] = Counter()
    missing_of: Counter[str] = Counter()
    with ImageSetWriter(out, class_names, store.config.size_px) as writer:
        for fact, label in rows:
            if (why := (left_out or {}).get(fact["image"])) is not None:
                copies.append(f"{fact['image']}: {why}")
                continue
            count += 1
            wanted_of[log := str(fact.get("log"))] += 1
            reason, wished = _missing(store, fact, sensors)
            if reason is None:
                writer.add_file(store.path(fact["image"]), label, fact)
            else:
                missing.append(reason)
                missing_of[log] += 1
                by_hook += wished
        if len(missing) == count:
            if not missing:
                all_copies = (
                    f"all {len(copies):,} pictures are copies: {copies[0]}" if copies else "there is no picture"
                )
                raise UserError(f"the part {out.name}: {all_copies}")
            first = missing[0]
            raise UserError(f"none of the {count:,} pictures could be read; the first: {first}; {sensors} should hold "
                            "them under the paths that the table or the logs give")  # fmt: skip
        made = {key: value for key, value in store.about.items() if key != "size_px"}
        writer.about.update({"crop": "centre square", "resize": "bicubic, antialiased"} | made)
        # A single picture that is a group of its own says nothing of its group.
        empty = sum(1 < wanted == missing_of[log] for log, wanted in wanted_of.items())
        counts = {"missing": len(missing), "left_out": len(copies), "missing_by_hook": by_hook, "empty_logs": empty}
        writer.about.update({key: count for key, count in counts.items() if count or key == "missing"} | dict(about))
    for name, lines in (("missing", missing), ("left_out", copies)):
        if lines:
            with atomic_path(out / f"{name}.txt") as temporary:
                temporary.write_text("".join(one_line(line) + "\n" for line in lines), encoding="utf-8")
    if missing:
        _log.warning("%s of %s pictures cannot be read, see missing.txt of %s", len(missing), count, out.name)
    return open_imageset(out)


def _missing(store: PictureStore, facts: Mapping[str, Any], sensors: Path | None) -> tuple[str | None, bool]:
    """Why a picture is missing, ``None`` if it is not, and whether the user's hook wished it so."""
    image, wished = facts["image"], False
    if store.has(image):
        return None, wished
    why = store.noted(image)
    if sensors is None:
        why = why or "in none of the archives"
    else:
        try:
            store.put(image, sensors / image, facts)
        except BrokenImage as error:
            why, wished = why or " ".join(str(error).split()), isinstance(error, LeftOut)
        else:
            return None, wished
    return why if image in why else f"{image}: {why}", wished


def _facts(frames: FrameTable) -> Iterator[dict[str, Any]]:
    for start in range(0, len(frames), _ROWS):
        part = frames.table.slice(start, _ROWS).select(FACTS)
        for fact in part.to_pylist():
            fact["command"] = COMMANDS[fact["command"]]
            yield fact
