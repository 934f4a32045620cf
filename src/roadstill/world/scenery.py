"""What stands beside the road: buildings with windows, trees, street lamps, parked cars; in chunks along the road."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from roadstill.runs import seed_of
from roadstill.world import figures
from roadstill.world.houses import house_of
from roadstill.world.meshes import PAINT, Mesh, merge
from roadstill.world.scene import Layout
from roadstill.world.streets import CROSSING_HALF_M, Band, along, carriageway, marks, pavements

CHUNK_M = 40.0
LAMP_SPACING_M = 32.0
_LAMP_ARM_M = 1.6
_SIGHT_M = 45.0  # kerbside without trees before signals and crosswalks


@dataclass(frozen=True)
class Chunk:
    """The standing things of one stretch of road.

    Attributes:
        mesh: mesh of all of them.
        lamps_m: positions of the street lamps ``[k, 3]``.
    """

    mesh: Mesh
    lamps_m: NDArray[np.float32]


def build_chunk(layout: Layout, index: int, *, lit: bool) -> Chunk:
    """The chunk from ``index * CHUNK_M`` on; ``lit``: windows and street lamps shine. Depends on nothing else."""
    band = Band(layout, index * CHUNK_M, (index + 1) * CHUNK_M)
    rng = np.random.default_rng(seed_of("chunk", layout.seed, layout.town.name, index))
    meshes = carriageway(band, rng) + pavements(band) + marks(band)
    for side in (1, -1):
        meshes += _row_of_houses(band, side, rng, lit)
        meshes += _trees(band, side, rng)
    for centre in band.inside(layout.crossroads_s_m):
        meshes += _side_street_houses(band, centre, rng, lit)
    posts, lamps = _street_lamps(band, lit)
    return Chunk(merge(meshes + posts), lamps)


def street_lamps(band: Band) -> list[tuple[float, int]]:
    """Arc length and side of the street lamps of a band."""
    first = int(np.ceil(band.start_m / LAMP_SPACING_M))
    last = int(np.ceil(band.end_m / LAMP_SPACING_M))
    places = [(i * LAMP_SPACING_M, 1 if i % 2 else -1) for i in range(first, last)]
    return [(s, side) for s, side in places if not band.near_crossing(np.array([s]))[0]]


def _street_lamps(band: Band, lit: bool) -> tuple[list[Mesh], NDArray[np.float32]]:
    meshes, heads = [], []
    for s, side in street_lamps(band):
        x, y, _ = along(band.layout.road, s, side * (band.kerb_m + 0.5))
        ahead = along(band.layout.road, s + 0.5, side * (band.kerb_m + 0.5))
        yaw = float(np.arctan2(ahead[1] - y, ahead[0] - x)) + (np.pi if side > 0 else 0.0)
        meshes.append(figures.lamp_post(lit).placed(x, y, yaw))
        heads.append(along(band.layout.road, s, side * (band.kerb_m + 0.5 - _LAMP_ARM_M), 7.0))
    return meshes, np.array(heads, np.float32).reshape(-1, 3)


def _trees(band: Band, side: int, rng: np.random.Generator) -> list[Mesh]:
    town = band.layout.town
    meshes = []
    place = band.start_m + rng.uniform(0, town.tree_spacing_m)
    while place < band.end_m:
        beyond = rng.random() > town.building_share
        offset = band.kerb_m + 0.9 if not beyond else band.facade_line_m + rng.uniform(0.5, 6.0)
        tall = rng.uniform(4.5, 8.5)
        leaf = np.array(town.leaves[rng.integers(len(town.leaves))]) * rng.uniform(0.85, 1.15)
        variant = int(rng.integers(12))
        if not _keeps_clear(band, place, offset):
            x, y, _ = along(band.layout.road, place, side * offset)
            model = figures.palm(variant) if town.location.startswith("us-nv") else figures.tree(variant)
            colours = np.where((model.slots == PAINT)[:, None], model.colours * leaf, model.colours).astype(np.float32)
            scale = (tall * rng.uniform(0.8, 1.1), tall * rng.uniform(0.8, 1.1), tall)
            meshes.append(model.painted(colours).placed(x, y, rng.uniform(0, 6.28), scale))
        place += town.tree_spacing_m * rng.uniform(0.6, 1.4)
    return meshes


def _keeps_clear(band: Band, place_m: float, offset_m: float) -> bool:
    """Whether a tree may not stand here: at a crossroads, or by the kerb where it would hide a signal or walkers."""
    layout = band.layout
    if band.near_crossing(np.array([place_m]))[0]:
        return True
    sights = (*layout.crossroads_s_m, *layout.crosswalks_s_m, *layout.stop_lines_s_m)
    return offset_m < band.facade_line_m and any(-_SIGHT_M < place_m - sight < 12 for sight in sights)


def _row_of_houses(band: Band, side: int, rng: np.random.Generator, lit: bool) -> list[Mesh]:
    """Lots of 8 to 16 m along one side; a lot is built up with the town's share."""
    town, road = band.layout.town, band.layout.road
    meshes: list[Mesh] = []
    cuts = [band.start_m]
    while cuts[-1] < band.end_m - 1e-6:
        rest = band.end_m - cuts[-1]
        cuts.append(band.end_m if rest < 16 else min(cuts[-1] + rng.uniform(8, 15), band.end_m))
    for start, end in pairwise(cuts):
        built, setback, gap = rng.random() < town.building_share, rng.uniform(*town.setback_m), rng.uniform(0, 1.2)
        house = np.random.default_rng(rng.integers(2**62))
        free = not band.near_crossing(np.linspace(start, end, 7)).any()
        if not built or not free:
            continue
        near = band.facade_line_m + setback
        far = near + house.uniform(9, 14)
        if end - start > 12:
            end -= gap
        corners = along(road, [start, end, end, start], np.array([near, near, far, far]) * side)
        meshes += house_of(corners if side > 0 else corners[[1, 0, 3, 2]], town, house, lit)
    return meshes


def _side_street_houses(band: Band, centre: float, rng: np.random.Generator, lit: bool) -> list[Mesh]:
    """Houses along both sides of a side street, behind the corner houses of the main road."""
    town, road = band.layout.town, band.layout.road
    meshes: list[Mesh] = []
    for side in (1, -1):
        for edge in (1, -1):
            offset = band.facade_line_m + 16.0
            while offset < 80:
                wide = rng.uniform(9, 15)
                house = np.random.default_rng(rng.integers(2**62))
                if rng.random() < town.building_share + 0.2:
                    near, far = centre + edge * (CROSSING_HALF_M + 0.8), centre + edge * (CROSSING_HALF_M + 11)
                    lateral = np.array([offset, offset + wide - 0.5]) * side
                    corners = along(road, [near, near, far, far], lateral[[0, 1, 1, 0]])
                    meshes += house_of(corners if side * edge < 0 else corners[[1, 0, 3, 2]], town, house, lit)
                offset += wide
    return meshes
