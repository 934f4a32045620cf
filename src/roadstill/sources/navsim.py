"""NAVSIM / OpenScene logs -> `FrameTable`, one log in memory at a time; no picture is opened.

A scene is a window of 14 consecutive entries of a log (stride 1); its current frame is entry 3, and it counts only if
that frame has a route. This is the rule of NAVSIM's own ``navtrain`` and ``navtest`` filters.
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from roadstill.errors import UserError
from roadstill.frames import SCHEMA, FrameTable
from roadstill.runs import require_folder
from roadstill.sources.schema import BrokenFrame, Frame, has_route, read_frame, read_log_name
from roadstill.sources.unpickle import BrokenLog, read_pickle

WINDOW = 14
CURRENT = 3
STEP_US = 500_000
COUNTS = (
    "files_ignored", "logs", "logs_broken", "logs_short", "frames", "frames_broken", "scenes_without_route",
    "duplicates", "scenes", "scenes_with_gap", "images_missing",
)  # fmt: skip
_WANTED = "NAVSIM logs: $OPENSCENE_DATA_ROOT, its navsim_logs/<split>, or any folder of *.pkl logs"


class DataFolders(NamedTuple):
    """Where the logs lie, and the sensor folder that their picture paths are relative to (None: not found)."""

    logs: Path
    sensors: Path | None


@dataclass(frozen=True)
class Index:
    """What a pass over logs found.

    Attributes:
        frames: the current frame of every scene, in the order of log names and time.
        problems: one line for each log or file that was left out or is odd.
        counts: one number for each of `COUNTS`; ``scenes`` is what is left in ``frames``.
        folders: the folders that were read.
    """

    frames: FrameTable
    problems: list[str]
    counts: dict[str, int]
    folders: DataFolders


def find_data(root: Path | str, split: str | None = None) -> DataFolders:
    """The log and sensor folders below (or at) ``root``, in NAVSIM's layout, the download's, or OpenScene's.

    Raises:
        UserError: nothing there, no logs, or several splits and none chosen.
    """
    root = require_folder(Path(root).expanduser(), _WANTED)
    if _has_logs(root):
        return DataFolders(root, _sensors_of(root))
    bases = [root, root / "openscene-v1.1"]
    patterns = ("navsim_logs/*", "meta_datas/*", "*_navsim_logs/*")
    places = [path for base in bases for pattern in patterns for path in sorted(base.glob(pattern))]
    places += [path for path in sorted(root.iterdir()) if path.is_dir()]
    found: dict[str, Path] = {}
    for path in places:
        if path.name not in found and _has_logs(path):
            found[path.name] = path
    if not found:
        raise UserError(f"{root}: no *.pkl log in it, nor in navsim_logs/<split> below it; it should be {_WANTED}")
    if split is None and len(found) > 1:
        raise UserError(f"{root} holds the splits {', '.join(found)}; name one, or give the path of its logs")
    if split is not None and split not in found:
        raise UserError(f"{root} has no logs of the split {split!r}; it has {', '.join(found)}")
    logs = found[split] if split is not None else next(iter(found.values()))
    return DataFolders(logs, _sensors_of(logs))


def _has_logs(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix == ".pkl" for path in folder.iterdir())


def _sensors_of(logs: Path) -> Path | None:
    logs = Path(os.path.abspath(logs))
    above = logs.parent.parent
    for place in (above / "sensor_blobs", above / logs.parent.name.replace("navsim_logs", "sensor_blobs")):
        if "sensor_blobs" in place.name and (place / logs.name).is_dir():
            return place / logs.name
    return None


def index_logs(
    logs: Path | str,
    *,
    sensors: Path | None = None,
    split: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Index:
    """One pass over all logs of a folder.

    Args:
        logs: a folder that `find_data` understands.
        sensors: if given, the pictures of the scenes are looked for there (not opened), and missing ones counted.
        split: which split, if there are several.
        progress: called with (logs done, logs in all) after each log.

    Raises:
        UserError: no logs, all broken, or no scene in them.
    """
    folders = find_data(logs, split)
    if sensors is not None:
        folders = folders._replace(sensors=require_folder(Path(sensors), "the sensor folder, with one folder per log"))
    files = sorted(folders.logs.iterdir())
    paths = [path for path in files if path.suffix == ".pkl" and path.is_file()]
    ignored = [path.name for path in files if path not in set(paths)]
    counts = Counter(dict.fromkeys(COUNTS, 0) | {"files_ignored": len(ignored), "logs": len(paths)})
    problems = [f"{folders.logs}: {len(ignored)} entries are no *.pkl logs and were left out: {', '.join(ignored[:3])}"]
    problems = problems if ignored else []
    batches: list[pa.RecordBatch] = []
    seen: set[str] = set()
    for done, path in enumerate(paths, 1):
        try:
            rows = _read_log(path)
        except BrokenLog as error:
            counts["logs_broken"] += 1
            problems.append(str(error))
        else:
            fresh = [frame for frame in rows.frames if frame.token not in seen]
            seen.update(frame.token for frame in fresh)
            rows.counts["duplicates"] += len(rows.frames) - len(fresh)
            rows.counts["scenes"] += len(fresh)
            counts.update(rows.counts)
            problems += rows.problems
            batches.append(_batch(rows.log, fresh))
        if progress:
            progress(done, len(paths))
    frames = FrameTable(pa.Table.from_batches(batches, SCHEMA))
    if not len(frames):
        raise UserError(_why_empty(folders.logs, counts, problems))
    if sensors is not None:
        counts["images_missing"] = count_missing(frames.column("image"), sensors)
        if counts["images_missing"]:
            problems.append(f"{sensors}: {counts['images_missing']:,} of {len(frames):,} pictures are missing")
    return Index(frames, problems, dict(counts), folders)


def _why_empty(logs: Path, counts: Counter[str], problems: list[str]) -> str:
    if counts["logs_broken"] == counts["logs"]:
        return f"{logs}: none of the {counts['logs']} logs can be read; the first: {problems[-counts['logs']]}"
    return (
        f"{logs}: no scene in {counts['logs']} logs with {counts['frames']:,} frames: {counts['logs_short']} logs have "
        f"fewer than {WINDOW} frames, {counts['logs_broken']} are broken, {counts['scenes_without_route']} scenes have "
        f"no route, {counts['frames_broken']} a broken frame; index longer logs"
    )


def count_missing(images: Iterable[str], sensors: Path) -> int:
    """How many of the picture paths do not exist below the sensor folder; every folder is listed once."""
    listed: dict[str, set[str]] = {}
    missing = 0
    for image in images:
        folder, _, name = image.rpartition("/")
        if folder not in listed:
            place = sensors / folder
            listed[folder] = set(os.listdir(place)) if place.is_dir() else set()
        missing += name not in listed[folder]
    return missing


@dataclass
class _LogRows:
    log: str
    frames: list[Frame] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def _read_log(path: Path) -> _LogRows:
    entries = read_pickle(path)
    if not isinstance(entries, list):
        raise BrokenLog(f"{path}: it holds a {type(entries).__name__}, not a list of frames")
    rows = _LogRows(path.stem)
    rows.counts["frames"] = len(entries)
    num_scenes = max(0, len(entries) - WINDOW + 1)
    if not num_scenes:
        rows.counts["logs_short"] += 1
        return rows
    try:
        rows.log = read_log_name(entries[CURRENT])
    except BrokenFrame as error:
        raise BrokenLog(f"{path}: frame {CURRENT}: {error}") from None
    if rows.log != path.stem:
        rows.problems.append(f"{path}: the file's name is not that of its log, {rows.log}")
    gaps = _gaps(entries)
    broken: list[str] = []
    for start in range(num_scenes):
        try:
            if not has_route(entries[start + CURRENT]):
                rows.counts["scenes_without_route"] += 1
                continue
            rows.frames.append(read_frame(entries[start + CURRENT]))
            rows.counts["scenes_with_gap"] += gaps[start]
        except BrokenFrame as error:
            broken.append(f"frame {start + CURRENT}: {error}")
    if broken:
        rows.counts["frames_broken"] = len(broken)
        rows.problems.append(f"{path}: {len(broken)} frames were left out; the first: {broken[0]}")
    return rows


def _gaps(entries: list[Any]) -> list[bool]:
    """For each window, whether two of its frames are not about half a second apart (frames were dropped there)."""
    stamps = [entry.get("timestamp") if isinstance(entry, dict) else None for entry in entries]
    times = np.array([stamp if isinstance(stamp, int) else math.nan for stamp in stamps], np.float64)
    odd = ~(np.abs(np.diff(times) - STEP_US) < STEP_US / 2)
    total = np.concatenate([[0], np.cumsum(odd)])
    return ((total[WINDOW - 1 :] - total[: -(WINDOW - 1)]) > 0).tolist()


def drive_of(log: str) -> str:
    """The car's outing that a log is cut from: the first two parts (start, vehicle) of the log's name."""
    return "_".join(log.split("_")[:2])


def _batch(log: str, frames: list[Frame]) -> pa.RecordBatch:
    columns: dict[str, list[Any]] = {
        name: [getattr(frame, name) for frame in frames] for name in Frame.__dataclass_fields__
    }
    columns["log"] = [log] * len(frames)
    columns["drive"] = [drive_of(log)] * len(frames)
    columns["speed_mps"] = [math.hypot(frame.vx_mps, frame.vy_mps) for frame in frames]
    return pa.RecordBatch.from_pydict({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
