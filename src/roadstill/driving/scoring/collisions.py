"""Collisions that a drive is at fault for, and those that it comes near to, as NAVSIM judges them.

A track that touches the car when the scene begins counts for neither, but in NAVSIM v1. Of the rest the first touch
counts: what comes after one that nobody is at fault for belongs to it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadstill.driving.boxes import ahead_of, behind, box_corners, touching
from roadstill.driving.poses import Floats
from roadstill.driving.scoring.drives import Drives
from roadstill.driving.scoring.ground import Flags, Places
from roadstill.driving.scoring.tracks import STOPPED_MPS, Tracks
from roadstill.driving.vehicle import AHEAD_M, BEHIND_M, STEP_S, WIDTH_M

LOOK_AHEAD = (0, 3, 6, 9)
"""Steps of 0.1 s for which a car is thought to go straight on at its speed."""
_STANDING_MPS = 0.005  # below this it does not come near to anything
_RADIUS_M = float(np.hypot((AHEAD_M + BEHIND_M) / 2, WIDTH_M / 2))
_TOUCHED_THING = 0.5


class _Touches(NamedTuple):
    """The first touch of each drive and track that touch at all; arrays ``[k]``."""

    drive: NDArray[np.int64]
    track: NDArray[np.int64]
    slot: NDArray[np.int64]


def no_collision(drives: Drives, tracks: Tracks, places: Places, *, from_begin: bool = False) -> Floats:
    """1 for drives ``[n]`` without a collision that they are at fault for, 0 with one, 0.5 if it is with a thing.

    A drive is at fault if, at the first touch, it moves (faster than 0.05 m/s) and

    * the track stands (stopped track), or
    * its front touches the track, which is not behind it (active front), or
    * another part does while it is in several lanes or off the road (lateral).

    Args:
        drives: n drives of t steps.
        tracks: what is around them, at the same steps, or some more.
        places: where they are.
        from_begin: whether tracks that touch from the begin count, as in NAVSIM v1.
    """
    count = drives.poses.shape[1]
    there = tracks.there[None, :, :count]
    drive, track, step = _first(drives.corners_m, drives.middles_m, tracks.boxes[:, :count], there, from_begin)
    pose, box = drives.poses[drive, step], tracks.boxes[track, step]
    moving = np.abs(drives.motion.speed_mps[drive, step]) > STOPPED_MPS
    from_side = places.several_lanes[drive, step] | places.off_road[drive, step]
    from_front = ~behind(pose, box[:, :2]) & (from_side | _bumper(drives.corners_m[drive, step], box))
    at_fault = moving & (tracks.stopped[track] | from_front)
    worth = np.where(tracks.agents[track], 0.0, _TOUCHED_THING)
    found = np.ones(len(drives.poses))
    np.minimum.at(found, drive[at_fault], worth[at_fault])
    return found


def keeps_away(drives: Drives, tracks: Tracks, places: Places, *, from_begin: bool = False) -> Flags:
    """Whether drives ``[n]`` keep away from collisions: NAVSIM's time to collision within bounds.

    At each step the car is moved straight on at its speed by 0, 0.3, 0.6 and 0.9 s, and compared with where tracks are
    then. A touch breaks the rule if the track is ahead (within 30 degrees), or, while the car is in several lanes, off
    the road or on a crossroads with its rear axle, if it is not behind; that is, where the track is then, seen from
    where the car is now. A car that stands (below 0.005 m/s) is exempt.
    Steps of which the tracks are not known far enough ahead are not looked at: of NAVSIM v2's scenes, where tracks end
    with the drive, the last nine.

    Args:
        drives: n drives of t steps.
        tracks: what is around them, at the same steps, or some more.
        places: where they are.
        from_begin: whether tracks that touch from the begin count, as in NAVSIM v1.
    """
    speeds = np.abs(drives.motion.speed_mps)  # a car that rolls back looks ahead too, as in NAVSIM
    count = max(0, min(speeds.shape[1], tracks.there.shape[1] - max(LOOK_AHEAD)))
    now = np.repeat(np.arange(count), len(LOOK_AHEAD))
    then = (np.arange(count)[:, None] + np.array(LOOK_AHEAD)).ravel()
    way = (speeds[:, now] * (then - now) * STEP_S)[..., None] * drives.ahead[:, now]
    counted = speeds[:, now] >= _STANDING_MPS
    counted[:, :1] |= not from_begin  # there touches from the begin are found
    there = tracks.there[:, then] & counted[:, None]
    moved = drives.corners_m[:, now] + way[..., None, :]
    drive, track, slot = _first(moved, drives.middles_m[:, now] + way, tracks.boxes[:, then], there, from_begin)
    step = now[slot]
    pose, place = drives.poses[drive, step], tracks.boxes[track, then[slot], :2]
    wide = places.several_lanes[drive, step] | places.off_road[drive, step] | places.crossing_rear[drive, step]
    near = ahead_of(pose, place) | (wide & ~behind(pose, place))
    found = np.ones(len(speeds), bool)
    found[drive[near]] = False
    return found


def _first(cars: Floats, middle: Floats, boxes: Floats, counted: Flags, from_begin: bool) -> _Touches:
    """First touches of cars with corners ``[n, s, 4, 2]`` around ``middle [n, s, 2]`` and boxes ``[m, s, 5]``.

    Of a track that touches in the first slot, the begin of the scene, there are none if these do not count.

    Args:
        cars: corners of cars.
        middle: their middles.
        boxes: boxes of tracks.
        counted: which pairs count ``[n, m, s]``, broadcast over drives.
        from_begin: whether touches in the first slot count.
    """
    reach = _RADIUS_M + np.hypot(boxes[..., 2], boxes[..., 3]) / 2
    x = middle[:, None, :, 0] - boxes[..., 0]
    y = middle[:, None, :, 1] - boxes[..., 1]
    drive, track, slot = np.nonzero((x * x + y * y <= reach * reach) & counted)
    if not len(drive):
        return _Touches(drive, track, slot)
    met = touching(cars[drive, slot], box_corners(boxes[track, slot]))
    drive, track, slot = drive[met], track[met], slot[met]
    # Pairs come drive by drive, track by track, slot by slot.
    new = np.append(True, (np.diff(drive) != 0) | (np.diff(track) != 0))[: len(drive)]
    new &= from_begin | (slot > 0)
    return _Touches(drive[new], track[new], slot[new])


def _bumper(cars: Floats, boxes: Floats) -> Flags:
    """Whether the front ends of cars with corners ``[k, 4, 2]`` touch boxes ``[k, 5]``."""
    import shapely

    return np.asarray(shapely.intersects(shapely.linestrings(cars[:, 1:3]), shapely.polygons(box_corners(boxes))))
