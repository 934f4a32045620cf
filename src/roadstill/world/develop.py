"""From the software renderer's samples to the finished picture: sky, grain of the road, glare, weather, sensor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadstill.runs import seed_of
from roadstill.world import optics
from roadstill.world.lamps import Glow
from roadstill.world.meshes import GROUND, LAMP, SOLID
from roadstill.world.sky import Sky
from roadstill.world.weather import Floats, Look

_GLARE = 0.015  # least radius of a lamp's glow, as a share of the height: the lens blooms however far the lamp is


@dataclass(frozen=True)
class Eye:
    """Where the camera is: metres in the axes of the drawn meshes, and where it looks."""

    place_m: NDArray[np.float64]
    yaw_rad: float

    def sees(self, x_m: float, y_m: float) -> tuple[float, float]:
        """How far ahead and how far to the left a place lies."""
        east, north = x_m - float(self.place_m[0]), y_m - float(self.place_m[1])
        cos, sin = float(np.cos(self.yaw_rad)), float(np.sin(self.yaw_rad))
        return east * cos + north * sin, north * cos - east * sin


class Darkroom:
    """Develops pictures of one size; keeps nothing of one picture for the next."""

    def __init__(self, width_px: int, height_px: int, factor: int, focal_px: float) -> None:
        self._width_px, self._height_px, self._factor, self._focal_px = width_px, height_px, factor, focal_px
        self._across = ((np.arange(width_px) + 0.5 - width_px / 2) / focal_px).astype(np.float32)
        self._upward = ((height_px / 2 - np.arange(height_px) - 0.5) / focal_px).astype(np.float32)
        self._sensor = optics.Sensor(width_px, height_px)

    def develop(
        self, samples: NDArray[np.uint8], eye: Eye, look: Look, sky: Sky, grain: Floats, glows: list[Glow], seed: int
    ) -> NDArray[np.uint8]:
        """The picture ``[h, w, 3]`` of samples ``[h * factor, w * factor, 4]`` (colour and kind)."""
        rng = np.random.default_rng(seed_of("camera", seed))
        kinds = samples[..., 3]
        is_sky, is_ground = kinds < GROUND // 2, (kinds >= GROUND // 2) & (kinds < (GROUND + SOLID) // 2)
        shares = optics.reduce(np.stack([is_sky, is_ground], -1).astype(np.uint8), self._factor)
        picture: Floats = optics.reduce(samples[..., :3], self._factor) / np.float32(255)
        half = self._height_px // 2 + 1
        picture[:half] += sky.draw(self._across, self._upward[:half], eye.yaw_rad) * shares[:half, :, :1]
        picture[half:] += sky.beyond * shares[half:, :, :1]
        self._roughen(picture, shares[..., 1], grain, eye)
        if look.wet > 0.5:
            slope = np.clip(-self._upward, 0.004, None)
            strength = (0.42 * np.exp(-slope * 2.6) * (self._upward < 0)).astype(np.float32)
            picture = optics.reflect_wet(picture, shares[..., 1], strength)
        for glow in self._in_view(glows, eye):
            self._shine(picture, kinds, glow, eye, look)
        if look.wet > 0.5:
            optics.add_rain(picture, rng, look)
        return self._sensor.expose(picture, rng, look.dark)

    def _roughen(self, picture: Floats, ground: Floats, grain: Floats, eye: Eye) -> None:
        """Grain of road and ground, fixed to the world; in place."""
        near = np.flatnonzero(self._upward < -0.045)
        forward = eye.place_m[2] / -self._upward[near, None].astype(np.float64)
        left = -self._across[None] * forward
        cos, sin = np.cos(eye.yaw_rad), np.sin(eye.yaw_rad)
        x = np.floor((eye.place_m[0] + forward * cos - left * sin) * 9).astype(np.int64)
        y = np.floor((eye.place_m[1] + forward * sin + left * cos) * 9).astype(np.int64)
        fade = np.clip(1.15 - forward / 34, 0, 1).astype(np.float32)
        rough = grain[x % grain.shape[0], y % grain.shape[1]]
        picture[near] *= 1 + (np.float32(0.34) * ground[near] * rough * fade)[..., None]

    def _in_view(self, glows: list[Glow], eye: Eye) -> list[Glow]:
        """Those before the camera and, but for their skirts, between the edges of the picture."""
        if not glows:
            return []
        away_m = np.array([glow.centre_m[:2] for glow in glows], np.float64) - eye.place_m[:2]
        ahead = np.array([np.cos(eye.yaw_rad), np.sin(eye.yaw_rad)])
        forward, left = away_m @ ahead, away_m @ (-ahead[1], ahead[0])
        seen = (forward >= 1.0) & (np.abs(left) <= forward * (self._width_px / 2 / self._focal_px) + 0.2)
        return [glows[at] for at in np.flatnonzero(seen)]

    def _shine(self, picture: Floats, kinds: NDArray[np.uint8], glow: Glow, eye: Eye, look: Look) -> None:
        """Adds one lamp's glow as far as the lamp is in sight; in place."""
        forward, left = eye.sees(float(glow.centre_m[0]), float(glow.centre_m[1]))
        px_per_m = self._focal_px / forward
        column = self._width_px / 2 - left * px_per_m
        row = self._height_px / 2 - (float(glow.centre_m[2]) - float(eye.place_m[2])) * px_per_m
        x, y = int(column * self._factor), int(row * self._factor)
        reach = max(1, int(0.1 * px_per_m * self._factor))
        window = kinds[max(y - reach, 0) : max(y + reach + 1, 0), max(x - reach, 0) : max(x + reach + 1, 0)]
        if window.size == 0:
            return
        seen = min(1.0, 2.5 * float((window > (LAMP + SOLID) // 2).mean()))
        if seen > 0:
            radius = max(glow.radius_m * px_per_m, _GLARE * self._height_px)
            light = np.array(glow.colour) * glow.strength * seen * np.exp(-0.35 * forward / look.sight_m)
            optics.add_glow(picture, column, row, radius, light.astype(np.float32))
