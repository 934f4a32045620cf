"""Simulated drives from one place, with what every term asks of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from roadstill.driving.poses import Floats
from roadstill.driving.vehicle import MIDDLE_M, Motion, corners
from roadstill.errors import UserError


@dataclass(frozen=True, eq=False)
class Drives:
    """How n cars move over t steps of 0.1 s, the first of them now.

    Attributes:
        motion: arrays ``[n, t]``, as `roadstill.driving.vehicle.follow` gives them.

    Raises:
        UserError: arrays of other shapes, or numbers that are not finite.
    """

    motion: Motion

    def __post_init__(self) -> None:
        shape = np.shape(self.motion.x_m)
        for name, value in self.motion._asdict().items():
            if len(shape) != 2 or np.shape(value) != shape:
                raise UserError(f"drives: {name} is an array {np.shape(value)}; one of [n, t] for all is needed")
        if not np.isfinite(np.stack(self.motion)).all():
            raise UserError("drives: a number is not finite")

    @cached_property
    def poses(self) -> Floats:
        """Poses of the rear axles ``[n, t, 3]``."""
        return self.motion.poses

    @cached_property
    def ahead(self) -> Floats:
        """Where the cars look: directions of length one ``[n, t, 2]``."""
        return np.stack([np.cos(self.motion.yaw_rad), np.sin(self.motion.yaw_rad)], axis=-1)

    @cached_property
    def middles_m(self) -> Floats:
        """Middles of the cars ``[n, t, 2]``."""
        return np.asarray(self.poses[..., :2] + MIDDLE_M * self.ahead)

    @cached_property
    def corners_m(self) -> Floats:
        """Corners of the cars ``[n, t, 4, 2]``, counter-clockwise from rear right."""
        return corners(self.poses)
