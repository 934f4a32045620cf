"""What defines a drive of the built-in world, and the lengths and the rhythm of its logs; nothing is simulated here."""

from dataclasses import dataclass

FRAME_S = 0.5
"""Time between two key frames: logs are kept at 2 Hz."""

TOP_MPS = 13.0
"""No ego drives faster than this on average: roads are made as long as their logs last at this speed, and more."""

LOG_FRAMES = (40, 60)
"""Least and greatest number of frames of a log whose length is drawn."""

LOGS = (3, 5)
"""Least and greatest number of logs of a drive."""

SHORT_LOGS = (14, 13)
"""Frames of two more logs in a world of one drive: just one window of 14 frames, and none. Such a world serves to try
readers out; where there are drives to split and to train on, these logs would only change what was measured before."""


@dataclass(frozen=True)
class DriveSpec:
    """One drive: all that is needed to simulate it.

    Attributes:
        seed: seed of the world.
        index: number of the drive in the world.
        town: key of ``TOWNS``.
        light: one of ``scene.LIGHTS``, constant over the drive.
        weather: one of ``scene.WEATHERS``, constant over the drive.
        frames: number of frames of each log; drawn if empty.
        more: numbers of frames of further logs behind those.
    """

    seed: int
    index: int
    town: str
    light: str
    weather: str
    frames: tuple[int, ...] = ()
    more: tuple[int, ...] = ()
