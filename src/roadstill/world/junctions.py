"""Crossroads as they are seen: the streets that meet our road there, and the open corner where our way itself turns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadstill.world.houses import house_of
from roadstill.world.meshes import GROUND, Mesh, quads
from roadstill.world.scene import Layout, Road
from roadstill.world.streets import (
    CROSSING_HALF_M,
    KERB_M,
    MARK_Z_M,
    SIDE_HALF_M,
    Band,
    along,
    inner_side,
    rectangles,
    strip,
)  # fmt: skip

Floats = NDArray[np.float64]

REACH_M = 90.0
"""How far side streets reach from the middle of a crossroads."""

_BEHIND_CORNER_M = 16.0  # the houses at the corner belong to our own road
_HOUSES_TO_M = 62.0


@dataclass(frozen=True)
class Corner:
    """A crossroads at which our way turns.

    Attributes:
        middle_m: where the middles of both streets meet ``[2]``.
        begin: position and yaw where the bend begins.
        end: position and yaw where it ends.
        outside: the outer side of the bend, 1 left and -1 right.
    """

    middle_m: Floats
    begin: tuple[float, float, float]
    end: tuple[float, float, float]
    outside: int


def corner_of(layout: Layout, begin_m: float, end_m: float) -> Corner:
    """The crossroads around a bend between two arc lengths."""
    begin, end = layout.road.at(begin_m), layout.road.at(end_m)
    middle = _meet(np.array(begin[:2]), begin[2], np.array(end[:2]), end[2])
    return Corner(middle, begin, end, -inner_side(layout.road, begin_m, end_m))


def junctions(band: Band, rng: np.random.Generator, lit: bool) -> list[Mesh]:
    """All that belongs to the crossroads of a band."""
    meshes: list[Mesh] = []
    for centre in band.inside(band.layout.crossroads_s_m):
        x, y, yaw = band.layout.road.at(centre)
        for turn in (np.pi / 2, -np.pi / 2):
            meshes += _street(band, _straight((x, y), yaw + turn), rng, lit)
    for begin_m, end_m in band.layout.corners_s_m:
        if band.inside([(begin_m + end_m) / 2]):
            corner = corner_of(band.layout, begin_m, end_m)
            meshes += _open_corner(band, corner, np.linspace(begin_m, end_m, 13))
            for yaw in (corner.begin[2], corner.end[2] + np.pi):
                meshes += _street(band, _straight(corner.middle_m, yaw), rng, lit)
    return meshes


def _straight(begin_m: Floats | tuple[float, float], yaw_rad: float) -> Road:
    way = np.array([np.cos(yaw_rad), np.sin(yaw_rad)])
    return Road(np.asarray(begin_m) + np.array([[0.0], [REACH_M]]) * way, np.full(2, yaw_rad), REACH_M)


def _meet(first_m: Floats, first_rad: float, second_m: Floats, second_rad: float) -> Floats:
    """Where two straight lines meet, each through a point in a direction."""
    ways = np.array([[np.cos(first_rad), np.cos(second_rad)], [np.sin(first_rad), np.sin(second_rad)]])
    far = np.linalg.solve(ways, second_m - first_m)[0]
    return first_m + far * ways[:, 0]


def _street(band: Band, road: Road, rng: np.random.Generator, lit: bool) -> list[Mesh]:
    """One side street, from the kerb of our road outwards, with the houses along it."""
    town = band.layout.town
    near, edge = band.kerb_m - 0.1, band.facade_line_m
    asphalt = np.array(town.asphalt)
    meshes = [
        strip(road, [near, edge, 20.0, 30.0, 50.0, REACH_M], [SIDE_HALF_M, 0.0, -SIDE_HALF_M], 0.004, asphalt * 0.97),
        strip(road, [near, edge], np.linspace(CROSSING_HALF_M, -CROSSING_HALF_M, 9), 0.002, asphalt),
    ]
    for side in (1, -1):
        walk = np.array([CROSSING_HALF_M, SIDE_HALF_M]) * side
        meshes.append(strip(road, [edge + 0.2, 40.0, REACH_M], walk[::side], KERB_M, town.pavement))
        meshes += _houses(band, road, side, rng, lit)
    dash = np.arange(edge + 1, 70, 6.0)
    meshes.append(rectangles(road, np.stack([dash, dash + 2.5], -1), [[0.07, -0.07]], MARK_Z_M, town.marking))
    return meshes


def _houses(band: Band, road: Road, side: int, rng: np.random.Generator, lit: bool) -> list[Mesh]:
    meshes: list[Mesh] = []
    start_m = band.facade_line_m + _BEHIND_CORNER_M
    lateral = (CROSSING_HALF_M + np.array([0.8, 0.8, 11.0, 11.0])) * side
    while start_m < _HOUSES_TO_M:
        wide_m = rng.uniform(9, 15)
        house = np.random.default_rng(rng.integers(2**62))
        if rng.random() < band.layout.town.building_share + 0.2:
            end_m = start_m + wide_m - 0.5
            corners = along(road, [start_m, end_m, end_m, start_m], lateral)
            meshes += house_of(corners if side > 0 else corners[[1, 0, 3, 2]], band.layout.town, house, lit)
        start_m += wide_m
    return meshes


def _open_corner(band: Band, corner: Corner, s_m: Floats) -> list[Mesh]:
    """The asphalt between the bend and the far kerbs, and the pavements up to the streets that meet us."""
    town, side = band.layout.town, corner.outside
    kerb = along(band.layout.road, s_m, side * band.kerb_m, 0.003)
    tip = _meet(kerb[0, :2], corner.begin[2], kerb[-1, :2], corner.end[2])
    tips = np.broadcast_to([*tip, 0.003], kerb[1:].shape)
    area = quads(np.stack([tips, kerb[:-1], kerb[1:], kerb[1:]], 1), np.array(town.asphalt), kind=GROUND)
    area.normals[:] = (0, 0, 1)
    meshes = [area]
    across = np.array([band.facade_line_m, band.kerb_m + 0.2, band.kerb_m])
    for (x, y, yaw), edge in ((corner.begin, side), ((*corner.end[:2], corner.end[2] + np.pi), -side)):
        reach_m = float(np.linalg.norm(corner.middle_m - (x, y))) - CROSSING_HALF_M
        if reach_m > 0:
            shades = np.array([1.0, 0.97, 0.85])[:, None] * np.array(town.pavement)
            meshes.append(
                strip(_straight((x, y), yaw), [0.0, reach_m], (across * edge)[::edge], KERB_M, shades[::edge])
            )
    return meshes
