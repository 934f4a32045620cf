"""Drives beside a log: agents decide at its frames, and nobody else reacts (NAVSIM's way of judging)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.driving.above import AHEAD_M, BEHIND_M, GOES, HOLDS, OTHER, ROAD, View
from roadstill.driving.centerline import Routes
from roadstill.driving.deciding import Decide, Sight
from roadstill.driving.maps import map_in, open_map
from roadstill.driving.plan import EVERY, TIMES_S, Driver, filled
from roadstill.driving.poses import Floats, Pose
from roadstill.driving.scoring import Scores, score
from roadstill.driving.scoring.logs import LogScenes
from roadstill.driving.scoring.scene import Scene
from roadstill.driving.vehicle import Motion, corners, follow
from roadstill.errors import UserError
from roadstill.frames import COMMANDS
from roadstill.images import BrokenImage, centre_square, read_image
from roadstill.sources.navsim.schema import BrokenFrame, read_frame
from roadstill.sources.pickles.unpickle import BrokenLog, read_pickle

TERMS = (
    "no_collision", "drivable", "direction", "lights", "keeps_away", "progress", "lane_keeping", "comfort", "pdm_like",
)  # fmt: skip
"""Terms of `Scores` that are told, the product last."""
_SHOWN_PX = 384


@dataclass(frozen=True)
class Logs:
    """Where logs, their pictures and maps are.

    Attributes:
        logs: folder of ``<log>.pkl``.
        sensors: folder that the paths of pictures are relative to.
        maps: folder of ``<location>/<version>/map.gpkg``.
    """

    logs: Path
    sensors: Path
    maps: Path


@dataclass(frozen=True)
class Replay:
    """One scene.

    Attributes:
        log: name of the log.
        position: its first frame.
        scores: of all drives in the order of ``names``.
        names: who drove.
        shown: picture and view from above beside each other, uint8 ``[h, w, 3]``, if they were asked for.
    """

    log: str
    position: int
    scores: Scores
    names: tuple[str, ...]
    shown: NDArray[np.uint8] | None = None


def replays(
    data: Logs, deciders: Mapping[str, tuple[Decide, int]], *, driver: Driver, every: int = 14,
    most: int | None = None, shows: int = 0, skipped: Callable[[str], None] = lambda line: None,
) -> Iterator[Replay]:  # fmt: skip
    """Drives scenes of all logs in a folder.

    Args:
        data: the logs.
        deciders: by name who decides, and the side of the pictures that it sees.
        driver: how decisions are carried out.
        every: frames from one scene of a log to the next.
        most: most scenes.
        shows: number of scenes, the first ones, that are shown.
        skipped: takes a line for each log or scene that cannot be driven.

    Raises:
        UserError: no log, or a map that is missing.
    """
    paths = sorted(data.logs.glob("*.pkl"))
    if not paths:
        raise UserError(f"{data.logs} holds no logs (*.pkl)")
    routes: dict[str, tuple[Any, Routes]] = {}
    count = 0
    for path in paths:
        try:
            entries = read_pickle(path)
            first = read_frame(entries[0]) if isinstance(entries, list) and entries else None
            if first is None:
                raise BrokenLog("it holds no list of frames")
        except (BrokenLog, BrokenFrame) as error:
            skipped(f"{path.name}: {error}")
            continue
        if first.location not in routes:
            road = open_map(map_in(data.maps, first.location))
            routes[first.location] = (road, Routes(road))
        road, known = routes[first.location]
        scenes = LogScenes(entries, road, path.stem, routes=known)
        for position in scenes.positions[::every]:
            if count == most:
                return
            try:
                where = (path.stem, position, data.sensors)
                yield _replay(scenes, entries[position], where, deciders, driver, show=count < shows)
            except (UserError, BrokenFrame, BrokenImage) as error:
                skipped(f"{path.name}, frame {position}: {error}")
            else:
                count += 1


def _replay(
    scenes: LogScenes, entry: Any, where: tuple[str, int, Path], deciders: Mapping[str, tuple[Decide, int]],
    driver: Driver, *, show: bool,
) -> Replay:  # fmt: skip
    log, position, sensors = where
    scene, start, frame = scenes.scene(position), scenes.start(position), read_frame(entry)
    pose = Pose(*(float(value[0]) for value in start[:3]))
    speed, accel = float(start.speed_mps[0]), float(start.accel_mps2[0])
    ahead = (speed * TIMES_S)[:, None] * (np.cos(pose.yaw_rad), np.sin(pose.yaw_rad), 0.0)
    # Beside the agents' drives stand the log's own, and one that goes straight on.
    plans: dict[str, Floats] = {"human": scene.human[::EVERY], "constant-speed": np.array(pose) + ahead}
    picture = read_image(sensors / frame.image) if deciders or show else None
    for name, (decide, size_px) in deciders.items():
        assert picture is not None
        sight = Sight(np.array(centre_square(picture, size_px)), speed, 0.0, COMMANDS[frame.command])
        plans[name] = driver.laid(decide(sight), scene.line, pose, speed_mps=speed, accel_mps2=accel)
    whole = filled(np.stack(list(plans.values())), TIMES_S)
    begin = Motion(*(np.repeat(value, len(plans)) for value in start))
    motion = follow(whole, begin)
    shown = None
    if show and picture is not None:
        seen = np.asarray(centre_square(picture, _SHOWN_PX))
        shown = np.concatenate([seen, from_above(scene, motion)], axis=1)
    return Replay(log, position, score(scene, motion), tuple(plans), shown)


def from_above(scene: Scene, motion: Motion) -> NDArray[np.uint8]:
    """A scene from above, uint8 ``[s, s, 3]``: centerline, boxes, the human's way, and those of drives ``[n, t]``."""
    view = View(scene.human[0], side_px=_SHOWN_PX)
    begin = float(scene.line.project(scene.human[0, :2]))
    view.line(scene.line.at(begin + np.arange(-BEHIND_M, AHEAD_M + 5, 1.0))[:, :2], ROAD, 8)
    there = scene.tracks.there[:, 0]
    view.boxes(scene.tracks.boxes[there, 0], ["vehicle" if agent else "thing" for agent in scene.tracks.agents[there]])
    view.area(corners(scene.human[0]), HOLDS)
    for way in motion.poses[:, :, :2]:
        view.line(way, GOES, 2)
    view.line(scene.human[:, :2], OTHER, 2)
    return view.pixels()


def table_of(found: Sequence[Replay]) -> dict[str, dict[str, float]]:
    """Means over scenes of each drive's `TERMS`, and of its distances to the human's, by name.

    Raises:
        UserError: no scene.
    """
    if not found:
        raise UserError("no scene could be driven; see the lines on what was skipped")
    columns: dict[str, NDArray[np.float64]] = {
        name: np.stack([np.asarray(getattr(each.scores, name), np.float64) for each in found])
        for name in (*TERMS, "ade_m", "fde_m", "speed_error_mps")
    }
    return {
        who: {name: float(values[:, place].mean()) for name, values in columns.items()}
        for place, who in enumerate(found[0].names)
    }
