"""The sky behind everything: gradient, clouds, and the outline of what lies beyond the street."""

from collections.abc import Sequence

import numpy as np

from roadstill.runs import seed_of
from roadstill.world.scene import Layout
from roadstill.world.weather import Floats, Look

_AROUND = 2048  # samples of a full turn
_TALL = 160  # samples of elevation in the cloud table


def noise_table(seed: int, height: int, width: int, cells: Sequence[tuple[int, int]]) -> Floats:
    """Periodic smooth noise ``[height, width]`` in 0..1: octaves of ``cells`` (rows, columns), each half as strong."""
    rng = np.random.default_rng(seed)
    total, weight = np.zeros((height, width), np.float32), 0.0
    for octave, (rows, count) in enumerate(cells):
        grid = rng.random((rows, count), dtype=np.float32)
        y, x = np.arange(height) * rows / height, np.arange(width) * count / width
        low_y, low_x = y.astype(int), x.astype(int)
        share_y, share_x = (y - low_y)[:, None], x - low_x
        share_y, share_x = share_y * share_y * (3 - 2 * share_y), share_x * share_x * (3 - 2 * share_x)
        next_y, next_x = (low_y + 1) % rows, (low_x + 1) % count
        top = grid[low_y][:, low_x] * (1 - share_x) + grid[low_y][:, next_x] * share_x
        bottom = grid[next_y][:, low_x] * (1 - share_x) + grid[next_y][:, next_x] * share_x
        total += ((top * (1 - share_y) + bottom * share_y) * 0.5**octave).astype(np.float32)
        weight += 0.5**octave
    return total / weight


class Sky:
    """Tables of one drive's sky; ``draw`` looks them up for a camera direction."""

    def __init__(self, layout: Layout, look: Look) -> None:
        seed = seed_of("sky", layout.seed, layout.town.name)
        self._look = look
        self._clouds = noise_table(seed, _TALL, _AROUND, ((3, 14), (7, 30), (14, 64), (28, 130)))
        rng = np.random.default_rng(seed)
        outline = noise_table(seed + 1, 1, _AROUND, ((1, 24), (1, 60), (1, 160)))[0] * 0.06 + 0.012
        if layout.town.building_height_m[1] > 14:
            blocks = np.repeat(rng.uniform(0.01, 0.13, _AROUND // 16) * layout.town.building_share, 16)
            outline = np.maximum(outline, blocks * rng.choice([0.4, 0.7, 1.0], _AROUND // 16).repeat(16))
        self._outline = outline.astype(np.float32)
        tint = np.mean([*layout.town.leaves, *layout.town.walls, layout.town.ground], axis=0)
        far = 1 - np.exp(-260.0 / look.sight_m)
        ground = tint * (look.above + 0.5 * look.sun)
        self.beyond = (ground * (1 - far) + look.haze * far).astype(np.float32)
        self._sun_azimuth = float(np.arctan2(look.sun_towards[1], look.sun_towards[0]))

    def draw(self, across: Floats, upward: Floats, yaw_rad: float) -> Floats:
        """Colours ``[h, w, 3]`` for tangents ``across`` ``[w]`` (to the right) and ``upward`` ``[h]`` of the rays."""
        look = self._look
        turn = yaw_rad - np.arctan(across)
        rise = np.arctan(upward)[:, None] / np.sqrt(1 + across * across)
        share = np.clip(rise / 0.55, 0, 1) ** 0.6
        sky = look.horizon + (look.zenith - look.horizon) * share[..., None]
        column = np.floor(turn / (2 * np.pi) * _AROUND).astype(int) % _AROUND
        if look.cloud > 0.25:
            level = np.clip(rise / 0.7 * _TALL, 0, _TALL - 1.001).astype(int)
            cloud = self._clouds[level, column[None]]
            cover = np.clip((cloud - 0.62 + 0.18 * look.cloud) * 4, 0, 1) * np.clip(rise * 12, 0, 1)
            pale = look.horizon * (1.12 if look.cloud < 0.9 else 0.86)
            sky = sky + (pale - sky) * (cover * (0.8 if look.cloud < 0.9 else 0.45))[..., None]
        if look.sun.max() > 0.2:
            away = np.abs((turn - self._sun_azimuth + np.pi) % (2 * np.pi) - np.pi)
            halo = np.exp(-((away / 0.5) ** 2))[None] * np.exp(-np.clip(rise, 0, None) * 3.5)
            sky = sky + halo[..., None] * look.sun * 0.35
        edge = np.clip((rise - self._outline[column]) * 260 + 0.5, 0, 1)[..., None]
        return (self.beyond + (sky - self.beyond) * edge).astype(np.float32)
