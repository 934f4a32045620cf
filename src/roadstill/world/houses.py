"""Buildings: walls, cornices, windows, shops and gabled roofs over four corners on the ground."""

import numpy as np
from numpy.typing import NDArray

from roadstill.world.meshes import LAMP, Mesh, quads
from roadstill.world.scene import Town

Points = NDArray[np.float64]


def house_of(corners: Points, town: Town, rng: np.random.Generator, lit: bool) -> list[Mesh]:
    """One building over four ground corners, the first two along the street (street on the outer side of that edge)."""
    storey = rng.uniform(2.9, 3.5)
    storeys = max(1, round(rng.uniform(*town.building_height_m) / storey))
    height = storeys * storey + 0.6
    wall = np.array(town.walls[rng.integers(len(town.walls))]) * rng.uniform(0.88, 1.08)
    base = np.asarray(corners, np.float64)
    # counter-clockwise from above, whatever the order given
    area = np.sum(base[:, 0] * np.roll(base[:, 1], -1) - np.roll(base[:, 0], -1) * base[:, 1])
    if area < 0:
        base = base[[1, 0, 3, 2]]
    up = np.array([0, 0, height])
    faces = [[base[i], base[(i + 1) % 4], base[(i + 1) % 4] + up, base[i] + up] for i in range(4)]
    lower = wall * 0.72
    meshes = [quads(np.array(faces), np.stack([[lower, lower, wall, wall]] * 4))]
    meshes.append(quads([list(base + up)], wall * 0.5))
    lift = np.array([0, 0, 0.45])
    rim = []
    for face in faces:
        out, edge = _out(face) * 0.18, (face[1] - face[0]) * (0.18 / max(float(np.linalg.norm(face[1] - face[0])), 0.2))
        rim.append(np.array([face[3] - edge, face[2] + edge, face[2] + edge + lift, face[3] - edge + lift]) + out)
    meshes.append(quads(np.array(rim), np.clip(wall * 1.15 + 0.05, 0, 1)))
    shape = (rng.uniform(0.42, 0.62), rng.uniform(0.5, 0.66), rng.uniform(2.2, 3.6))
    if town.building_height_m[1] > 25 and rng.random() < 0.5:  # a curtain wall
        shape = (0.92, rng.uniform(0.6, 0.85), rng.uniform(3, 5))
    glass, shop = rng.uniform(0.06, 0.2) * np.array([0.9, 1.05, 1.25]), rng.random() < 0.4
    for number in (0, 1, 3):  # nobody sees the back
        face = faces[number]
        meshes += _windows(np.array(face), storeys, storey, shape, glass, rng, lit, shop and number == 0)
    if town.building_height_m[1] < 12 and rng.random() < 0.75:
        meshes += _gable(base + up, rng)
    return meshes


def _out(face: list[Points]) -> Points:
    edge = face[1] - face[0]
    return np.array([edge[1], -edge[0], 0.0]) / max(float(np.hypot(edge[0], edge[1])), 1e-9)


def _windows(
    face: Points, storeys: int, storey: float, shape: tuple[float, float, float], glass: Points,
    rng: np.random.Generator, lit: bool, shop: bool,
) -> list[Mesh]:  # fmt: skip
    """A grid of windows (share of width, share of height, spacing) on a wall; some are lit in the dark."""
    wide = float(np.linalg.norm(face[1] - face[0]))
    columns = max(1, int(wide / shape[2]))
    along_wall = (face[1] - face[0]) / wide
    cell = wide / columns
    column, level = (grid.ravel() for grid in np.meshgrid(np.arange(columns), np.arange(storeys)))
    centre, bottom = (column + 0.5) * cell, level * storey + (1 - shape[1]) * 0.55 * storey + 0.1
    half, tall = np.full(len(column), shape[0] * cell / 2), np.full(len(column), shape[1] * storey)
    if shop:
        ground = level == 0
        half, bottom = np.where(ground, cell * 0.43, half), np.where(ground, 0.35, bottom)
        tall = np.where(ground, 2.3, tall)
    origin = face[0] + _out(list(face)) * 0.04

    def corner(sign: int, top: bool) -> Points:
        place = origin + (centre + sign * half)[:, None] * along_wall
        place[:, 2] = bottom + (tall if top else 0)
        return place

    panes = np.stack([corner(-1, False), corner(1, False), corner(1, True), corner(-1, True)], 1)
    shades = glass * rng.uniform(0.7, 1.5, (len(panes), 1))
    shades[rng.random(len(panes)) < 0.15] = (0.5, 0.5, 0.46)  # a drawn blind
    warm = rng.random(len(panes))
    if not lit:
        return [quads(panes, shades)]
    bright = warm < 0.22
    glow = np.array([0.95, 0.76, 0.45]) * rng.uniform(0.45, 0.9, (len(panes), 1))
    return [quads(panes[~bright], shades[~bright]), quads(panes[bright], glow[bright], kind=LAMP)]


def _gable(top: Points, rng: np.random.Generator) -> list[Mesh]:
    rise = rng.uniform(1.6, 3.0)
    left, right = (top[0] + top[3]) / 2 + [0, 0, rise], (top[1] + top[2]) / 2 + [0, 0, rise]
    slate = np.array([0.30, 0.22, 0.19]) * rng.uniform(0.7, 1.3)
    slopes = [[top[0], top[1], right, left], [top[2], top[3], left, right]]
    ends = [[top[1], top[2], right, right], [top[3], top[0], left, left]]
    return [quads(np.array(slopes), slate), quads(np.array(ends), slate * 1.5)]
