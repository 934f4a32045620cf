"""What is painted and what shines along the street: awnings, boards, neon, letter boxes, hydrants and signs.

All of it comes in many colours, red and green among them, and knows nothing of what happens on the road: so that red
alone does not mean braking, nor green the contrary.
"""

import numpy as np
from numpy.typing import NDArray

from roadstill.world import figures
from roadstill.world.lamps import Glow
from roadstill.world.meshes import LAMP, SOLID, Mesh, box, quads, rod
from roadstill.world.streets import KERB_M, Band, along

Points = NDArray[np.float64]

_RED, _GREEN = (0.78, 0.09, 0.08), (0.10, 0.52, 0.22)
_CLOTHS = (_RED, _RED, _GREEN, _GREEN, (0.12, 0.24, 0.52), (0.86, 0.84, 0.78), (0.82, 0.62, 0.14), (0.30, 0.16, 0.12))
_BOARDS = (_RED, _GREEN, (0.90, 0.88, 0.82), (0.10, 0.16, 0.42), (0.12, 0.12, 0.13), (0.86, 0.50, 0.10))
_TUBES = (
    (1.0, 0.12, 0.08), (1.0, 0.10, 0.16), (0.15, 1.0, 0.45), (0.20, 0.95, 0.35), (0.25, 0.55, 1.0),
    (1.0, 0.72, 0.30), (0.95, 0.25, 0.75), (0.95, 0.95, 0.90),
)  # fmt: skip
_AWNING, _BOARD, _TUBE = 0.5, 0.65, 0.4  # shares of the shops that have them
_SHINES_BY_DAY = 0.45
_BOX_EVERY_M, _SIGN_EVERY_M = 26.0, 34.0


def shop_front(face: Points, rng: np.random.Generator, lit: bool) -> tuple[list[Mesh], list[Glow]]:
    """Awning, board and neon of one shop.

    Args:
        face: the two ground corners ``[2, 3]`` of the wall to the street, the street to the right of the way between.
        rng: source of everything random.
        lit: whether it is dark enough for everything to shine.
    """
    edge = face[1] - face[0]
    wide = float(np.linalg.norm(edge))
    way = edge / max(wide, 1e-9)
    out = np.array([way[1], -way[0], 0.0])
    meshes: list[Mesh] = []
    glows: list[Glow] = []

    def at(along_m: float, out_m: float, z_m: float) -> Points:
        return face[0] + way * along_m + out * out_m + np.array([0.0, 0.0, z_m])

    if rng.random() < _AWNING:
        cloth, other = (np.array(_CLOTHS[rng.integers(len(_CLOTHS))]) for _ in range(2))
        strips = max(2, round((wide - 1.0) / 0.9))
        sides = np.linspace(0.5, wide - 0.5, strips + 1)
        striped = rng.random() < 0.4
        for number in range(strips):
            low, high = sides[number], sides[number + 1]
            colour = other if striped and number % 2 else cloth
            slope = [at(low, 1.3, 2.45), at(high, 1.3, 2.45), at(high, 0.1, 3.0), at(low, 0.1, 3.0)]
            fringe = [at(low, 1.3, 2.2), at(high, 1.3, 2.2), at(high, 1.3, 2.45), at(low, 1.3, 2.45)]
            meshes.append(quads([slope, fringe], colour))
    if rng.random() < _BOARD:
        colour = np.array(_BOARDS[rng.integers(len(_BOARDS))])
        shines = rng.random() < (0.9 if lit else _SHINES_BY_DAY)
        low, high = wide * rng.uniform(0.05, 0.25), wide * rng.uniform(0.75, 0.95)
        board = [at(low, 0.12, 3.15), at(high, 0.12, 3.15), at(high, 0.12, 3.75), at(low, 0.12, 3.75)]
        meshes.append(quads([board], colour * (1.15 if shines else 1.0), kind=LAMP if shines else SOLID))
    if rng.random() < _TUBE:
        colour3 = _TUBES[rng.integers(len(_TUBES))]
        shines = rng.random() < (0.95 if lit else _SHINES_BY_DAY)
        place, tall, low = wide * rng.uniform(0.1, 0.9), rng.uniform(0.7, 2.6), rng.uniform(2.8, 4.6)
        half = 0.35
        sign = [
            [at(place - 0.08, 0.2, low), at(place - 0.08, 0.2 + 2 * half, low),
             at(place - 0.08, 0.2 + 2 * half, low + tall), at(place - 0.08, 0.2, low + tall)],
            [at(place + 0.08, 0.2 + 2 * half, low), at(place + 0.08, 0.2, low),
             at(place + 0.08, 0.2, low + tall), at(place + 0.08, 0.2 + 2 * half, low + tall)],
        ]  # fmt: skip
        shade = np.array(colour3) * (1.0 if shines else 0.45)
        meshes.append(quads(sign, shade, kind=LAMP if shines else SOLID))
        if shines:
            centre = at(place, 0.2 + half, low + tall / 2).astype(np.float32)
            glows.append(Glow(centre, colour3, 0.9, 0.75 if lit else 0.5))
    return meshes, glows


def kerb_things(band: Band, side: int, rng: np.random.Generator) -> list[Mesh]:
    """Letter boxes, hydrants and signs along one kerb; most signs concern other people or are no order to stop."""
    meshes = []
    place = band.start_m + rng.uniform(0, _BOX_EVERY_M)
    while place < band.end_m:
        kind, shade = rng.random(), rng.uniform(0.85, 1.1)
        colour = np.array(_RED if kind < 0.55 else _GREEN if kind < 0.75 else (0.13, 0.25, 0.52)) * shade
        if rng.random() < 0.5:
            thing = box((-0.3, 0.3), (-0.25, 0.25), (0.0, 1.25), colour)
        else:
            thing = rod((0, 0, 0), (0, 0, 0.75), (0.16, 0.12), tuple(colour))
        offset = band.kerb_m + rng.uniform(0.5, 0.9)
        meshes += standing(band, thing, place, side * offset)
        place += _BOX_EVERY_M * rng.uniform(0.4, 1.6)
    place = band.start_m + rng.uniform(0, _SIGN_EVERY_M)
    while place < band.end_m:
        meshes += standing(band, figures.sign(int(rng.integers(figures.SIGNS))), place, side * (band.kerb_m + 0.45))
        place += _SIGN_EVERY_M * rng.uniform(0.4, 1.6)
    return meshes


def standing(band: Band, mesh: Mesh, place_m: float, offset_m: float) -> list[Mesh]:
    """A thing at the kerb that faces the traffic of its side; nothing within a crossroads."""
    if band.near_crossing(place_m, 1 if offset_m > 0 else -1):
        return []
    (x, y, _), ahead = along(band.layout.road, place_m, offset_m), along(band.layout.road, place_m + 0.5, offset_m)
    yaw = float(np.arctan2(ahead[1] - y, ahead[0] - x)) + (np.pi if offset_m > 0 else 0.0)
    return [mesh.placed(x, y, yaw, z_m=KERB_M)]
