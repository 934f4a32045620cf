"""Frames -> image sets: pictures are cut to size, wherever they lie, and written once all available ones are made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from roadstill.data.choosing import choose_frames
from roadstill.data.copies import left_out
from roadstill.data.picture_store import PictureConfig, PictureStore, fill_from_archive, fill_from_folder
from roadstill.data.set_writing import label_frames, write_set
from roadstill.data.sources import NAVSIM
from roadstill.data.verify import none_there
from roadstill.errors import UserError
from roadstill.frames import FrameTable, PictureFacts, open_frames
from roadstill.frames.splits import SPLITS, open_index
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.parallel import Shard
from roadstill.runs import holding, renewed_parts, require_folder, require_own, state_beside
from roadstill.sources.navsim.folders import sensors_beside
from roadstill.sources.navsim.futures import futures_of
from roadstill.sources.pickles.unpickle import BrokenLog

WORLD_FACTS = ("town", "light", "weather", "cause")


@holding()
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

    An interrupted call resumes where it stopped: finished pictures are kept in a folder beside ``out``.

    Args:
        frames: filtered frames; their labels become the set's.
        sensors: folder that the frames' picture paths are relative to.
        out: folder to write; it appears only when all is done.
        config: size, way of decoding, and the hook that pictures pass.
        workers: processes that decode; the result does not depend on it.
        max_per_class: cap per class, see `choose_frames`.
        label: kind of the classes: ``brake``, or ``location`` (a generator can be pretrained on such foreign classes).
        seed: seed of the choice under that cap.
        about: further contents of ``set.json``.
        progress: callback for (pictures done, pictures in total).

    Returns:
        The set; ``about["missing"]`` counts the pictures that could not be read, ``missing.txt`` lists them.

    Raises:
        UserError: no frame, no sensor folder, no readable picture, or a hook that failed.
    """
    require_own(out, "set.json")
    sensors = require_folder(Path(sensors), "the sensor folder, with one folder per log")
    with PictureStore(state_beside(out, "pictures"), config) as store:
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
    """Pictures made from one archive or shard; others are still to come.

    Attributes:
        ready: number of wanted pictures that are made so far.
        wanted: number of pictures that the sets need.
        problems: one line for each archive or picture that could not be read.
    """

    ready: int
    wanted: int
    problems: list[str]


@holding(shared_by="shard")
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
    futures: bool = False,
    workers: int = 2,
    world: Path | None = None,
    engine: Literal["processes", "ray"] = "processes",
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, ImageSet] | Incomplete:
    """One image set for each of train, dev and test of an index, as far as it has them.

    Finished pictures are kept in ``out/pictures`` until the sets are written, so calls with other archives or shards
    add up, and an interrupted call resumes.

    Args:
        index: folder of the frame tables.
        sensors: folder of the pictures; not read if there are archives.
        out: folder of the sets.
        config: size, way of decoding, and the hook that pictures pass.
        archives: archives of sensor files to take the pictures from; the sets are written once none is missing, or by a
            call without archives.
        shard: share of the logs whose pictures are made; the sets are written by a call without it.
        max_per_class: cap on the pictures of a class in each part.
        label: kind of the classes, see `prepare`.
        futures: whether pictures get the vehicle's poses in the next 4 s as the fact ``future``, from the index's logs;
            frames without are left out.
        workers: processes that draw and decode.
        world: folder of a built-in world, whose missing pictures are drawn first, unless there are archives.
        engine: what makes the pictures of a folder: processes of this machine, or workers of Ray, on all machines of a
            cluster that see the folders.
        say: callback for one line of progress.

    Raises:
        UserError: no folder and no archive of pictures, a part without a frame of a class or without one readable
            picture, a hook that failed, or logs without poses.
    """
    require_own(out, own="train/set.json")
    parts = {name: choose_frames(open_frames(index / f"{name}.parquet"), max_per_class) for name in _parts_of(index)}
    ahead = _futures_of(index, parts) if futures else {}
    if futures:
        parts = {name: part.take(np.isin(part.column("token"), list(ahead))) for name, part in parts.items()}
    if label == "brake":
        _check_classes(index, parts)
    wanted = [str(image) for part in parts.values() for image in part.column("image")]
    with PictureStore(out / "pictures", config) as store:
        facts = PictureFacts(parts.values()) if config.hook else None
        mine = _of_shard(parts, shard) if shard else wanted
        problems: list[str] = []
        if world is not None and not archives:
            from roadstill.world.pictures import draw_pictures

            say(f"drawing {len(mine):,} pictures")
            draw_pictures(world, [image for image in mine if not store.has(image)], workers=workers)
        for archive in archives:
            gave = fill_from_archive(store, mine, archive, facts=facts)
            problems += gave.problems
            say(f"{archive}: {gave.found:,} wanted pictures, {gave.made:,} of them new")
        if not archives and sensors is not None:
            fill = fill_from_folder if engine == "processes" else _on_ray()
            fill(store, mine, sensors, facts=facts, workers=workers)
        ready = sum(map(store.has, wanted))
        # The sets are never written by a shard: another one may be at work.
        if shard or (archives and ready < len(wanted)):
            return Incomplete(ready, len(wanted), problems)
        if not ready:
            raise UserError(f"{index}: {none_there(sensors, wanted[0], len(wanted), _other_sensors(index))}")
        about: dict[str, Any] = {"max_per_class": max_per_class, "seed": 0, "synthetic": world is not None}
        about |= {} if world is not None else _source_of(index)
        known: dict[str, dict[str, Any]] = {} if world is None else dict(_scenes_of(world))
        known |= {token: {**known.get(token, {}), "future": poses} for token, poses in ahead.items()}
        unwanted = left_out({name: _classes(part, label) for name, part in parts.items()}, store)
        with renewed_parts(out) as new:
            for name, part in parts.items():
                write_set(
                    part,
                    store,
                    sensors,
                    new / name,
                    label=label,
                    about=about | {"split": name},
                    known=known,
                    left_out=unwanted[name],
                )
        store.remove()
        return {name: open_imageset(out / name) for name in parts}


