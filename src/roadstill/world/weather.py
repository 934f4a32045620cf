"""Light and weather: how bright surfaces are, what colour the sky has, how far one sees.

A look depends on light, weather and the layout's seed (direction of the sun, clouds) alone, never on what happens on
the road: otherwise brightness would give the label away.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadstill.runs import seed_of
from roadstill.world.meshes import LAMP, Mesh
from roadstill.world.scene import Layout

Floats = NDArray[np.float32]
_WARM = np.array([1.0, 0.78, 0.48], np.float32)


@dataclass(frozen=True)
class Look:
    """Everything about light and air in one drive; colours are linear-ish RGB ``[3]``.

    Attributes:
        sun: colour and strength of direct light.
        sun_towards: unit vector to the sun.
        above: light from the sky on level surfaces.
        below: light from the ground on surfaces that look down.
        zenith: colour of the sky overhead.
        horizon: colour of the sky at the horizon.
        haze: colour into which distance fades.
        sight_m: distance at which 63 % of the light has faded.
        wet: wetness, 0 dry, 1 raining.
        dark: darkness, 0 by day, 0.5 at dusk, 1 at night, when lamps shine.
        cloud: share of clouds in the sky.
    """

    sun: Floats
    sun_towards: Floats
    above: Floats
    below: Floats
    zenith: Floats
    horizon: Floats
    haze: Floats
    sight_m: float
    wet: float
    dark: float
    cloud: float

    @property
    def lamps(self) -> bool:
        """Whether everybody drives with lights on: in the dark, in rain and in fog."""
        return self.dark > 0 or self.wet > 0.5 or self.sight_m < 100


_LIGHT = {  # sun, above, below, zenith, horizon, dark
    "day": ((0.62, 0.58, 0.50), (0.62, 0.66, 0.72), (0.36, 0.35, 0.34), (0.30, 0.50, 0.84), (0.74, 0.83, 0.92), 0.0),
    "dusk": ((0.42, 0.24, 0.13), (0.40, 0.38, 0.46), (0.24, 0.22, 0.24), (0.22, 0.27, 0.46), (0.88, 0.60, 0.42), 0.5),
    "night": ((0.02, 0.02, 0.03), (0.17, 0.18, 0.24), (0.11, 0.11, 0.13), (0.02, 0.02, 0.06), (0.14, 0.12, 0.13), 1.0),
}
_WEATHER = {  # share of the sun, of sky light, greyness of the sky, sight, wet, cloud
    "clear": (1.0, 1.0, 0.0, 600.0, 0.0, 0.3),
    "overcast": (0.12, 1.30, 0.85, 420.0, 0.0, 1.0),
    "rain": (0.04, 1.15, 0.92, 190.0, 1.0, 1.0),
    "fog": (0.03, 1.12, 1.0, 62.0, 0.2, 0.2),
}


def look_of(light: str, weather: str, layout: Layout) -> Look:
    """The look of a drive; an unknown light or weather is a ``KeyError``."""
    sun, above, below, zenith, horizon, dark = _LIGHT[light]
    sun_share, sky_share, grey, sight_m, wet, cloud = _WEATHER[weather]
    rng = np.random.default_rng(seed_of("look", layout.seed, layout.town.name))
    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.45, 1.0) if light == "day" else rng.uniform(0.12, 0.3)
    towards = np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
    mean = (np.array(zenith) + 2 * np.array(horizon)) / 3
    dull = np.full(3, mean.mean()) * np.array([0.98, 1.0, 1.03])
    top = np.array(zenith) * (1 - grey) + dull * 0.88 * grey
    rim = np.array(horizon) * (1 - grey) + dull * 1.06 * grey
    if weather == "rain":
        top, rim = top * 0.92, rim * 0.94

    def shade(colour: ArrayLike, share: float = 1.0) -> Floats:
        return np.asarray(np.asarray(colour) * share, np.float32)

    return Look(
        sun=shade(sun, sun_share), sun_towards=shade(towards), above=shade(above, sky_share),
        below=shade(below, sky_share), zenith=shade(top), horizon=shade(rim), haze=shade(rim),
        sight_m=sight_m, wet=wet, dark=dark, cloud=cloud,
    )  # fmt: skip


def lit(mesh: Mesh, look: Look, lamps_m: Floats) -> Floats:
    """Colours ``[n, 3]`` of a mesh under sun, sky and street lamps ``[k, 3]``; lamps keep the light they emit."""
    facing = np.maximum(mesh.normals @ look.sun_towards, 0)[:, None]
    rising = (mesh.normals[:, 2:] * 0.5 + 0.5).astype(np.float32)
    light = look.below + (look.above - look.below) * rising + look.sun * facing
    if look.dark and len(lamps_m):
        light = light + _pools(mesh.points, lamps_m)[:, None] * (_WARM * (0.9 * look.dark**1.5))
    albedo = mesh.colours * (1 - 0.32 * look.wet * (rising > 0.95)) if look.wet else mesh.colours
    return np.where((mesh.kinds == LAMP)[:, None], mesh.colours, albedo * light).astype(np.float32)


def _pools(points: Floats, lamps_m: Floats) -> Floats:
    total = np.zeros(len(points), np.float32)
    for lamp in lamps_m:
        away = points - lamp
        total += 1 / (1 + ((away[:, 0] ** 2 + away[:, 1] ** 2) / 30 + np.maximum(away[:, 2], 0) ** 2) ** 1.5)
    return total


def aired(colours: Floats, albedo: Floats, kinds: NDArray[np.uint8], seen_m: Floats, look: Look) -> Floats:
    """Adds the ego's headlights and the air between: ``seen_m`` ``[n, 3]`` is forward, left and up from the camera."""
    forward, left = seen_m[:, 0], seen_m[:, 1]
    distance = np.sqrt(forward * forward + left * left)
    if look.dark:
        near = np.maximum(forward, 1.0)
        beam = np.exp(-((left / (0.30 * near + 1.0)) ** 2)) / (1 + (forward / 20.0) ** 2) * (forward > 0)
        beam *= np.exp(-np.maximum(seen_m[:, 2] + 0.6, 0) * 0.7) * (kinds != LAMP)
        colours = colours + albedo * (beam * (1.05 * look.dark**1.5))[:, None]
    kept = np.exp(distance / -look.sight_m)
    kept = np.where(kinds == LAMP, np.sqrt(kept), kept)[:, None]
    return colours * kept + look.haze * (1 - kept)
