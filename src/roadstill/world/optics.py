"""What happens between the street and the picture: glare, wet reflections, rain, lens and sensor. Plain numpy."""

import numpy as np
from numpy.typing import NDArray

from roadstill.runs import seed_of
from roadstill.world.weather import Floats, Look

Pixels = NDArray[np.uint8]
_NOISE_PLACES = 2**18


def reduce(samples: NDArray[np.uint8], factor: int) -> Floats:
    """Mean over blocks of ``factor`` x ``factor`` samples: float32 ``[h, w, c]``."""
    if factor == 1:
        return samples.astype(np.float32)
    total = np.zeros((samples.shape[0] // factor, samples.shape[1] // factor, samples.shape[2]), np.uint16)
    for row in range(factor):
        for column in range(factor):
            total += samples[row::factor, column::factor]
    return total.astype(np.float32) / np.float32(factor * factor)


def add_glow(picture: Floats, column: float, row: float, radius_px: float, light: Floats) -> None:
    """Adds a soft round light in place: bright core, wide faint skirt, screened so that it never clips hard."""
    reach = int(np.ceil(radius_px * 1.6)) + 1
    top, bottom = max(int(row) - reach, 0), min(int(row) + reach + 2, picture.shape[0])
    left, right = max(int(column) - reach, 0), min(int(column) + reach + 2, picture.shape[1])
    if top >= bottom or left >= right:
        return
    down = (np.arange(top, bottom, dtype=np.float32) + 0.5 - row) / radius_px
    over = (np.arange(left, right, dtype=np.float32) + 0.5 - column) / radius_px
    squared = down[:, None] ** 2 + over[None] ** 2
    shape = 0.75 * np.exp(-5.0 * squared) + 0.25 * np.exp(-1.8 * squared)
    patch = picture[top:bottom, left:right]
    patch += shape[..., None] * light * np.maximum(1.0 - 0.75 * patch, 0.0)


def reflect_wet(picture: Floats, ground: Floats, strength: Floats) -> Floats:
    """Mirrors what stands on a wet road about its foot, column by column, blurred up and down.

    Args:
        picture: colours ``[h, w, 3]``.
        ground: share of ground ``[h, w]`` in each pixel.
        strength: share that each row ``[h]`` reflects.
    """
    height = picture.shape[0]
    rows = np.arange(height)[:, None]
    # the foot of what stands above a pixel: the nearest row above it that is not ground
    foot = np.maximum.accumulate(np.where(ground > 0.5, -1, rows), axis=0)
    source = np.clip(2 * foot - rows, 0, height - 1)
    mirrored = np.take_along_axis(picture, np.where(foot < 0, 0, source)[..., None], axis=0)
    reach = max(1, height // 30)
    total = np.cumsum(np.pad(mirrored, ((reach + 1, reach), (0, 0), (0, 0)), mode="edge"), axis=0, dtype=np.float32)
    blurred = (total[2 * reach + 1 :] - total[: -2 * reach - 1]) / (2 * reach + 1)
    return picture + (blurred - picture) * (ground * strength[:, None])[..., None]


def add_rain(picture: Floats, rng: np.random.Generator, look: Look) -> None:
    """Streaks of falling drops, a few long and near, many short and far; in place."""
    height, width = picture.shape[:2]
    count = int(260 * (0.6 + 0.8 * rng.random()))
    column, row = rng.uniform(0, width, count), rng.uniform(0, height, count)
    length = height * rng.uniform(0.02, 0.09, count)
    slant = rng.normal(0, 0.06) + rng.normal(0, 0.02, count)
    steps = np.linspace(0, 1, max(4, int(height * 0.09)))
    y = (row[:, None] + length[:, None] * steps).astype(int)
    x = (column[:, None] + length[:, None] * steps * slant[:, None]).astype(int)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    veil = np.zeros((height, width), np.float32)
    veil[y[inside], x[inside]] = np.broadcast_to(rng.uniform(0.05, 0.2, (count, 1)), y.shape)[inside]
    drop = np.clip(look.horizon * 1.2 + 0.12, 0, 1)
    picture += (drop - picture) * veil[..., None]


class Sensor:
    """Vignetting, exposure, white balance and noise of the camera; the frame's seed decides, nothing else."""

    def __init__(self, width_px: int, height_px: int) -> None:
        x = (np.arange(width_px) + 0.5) / width_px * 2 - 1
        y = (np.arange(height_px) + 0.5) / height_px * 2 - 1
        self._lens = (1 - 0.11 * (x[None] ** 2 + (y[:, None] * 0.7) ** 2)).astype(np.float32)[..., None]
        # drawn once: each picture takes its noise from another place of it
        count = height_px * width_px * 3 + _NOISE_PLACES
        self._noise = np.random.default_rng(seed_of("sensor")).standard_normal(count, dtype=np.float32)

    def expose(self, picture: Floats, rng: np.random.Generator, dark: float) -> Pixels:
        """The picture ``[h, w, 3]`` in 0..1 as 8-bit levels."""
        gain = (1 + 0.05 * rng.standard_normal()) * (1 + 0.015 * rng.standard_normal(3))
        bright = picture * (self._lens * gain.astype(np.float32))
        over = np.maximum(bright - np.float32(0.8), 0)
        bright = np.minimum(bright, np.float32(0.8)) + over / (1 + 2.5 * over)  # a soft shoulder
        start = int(rng.integers(_NOISE_PLACES))
        noise = self._noise[start : start + bright.size].reshape(bright.shape)
        grain = np.float32(0.006 + 0.008 * dark) + np.float32(0.008) * np.sqrt(np.maximum(bright, 0))
        return np.clip((bright + noise * grain) * 255 + 0.5, 0, 255).astype(np.uint8)
