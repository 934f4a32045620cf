"""People, bicycles and street furniture."""

from functools import lru_cache
from itertools import pairwise

import numpy as np

from roadstill.world.meshes import (
    LAMP,
    PAINT,
    Mesh,
    blob,
    box,
    circle,
    disc,
    frustum,
    loft,
    merge,
    quads,
    rectangle,
    rod,
)  # fmt: skip

_DARK = (0.07, 0.07, 0.09)
_METAL = (0.36, 0.38, 0.38)
_SKIN = ((0.80, 0.60, 0.48), (0.55, 0.38, 0.28), (0.33, 0.22, 0.16))
_TROUSERS = ((0.10, 0.12, 0.20), (0.16, 0.15, 0.14), (0.30, 0.26, 0.20), (0.22, 0.24, 0.30))
_CRIMSON, _PALE, _BLUE, _YELLOW = (0.8, 0.08, 0.08), (0.93, 0.93, 0.9), (0.1, 0.25, 0.65), (0.95, 0.75, 0.1)
_SIGN_GREEN = (0.05, 0.42, 0.22)
# Corners, edge and inside: warning, ban, duty, danger (North America), no entry, the way to somewhere, notice.
_BOARDS = (
    (3, _CRIMSON, _PALE), (14, _CRIMSON, _PALE), (14, _BLUE, _BLUE), (4, _YELLOW, _YELLOW), (14, _CRIMSON, _CRIMSON),
    (4, _SIGN_GREEN, _SIGN_GREEN), (4, _PALE, _CRIMSON),
)  # fmt: skip
SIGNS = len(_BOARDS)
"""Number of signs that are no order to stop."""
STEPS = 8  # phases of the walking cycle that are kept as models


def _torso(hips: tuple[float, float], shoulders: tuple[float, float], half: float) -> Mesh:
    """A trunk from ``(x, z)`` of the hips to the shoulders, in the figure's own colour."""
    rings = []
    for share, wide, deep in ((0.0, 0.72, 0.13), (0.35, 0.8, 0.13), (0.85, 1.0, 0.14), (1.0, 0.55, 0.09)):
        x = hips[0] + (shoulders[0] - hips[0]) * share
        z = hips[1] + (shoulders[1] - hips[1]) * share
        rings.append(circle((0, 0, 0), 1.0, "z", 8) * np.array([deep, half * wide, 0]) + np.array([x, 0, z]))
    return loft(np.stack(rings), (1, 1, 1), slot=PAINT)


@lru_cache(maxsize=256)
def pedestrian(step: int, look: int, fine: bool = False) -> Mesh:
    """A walker 1.75 m tall; ``step`` of ``STEPS`` in the walking cycle, ``look`` picks skin and trousers.

    ``fine`` has rounder limbs, for large pictures.
    """
    around, levels, corners = (14, 9, 12) if fine else (8, 5, 6)
    swing = np.sin(2 * np.pi * step / STEPS) * 0.52
    skin, trousers = _SKIN[look % 3], _TROUSERS[look % 4]
    parts = [_torso((0.0, 0.82), (0.02, 1.47), 0.27)]
    for side, angle in ((-1, swing), (1, -swing)):
        hip = np.array([0.0, side * 0.10, 0.90])
        knee = hip + 0.44 * np.array([np.sin(angle), 0, -np.cos(angle)])
        bend = angle - 0.5 * max(0.0, -angle + 0.15)
        ankle = knee + 0.42 * np.array([np.sin(bend), 0, -np.cos(bend)])
        ankle[2] = max(ankle[2], 0.05)
        parts += [rod(hip, knee, (0.12, 0.085), trousers, corners), rod(knee, ankle, (0.085, 0.06), trousers, corners)]
        parts.append(rod(ankle, ankle + np.array([0.2, 0, -0.02]), (0.055, 0.04), _DARK, corners))
        shoulder = np.array([0.02, side * 0.25, 1.40])
        hand = shoulder + 0.56 * np.array([-np.sin(angle) * 0.8, side * 0.08, -np.cos(angle * 0.8)])
        elbow = (shoulder + hand) / 2 + np.array([-0.04, side * 0.02, 0])
        arm = rod(shoulder, elbow, (0.075, 0.06), (1, 1, 1), corners)
        arm.slots[:] = PAINT
        parts += [arm, rod(elbow, hand, (0.055, 0.04), skin, corners)]
    for centre, radii, colour in (
        ((0.03, 0, 1.62), (0.11, 0.09, 0.13), skin),
        ((0.0, 0, 1.67), (0.115, 0.1, 0.10), _DARK),
    ):
        parts.append(blob(centre, radii, colour, around=around, levels=levels))
    return merge(parts)