def _on_ray() -> Callable[..., object]:
    from roadstill.data.on_ray import fill_on_ray

    return fill_on_ray


def _classes(frames: FrameTable, label: str) -> tuple[list[str], list[str]]:
    """Picture and class of every frame."""
    names, labels = label_frames(frames, label)
    return frames.column("image").tolist(), [names[each] for each in labels.tolist()]


def _check_classes(index: Path, parts: Mapping[str, FrameTable]) -> None:
    """Refuses parts on which nothing could be measured, before hours are spent on pictures."""
    for part, frames in parts.items():
        names = frames.label.class_names
        counts = np.bincount(frames.labels, minlength=len(names))
        if len(frames) and not counts.all():
            raise UserError(
                f"{index}: the part {part} has no frame of the class {names[int(counts.argmin())]} "
                f"({len(frames):,} in all), so nothing can be learnt or measured on it; index again with another "
                "--split_seed, other --shares or looser filters"
            )


def _futures_of(index: Path, parts: Mapping[str, FrameTable]) -> dict[str, list[float]]:
    """The poses after each frame, by token, of all parts."""
    logs = open_index(index).get("logs")
    if not logs:
        raise UserError(f"{index} was not made from NAVSIM logs, whose poses futures are; leave futures out")
    wanted: dict[str, set[str]] = {}
    for part in parts.values():
        for log, token in zip(part.column("log"), part.column("token"), strict=True):
            wanted.setdefault(log, set()).add(token)
    found: dict[str, list[float]] = {}
    for log, tokens in wanted.items():
        try:
            found |= futures_of(Path(logs) / f"{log}.pkl", tokens)
        except BrokenLog as error:
            raise UserError(f"{logs}: {error}; leave futures out, or index without that log") from None
    return found


def _scenes_of(world: Path) -> dict[str, dict[str, str]]:
    """What a built-in world records of each frame besides its log, by token: the strata of evaluation."""
    table = pq.read_table(world / "facts.parquet", columns=["token", *WORLD_FACTS])
    rows = zip(*(table.column(name).to_pylist() for name in ("token", *WORLD_FACTS)), strict=True)
    return {token: dict(zip(WORLD_FACTS, values, strict=True)) for token, *values in rows}


def _other_sensors(index: Path) -> list[Path]:
    """Sensor folders near the logs of an index."""
    logs = open_index(index).get("logs") if (index / "index.json").is_file() else None
    return sensors_beside(Path(logs)) if logs else []


def _source_of(index: Path) -> dict[str, str]:
    """What the frames of an index were read from, for the sets' records; nothing where it does not tell."""
    known = open_index(index) if (index / "index.json").is_file() else {"source": None}
    source = known.get("source", NAVSIM)
    return {"source": source} if isinstance(source, str) else {}


def _parts_of(index: Path) -> list[str]:
    """The parts that an index has; one whose frames were selected may hold the train part alone."""
    known = open_index(index)["frames"] if (index / "index.json").is_file() else None
    return [name for name in SPLITS if known is None or name in known]


def _of_shard(parts: Mapping[str, FrameTable], shard: Shard) -> list[str]:
    """The pictures of every n-th log."""
    pairs = [pair for part in parts.values() for pair in zip(part.column("log"), part.column("image"), strict=True)]
    logs = set(shard.of(sorted({log for log, _ in pairs})))
    return [str(image) for log, image in pairs if log in logs]
