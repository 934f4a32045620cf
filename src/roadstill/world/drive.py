"""Drives of the built-in world: several logs of one town, light and weather, as scenes at 2 Hz.

Everything follows from ``(seed, index)`` of a drive: the same drive is simulated again wherever its scenes are needed.
"""

import math
import random

from roadstill.runs import seed_of
from roadstill.world.capture import scene_of
from roadstill.world.groups import group_of
from roadstill.world.logrun import LogRun
from roadstill.world.scene import Scene
from roadstill.world.spec import FRAME_S, LOG_FRAMES, LOGS, SHORT_LOGS, DriveSpec


def drives_of(group: str, drives: int, seed: int, frames: tuple[int, ...] = ()) -> list[DriveSpec]:
    """The drives of a world.

    Args:
        group: key of ``WORLD_GROUPS``.
        drives: number of drives.
        seed: seed of the world.
        frames: number of frames of each log; drawn if empty.

    Raises:
        UserError: there is no such group.
    """
    more = SHORT_LOGS if drives == 1 and not frames else ()
    kind = group_of(group)
    specs: list[DriveSpec] = []
    while len(specs) < drives:
        towns = kind.round_of_towns(random.Random(seed_of("towns", group, seed, len(specs))))
        for town in towns[: drives - len(specs)]:
            light, weather = kind.sky(random.Random(seed_of("drive", group, seed, len(specs))))
            specs.append(DriveSpec(seed, len(specs), town, light, weather, frames, more))
    return specs


def schedule(drive: DriveSpec) -> list[tuple[int, int]]:
    """Start (whole seconds of the drive) and number of frames of each of its logs."""
    rng = random.Random(seed_of("logs", drive.seed, drive.index, drive.town))
    counts = drive.frames or tuple(rng.randint(*LOG_FRAMES) for _ in range(rng.randint(*LOGS)))
    logs, start_s = [], rng.randint(5, 60)
    for count in (*counts, *drive.more):
        logs.append((start_s, count))
        start_s += math.ceil(count * FRAME_S) + rng.randint(20, 240)
    return logs


def simulate(drive: DriveSpec) -> list[Scene]:
    """The key frames of all logs of a drive, 2 Hz, in time order; ``facts`` say which log and frame each one is."""
    scenes: list[Scene] = []
    for number, (start_s, count) in enumerate(schedule(drive)):
        run = LogRun(drive, number, count)
        for frame in run.key_frames():
            scene = scene_of(run, frame)
            scene.facts["time_s"] = start_s + frame * FRAME_S
            scenes.append(scene)
    return scenes
