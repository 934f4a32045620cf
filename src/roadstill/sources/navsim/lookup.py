"""One frame of a log by its token, for steps that need more of it than a `FrameTable` holds."""

from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from roadstill.frames import leaves_folder
from roadstill.sources.navsim.schema import CAMERA, BrokenFrame
from roadstill.sources.pickles.unpickle import BrokenLog, read_pickle

_KEPT = ("anns", "lidar2ego")


def frame_of(logs: Path, log: str, token: str, image: str) -> dict[str, Any]:
    """The annotations, the lidar's pose and the front camera of a frame, unchecked, as far as it has them.

    Args:
        logs: folder of ``<log>.pkl``.
        log: name of the log; the last one is kept in memory.
        token: token of the frame.
        image: its picture below the sensor folder, to check that this is the frame that the picture shows.

    Raises:
        BrokenLog: the log is missing or cannot be read.
        BrokenFrame: it has no such frame, or several.
    """
    if leaves_folder(log) or "/" in log:
        raise BrokenFrame(f"log: {log[:80]!r} is not a plain name")
    path = logs / f"{log}.pkl"
    try:
        stat = path.stat()
    except OSError as error:
        raise BrokenLog(f"{path}: {error.strerror or error}") from None
    frames = _frames_of(path, (stat.st_mtime_ns, stat.st_size))
    if isinstance(frames, BrokenLog):
        raise BrokenLog(str(frames))
    found = [frame for frame in frames.get(token, []) if _image_of(frame) == PurePosixPath(image)]
    if len(found) != 1:
        raise BrokenFrame(f"token: {path} has {len(found)} frames {token[:80]!r} with this picture")
    return found[0]


@lru_cache(maxsize=1)  # pictures come log by log
def _frames_of(path: Path, stamp: tuple[int, int]) -> dict[str, list[dict[str, Any]]] | BrokenLog:
    """The frames of a log by token, without unneeded parts; that a log is broken is cached as well."""
    try:
        entries = read_pickle(path)
        if not isinstance(entries, list):
            raise BrokenLog(f"{path}: it holds a {type(entries).__name__}, not a list of frames")
    except BrokenLog as error:
        return error
    frames: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("token"), str):
            cameras = entry.get("cams")
            front = {CAMERA: cameras[CAMERA]} if isinstance(cameras, dict) and CAMERA in cameras else {}
            kept = {key: entry[key] for key in _KEPT if key in entry}
            frames.setdefault(str(entry["token"]), []).append(kept | {"cams": front})
    return frames


def _image_of(frame: dict[str, Any]) -> PurePosixPath | None:
    front = frame["cams"].get(CAMERA)
    path = front.get("data_path") if isinstance(front, dict) else None
    return PurePosixPath(path) if isinstance(path, str) else None
