"""Other road users and objects as a log saw them, at every step of a drive."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadstill.driving.plan import EVERY
from roadstill.driving.poses import Floats, wrapped
from roadstill.errors import UserError

AGENTS = frozenset({"vehicle", "pedestrian", "bicycle"})
"""Classes that move by themselves; to touch one counts more than to touch a thing."""
STOPPED_MPS = 0.05


@dataclass(frozen=True, eq=False)
class Seen:
    """What one frame of a log saw.

    Attributes:
        ids: of n tracks.
        boxes: x and y of the middle on the map, length and width (m), and yaw (rad), ``[n, 5]``.
        speeds_mps: their speeds ``[n]``.
        agents: whether each is of `AGENTS` ``[n]``.
    """

    ids: Sequence[str]
    boxes: Floats
    speeds_mps: Floats
    agents: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Tracks:
    """m tracks over t steps of 0.1 s, the first of them now.

    Attributes:
        boxes: x, y, length and width in m, yaw in rad ``[m, t, 5]``; anything where a track is not there.
        there: whether it is ``[m, t]``.
        agents: whether it moves by itself ``[m]``.
        stopped: whether it stands when it is first there ``[m]``; things always do.

    Raises:
        UserError: shapes that do not fit, or a box that is there and not finite.
    """

    boxes: Floats
    there: NDArray[np.bool_]
    agents: NDArray[np.bool_]
    stopped: NDArray[np.bool_]

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if not (self.boxes.shape == (*self.there.shape, 5) and self.agents.shape == self.stopped.shape == (count,)):
            raise UserError(
                f"tracks: boxes {self.boxes.shape}, there {self.there.shape}, agents {self.agents.shape}, stopped "
                f"{self.stopped.shape}; [m, t, 5], [m, t], [m] and [m] are needed"
            )
        if not np.isfinite(self.boxes[self.there]).all():
            raise UserError("tracks: a box is not finite")

    @classmethod
    def replayed(cls, frames: Sequence[Seen]) -> "Tracks":
        """Tracks between frames half a second apart, as NAVSIM replays them.

        Between the frames that saw a track, however many did not, it moves evenly; before the first and after the last
        it is not there. A track that one frame alone saw stands there all the time. Its size, and whether it stands,
        are those of the first frame that saw it.

        Raises:
            UserError: fewer than two frames.
        """
        if len(frames) < 2:
            raise UserError(f"{len(frames)} frames; a replay needs at least two")
        ids = {track: None for frame in frames for track in frame.ids}
        number = {track: row for row, track in enumerate(ids)}
        steps = (len(frames) - 1) * EVERY + 1
        known = np.zeros((len(ids), len(frames)), bool)
        boxes = np.zeros((len(ids), len(frames), 5))
        speeds = np.zeros((len(ids), len(frames)))
        agents = np.zeros(len(ids), bool)
        for at, frame in enumerate(frames):
            rows = [number[track] for track in frame.ids]
            known[rows, at], boxes[rows, at], speeds[rows, at] = True, frame.boxes, frame.speeds_mps
            agents[rows] = frame.agents
        every = np.arange(len(frames))
        first, last = known.argmax(1), len(frames) - 1 - known[:, ::-1].argmax(1)
        # The frames that saw a track last before each step, and next after it.
        before = np.maximum.accumulate(np.where(known, every, first[:, None]), axis=1)
        after = np.minimum.accumulate(np.where(known, every, last[:, None])[:, ::-1], axis=1)[:, ::-1]
        step = np.arange(steps)
        left = before[:, step // EVERY]
        right = after[:, -(-step // EVERY)]
        share = (step / EVERY - left) / np.maximum(right - left, 1)
        row = np.arange(len(ids))[:, None]
        change = boxes[row, right] - boxes[row, left]
        change[..., 4] = wrapped(change[..., 4])
        found = boxes[row, left] + np.clip(share, 0, 1)[..., None] * change
        found[..., 2:4] = boxes[np.arange(len(ids)), first, 2:4][:, None]
        there = ((step >= first[:, None] * EVERY) & (step <= last[:, None] * EVERY)) | (first == last)[:, None]
        still = speeds[np.arange(len(ids)), first] <= STOPPED_MPS
        return cls(found, there, agents, ~agents | still)