@lru_cache(maxsize=128)
def far_pedestrian(step: int, look: int) -> Mesh:
    """The same walker with a twelfth of the vertices, for where it is a few pixels tall."""
    swing = 0.4 * np.sin(2 * np.pi * step / STEPS)
    skin, trousers = _SKIN[look % 3], _TROUSERS[look % 4]
    parts = [box((-0.12, 0.12), (-0.25, 0.25), (0.84, 1.5), (1, 1, 1), slot=PAINT)]
    parts.append(box((-0.07, 0.12), (-0.09, 0.09), (1.5, 1.68), skin))
    parts.append(box((-0.10, 0.10), (-0.09, 0.09), (1.66, 1.75), _DARK))
    for side in (-1, 1):
        y, foot = side * 0.1, side * swing
        ends = [(foot - 0.07, 0.0), (foot + 0.1, 0.0), (0.1, 0.9), (-0.1, 0.9)]
        parts.append(quads([[(x, y, z) for x, z in ends]], trousers))
        parts.append(
            quads([[(foot, y - 0.07, 0.0), (foot, y + 0.07, 0.0), (0, y + 0.1, 0.9), (0, y - 0.1, 0.9)]], trousers)
        )
    return merge(parts)


@lru_cache(maxsize=128)
def bicycle(step: int, look: int) -> Mesh:
    """A bicycle with rider, 1.8 m long and 1.75 m tall."""
    parts = []
    for x in (-0.55, 0.55):
        outer, inner = circle((x, 0, 0.34), 0.34, "y", 14), circle((x, 0, 0.34), 0.28, "y", 14)
        ring = np.stack([outer, np.roll(outer, -1, 0), np.roll(inner, -1, 0), inner], 1)
        parts.append(quads(ring, _DARK))
        parts += [quads(ring + np.array([0, y, 0], np.float32), _DARK) for y in (-0.02, 0.02)]
    frame = [((-0.55, 0.34), (-0.15, 0.8)), ((-0.15, 0.8), (0.42, 0.84)), ((0.42, 0.9), (0.55, 0.34))]
    frame += [((-0.02, 0.32), (0.42, 0.8)), ((-0.02, 0.32), (-0.15, 0.85)), ((-0.55, 0.34), (-0.02, 0.32))]
    parts += [rod((a[0], 0, a[1]), (b[0], 0, b[1]), (0.028, 0.028), (0.15, 0.3, 0.35), 4) for a, b in frame]
    parts.append(rod((0.42, -0.27, 1.0), (0.42, 0.27, 1.0), (0.025, 0.025), _DARK, 4))
    parts.append(_torso((-0.14, 0.92), (0.16, 1.42), 0.22))
    skin, trousers = _SKIN[look % 3], _TROUSERS[look % 4]
    for side in (-1, 1):
        angle = 2 * np.pi * step / STEPS + (np.pi if side > 0 else 0)
        foot = np.array([-0.02 + 0.16 * np.cos(angle), side * 0.1, 0.30 + 0.16 * np.sin(angle)])
        hip = np.array([-0.12, side * 0.1, 0.90])
        knee = (hip + foot) / 2 + np.array([0.2, 0, 0.1])
        parts += [rod(hip, knee, (0.09, 0.07), trousers), rod(knee, foot, (0.07, 0.05), trousers)]
        arm = rod((0.15, side * 0.22, 1.36), (0.42, side * 0.24, 1.02), (0.06, 0.04), (1, 1, 1))
        arm.slots[:] = PAINT
        parts.append(arm)
    parts.append(blob((0.24, 0, 1.58), (0.11, 0.09, 0.13), skin))
    parts.append(blob((0.22, 0, 1.65), (0.14, 0.11, 0.1), (0.75, 0.75, 0.72) if look % 2 else _DARK))
    return merge(parts)


@lru_cache(maxsize=8)
def barrier() -> Mesh:
    """A striped barrier 1 x 1 x 1 (scaled by its object), its long side along x."""
    stripes = []
    for level in (0.45, 0.8):
        for i in range(6):
            colour = (0.82, 0.10, 0.08) if i % 2 else (0.9, 0.9, 0.88)
            stripes.append(box((-0.5 + i / 6, -0.5 + (i + 1) / 6), (-0.15, 0.15), (level, level + 0.2), colour))
    feet = [box((x - 0.03, x + 0.03), (-0.5, 0.5), (0.0, 0.08), _DARK) for x in (-0.4, 0.4)]
    posts = [box((x - 0.02, x + 0.02), (-0.1, 0.1), (0.0, 0.98), _METAL) for x in (-0.4, 0.4)]
    return merge(stripes + feet + posts)


