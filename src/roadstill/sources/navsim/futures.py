"""Where the vehicle goes after a frame, by the poses of its log."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from roadstill.sources.navsim.poses import poses_of
from roadstill.sources.pickles.unpickle import BrokenLog, read_pickle

POSES, POSE_US = 8, 500_000
"""Number of future poses, and the time between two: NAVSIM's."""


def futures_of(path: Path, tokens: Collection[str]) -> dict[str, list[float]]:
    """Eight future poses of frames of a log, as the vehicle sees them then.

    Args:
        path: the log.
        tokens: tokens of the wanted frames.

    Returns:
        By token x ahead and y to the left in m and yaw in rad of each pose, one after the other, rounded to a
        millimetre; frames with less than 4 s before them, or with a gap in it, are left out.

    Raises:
        BrokenLog: the log is missing or cannot be read, or its frames have no poses.
    """
    entries = read_pickle(path)
    entries = entries if isinstance(entries, list) else []
    poses = poses_of(entries)
    times = [entry.get("timestamp") if isinstance(entry, dict) else None for entry in entries]
    if poses is None or not all(isinstance(time, (int, np.integer)) for time in times):
        raise BrokenLog(f"{path.name}: its frames have no poses or times, so there is no future to learn")
    place, yaw = poses[:, 0] + 1j * poses[:, 1], poses[:, 2]
    steady = np.abs(np.diff(np.array(times, np.int64)) - POSE_US) < POSE_US / 2
    found = {}
    for row, entry in enumerate(entries[: len(entries) - POSES]):
        token = entry.get("token")
        if token in tokens and steady[row : row + POSES].all():
            ahead = slice(row + 1, row + 1 + POSES)
            seen = (place[ahead] - place[row]) * np.exp(-1j * yaw[row])
            turned = np.angle(np.exp(1j * (yaw[ahead] - yaw[row])))
            found[token] = np.stack([seen.real, seen.imag, turned], 1).ravel().round(3).tolist()
    return found
