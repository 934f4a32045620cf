"""Scenes of logs in NAVSIM's layout."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from roadstill.driving.centerline import Routes
from roadstill.driving.maps.lanes import LaneMap
from roadstill.driving.plan import EVERY, POSE_S, POSES, TIMES_S, filled
from roadstill.driving.poses import Floats, Pose, wrapped
from roadstill.driving.scoring.ground import RADIUS_M, Ground
from roadstill.driving.scoring.scene import Past, Red, Scene
from roadstill.driving.scoring.tracks import AGENTS, Seen, Tracks
from roadstill.driving.vehicle import STEP_S, Motion
from roadstill.errors import UserError
from roadstill.sources.navsim.schema import BrokenFrame
from roadstill.sources.navsim.situations import Situation, read_situation

PAST = 3
"""Frames before a scene that its comfort begins with, where the log has them."""
_STEP_US = round(1e6 * STEP_S)
_TILE_M = 200.0
_MOST_OFF_S = 0.05  # of the time between two frames


class LogScenes:
    """Scenes of one log.

    Args:
        entries: frames of the log, unchecked, as `roadstill.sources.pickles.unpickle.read_pickle` gives them.
        road: the map of the log's location.
        name: name of the log, for messages.
        routes: routes of the map, to share what is found; made if not given.
        ahead: number of frames for which tracks are replayed: eight as in NAVSIM v2, or ten as in v1, which looks for
            near collisions of the last second too.

    Raises:
        UserError: ``ahead`` is below eight.
    """

    def __init__(
        self, entries: Sequence[Any], road: LaneMap, name: str = "log", *, routes: Routes | None = None,
        ahead: int = POSES,
    ) -> None:  # fmt: skip
        if ahead < POSES:
            raise UserError(f"ahead is {ahead}; a scene has {POSES} frames after the first")
        self._entries, self._road, self._name, self._ahead = entries, road, name, ahead
        self._routes = Routes(road) if routes is None else routes
        self._ground = lru_cache(maxsize=4)(self._ground_of)
        self._at = lru_cache(maxsize=4 * (PAST + ahead))(self._read)

    @property
    def positions(self) -> range:
        """Positions in the log from which there are frames enough."""
        return range(max(0, len(self._entries) - self._ahead))

    def start(self, position: int) -> Motion:
        """How the car moves at a frame, arrays ``[1]``: where a simulation begins.

        Raises:
            UserError: as `scene`.
        """
        return _motion([self._at(position)])

    def scene(self, position: int) -> Scene:
        """The scene that begins at a frame.

        Raises:
            UserError: no such frame, too few after it, frames that are not half a second apart, a broken one, no
                route, or one that is not in the map.
        """
        if position not in self.positions:
            raise UserError(
                f"{self._name}: no scene begins at frame {position} of {len(self._entries)}; "
                f"{self._ahead} frames are needed after it"
            )
        known = [self._at(position + step) for step in range(self._ahead + 1)]
        for step, (before, after) in enumerate(pairwise(known)):
            if abs(1e-6 * (after.timestamp_us - before.timestamp_us) - POSE_S) > _MOST_OFF_S:
                raise UserError(f"{self._name}: frame {position + step + 1} is not {POSE_S} s after the one before")
        now, ahead = known[0], known[: POSES + 1]
        route = self._routes.route(now.route, Pose(*now.pose))
        poses = np.stack([frame.pose for frame in ahead])
        speeds = np.array([frame.motion[0] for frame in ahead])
        human = filled(poses, TIMES_S)
        return Scene(
            tracks=Tracks.replayed([_seen(frame) for frame in known]),
            ground=self._ground(tuple(np.round(now.pose[:2] / _TILE_M).astype(int).tolist())),
            line=route.centerline(Pose(*now.pose)),
            route=frozenset(route.blocks),
            human=human,
            human_mps=np.interp(np.arange(len(human)) * STEP_S, TIMES_S, speeds),
            red=self._red(ahead),
            past=self._past(position),
        )

    def _ground_of(self, tile: tuple[int, int]) -> Ground:
        """The ground around a square of the map, which scenes near each other share."""
        return Ground.around(self._road, tile[0] * _TILE_M, tile[1] * _TILE_M, RADIUS_M + _TILE_M)

    def _red(self, ahead: Sequence[Situation]) -> Red:
        """What is closed on the route as the log tells it; what a frame tells holds until the next."""
        lanes = {lane.id: lane.outline for lane in self._road.lanes_of(dict.fromkeys(ahead[0].route))}
        closed = {lane: [lane in frame.red for frame in ahead] for frame in ahead for lane in frame.red & lanes.keys()}
        flags = np.array(list(closed.values()), bool).reshape(len(closed), len(ahead))
        return Red(tuple(lanes[lane] for lane in closed), np.repeat(flags, EVERY, axis=1)[:, : 1 - EVERY])

    def _past(self, position: int) -> Past | None:
        """Every 0.1 s from three frames before, but for the last step before now: NAVSIM leaves that out."""
        if position < PAST:
            return None
        frames = [self._at(at) for at in range(position - PAST, position + 1)]
        times = np.array([frame.timestamp_us for frame in frames], np.float64)
        steps = np.arange(times[0], times[-1], _STEP_US)[:-1]
        motion = _motion(frames)
        columns = (motion.x_m, motion.y_m, np.unwrap(motion.yaw_rad), *motion[3:])
        x, y, yaw, *rest = (np.interp(steps, times, column) for column in columns)
        lateral = np.interp(np.append(steps, times[-1]), times, [frame.motion[3] for frame in frames])
        return Past(Motion(x, y, wrapped(yaw), *rest), lateral)

    def _read(self, position: int) -> Situation:
        try:
            return read_situation(self._entries[position])
        except BrokenFrame as error:
            raise UserError(f"{self._name}: frame {position}: {error}") from None


def _motion(frames: Sequence[Situation]) -> Motion:
    poses, rates = (np.stack(values) for values in zip(*((each.pose, each.motion) for each in frames), strict=True))
    x, y, yaw = poses.T
    return Motion(x, y, yaw, rates[:, 0], rates[:, 2], np.zeros(len(frames)))


def _seen(frame: Situation) -> Seen:
    """The boxes of a frame on the map."""
    return Seen(
        frame.tracks,
        _on_map(frame.boxes, frame.pose),
        frame.speeds_mps,
        np.array([name in AGENTS for name in frame.classes], bool),
    )


def _on_map(boxes: Floats, pose: Floats) -> Floats:
    """Boxes ``[n, 7]`` that a vehicle at a pose sees as x, y, length, width and yaw ``[n, 5]`` on the map."""
    x, y, _, length, width, _, yaw = boxes.T
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    return np.stack(
        [pose[0] + x * cos - y * sin, pose[1] + x * sin + y * cos, length, width, wrapped(yaw + pose[2])], axis=-1
    )
