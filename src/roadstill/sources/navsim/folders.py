"""Where logs and pictures lie, if not where they should: a look around that ends soon, for messages and the doctor."""

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from roadstill.sources.navsim.schema import CAMERA

DEEPEST, MOST_FOLDERS, MOST_ENTRIES, SECONDS = 4, 2_000, 20_000, 3.0


@dataclass(frozen=True)
class Survey:
    """What lies below a folder.

    Attributes:
        logs: folders with ``*.pkl`` files.
        sensors: folders that hold one folder per log, with the front camera's folder in it.
    """

    logs: list[Path] = field(default_factory=list)
    sensors: list[Path] = field(default_factory=list)


def survey(root: Path) -> Survey:
    """The folders of logs and of sensors at or below a folder, as far as a few seconds show."""
    found = Survey()
    for folder in folders_below(root):
        names = _entries(folder)
        if any(name.endswith(".pkl") for name in names):
            found.logs.append(folder)
        if any((folder / name / CAMERA).is_dir() for name in names[:50]):
            found.sensors.append(folder)
    return found


def sensors_beside(logs: Path) -> list[Path]:
    """Sensor folders in the same data set as a folder of logs, whatever the names of their splits."""
    above = Path(os.path.abspath(logs)).parent.parent
    places = [path for path in _folders(above) if path.name.endswith("sensor_blobs")]
    return [folder for place in places for folder in survey(place).sensors]


def elsewhere(sensors: Path, image: str) -> Path | None:
    """A file with the end of a picture's path, below the sensor folder or the one above it; None if there is none."""
    parts = image.split("/")
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    for root in (sensors, Path(os.path.abspath(sensors)).parent):
        for folder in folders_below(root):
            for tail in tails:
                if (folder / tail).is_file():
                    return folder / tail
    return None


def folders_below(root: Path) -> Iterator[Path]:
    """The folder and those below it, nearest first, within bounds of depth, number and time."""
    deadline, count = time.monotonic() + SECONDS, 0
    todo = deque([(root, 0)])
    while todo and count < MOST_FOLDERS and time.monotonic() < deadline:
        folder, depth = todo.popleft()
        count += 1
        yield folder
        if depth < DEEPEST:
            todo.extend((child, depth + 1) for child in _folders(folder))


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in islice(entries, MOST_ENTRIES) if not entry.name.startswith(".")]
            return sorted(Path(entry.path) for entry in found if _is_folder(entry))[:MOST_FOLDERS]
    except (OSError, ValueError):
        return []


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _entries(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in islice(entries, MOST_ENTRIES))
    except (OSError, ValueError):
        return []