@lru_cache(maxsize=1)
def cone() -> Mesh:
    """A traffic cone, 1 x 1 x 1 (scaled by its object)."""
    orange, white = (0.95, 0.35, 0.05), (0.92, 0.92, 0.9)
    parts = [box((-0.5, 0.5), (-0.5, 0.5), (0, 0.06), orange)]
    for low, high, colour in ((0.06, 0.4, orange), (0.4, 0.7, white), (0.7, 1.0, orange)):
        radii = (0.36 - 0.3 * low, 0.36 - 0.3 * high)
        parts.append(rod((0, 0, low), (0, 0, high), radii, colour, 8))
    return merge(parts)


@lru_cache(maxsize=1)
def bin() -> Mesh:
    """A bin on two wheels, 1 x 1 x 1 (scaled by its object), its lid in the object's colour."""
    parts = [
        frustum(rectangle(-0.36, 0.36, 0.36, 0.06), rectangle(-0.46, 0.46, 0.46, 0.9), (0.62, 0.62, 0.62), slot=PAINT)
    ]
    parts.append(frustum(rectangle(-0.5, 0.5, 0.5, 0.9), rectangle(-0.46, 0.4, 0.44, 1.0), (1, 1, 1), slot=PAINT))
    parts.append(rod((-0.5, -0.4, 0.95), (-0.5, 0.4, 0.95), (0.03, 0.03), _DARK))
    return merge(
        [*parts, *(disc(circle((-0.36, y, 0.1), 0.13, "y", 10), (0, np.sign(y), 0), _DARK) for y in (-0.42, 0.42))]
    )


@lru_cache(maxsize=1)
def crate() -> Mesh:
    """Crates on a pallet, 1 x 1 x 1 (scaled by its object): the upper ones in the object's colour."""
    wood, pale = (0.62, 0.47, 0.30), (0.72, 0.58, 0.40)
    parts = [box((-0.5, 0.5), (y - 0.08, y + 0.08), (0.0, 0.1), wood) for y in (-0.42, 0.0, 0.42)]
    parts.append(box((-0.5, 0.5), (-0.5, 0.5), (0.1, 0.14), pale))
    parts += [box((x, x + 0.46), (-0.46, 0.46), (0.14, 0.56), pale) for x in (-0.48, 0.02)]
    parts.append(box((-0.44, 0.3), (-0.42, 0.42), (0.57, 1.0), (1, 1, 1), slot=PAINT))
    return merge(parts)


@lru_cache(maxsize=1)
def trolley() -> Mesh:
    """A shopping trolley, 1 x 1 x 1 (scaled by its object): a basket of wire, its handle in the object's colour."""
    wire = [(-0.3, 0.42, 0.36, 0.5), (-0.42, 0.5, 0.44, 0.74), (-0.5, 0.5, 0.48, 0.96)]  # x from, x to, half width, z
    rims = [rectangle(low, high, half, z) for low, high, half, z in wire]
    pairs = [(rim[i], rim[(i + 1) % 4]) for rim in rims for i in range(4)]
    pairs += [(low[i], high[i]) for low, high in pairwise(rims) for i in range(4)]
    for share in (0.25, 0.5, 0.75):
        pairs += [
            (a + (b - a) * share, c + (d - c) * share)
            for a, b, c, d in zip(rims[0], np.roll(rims[0], -1, 0), rims[2], np.roll(rims[2], -1, 0), strict=True)
        ]
    pairs += [((x, y, 0.1), (x * 0.8, y, 0.5)) for x in (-0.42, 0.42) for y in (-0.4, 0.4)]
    parts = [rod(a, b, (0.018, 0.018), _METAL, 4) for a, b in pairs]
    parts += [
        disc(circle((x, y, 0.06), 0.06, "y", 8), (0, np.sign(y), 0), _DARK) for x in (-0.42, 0.42) for y in (-0.4, 0.4)
    ]
    handle = rod((-0.5, -0.48, 1.0), (-0.5, 0.48, 1.0), (0.035, 0.035), (1, 1, 1))
    handle.slots[:] = PAINT
    return merge([*parts, handle])


THINGS = {"bin": bin, "crate": crate, "trolley": trolley}
"""Models of what stands about at the kerb."""


@lru_cache(maxsize=16)
def sign(shape: int) -> Mesh:
    """A traffic sign on its pole, 2.6 m tall, its face towards -x (the traffic that comes along x)."""
    corners, edge, inner = _BOARDS[shape % len(_BOARDS)]
    board = _board(corners, edge, inner)
    if edge == inner == _CRIMSON:
        board = merge([board, _bar(-0.065, (-0.24, 0.24), (2.14, 2.26))])
    return board


@lru_cache(maxsize=1)
def stop_sign() -> Mesh:
    """A stop sign on its pole, its face towards -x: an octagon with a pale rim and a word."""
    letters = [_bar(-0.065, (y - 0.035, y + 0.035), (2.1, 2.3)) for y in (-0.21, -0.07, 0.07, 0.21)]
    return merge([_board(8, _PALE, _CRIMSON, 0.42, 0.385), *letters])


