"""One scene: all that a drive in it is judged by."""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from roadstill.driving.centerline import Centerline
from roadstill.driving.poses import Floats
from roadstill.driving.scoring.ground import Ground
from roadstill.driving.scoring.tracks import Tracks
from roadstill.driving.vehicle import MIDDLE_M, Motion
from roadstill.errors import UserError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

STEPS = 41
"""Steps of a scene: now, and every 0.1 s of four seconds."""


@dataclass(frozen=True, eq=False)
class Red:
    """Areas of the route that a red light closes.

    Attributes:
        areas: k of them: outlines of connectors.
        closed: whether each is closed at each step ``[k, t]``.
    """

    areas: "tuple[BaseGeometry, ...]" = ()
    closed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, STEPS), bool))


@dataclass(frozen=True, eq=False)
class Past:
    """How the car came here, for comfort that begins before the scene.

    Attributes:
        motion: every 0.1 s up to before now, arrays ``[p]``; steering angles are 0, as NAVSIM knows none.
        lateral_mps2: lateral accelerations then and now ``[p + 1]``.
    """

    motion: Motion
    lateral_mps2: Floats


@dataclass(frozen=True, eq=False)
class Scene:
    """What is around a car and what its driver did.

    Attributes:
        tracks: other road users and things; `STEPS` steps, or some more.
        ground: the map around.
        line: centerline of the route.
        route: ids of the route's blocks.
        human: how the driver went on: poses of the rear axle every 0.1 s, ``[STEPS, 3]``.
        human_mps: the driver's speeds then ``[STEPS]``.
        red: what red lights close.
        past: how the car came here, if it is known.

    Raises:
        UserError: shapes that do not fit, or numbers that are not finite.
    """

    tracks: Tracks
    ground: Ground
    line: Centerline
    route: Collection[str]
    human: Floats
    human_mps: Floats
    red: Red = field(default_factory=Red)
    past: Past | None = None

    def __post_init__(self) -> None:
        if self.tracks.there.shape[1] < STEPS:
            raise UserError(f"tracks of {self.tracks.there.shape[1]} steps; a scene has {STEPS}")
        for name, value, shape in (("human", self.human, (STEPS, 3)), ("human_mps", self.human_mps, (STEPS,))):
            if value.shape != shape or not np.isfinite(value).all():
                raise UserError(f"{name} is an array {value.shape}; finite numbers {shape} are needed")
        if self.red.closed.shape != (len(self.red.areas), STEPS):
            raise UserError(f"red lights: closed {self.red.closed.shape} for {len(self.red.areas)} areas")

    @cached_property
    def human_way_m(self) -> float:
        """Way of the human along the centerline, of the middle of the car; not negative."""
        ends = self.human[None, [0, -1]]
        ahead = np.stack([np.cos(ends[..., 2]), np.sin(ends[..., 2])], axis=-1)
        return float(self.ways_m(ends[..., :2] + MIDDLE_M * ahead)[0])

    def ways_m(self, ends_m: Floats) -> Floats:
        """Ways along the centerline ``[n]`` from first to last of points ``[n, 2, 2]``; not negative."""
        arc = self.line.project(ends_m)
        return np.maximum(arc[:, 1] - arc[:, 0], 0)
