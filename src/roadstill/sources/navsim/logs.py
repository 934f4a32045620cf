"""NAVSIM / OpenScene logs -> `FrameStore`, one log in memory at a time; no picture is opened."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.frames import SCHEMA, FrameTable
from roadstill.frames.store import FrameStore, LogRecord, can_store
from roadstill.parallel import Workers
from roadstill.runs import require_folder
from roadstill.sources.navsim.folders import survey
from roadstill.sources.navsim.poses import frame_of_velocities
from roadstill.sources.navsim.schema import BrokenFrame, Frame, read_frame, read_log_name
from roadstill.sources.pickles.unpickle import BrokenLog, read_pickle

STEP_US = 500_000
_TRIED = (
    "in it or a folder of it, nor in navsim_logs/<split>, meta_datas/<split> or *_navsim_logs/<split> below it or "
    "openscene-v1.1"
)
_WANTED = "NAVSIM logs: $OPENSCENE_DATA_ROOT, its navsim_logs/<split>, or any folder of *.pkl logs"


class DataFolders(NamedTuple):
    """Where the logs lie, and the sensor folder that their picture paths are relative to (None: not found)."""

    logs: Path
    sensors: Path | None


def find_data(root: Path | str, split: str | None = None) -> DataFolders:
    """The log and sensor folders below (or at) ``root``, in NAVSIM's layout, the download's, or OpenScene's.

    Raises:
        UserError: no such folder, no logs, or several splits and none chosen.
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
        raise UserError(f"{root}: no *.pkl log {_TRIED}; {_what_is_there(root)}")
    if split is None and len(found) > 1:
        raise UserError(f"{root} holds the splits {', '.join(found)}; name one, or give the path of its logs")
    if split is not None and split not in found:
        raise UserError(f"{root} has no logs of the split {split!r}; it has {', '.join(found)}")
    logs = found[split] if split is not None else next(iter(found.values()))
    return DataFolders(logs, _sensors_of(logs))


def _what_is_there(root: Path) -> str:
    found = survey(root)
    if len(found.logs) == 1:
        return f"logs lie in {found.logs[0]}; give that path, and the pictures' with --sensors where it is asked for"
    if found.logs:
        return (
            f"*.pkl files lie in {len(found.logs)} folders below it, the first {found.logs[0]}; put the logs of a "
            "split into one folder, or give the path of one"
        )
    if found.sensors:
        return (
            f"it holds pictures ({found.sensors[0]}) but not their logs, which are an archive of their own; fetch them"
        )
    return f"it should be {_WANTED}"


def _has_logs(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix == ".pkl" for path in folder.iterdir())


def _sensors_of(logs: Path) -> Path | None:
    logs = Path(os.path.abspath(logs))
    above = logs.parent.parent
    for place in (above / "sensor_blobs", above / logs.parent.name.replace("navsim_logs", "sensor_blobs")):
        if "sensor_blobs" in place.name and (place / logs.name).is_dir():
            return place / logs.name
    return None


@dataclass(frozen=True)
class LogFiles:
    """The logs of a folder.

    Attributes:
        folder: folder of the logs.
        names: names of the logs, sorted; the file of each is ``<name>.pkl``.
        ignored: names of entries of the folder that cannot be logs, by kind or by name.
    """

    folder: Path
    names: list[str]
    ignored: list[str]


def list_logs(folder: Path) -> LogFiles:
    """The logs of a folder that `find_data` found."""
    with os.scandir(folder) as entries:
        is_log = {entry.name: _can_be_log(entry) for entry in entries}
    names = sorted(name.removesuffix(".pkl") for name, yes in is_log.items() if yes)
    return LogFiles(folder, names, sorted(name for name, yes in is_log.items() if not yes))


