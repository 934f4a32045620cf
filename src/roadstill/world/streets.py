"""The road itself: carriageway, lane marks, kerbs, pavements, crosswalks and stop lines."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadstill.world.meshes import GROUND, Mesh, quads
from roadstill.world.scene import Layout, Road, Town
from roadstill.world.towns import PARKING_STRIP_M

CROSSING_HALF_M = 9.0  # nothing stands within this of the centre of a crossroads
SIDE_HALF_M = 5.5  # half the carriageway of a side street
CROSSWALK_HALF_M = 1.6
STOP_HALF_M = 0.3  # half the depth of a stop line
KERB_M = 0.14  # height of the pavement
_STEP_M = 2.5
_ARROWS_M = (7.0, 17.0, 32.0)  # before a turn
MARK_Z_M, _STRIPE_Z = 0.012, 0.018


@dataclass(frozen=True)
class Band:
    """The part of a layout between two arc lengths, and where its edges are."""

    layout: Layout
    start_m: float
    end_m: float

    @property
    def kerb_m(self) -> float:
        """Distance from the centre line to the kerb."""
        return kerb_m(self.layout.town)

    @property
    def facade_line_m(self) -> float:
        """Distance from the centre line to the outer edge of the pavement."""
        return self.kerb_m + self.layout.town.pavement_width_m

    def near_crossing(self, s_m: ArrayLike, side: int = 0) -> NDArray[np.bool_]:
        """Whether arc lengths lie within a crossroads; on one side (1 left, -1 right), or on either if 0.

        Where our way turns, the kerb on the inner side goes on.
        """
        s = np.asarray(s_m, float)
        centres = np.asarray(self.layout.crossroads_s_m, float)
        within = (np.abs(s[..., None] - centres) < CROSSING_HALF_M).any(-1)
        for begin, end in self.layout.corners_s_m:
            if side != inner_side(self.layout.road, begin, end):
                within |= (s > begin) & (s < end)
        return within

    def inside(self, places_m: ArrayLike) -> list[float]:
        """The places that lie in this band."""
        return [s for s in np.asarray(places_m, float).ravel().tolist() if self.start_m <= s < self.end_m]


def kerb_m(town: Town) -> float:
    """Distance from the centre line of a town's roads to the kerb."""
    return town.lanes_each_way * town.lane_width_m + PARKING_STRIP_M


def inner_side(road: Road, begin_m: float, end_m: float) -> int:
    """The side on which the middle of a bend lies: 1 left, -1 right."""
    return 1 if road.at(end_m)[2] > road.at(begin_m)[2] else -1


def along(road: Road, s_m: ArrayLike, offset_m: ArrayLike, z_m: ArrayLike = 0.0) -> NDArray[np.float64]:
    """Points ``[..., 3]`` at arc lengths and offsets to the left; beyond its ends the road goes straight on."""
    s, offset, z = np.broadcast_arrays(np.asarray(s_m, float), np.asarray(offset_m, float), np.asarray(z_m, float))
    grid = np.arange(len(road.points_m)) * road.step_m
    inner = np.clip(s, 0, grid[-1])
    yaw = np.interp(inner, grid, road.yaw_rad)
    beyond = s - inner
    x = np.interp(inner, grid, road.points_m[:, 0]) + beyond * np.cos(yaw) - offset * np.sin(yaw)
    y = np.interp(inner, grid, road.points_m[:, 1]) + beyond * np.sin(yaw) + offset * np.cos(yaw)
    return np.stack([x, y, z], -1)


def strip(road: Road, s_m: ArrayLike, offsets_m: ArrayLike, z_m: ArrayLike, colours: ArrayLike) -> Mesh:
    """A ribbon that follows the road, smooth between its rows and columns.

    Args:
        road: the centre line.
        s_m: arc lengths ``[r]``, ascending.
        offsets_m: offsets ``[c]``, descending (from left to right).
        z_m: heights, one or ``[c]``.
        colours: albedo ``[3]``, ``[c, 3]`` or ``[r, c, 3]``.
    """
    s, offsets = np.asarray(s_m, float), np.asarray(offsets_m, float)
    rows, columns = len(s), len(offsets)
    points = along(road, s[:, None], offsets[None], np.broadcast_to(z_m, (rows, columns)))
    place = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = place[:-1, 1:], place[1:, 1:], place[1:, :-1], place[:-1, :-1]
    count = rows * columns
    return Mesh(
        points.reshape(-1, 3).astype(np.float32),
        np.broadcast_to(np.array([0, 0, 1], np.float32), (count, 3)),
        np.broadcast_to(np.asarray(colours, np.float32), (rows, columns, 3)).reshape(-1, 3),
        np.full(count, GROUND, np.uint8),
        np.zeros(count, np.uint8),
        np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3).astype(np.int32),
    )


