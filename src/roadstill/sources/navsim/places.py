"""Where the frames of a log were seen, by its poses."""

from collections.abc import Collection
from pathlib import Path

from roadstill.frames import leaves_folder
from roadstill.sources.navsim.poses import poses_of
from roadstill.sources.pickles.unpickle import BrokenLog, read_pickle


def places_of(logs: Path, log: str, tokens: Collection[str]) -> dict[str, tuple[float, float]]:
    """Places of frames of a log, by token: x and y in m on its map.

    Args:
        logs: folder of ``<log>.pkl``.
        log: name of the log.
        tokens: tokens of the wanted frames.

    Raises:
        BrokenLog: the log is missing or cannot be read, or its frames have no poses.
    """
    if leaves_folder(log) or "/" in log:
        raise BrokenLog(f"{log[:80]!r} is not a plain name of a log")
    entries = read_pickle(logs / f"{log}.pkl")
    poses = poses_of(entries) if isinstance(entries, list) else None
    if poses is None:
        raise BrokenLog(f"{log}: its frames have no poses")
    return {
        entry["token"]: (float(x), float(y))
        for entry, (x, y, _) in zip(entries, poses, strict=True)
        if isinstance(entry.get("token"), str) and entry["token"] in tokens
    }
