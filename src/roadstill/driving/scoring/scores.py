"""The terms of NAVSIM's score for drives in one scene, and products of them that are like its own.

They are not its score: that takes progress relative to what the planner PDM-Closed makes of the scene, ours relative to
the logged human. Who has PDM-Closed's progress may give it as the reference.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadstill.driving.comfort import comfort
from roadstill.driving.plan import EVERY
from roadstill.driving.poses import Floats
from roadstill.driving.scoring.collisions import keeps_away, no_collision
from roadstill.driving.scoring.drives import Drives
from roadstill.driving.scoring.ground import Flags, Places
from roadstill.driving.scoring.scene import STEPS, Past, Red, Scene
from roadstill.driving.vehicle import STEP_S, Motion
from roadstill.errors import UserError

_SECOND = round(1 / STEP_S)  # steps
_AGAINST_M = (2.0, 6.0)  # driven off the route's lanes within a second: from here half, from here nothing
_BESIDE_M, _BESIDE_STEPS = 0.5, 20
_LEAST_M = 5.0  # where the reference comes no farther, all have come far enough
_POSES = slice(EVERY, None, EVERY)


@dataclass(frozen=True, eq=False)
class Scores:
    """What n drives in one scene are worth; arrays ``[n]``.

    Attributes:
        no_collision: 1 without a collision that the drive is at fault for, 0.5 with one with a thing, else 0.
        drivable: whether all corners stay on what vehicles may use.
        direction: 1, 0.5 or 0 by the metres that the middle goes off the route's lanes and crossroads in a second; in
            NAVSIM v1 crossroads are no exception.
        lights: whether it enters nothing that a red light closes.
        keeps_away: whether it keeps away from collisions (NAVSIM's time to collision).
        lane_keeping: whether it is never more than 0.5 m beside the centerline for 2 s, crossroads left out.
        comfort: whether it is comfortable, with what was before if that is known; in NAVSIM v1 from now on.
        progress_m: way along the centerline, not negative.
        reference_m: way that it is compared with, one number: the logged human's if no other was given.
        ade_m: mean distance to where the human was, of the eight poses of a plan.
        fde_m: distance to where the human was in the end.
        speed_error_mps: mean difference to the human's speed, of the same poses, not negative.
        v1: whether these are the rules of NAVSIM v1, and not of v2.
    """

    no_collision: Floats
    drivable: Flags
    direction: Floats
    lights: Flags
    keeps_away: Flags
    lane_keeping: Flags
    comfort: Flags
    progress_m: Floats
    reference_m: float
    ade_m: Floats
    fde_m: Floats
    speed_error_mps: Floats
    v1: bool = False

    @property
    def progress(self) -> Floats:
        """Progress as a share, 0 to 1; in NAVSIM v1 factors take their part of the way too."""
        if not self.v1:
            return self._share(self.progress_m)
        factor = self.no_collision * self.drivable
        return self._share(self.progress_m * factor) * (factor > 0)

    def _share(self, way_m: Floats) -> Floats:
        """Ways as shares of the reference; who comes farther has come all the way.

        NAVSIM divides by the longer of the reference and the drive's own way, which is the same for one drive.
        """
        if self.reference_m <= _LEAST_M:
            return np.ones_like(way_m)
        return np.minimum(way_m / self.reference_m, 1)

    @property
    def pdm_like(self) -> Floats:
        """A PDM-like score ``[n]``, 0 to 1, with NAVSIM's factors and weights; of v2 without those of two plans."""
        weighted = 5 * self.progress + 5 * self.keeps_away + 2 * self.comfort
        if self.v1:
            return np.asarray(self.no_collision * self.drivable * weighted / 12)
        factor = self.no_collision * self.drivable * self.direction * self.lights
        return np.asarray(factor * (weighted + 2 * self.lane_keeping) / 14)


def score(scene: Scene, motion: Motion, *, reference_m: float | None = None, v1: bool = False) -> Scores:
    """Judges drives in a scene.

    Args:
        scene: the scene.
        motion: how the cars move, arrays ``[n, STEPS]``, as `roadstill.driving.vehicle.follow` gives them.
        reference_m: way along the centerline that progress is relative to; the logged human's if none is given.
        v1: whether to judge as NAVSIM v1 does, where also tracks count that touch the car when the scene begins.

    Raises:
        UserError: a drive of another length or not finite, or a reference below 0.
    """
    if reference_m is not None and not 0 <= reference_m < np.inf:
        raise UserError(f"reference_m is {reference_m}; a way from 0 on is needed")
    drives = Drives(motion)
    if drives.poses.shape[1] != STEPS:
        raise UserError(f"drives of {drives.poses.shape[1]} steps; {STEPS} are needed: every 0.1 s of four seconds")
    places = scene.ground.places(drives, scene.route)
    steps_m = np.hypot(*np.moveaxis(np.diff(drives.middles_m, axis=1), -1, 0))
    against_m = np.where(places.off_route[:, 1:], steps_m, 0.0)
    lateral_mps2 = _lateral(motion, scene.past)
    distance = np.hypot(*np.moveaxis(drives.poses[..., :2] - scene.human[:, :2], -1, 0))[:, _POSES]
    return Scores(
        no_collision=no_collision(drives, scene.tracks, places, from_begin=v1),
        drivable=np.logical_not(places.off_road.any(1)),
        direction=_direction(against_m if v1 else np.where(places.crossing[:, 1:], 0.0, against_m)),
        lights=_obeys(drives, scene.red),
        keeps_away=keeps_away(drives, scene.tracks, places, from_begin=v1),
        lane_keeping=_keeps_lane(scene.line.within(drives.middles_m, _BESIDE_M), places),
        comfort=_all(comfort(*((motion, lateral_mps2) if v1 else _with_past(motion, lateral_mps2, scene.past)), v1=v1)),
        progress_m=scene.ways_m(drives.middles_m[:, [0, -1]]),
        reference_m=scene.human_way_m if reference_m is None else reference_m,
        ade_m=distance.mean(1),
        fde_m=distance[:, -1],
        speed_error_mps=np.abs(motion.speed_mps - scene.human_mps)[:, _POSES].mean(1),
        v1=v1,
    )


def _direction(against_m: Floats) -> Floats:
    """1, 0.5 or 0 by the greatest sum of ways ``[n, t]`` in a second and a step: NAVSIM counts both ends."""
    if not against_m.any():
        return np.ones(len(against_m))
    way = np.cumsum(against_m, axis=1)
    before = np.zeros_like(way)
    before[:, _SECOND + 1 :] = way[:, : -_SECOND - 1]
    most = (way - before).max(1)
    return np.select([most < _AGAINST_M[0], most < _AGAINST_M[1]], [1.0, 0.5], 0.0)


def _obeys(drives: Drives, red: Red) -> Flags:
    """Whether cars touch nothing that is closed then ``[n]``."""
    import shapely

    found = np.ones(len(drives.poses), bool)
    if red.closed.any():
        cars = shapely.polygons(drives.corners_m)
        for area, closed in zip(red.areas, red.closed, strict=True):  # a few
            found &= ~shapely.intersects(cars[:, closed], area).any(1)
    return found


def _keeps_lane(on_line: Flags, places: Places) -> Flags:
    """Whether cars, on their line or not ``[n, t]``, are never beside it for two seconds.

    Steps on a crossroads are left out, but what is before and after them is counted on: NAVSIM's counter waits there.
    """
    beside = np.cumsum(~on_line & ~places.crossing, axis=1)
    # Steps beside the line since it was last met.
    met = np.maximum.accumulate(np.where(on_line & ~places.crossing, beside, 0), axis=1)
    return np.asarray((beside - met).max(1) < _BESIDE_STEPS)


def _lateral(motion: Motion, past: Past | None) -> Floats:
    """Lateral accelerations ``[n, t]``: simulated cars have none, but at first the log's."""
    found = np.zeros_like(motion.x_m)
    if past is not None:
        found[:, 0] = past.lateral_mps2[-1]
    return found


def _with_past(motion: Motion, lateral_mps2: Floats, past: Past | None) -> tuple[Motion, Floats]:
    """Drives ``[n, t]`` and their lateral accelerations, with the past before them."""
    if past is None:
        return motion, lateral_mps2
    whole = Motion(*(_after(before, values) for before, values in zip(past.motion, motion, strict=True)))
    return whole, _after(past.lateral_mps2[:-1], lateral_mps2)


def _after(before: Floats, values: Floats) -> Floats:
    """Values ``[n, t]`` after those of a past ``[p]`` that they share."""
    return np.concatenate([np.broadcast_to(before, (len(values), len(before))), values], axis=1)


def _all(bounds: dict[str, NDArray[np.bool_]]) -> Flags:
    return np.asarray(np.logical_and.reduce(list(bounds.values())))
