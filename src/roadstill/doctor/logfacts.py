"""The structure of one log, without its values: enough to check whether a format is as we expect."""

import os
import re
import statistics
import time
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from roadstill.errors import one_line
from roadstill.frames.motion import Motion
from roadstill.sources.navsim.logs import frames_of
from roadstill.sources.navsim.schema import BrokenFrame, read_frame, read_log_name
from roadstill.sources.pickles.unpickle import BrokenLog, read_pickle

MAX_BYTES = 64 * 2**20
_HEAD = 2**20
_MOST_KEYS = 40
_MOST_TRIED = 20
_MOST_BROKEN = 3
_MODULE = re.compile(rb"\b(numpy(?:\.\w{1,20}){0,3})")


def log_facts(folder: Path) -> dict[str, Any]:
    """Facts of the first log of a folder that can be read, and the pictures (``images``) of its first good frames."""
    broken: list[str] = []
    for path in sorted(path for path in folder.iterdir() if path.suffix == ".pkl")[:_MOST_BROKEN]:
        try:
            return _facts_of(path) | ({"broken_before_it": broken} if broken else {})
        except (BrokenLog, OSError) as error:
            broken.append(str(error).removeprefix(f"{folder}{os.sep}")[:200])
    return {"state": "no log can be read", "broken": broken}


def _facts_of(path: Path) -> dict[str, Any]:
    started = time.monotonic()
    frames = read_pickle(path, max_bytes=MAX_BYTES)
    facts: dict[str, Any] = {
        "bytes": path.stat().st_size,
        "seconds_to_read": round(time.monotonic() - started, 2),
        **_head_facts(path),
    }
    if not isinstance(frames, list) or not frames:
        return facts | {"holds": describe(frames)}
    good, first_problem = [], None
    for frame in frames:
        try:
            read_log_name(frame)
            good.append(read_frame(frame))
        except BrokenFrame as error:
            first_problem = first_problem or str(error)
    facts |= {"frames": len(frames), "good_frames": len(good), "first_problem": first_problem}
    dicts = [frame for frame in frames if isinstance(frame, dict)]
    facts["frames_with_boxes"] = sum("anns" in frame for frame in dicts)
    steps = [(b.timestamp_us - a.timestamp_us) / 1e6 for a, b in pairwise(good)]
    axes, motion = _motion(path.stem, frames)
    facts |= {"velocities": axes, "motion": motion}
    if steps:
        facts["step_s"] = {"least": min(steps), "median": statistics.median(steps), "most": max(steps)}
    facts["keys"] = describe(frames[0], 3)
    return facts | {"images": [frame.image for frame in good[:_MOST_TRIED]]}


def _motion(log: str, frames: list[Any]) -> tuple[str, str]:
    """In which frame the velocities are, as far as the poses show, and whether the motion fits together."""
    try:
        table, record = frames_of(log, frames)
    except BrokenLog as error:
        return ("along the map's axes" if "axes of the map" in str(error) else "unknown"), str(error)[:200]
    motion = Motion.of(table)
    odd = [each for each in (motion.contradiction(), *motion.doubts()) if each is not None]
    axes = "in the vehicle's frame, by the poses" if record.fits_poses else "in a frame that the poses do not show"
    return axes, str(motion).removeprefix("motion: ") + "".join(f"; NOTE: {each}" for each in odd)


def _head_facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    names = sorted({match.decode() for match in _MODULE.findall(head)})
    return {"pickle_protocol": head[1], "numpy_modules": names[:10]}


def describe(value: Any, depth: int = 1) -> Any:
    """Type and size instead of the value: ``float64 (4, 4)``, ``list of 12 str``; dicts by key, down to ``depth``."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    if isinstance(value, dict) and depth:
        return {one_line(str(key)[:60]): describe(part, depth - 1) for key, part in islice(value.items(), _MOST_KEYS)}
    if isinstance(value, (list, tuple)):
        kinds = "/".join(sorted({type(part).__name__ for part in value[:100]}))
        return f"{type(value).__name__} of {len(value)} {kinds}".rstrip()
    if isinstance(value, dict):
        return f"dict of {len(value)}"
    return type(value).__name__
