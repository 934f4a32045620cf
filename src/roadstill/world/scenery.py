"""What stands beside the road: buildings with windows, trees, street lamps, parked cars; in chunks along the road."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from roadstill.runs import seed_of
from roadstill.world import figures
from roadstill.world.facades import kerb_things, shop_front, standing
from roadstill.world.houses import house_of
from roadstill.world.junctions import junctions
from roadstill.world.lamps import Glow
from roadstill.world.meshes import PAINT, Mesh, merge
from roadstill.world.scene import Layout
from roadstill.world.streets import Band, along, carriageway, marks, pavements

CHUNK_M = 40.0
LAMP_SPACING_M = 32.0
_LAMP_ARM_M = 1.6
_SHOPS = 0.6
_SIGHT_M = 45.0  # kerbside without trees before signals and crosswalks


@dataclass(frozen=True)
class Chunk:
    """The standing things of one stretch of road.

    Attributes:
        mesh: mesh of all of them.
        lamps_m: positions of the street lamps ``[k, 3]``.
        glows: light around what shines on the houses.
    """

    mesh: Mesh
    lamps_m: NDArray[np.float32]
    glows: tuple[Glow, ...]


def build_chunk(layout: Layout, index: int, *, lit: bool, fine: bool = False) -> Chunk:
    """The chunk from ``index * CHUNK_M`` on; depends on nothing else.

    Args:
        layout: what stands still.
        index: number of the chunk.
        lit: whether windows and street lamps shine.
        fine: whether it is for large pictures, and so has more detail.
    """
    band = Band(layout, index * CHUNK_M, (index + 1) * CHUNK_M)
    rng = np.random.default_rng(seed_of("chunk", layout.seed, layout.town.name, index))
    meshes = carriageway(band, rng) + pavements(band) + marks(band)
    glows: list[Glow] = []
    for side in (1, -1):
        houses, shining = _row_of_houses(band, side, rng, lit)
        meshes, glows = meshes + houses, glows + shining
        meshes += _trees(band, side, rng, fine)
        meshes += kerb_things(band, side, rng)
    meshes += junctions(band, rng, lit)
    meshes += _orders(band)
    posts, lamps = _street_lamps(band, lit)
    return Chunk(merge(meshes + posts), lamps, tuple(glows))


def street_lamps(band: Band) -> list[tuple[float, int]]:
    """Arc length and side of the street lamps of a band."""
    first = int(np.ceil(band.start_m / LAMP_SPACING_M))
    last = int(np.ceil(band.end_m / LAMP_SPACING_M))
    places = [(i * LAMP_SPACING_M, 1 if i % 2 else -1) for i in range(first, last)]
    return [(s, side) for s, side in places if not band.near_crossing(s, side)]


def _street_lamps(band: Band, lit: bool) -> tuple[list[Mesh], NDArray[np.float32]]:
    meshes, heads = [], []
    for s, side in street_lamps(band):
        x, y, _ = along(band.layout.road, s, side * (band.kerb_m + 0.5))
        ahead = along(band.layout.road, s + 0.5, side * (band.kerb_m + 0.5))
        yaw = float(np.arctan2(ahead[1] - y, ahead[0] - x)) + (np.pi if side > 0 else 0.0)
        meshes.append(figures.lamp_post(lit).placed(x, y, yaw))
        heads.append(along(band.layout.road, s, side * (band.kerb_m + 0.5 - _LAMP_ARM_M), 7.0))
    return meshes, np.array(heads, np.float32).reshape(-1, 3)


def _orders(band: Band) -> list[Mesh]:
    """Stop signs at their lines, and the signs that announce humps."""
    signs = [(s, figures.stop_sign()) for s in band.inside(band.layout.stop_signs_s_m)]
    signs += [(s, figures.sign(3)) for s in band.inside(band.layout.bumps_s_m)]
    return [mesh for s, sign in signs for mesh in standing(band, sign, s, -(band.kerb_m + 0.5))]


def _trees(band: Band, side: int, rng: np.random.Generator, fine: bool) -> list[Mesh]:
    town = band.layout.town
    meshes = []
    place = band.start_m + rng.uniform(0, town.tree_spacing_m)
    while place < band.end_m:
        beyond = rng.random() > town.building_share
        offset = band.kerb_m + 0.9 if not beyond else band.facade_line_m + rng.uniform(0.5, 6.0)
        tall = rng.uniform(4.5, 8.5)
        leaf = np.array(town.leaves[rng.integers(len(town.leaves))]) * rng.uniform(0.85, 1.15)
        variant = int(rng.integers(12))
        if not _keeps_clear(band, place, offset, side):
            x, y, _ = along(band.layout.road, place, side * offset)
            model = figures.palm(variant) if town.location.startswith("us-nv") else figures.tree(variant, fine)
            colours = np.where((model.slots == PAINT)[:, None], model.colours * leaf, model.colours).astype(np.float32)
            scale = (tall * rng.uniform(0.8, 1.1), tall * rng.uniform(0.8, 1.1), tall)
            meshes.append(model.painted(colours).placed(x, y, rng.uniform(0, 6.28), scale))
        place += town.tree_spacing_m * rng.uniform(0.6, 1.4)
    return meshes


def _keeps_clear(band: Band, place_m: float, offset_m: float, side: int) -> bool:
    """Whether a tree may not stand here: at a crossroads, or by the kerb where it would hide a signal or walkers."""
    layout = band.layout
    if band.near_crossing(place_m, side):
        return True
    sights = (*layout.crossroads_s_m, *layout.crosswalks_s_m, *layout.stop_lines_s_m)
    return offset_m < band.facade_line_m and any(-_SIGHT_M < place_m - sight < 12 for sight in sights)


def _row_of_houses(band: Band, side: int, rng: np.random.Generator, lit: bool) -> tuple[list[Mesh], list[Glow]]:
    """Lots of 8 to 16 m along one side; a lot is built up with the town's share."""
    town, road = band.layout.town, band.layout.road
    meshes: list[Mesh] = []
    glows: list[Glow] = []
    cuts = [band.start_m]
    while cuts[-1] < band.end_m - 1e-6:
        rest = band.end_m - cuts[-1]
        cuts.append(band.end_m if rest < 16 else min(cuts[-1] + rng.uniform(8, 15), band.end_m))
    for start, end in pairwise(cuts):
        built, setback, gap = rng.random() < town.building_share, rng.uniform(*town.setback_m), rng.uniform(0, 1.2)
        house = np.random.default_rng(rng.integers(2**62))
        free = not band.near_crossing(np.linspace(start, end, 7), side).any()
        if not built or not free:
            continue
        near = band.facade_line_m + setback
        far = near + house.uniform(9, 14)
        if end - start > 12:
            end -= gap
        corners = along(road, [start, end, end, start], np.array([near, near, far, far]) * side)
        corners = corners if side > 0 else corners[[1, 0, 3, 2]]
        meshes += house_of(corners, town, house, lit)
        if house.random() < _SHOPS:
            front, shining = shop_front(corners[:2], house, lit)
            meshes, glows = meshes + front, glows + shining
    return meshes, glows
