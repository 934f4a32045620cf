"""Frames -> `ImageSet`: decode, centre square, antialiased resize; unreadable pictures are counted and left out."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from roadstill.data.picture_store import PictureConfig, PictureStore, fill_from_archive, fill_from_folder
from roadstill.errors import UserError
from roadstill.frames import CLASS_NAMES, COMMANDS, FrameTable, PictureFacts, open_frames
from roadstill.frames.splits import SPLITS
from roadstill.images import BrokenImage
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.parallel import Shard
from roadstill.runs import atomic_path, read_json, require_folder, seed_of

FACTS = ("token", "log", "drive", "timestamp_us", "speed_mps", "accel_mps2", "location", "command", "image")
LABELS = ("brake", "location")
WORLD_FACTS = ("town", "light", "weather", "cause")
_ROWS = 4096  # frames whose facts are held at a time

_log = logging.getLogger(__name__)


def choose_frames(frames: FrameTable, max_per_class: int | None, seed: int = 0) -> FrameTable:
    """At most ``max_per_class`` frames of each class, spread over the logs, in the table's order; None keeps all.

    One frame of every log is taken before a second of any, so that a small set shows as many places as it can.
    """
    if max_per_class is None:
        return frames
    return frames.take(choose_rows(frames.labels, frames.column("log"), max_per_class, seed))


def choose_rows(
    labels: NDArray[np.int64], groups: NDArray[np.object_], max_per_class: int, seed: int
) -> NDArray[np.bool_]:
    """At most ``max_per_class`` rows of each label, spread over the groups, ``[n]``; see `choose_frames`."""
    if max_per_class < 1:
        raise UserError(f"max_per_class {max_per_class} should be at least 1")
    _, group = np.unique(groups, return_inverse=True)
    kept = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        rng = np.random.default_rng(seed_of("choose frames", seed, label))
        rank = _rank_within(group[rows], rng.random(len(rows)))
        order = np.lexsort((rng.random(len(rows)), rank))
        kept[rows[order[:max_per_class]]] = True
    return kept


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


def prepare(
    frames: FrameTable,
    sensors: Path,
    out: Path,
    *,
    config: PictureConfig,
    workers: int = 1,
    max_per_class: int | None = None,
    label: str = "brake",
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImageSet:
    """Square pictures with labels and facts, in the order of the frames.

    An interrupted call goes on where it stopped: finished pictures wait in a folder beside ``out``.

    Args:
        frames: filtered frames; their labels become the set's.
        sensors: folder that the frames' picture paths are relative to.
        out: folder to write; it appears only when all is done.
        config: size, way of decoding, and the hook that pictures pass.
        workers: processes that decode; the result does not depend on it.
        max_per_class: cap per class, see `choose_frames`.
        label: ``brake``, or ``location`` (a generator can be pretrained on such foreign classes).
        seed: of the choice under that cap.
        about: what to remember in ``set.json``.
        progress: called with (pictures done, pictures in all).

    Returns:
        The set; ``about["missing"]`` counts the pictures that could not be read, ``missing.txt`` lists them.

    Raises:
        UserError: no frame, no sensor folder, not one readable picture, or a hook that failed.
    """
    sensors = require_folder(Path(sensors), "the sensor folder, with one folder per log")
    store = PictureStore(out.with_name(f".{out.name}.pictures"), config)
    frames = choose_frames(frames, max_per_class, seed)
    wanted = [str(image) for image in frames.column("image")]
    facts = PictureFacts([frames]) if config.hook else None
    fill_from_folder(store, wanted, sensors, facts=facts, workers=workers, progress=progress)
    about = {"max_per_class": max_per_class, "seed": seed} | dict(about or {})
    made = write_set(frames, store, sensors, out, label=label, about=about)
    store.remove()
    return made


@dataclass(frozen=True)
class Incomplete:
    """Pictures that one archive or shard gave; others are awaited.

    Attributes:
        ready: wanted pictures that are made so far.
        wanted: how many the sets want.
        problems: one line for each archive or picture that could not be read.
    """

    ready: int
    wanted: int
    problems: list[str]


def prepare_splits(
    index: Path,
    sensors: Path | None,
    out: Path,
    *,
    config: PictureConfig,
    archives: Sequence[Path] = (),
    shard: Shard | None = None,
    max_per_class: int | None = None,
    label: str = "brake",
    workers: int = 2,
    world: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, ImageSet] | Incomplete:
    """One image set for each of train, dev and test of an index, as far as it has them.

    Finished pictures wait in ``out/pictures`` until the sets are written, so calls with other archives or shards add
    up, and an interrupted call goes on.

    Args:
        index: folder of the frame tables.
        sensors: folder of the pictures; not looked at if there are archives.
        out: folder of the sets.
        config: size, way of decoding, and the hook that pictures pass.
        archives: archives of sensor files to take the pictures from; the sets are written once none is lacking, or by a
            call without archives.
        shard: make only the pictures of this share of the logs; the sets are written by a call without it.
        max_per_class: most pictures of a class in each part.
        label: what the classes are, see `prepare`.
        workers: processes that draw and decode.
        world: a built-in world, whose missing pictures are drawn first.
        say: takes one line of progress.

    Raises:
        UserError: no folder and no archive of pictures, a part without one readable picture, or a hook that failed.
    """
    parts = {name: choose_frames(open_frames(index / f"{name}.parquet"), max_per_class) for name in _parts_of(index)}
    wanted = [str(image) for part in parts.values() for image in part.column("image")]
    store = PictureStore(out / "pictures", config)
    facts = PictureFacts(parts.values()) if config.hook else None
    mine = _of_shard(parts, shard) if shard else wanted
    problems: list[str] = []
    if world is not None:
        from roadstill.world.pictures import draw_pictures

        say(f"drawing {len(mine):,} pictures")
        draw_pictures(world, [image for image in mine if not store.has(image)], workers=workers)
    for archive in archives:
        gave = fill_from_archive(store, mine, archive, facts=facts)
        problems += gave.problems
        say(f"{archive}: {gave.found:,} wanted pictures, {gave.made:,} of them new")
    if not archives and sensors is not None:
        fill_from_folder(store, mine, sensors, facts=facts, workers=workers)
    ready = sum(map(store.has, wanted))
    if (archives or shard) and ready < len(wanted):
        return Incomplete(ready, len(wanted), problems)
    if not ready:
        raise UserError(f"{index}: not one of the {len(wanted):,} pictures is there; name their folder with --sensors")
    about = {"max_per_class": max_per_class, "seed": 0, "synthetic": world is not None}
    known = None if world is None else _scenes_of(world)
    made = {
        name: write_set(part, store, sensors, out / name, label=label, about=about | {"split": name}, known=known)
        for name, part in parts.items()
    }
    store.remove()
    return made


def _scenes_of(world: Path) -> dict[str, dict[str, str]]:
    """What a built-in world knows of each frame besides its log, by token: the strata of evaluation."""
    table = pq.read_table(world / "facts.parquet", columns=["token", *WORLD_FACTS])
    rows = zip(*(table.column(name).to_pylist() for name in ("token", *WORLD_FACTS)), strict=True)
    return {token: dict(zip(WORLD_FACTS, values, strict=True)) for token, *values in rows}


def _parts_of(index: Path) -> list[str]:
    """The parts that an index has; one that frames were selected from may hold the train part alone."""
    about = index / "index.json"
    known = read_json(about).get("frames") if about.is_file() else None
    return [name for name in SPLITS if known is None or name in known]


def _of_shard(parts: Mapping[str, FrameTable], shard: Shard) -> list[str]:
    """The pictures of every n-th log."""
    pairs = [pair for part in parts.values() for pair in zip(part.column("log"), part.column("image"), strict=True)]
    logs = set(shard.of(sorted({log for log, _ in pairs})))
    return [str(image) for log, image in pairs if log in logs]


def write_set(
    frames: FrameTable,
    store: PictureStore,
    sensors: Path | None,
    out: Path,
    *,
    label: str,
    about: Mapping[str, Any],
    known: Mapping[str, Mapping[str, str]] | None = None,
) -> ImageSet:
    """The set of these frames from the pictures in a store; see `prepare`.

    Args:
        frames: what the set holds.
        store: the pictures; it keeps them.
        sensors: where pictures that the store lacks are tried once more, to say why; None if there is no such folder.
        out: folder to write.
        label: what the classes are.
        about: what to remember in ``set.json``.
        known: further facts by token.

    Raises:
        UserError: no frame, or not one picture.
    """
    if not len(frames):
        raise UserError("there is no frame to prepare; loosen the filters")
    class_names, labels = label_frames(frames, label)
    more = known or {}
    facts = (fact | dict(more.get(fact["token"], {})) for fact in _facts(frames))
    rows = zip(facts, labels.tolist(), strict=True)
    about = {"labels": str(frames.label) if label == "brake" else label, **about}
    return write_pictures(rows, store, sensors, out, class_names=class_names, about=about)


def write_pictures(
    rows: Iterable[tuple[Mapping[str, Any], int]],
    store: PictureStore,
    sensors: Path | None,
    out: Path,
    *,
    class_names: Sequence[str],
    about: Mapping[str, Any],
) -> ImageSet:
    """The set of these pictures; those that lack are listed in ``missing.txt``.

    Args:
        rows: facts, ``image`` among them, and label of every picture, in the set's order.
        store: as for `write_set`, like the rest.
        sensors: the folder that images are relative to.
        out: folder to write.
        class_names: in label order.
        about: what to remember in ``set.json``.

    Raises:
        UserError: not one picture.
    """
    missing: list[str] = []
    count = 0
    with ImageSetWriter(out, class_names, store.config.size_px) as writer:
        for fact, label in rows:
            count += 1
            if (reason := _lacking(store, fact, sensors)) is None:
                writer.add_file(store.path(fact["image"]), label, fact)
            else:
                missing.append(reason)
        if len(missing) == count:
            first = missing[0] if missing else "there are none"
            raise UserError(f"not one of the {count:,} pictures can be read; the first: {first}; {sensors} should hold "
                            "them by the paths that the table or the logs give")  # fmt: skip
        made = {key: value for key, value in store.about.items() if key != "size_px"}
        writer.about.update({"crop": "centre square", "resize": "bicubic, antialiased"} | made)
        writer.about.update({"missing": len(missing), **about})
    if missing:
        with atomic_path(out / "missing.txt") as temporary:
            temporary.write_text("".join(line + "\n" for line in missing), encoding="utf-8")
        _log.warning("%s of %s pictures cannot be read, see %s", len(missing), count, out / "missing.txt")
    return open_imageset(out)


def _lacking(store: PictureStore, facts: Mapping[str, Any], sensors: Path | None) -> str | None:
    """Why a picture is lacking; ``None`` if it is there."""
    image = facts["image"]
    if store.has(image):
        return None
    why = store.noted(image)
    if sensors is None:
        why = why or "in none of the archives"
    else:
        try:
            store.put(image, sensors / image, facts)
        except BrokenImage as error:
            why = why or " ".join(str(error).split())
        else:
            return None
    return why if image in why else f"{image}: {why}"


def _facts(frames: FrameTable) -> Iterator[dict[str, Any]]:
    for start in range(0, len(frames), _ROWS):
        part = frames.table.slice(start, _ROWS).select(FACTS)
        for fact in part.to_pylist():
            fact["command"] = COMMANDS[fact["command"]]
            yield fact
