"""Driving data on this machine: its folders, its splits, and their sizes.

Counting stops at a stated limit, so that a disk with a million pictures, or a network disk, takes only seconds.
"""

import os
import shutil
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.sources.cifar10.parts import find_cifar10
from roadstill.sources.navsim.folders import survey
from roadstill.sources.navsim.logs import find_data

ROOTS = ("OPENSCENE_DATA_ROOT", "NUPLAN_MAPS_ROOT", "NAVSIM_EXP_ROOT", "NAVSIM_DEVKIT_ROOT")
CAMERA = "CAM_F0"
MOST_LOGS = 20_000
MOST_PICTURES = 50_000
SECONDS = 3.0  # for all splits of a root together
_MOST_FOLDERS = 200
_LOG_FOLDERS = ("navsim_logs", "meta_datas")


def environment() -> dict[str, dict[str, Any]]:
    """State of each folder that an environment variable names: unset, missing, a file, unreadable, or found."""
    return {name: folder_facts(Path(os.environ[name])) if os.environ.get(name) else _UNSET for name in ROOTS}


_UNSET: dict[str, Any] = {"state": "not set"}


def folder_facts(path: Path) -> dict[str, Any]:
    """Path, state and free disk space of a folder."""
    facts: dict[str, Any] = {"path": str(path)}
    try:
        with os.scandir(path) as entries:
            next(entries, None)
    except FileNotFoundError:
        return facts | {"state": "does not exist"}
    except NotADirectoryError:
        return facts | {"state": "is not a folder"}
    except (OSError, ValueError) as error:
        return facts | {"state": f"cannot be read ({getattr(error, 'strerror', None) or error})"}
    return facts | {"state": "found", "free_gib": round(shutil.disk_usage(path).free / 2**30, 1)}


def root_facts(root: Path) -> dict[str, Any]:
    """The same for a root of driving data, with its splits, or with the form of CIFAR-10 that is there."""
    facts = folder_facts(root)
    if facts["state"] != "found":
        return facts
    try:
        form = find_cifar10(root)
    except OSError:
        form = None
    if form is not None:
        return facts | {"cifar10": form, "splits": []}
    facts["splits"] = splits(root)
    if not facts["splits"]:
        there = survey(root)
        facts |= {name: str(folders[0]) for name, folders in vars(there).items() if folders}
        if there.sensors and not there.logs:
            facts["note"] = "pictures without logs, which are an archive of their own"
    return facts


def splits(root: Path) -> list[dict[str, Any]]:
    """The splits below a data root (or the folder of logs itself): path, logs, sensor folder, pictures."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + SECONDS
    for folder in _log_folders(root):
        logs, more_logs = count_logs(folder)
        if not logs:
            continue
        facts: dict[str, Any] = {"split": folder.name, "logs_path": str(folder), "logs": logs, "more_logs": more_logs}
        try:
            sensors = find_data(folder).sensors
        except (UserError, OSError):
            sensors = None
        if sensors is not None:
            pictures, more = count_pictures(sensors, deadline)
            facts |= {"sensors_path": str(sensors), "pictures": pictures, "more_pictures": more}
        found.append(facts)
    return found


def _log_folders(root: Path) -> Iterator[Path]:
    """Folders that may hold logs, in NAVSIM's layout, the download's, or OpenScene's."""
    yield root
    for base in (root, root / "openscene-v1.1"):
        for child in _folders(base):
            if child.name in _LOG_FOLDERS or child.name.endswith("_navsim_logs"):
                yield from _folders(child)
            elif base == root:
                yield child


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in islice(entries, _MOST_FOLDERS) if entry.is_dir())
    except (OSError, ValueError):
        return []


def count_logs(folder: Path) -> tuple[int, bool]:
    """Number of ``*.pkl`` in a folder, and whether there are more than that."""
    try:
        with os.scandir(folder) as entries:
            count = sum(entry.name.endswith(".pkl") for entry in islice(entries, MOST_LOGS))
            return count, next(entries, None) is not None
    except (OSError, ValueError):
        return 0, False


def count_pictures(sensors: Path, deadline: float) -> tuple[int, bool]:
    """Number of front camera files below a sensor folder, and whether counting stopped (at a time) before the end."""
    count = 0
    for log in _names(sensors):
        for _ in _names(os.path.join(log, CAMERA)):
            count += 1
            if count >= MOST_PICTURES:
                return count, True
        if time.monotonic() > deadline:
            return count, True
    return count, False


def _names(folder: Path | str) -> Iterator[str]:
    """Yields paths of a folder's entries, as far as it can be read."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.path
    except (OSError, ValueError):
        return