def _bar(x: float, y: tuple[float, float], z: tuple[float, float]) -> Mesh:
    return quads([[(x, y[1], z[0]), (x, y[0], z[0]), (x, y[0], z[1]), (x, y[1], z[1])]], _PALE)


def _board(
    corners: int, edge: tuple[float, ...], inner: tuple[float, ...], outer_m: float = 0.36, inner_m: float = 0.25
) -> Mesh:
    parts = [rod((0, 0, 0), (0, 0, 2.5), (0.035, 0.035), _METAL, 5)]
    for radius, x, colour in ((outer_m, -0.045, edge), (inner_m, -0.055, inner), (outer_m, 0.045, _METAL)):
        angle = np.arange(corners) * 2 * np.pi / corners + np.pi / (2 if corners != 8 else 8)
        rim = np.stack([np.full(corners, x), np.cos(angle) * radius, 2.2 + np.sin(angle) * radius], -1)
        fan = [[rim[0], rim[i], rim[i + 1], rim[i + 1]] for i in range(1, corners - 1)]
        parts.append(quads(fan, colour))
    board = merge(parts)
    board.normals[:, 0] = np.where(np.abs(board.normals[:, 0]) > 0.5, np.sign(board.points[:, 0]), board.normals[:, 0])
    return board


@lru_cache(maxsize=64)
def tree(variant: int, fine: bool = False) -> Mesh:
    """A tree about 1 unit tall and 0.7 wide (scaled by its place); leaves take the paint colour.

    ``fine`` is for large pictures: the same tree with five times the vertices.
    """
    rng = np.random.default_rng(variant)
    parts = [rod((0, 0, 0), (0.01, 0, 0.45), (0.024, 0.016), (0.24, 0.18, 0.13))]
    conifer = variant % 5 == 4
    for i in range(3 if conifer else 5):
        centre = (0, 0, 0.38 + 0.2 * i) if conifer else (*rng.uniform(-0.16, 0.16, 2), rng.uniform(0.5, 0.78))
        radii = np.full(3, 0.24 - 0.06 * i if conifer else rng.uniform(0.16, 0.23)) * (1, 1, 1.1)
        around, levels = (17, 11) if fine else (7, 5)
        leaf = blob(centre, radii, np.ones(3) * rng.uniform(0.8, 1.15), around=around, levels=levels)
        rough = np.random.default_rng((variant, i))  # not the tree's own: it has the same boughs at either level
        leaf.points[:] += rough.normal(0, 0.016, leaf.points.shape)
        leaf.colours[:] *= (0.62 + 0.5 * (leaf.points[:, 2:] - leaf.points[:, 2].min()) / 0.45).clip(0.5, 1.15)
        leaf.slots[:] = PAINT
        parts.append(leaf)
    return merge(parts)


@lru_cache(maxsize=16)
def palm(variant: int) -> Mesh:
    """A palm about 1 unit tall (scaled by its place); leaves take the paint colour."""
    rng = np.random.default_rng(variant)
    lean = rng.uniform(-0.06, 0.06, 2)
    parts = [rod((0, 0, 0), (lean[0], lean[1], 0.9), (0.03, 0.02), (0.42, 0.34, 0.25))]
    top = np.array([lean[0], lean[1], 0.9])
    for angle in np.arange(13) * 2.4 + rng.uniform(0, 1, 13):
        away, across = np.array([np.cos(angle), np.sin(angle), 0]), np.array([-np.sin(angle), np.cos(angle), 0])
        rise = rng.uniform(-0.02, 0.12)
        spine = [top, top + away * 0.16 + [0, 0, rise], top + away * 0.30 + [0, 0, rise - 0.12]]
        wide = [0.02, 0.05, 0.008]
        for i in (0, 1):
            a, b = spine[i], spine[i + 1]
            leaf = [a - across * wide[i], b - across * wide[i + 1], b + across * wide[i + 1], a + across * wide[i]]
            parts.append(quads([leaf], np.ones(3) * rng.uniform(0.75, 1.1), slot=PAINT))
    return merge(parts)


@lru_cache(maxsize=2)
def lamp_post(lit: bool) -> Mesh:
    """A street lamp 7 m tall, its arm towards +y."""
    parts = [rod((0, 0, 0), (0, 0, 6.8), (0.09, 0.06), _METAL), rod((0, 0, 6.7), (0, 1.6, 7.1), (0.05, 0.04), _METAL)]
    head = box((-0.12, 0.12), (1.3, 2.0), (7.0, 7.14), (1.0, 0.88, 0.66) if lit else (0.5, 0.5, 0.5))
    if lit:
        head.kinds[:] = LAMP
    return merge([*parts, head])