def _can_be_log(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.name.endswith(".pkl") and can_store(entry.name.removesuffix(".pkl")) and entry.is_file()
    except OSError:  # a link that leads to itself
        return False


def index_logs(
    files: LogFiles,
    store: FrameStore,
    *,
    only: Sequence[str] | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Reads every log once into the store; one that is stored already, from a file of the same size, is not read again.

    Args:
        files: the logs.
        store: store that takes the frames of each.
        only: names of the logs to read; all by default.
        workers: processes; the result does not depend on it.
        progress: callback for (logs done, logs in total) after each log.
    """
    names = list(files.names if only is None else only)
    todo = [name for name in names if not _is_known(files.folder / f"{name}.pkl", store.record(name))]
    done = len(names) - len(todo)
    reader = _Reader(files.folder, store)
    with Workers(min(workers, max(1, len(todo) // 4)), reader) as pool:  # a process takes a second to start
        for _ in pool.each("store_log", [(name,) for name in todo]):
            done += 1
            if progress:
                progress(done, len(names))


def _is_known(path: Path, record: LogRecord | None) -> bool:
    return record is not None and not record.broken and record.source_bytes == path.stat().st_size


@dataclass(frozen=True)
class _Reader:
    folder: Path
    store: FrameStore

    def store_log(self, name: str) -> None:
        path = self.folder / f"{name}.pkl"
        size = path.stat().st_size
        try:
            frames, record = read_log(path)
        except BrokenLog as error:
            # Without the folder, so that the same logs give the same store on every machine.
            problem = str(error).removeprefix(f"{self.folder}{os.sep}")
            self.store.write(name, None, LogRecord(size, problems=[problem], broken=True))
        else:
            self.store.write(name, frames, record)


def read_log(path: Path) -> tuple[FrameTable, LogRecord]:
    """The readable frames of a log, and what is wrong with the rest.

    Raises:
        BrokenLog: nothing can be read, or the log has another name than its file (a copy would count twice).
    """
    size = path.stat().st_size
    frames, record = frames_of(path.stem, read_pickle(path))
    return frames, replace(record, source_bytes=size)


def frames_of(log: str, entries: Any) -> tuple[FrameTable, LogRecord]:
    """As `read_log`, of what a log's pickle holds, without the file's size.

    Raises:
        BrokenLog: as `read_log`.
    """
    file = f"{log}.pkl"
    if not isinstance(entries, list):
        raise BrokenLog(f"{file}: it holds a {type(entries).__name__}, not a list of frames")
    if not entries:
        raise BrokenLog(f"{file}: it holds 0 frames (an empty list)")
    frames: list[Frame] = []
    positions: list[int] = []
    broken: list[str] = []
    name = None
    for position, entry in enumerate(entries):
        try:
            frame = read_frame(entry)
            name = name or read_log_name(entry)
        except BrokenFrame as error:
            broken.append(f"frame {position}: {error}")
        else:
            frames.append(frame)
            positions.append(position)
    if not frames:
        raise BrokenLog(f"{file}: none of its {len(entries)} frames could be read; {broken[0]}")
    if name is not None and name != log:
        raise BrokenLog(f"{file}: it is the log {name}; remove it if it is a copy, else rename it to {name}.pkl")
    problems = [f"{file}: {len(broken)} frames were left out; the first: {broken[0]}"] if broken else []
    kept = _first_of_each(frames)
    if len(kept) < len(frames):
        problems.append(f"{file}: {len(frames) - len(kept)} frames appear twice; their copies were left out")
    rows = [(frames[row], positions[row]) for row in kept]
    table = _table(log, rows, len(entries), _steady(entries))
    axes = frame_of_velocities([entries[position] for _, position in rows], *_motion(table))
    if axes == "map":
        raise BrokenLog(
            f"{file}: its velocities lie along the axes of the map, not of the vehicle, so labels would be wrong; turn "
            "ego_dynamic_state by the heading, x forward"
        )
    return table, LogRecord(0, len(entries), len(entries) - len(kept), problems, fits_poses=axes == "ego")


def _motion(table: FrameTable) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return table.column("timestamp_us"), np.stack([table.column("vx_mps"), table.column("vy_mps")], 1)


def _first_of_each(frames: Sequence[Frame]) -> list[int]:
    first: dict[str, int] = {}
    for row, frame in enumerate(frames):
        first.setdefault(frame.token, row)
    return list(first.values())


def _steady(entries: Sequence[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each entry, how many before and after it follow each other about half a second apart, ``[n]`` each."""
    stamps = [entry.get("timestamp") if isinstance(entry, dict) else None for entry in entries]
    times = np.array([stamp if isinstance(stamp, (int, np.integer)) else math.nan for stamp in stamps], np.float64)
    place = np.arange(len(times))
    # Entries between two gaps form a run; a place in its run is the distance to the run's ends.
    gap = ~(np.abs(np.diff(times) - STEP_US) < STEP_US / 2)
    first = np.maximum.accumulate(np.where(np.concatenate([[True], gap]), place, 0)) if len(times) else place
    last = np.minimum.accumulate(np.where(np.concatenate([gap, [True]]), place, len(times))[::-1])[::-1]
    return place - first, last - place


def _table(
    log: str, rows: Sequence[tuple[Frame, int]], entries: int, steady: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> FrameTable:
    columns: dict[str, Any] = {name: [getattr(frame, name) for frame, _ in rows] for name in Frame.__dataclass_fields__}
    position = np.array([position for _, position in rows], np.int32)
    columns |= {"log": [log] * len(rows), "drive": [drive_of(log)] * len(rows), "position": position}
    columns["speed_mps"] = [math.hypot(frame.vx_mps, frame.vy_mps) for frame, _ in rows]
    columns["remaining"] = entries - 1 - position
    columns["steady_before"], columns["steady_after"] = (part[position].astype(np.int32) for part in steady)
    return FrameTable(pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA))


def drive_of(log: str) -> str:
    """The drive that a log is cut from: the first two parts (start, vehicle) of the log's name."""
    return "_".join(log.split("_")[:2])


def count_logs(store: FrameStore, logs: Iterable[str]) -> tuple[dict[str, int], list[str]]:
    """Numbers of logs, broken logs, entries and broken entries, and all problems, of these logs in the store."""
    counts = dict.fromkeys(("logs", "broken_logs", "entries", "broken_entries"), 0)
    problems: list[str] = []
    for log in logs:
        record = store.record(log)
        if record is None:
            continue
        counts["logs"] += 1
        counts["broken_logs"] += record.broken
        counts["entries"] += record.entries
        counts["broken_entries"] += record.broken_entries
        problems += record.problems
    return counts, problems
