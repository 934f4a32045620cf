"""What one log looks like inside, without a value of it: enough to tell whether a format is as we think."""

import re
import statistics
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from roadstill.errors import one_line
from roadstill.sources.schema import BrokenFrame, read_frame, read_log_name
from roadstill.sources.unpickle import read_pickle

MAX_BYTES = 64 * 2**20
_HEAD = 2**20
_MOST_KEYS = 40
_MOST_TRIED = 20
_MODULE = re.compile(rb"\b(numpy(?:\.\w{1,20}){0,3})")


def log_facts(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Facts of the first log of a folder, and the picture paths of its good frames.

    Raises:
        BrokenLog: that log cannot be read; OSError: nor can the folder.
    """
    path = min(path for path in folder.iterdir() if path.suffix == ".pkl")
    started = time.monotonic()
    frames = read_pickle(path, max_bytes=MAX_BYTES)
    facts: dict[str, Any] = {
        "bytes": path.stat().st_size,
        "seconds_to_read": round(time.monotonic() - started, 2),
        **_head_facts(path),
    }
    if not isinstance(frames, list) or not frames:
        return facts | {"holds": describe(frames)}, []
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
    steps = [(b.timestamp_us - a.timestamp_us) / 1e6 for a, b in zip(good, good[1:], strict=False)]
    if steps:
        facts["step_s"] = {"least": min(steps), "median": statistics.median(steps), "most": max(steps)}
    facts["keys"] = describe(frames[0], 3)
    return facts, [frame.image for frame in good[:_MOST_TRIED]]


def _head_facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    names = sorted({match.decode() for match in _MODULE.findall(head)})
    return {"pickle_protocol": head[1], "numpy_modules": names[:10]}


def describe(value: Any, depth: int = 1) -> Any:
    """Types and sizes in place of values: ``float64 (4, 4)``, ``list of 12 str``; dicts by key, down to ``depth``."""
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


def picture_facts(sensors: Path, images: list[str]) -> dict[str, Any]:
    """Size and kind of the first of these pictures that is there."""
    from PIL import Image

    for image in images:
        path = sensors / image
        if path.is_file():
            with Image.open(path) as picture:
                width, height = picture.size
                return {
                    "width_px": width,
                    "height_px": height,
                    "mode": picture.mode,
                    "format": picture.format,
                    "bytes": path.stat().st_size,
                }
    return {"state": f"none of the first {len(images)} pictures is there"}
