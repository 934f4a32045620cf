"""Lamps of all kinds: their colours, and the light around them."""

import math
from dataclasses import dataclass

import numpy as np

from roadstill.world.meshes import Floats

RED, AMBER, GREEN = (1.0, 0.10, 0.06), (1.0, 0.66, 0.08), (0.15, 1.0, 0.48)


@dataclass(frozen=True)
class Glow:
    """Light around a lamp, seen only where the lamp itself is.

    Attributes:
        centre_m: position ``[3]`` in world axes.
        colour: colour of the light.
        radius_m: distance at which it has faded to about a tenth.
        strength: peak brightness that is added, 0..1.
    """

    centre_m: Floats
    colour: tuple[float, float, float]
    radius_m: float
    strength: float


@dataclass(frozen=True)
class Lamp:
    """A lamp that shines, on the thing that carries it.

    Attributes:
        colour: colour of its light.
        radius_m: radius of its `Glow` by day, and what darkness adds.
        strength: strength of it by day, and what darkness adds.
        at: position on the thing.
    """

    colour: tuple[float, float, float]
    radius_m: tuple[float, float]
    strength: tuple[float, float]
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def glow(self, pose: tuple[float, float, float], dark: float) -> Glow:
        """The light around it, given position and yaw of the thing and the darkness, as in `Look`."""
        (x, y, yaw), (ahead, left, up) = pose, self.at
        cos, sin = math.cos(yaw), math.sin(yaw)
        place = np.array([x + ahead * cos - left * sin, y + ahead * sin + left * cos, up], np.float32)
        (radius_m, wider_m), (strength, stronger) = self.radius_m, self.strength
        return Glow(place, self.colour, radius_m + wider_m * dark, strength + stronger * dark)


def signal_lamp(at: tuple[float, float, float], colour: tuple[float, float, float], radius_m: float) -> Lamp:
    """A lamp of a traffic light."""
    return Lamp(colour, (radius_m, 0.2 * radius_m), (0.62, 0.3), at)