def rectangles(road: Road, s_m: ArrayLike, offset_m: ArrayLike, z_m: float, colour: ArrayLike) -> Mesh:
    """Painted patches ``[n, 2]`` (from, to) along and across the road."""
    s, offset = np.asarray(s_m, float).reshape(-1, 2), np.asarray(offset_m, float).reshape(-1, 2)
    s, offset = np.broadcast_arrays(s, offset)
    corners = [along(road, s[:, i], offset[:, j], z_m) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    faces = np.stack(corners, 1)
    mesh = quads(faces, colour, kind=GROUND)
    mesh.normals[:] = (0, 0, 1)
    return mesh


def carriageway(band: Band, rng: np.random.Generator) -> list[Mesh]:
    """Asphalt with wheel tracks and patches, and the ground beside it."""
    town, road = band.layout.town, band.layout.road
    asphalt, ground = np.array(town.asphalt), np.array(town.ground)
    s = np.linspace(band.start_m, band.end_m, round((band.end_m - band.start_m) / _STEP_M) + 1)
    inner = town.lanes_each_way * town.lane_width_m
    quarter = town.lane_width_m / 4
    quarters = np.arange(4 * town.lanes_each_way, -4 * town.lanes_each_way - 1, -1)
    offsets = np.concatenate([[band.kerb_m], quarters * quarter, [-band.kerb_m]])
    wear = np.where(np.isin(np.round(np.abs(offsets) / quarter).astype(int) % 4, (1, 3)), 0.90, 1.03)
    wear[np.abs(offsets) > inner] = 0.93
    colours = asphalt * wear[:, None] * np.ones((len(s), 1, 1))
    wide = np.array([140.0, 40.0, band.facade_line_m + 12, band.facade_line_m])
    meshes = [strip(road, s, offsets, 0.0, colours)]
    for side in (1, -1):
        lateral = wide if side > 0 else -wide[::-1]
        meshes.append(strip(road, s[::4] if len(s) % 4 == 1 else s, lateral, -0.03, ground))
    count = rng.poisson(1.2)
    for begin in rng.uniform(band.start_m, band.end_m, count):
        left = rng.uniform(-inner, inner - 1)
        patch = [[begin, begin + rng.uniform(1, 6)]], [[left + rng.uniform(0.6, 1.6), left]]
        meshes.append(rectangles(road, *patch, 0.006, asphalt * rng.uniform(0.72, 0.9)))
    return meshes


def pavements(band: Band) -> list[Mesh]:
    """Kerb and pavement on both sides, interrupted at crossroads."""
    town, road = band.layout.town, band.layout.road
    paving = np.array(town.pavement)
    kerb = paving * 0.82 + 0.12
    s = np.linspace(band.start_m, band.end_m, round((band.end_m - band.start_m) / _STEP_M) + 1)
    ends = [edge for c in band.layout.crossroads_s_m for edge in (c - CROSSING_HALF_M, c + CROSSING_HALF_M)]
    ends += [edge for corner in band.layout.corners_s_m for edge in corner]
    s = np.unique(np.concatenate([s, band.inside(ends)]))
    meshes = []
    for side in (1, -1):
        free = ~band.near_crossing((s[1:] + s[:-1]) / 2, side)
        lateral = np.array([band.facade_line_m, band.kerb_m + 0.2, band.kerb_m + 0.2, band.kerb_m, band.kerb_m]) * side
        height = np.array([KERB_M, KERB_M, KERB_M, KERB_M, -0.02])
        shade = np.stack([paving, paving * 0.97, kerb, kerb, kerb * 0.7])
        if side < 0:
            lateral, height, shade = lateral[::-1], height[::-1], shade[::-1]
        slabs = np.flatnonzero(free)
        for run in np.split(slabs, np.flatnonzero(np.diff(slabs) > 1) + 1):
            if len(run):
                rows = np.stack([s[run], s[run + 1]], 1).ravel()  # each slab has a shade of its own
                tint = np.where((s[run] / _STEP_M).astype(int) % 2, 1.0, 0.97).repeat(2)
                meshes.append(strip(road, rows, lateral, height, tint[:, None, None] * shade))
    return meshes


def marks(band: Band) -> list[Mesh]:
    """Centre line, lane and edge lines, crosswalk bars and stop lines."""
    town, road = band.layout.town, band.layout.road
    paint = np.array(town.marking) * 0.92
    yellow = np.array([0.86, 0.66, 0.16]) if town.location.startswith("us-") else paint
    begin = np.arange(np.ceil(band.start_m / _STEP_M) * _STEP_M, band.end_m - 1e-6, _STEP_M)
    begin = begin[~band.near_crossing(begin + _STEP_M / 2)]
    solid = np.stack([begin, begin + _STEP_M], -1)
    dashes = solid[np.round(begin / _STEP_M).astype(int) % 3 == 0] + np.array([[0, 0.5]])
    edge, lanes = town.lanes_each_way * town.lane_width_m, range(1, town.lanes_each_way)
    lines = [(solid, offset, yellow) for offset in (0.12, -0.12)] + [(solid, offset, paint) for offset in (edge, -edge)]
    lines += [(dashes, side * lane * town.lane_width_m, paint) for lane in lanes for side in (1, -1)]
    meshes = [rectangles(road, s, [[o + 0.065, o - 0.065]], MARK_Z_M, colour) for s, o, colour in lines if len(s)]
    bars = np.arange(-band.kerb_m + 0.3, band.kerb_m - 0.5, 1.0)
    across = np.stack([bars + 0.55, bars], -1)
    walks, stops = band.inside(band.layout.crosswalks_s_m), band.inside(band.layout.stop_lines_s_m)
    meshes += [
        rectangles(road, [[s - CROSSWALK_HALF_M, s + CROSSWALK_HALF_M]], across, _STRIPE_Z, paint) for s in walks
    ]
    for s in band.inside(band.layout.bumps_s_m):
        meshes += _bump(band, s)
    for start, end in band.layout.corners_s_m:
        for s in band.inside([start - before_m for before_m in _ARROWS_M]):
            meshes += _turn_arrows(band, s, inner_side(road, start, end), paint)
    return meshes + [
        rectangles(road, [[s - STOP_HALF_M, s + STOP_HALF_M]], [[-0.1, -edge]], _STRIPE_Z, paint) for s in stops
    ]


def _turn_arrows(band: Band, s_m: float, side: int, paint: NDArray[np.float64]) -> list[Mesh]:
    """Arrows on all lanes of our direction that point to one side (1 left, -1 right), 3 m long."""
    lanes = -(np.arange(band.layout.town.lanes_each_way) + 0.5) * band.layout.town.lane_width_m
    meshes = []
    for lane in lanes:
        for (low, high), (near, far) in (((0.0, 2.6), (-0.15, 0.15)), ((2.2, 2.6), (0.15, 0.7))):
            edges = sorted((lane + side * near, lane + side * far), reverse=True)
            meshes.append(rectangles(band.layout.road, [[s_m + low, s_m + high]], [edges], _STRIPE_Z, paint))
        tip = [(2.4, 1.45), (1.75, 0.7), (3.05, 0.7)]
        corners = [along(band.layout.road, s_m + ahead, lane + side * aside, _STRIPE_Z) for ahead, aside in tip]
        head = quads([[*corners, corners[2]]], paint, kind=GROUND)
        head.normals[:] = (0, 0, 1)
        meshes.append(head)
    return meshes


def _bump(band: Band, centre: float) -> list[Mesh]:
    """A flat hump with pale triangles on its near slope, from kerb to kerb."""
    road, town = band.layout.road, band.layout.town
    s = centre + np.array([-0.9, -0.45, 0.45, 0.9])
    height = np.array([0.012, 0.10, 0.10, 0.012])
    reach = band.kerb_m - 0.4
    points = [along(road, s, np.full(4, side * reach), height) for side in (1, -1)]
    faces = [[points[1][i], points[1][i + 1], points[0][i + 1], points[0][i]] for i in range(3)]
    meshes = [quads(np.array(faces), np.array(town.asphalt) * 0.8, kind=GROUND)]
    meshes[0].normals[:] = (0, 0, 1)
    teeth = np.arange(-reach + 0.3, reach - 0.7, 1.3)
    for left, right in ((teeth, teeth + 0.65),):
        near = along(road, np.full(len(teeth), s[0]), left, 0.03), along(road, np.full(len(teeth), s[0]), right, 0.03)
        far = along(road, np.full(len(teeth), s[1] + 0.3), (left + right) / 2, 0.125)
        teeth_mesh = quads(np.stack([near[0], near[1], far, far], 1), np.array(town.marking), kind=GROUND)
        teeth_mesh.normals[:] = (0, 0, 1)
        meshes.append(teeth_mesh)
    return meshes
