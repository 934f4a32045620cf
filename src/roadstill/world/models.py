"""Vehicles: a few hundred triangles each, sized to the object's box, with lamps that can be lit."""

from functools import cache

import numpy as np

from roadstill.world.meshes import (
    BRAKE,
    FIXED,
    HEAD,
    PAINT,
    TURN,
    Floats,
    Mesh,
    box,
    circle,
    disc,
    frustum,
    loft,
    merge,
    quads,
    rectangle,
)  # fmt: skip

Span = tuple[float, float]
_GLASS = (0.10, 0.13, 0.16)
_TYRE = (0.05, 0.05, 0.055)
_TRIM = (0.12, 0.12, 0.13)
_PLATE = (0.85, 0.84, 0.76)
_LENS, _TURN_LENS = (0.40, 0.035, 0.035), (0.42, 0.20, 0.05)


def _section(x: float, half_width: float, low: float, high: float) -> Floats:
    """One upright cross-section of a body, a rectangle with cut corners."""
    cut_y, cut_z = 0.12 * half_width, 0.18 * (high - low)
    y = np.array([-1, -1, 1, 1]) * half_width
    flat = [(y[0], low + cut_z), (y[0] + cut_y, low), (y[2] - cut_y, low), (y[2], low + cut_z)]
    flat += [(y[2], high - cut_z), (y[2] - cut_y, high), (y[0] + cut_y, high), (y[0], high - cut_z)]
    return np.array([(x, across, up) for across, up in flat], np.float32)


def _wheels(places: list[tuple[float, float]], radius: float, width: float = 0.22) -> list[Mesh]:
    parts = []
    for x, y in places:
        inner, outer = y - np.sign(y) * width, y
        rings = np.stack([circle((x, inner, radius), radius, "y"), circle((x, outer, radius), radius, "y")])
        parts.append(loft(rings, _TYRE))
        hub = circle((x, outer + np.sign(y) * 0.012, radius), radius * 0.58, "y", 8)
        parts.append(disc(hub, (0, np.sign(y), 0), (0.45, 0.46, 0.48)))
    return parts


def _face(x: float, y: Span, z: Span, colour: tuple[float, ...], slot: int = FIXED) -> Mesh:
    """An upright patch across the vehicle at ``x``, looking forward if ``x`` is positive, else backward."""
    order = [(y[1], z[0]), (y[0], z[0]), (y[0], z[1]), (y[1], z[1])]
    if x > 0:
        order = [(y[0], z[0]), (y[1], z[0]), (y[1], z[1]), (y[0], z[1])]
    return quads([[(x, across, up) for across, up in order]], colour, slot=slot)


def _lamps(rear: float, front: float, half: float, z_rear: Span, z_front: Span) -> list[Mesh]:
    """Rear lamps (inner part brake, outer edge also the tail light), indicators and headlights."""
    parts = []
    for side in (-1, 1):
        inner, outer = side * half * 0.48, side * half * 0.98
        y = (min(inner, outer), max(inner, outer))
        parts.append(_face(rear, y, z_rear, _LENS, BRAKE))
        turn = (min(inner, inner * 0.55), max(inner, inner * 0.55))
        parts.append(_face(rear, turn, z_rear, _TURN_LENS, TURN))
        wrap = [(rear, outer, z_rear[0]), (rear + 0.22, outer, z_rear[0]), (rear + 0.22, outer, z_rear[1])]
        parts.append(quads([[*wrap, (rear, outer, z_rear[1])]], _LENS, slot=BRAKE))
        parts.append(_face(front, y, z_front, (0.62, 0.64, 0.66), HEAD))
    return parts


def _cabin(base: Span, roof: Span, z: tuple[float, float, float], half: float) -> list[Mesh]:
    """Windows all around between the belt line and the roof, pillars in the body's colour."""
    belt, edge, top = z
    narrow = half * 0.76
    low, high = rectangle(*base, half * 0.94, belt), rectangle(*roof, narrow, edge)
    inset = 0.18
    cap = rectangle(roof[0] + inset, roof[1] - inset, narrow * 0.86, top)
    shell = frustum(low, high, (1, 1, 1), slot=PAINT)
    panes = []
    for i in range(4):
        a, b, c, d = low[i], low[(i + 1) % 4], high[(i + 1) % 4], high[i]
        out = np.cross(b - a, d - a)
        out /= np.linalg.norm(out)
        spans = [(0.04, 0.5), (0.53, 0.95)] if i in (0, 2) else [(0.06, 0.94)]
        for left, right in spans:
            bottom_left, bottom_right = a + (b - a) * left, a + (b - a) * right
            top_left, top_right = d + (c - d) * left, d + (c - d) * right
            pane = [
                bottom_left * 0.94 + top_left * 0.06,
                bottom_right * 0.94 + top_right * 0.06,
                bottom_right * 0.1 + top_right * 0.9,
                bottom_left * 0.1 + top_left * 0.9,
            ]
            panes.append([corner + out * 0.012 for corner in pane])
    return [shell, quads(panes, _GLASS), frustum(high, cap, (1, 1, 1), slot=PAINT)]


@cache
def car(hatch: bool) -> Mesh:
    """A saloon or a hatchback, 4.5 x 1.82 x 1.48 m."""
    rear_low, rear_high = (0.95, 1.0) if not hatch else (0.92, 1.02)
    stations = [
        (-2.25, 0.80, 0.40, 0.86), (-2.2, 0.87, 0.30, rear_low), (-1.8, 0.90, 0.22, rear_high), (-0.6, 0.91, 0.20, 1.0),
        (0.9, 0.91, 0.20, 0.97), (1.6, 0.90, 0.22, 0.90), (2.1, 0.86, 0.27, 0.78), (2.25, 0.76, 0.36, 0.66),
    ]  # fmt: skip
    parts = [loft(np.stack([_section(*station) for station in stations]), (1, 1, 1), slot=PAINT)]
    base = (-2.15, 1.05) if hatch else (-1.75, 1.05)
    roof = (-1.75, 0.15) if hatch else (-1.15, 0.15)
    parts += _cabin(base, roof, (0.96, 1.42, 1.48), 0.9)
    parts += _lamps(-2.265, 2.265, 0.88, (0.64, 0.90), (0.56, 0.72))
    third = roof[0] - 0.06
    parts.append(_face(third, (-0.24, 0.24), (1.31, 1.40), _LENS, BRAKE))
    parts.append(_face(-2.262, (-0.27, 0.27), (0.60, 0.74), _PLATE))
    parts.append(_face(-2.26, (-0.74, 0.74), (0.28, 0.44), _TRIM))
    parts.append(_face(2.262, (-0.45, 0.45), (0.42, 0.62), _TRIM))
    parts.append(_face(2.266, (-0.26, 0.26), (0.34, 0.44), _PLATE))
    parts += _wheels([(x, y) for x in (-1.35, 1.35) for y in (-0.92, 0.92)], 0.33)
    return merge(parts)


@cache
def van() -> Mesh:
    """A delivery van, 5.4 x 2.0 x 2.3 m."""
    stations = [(-2.7, 0.96, 0.3, 2.2), (-2.6, 1.0, 0.25, 2.3), (1.0, 1.0, 0.25, 2.3), (1.35, 0.98, 0.25, 2.12)]
    stations += [(2.1, 0.96, 0.25, 1.22), (2.6, 0.92, 0.28, 1.05), (2.7, 0.84, 0.36, 0.85)]
    parts = [loft(np.stack([_section(*station) for station in stations]), (1, 1, 1), slot=PAINT)]
    screen = [[(2.06, -0.8, 1.30), (2.06, 0.8, 1.30), (1.42, 0.74, 2.08), (1.42, -0.74, 2.08)]]
    parts.append(quads(screen, _GLASS))
    for side in (-1, 1):
        pane = [(0.5, side * 1.005, 1.3), (1.5, side * 1.0, 1.3), (1.25, side * 0.99, 1.95), (0.5, side * 1.005, 1.95)]
        parts.append(quads([pane if side < 0 else pane[::-1]], _GLASS))
        parts.append(_face(-2.706, (min(side * 0.08, side * 0.8), max(side * 0.08, side * 0.8)), (1.35, 1.95), _GLASS))
    parts += _lamps(-2.715, 2.715, 0.98, (0.80, 1.22), (0.72, 0.95))
    parts.append(_face(-2.71, (-0.25, 0.25), (2.12, 2.22), _LENS, BRAKE))
    parts.append(_face(-2.71, (-0.27, 0.27), (0.6, 0.74), _PLATE))
    parts.append(_face(-2.71, (-0.9, 0.9), (0.3, 0.5), _TRIM))
    parts += _wheels([(x, y) for x in (-1.7, 1.7) for y in (-1.01, 1.01)], 0.36)
    return merge(parts)


@cache
def truck() -> Mesh:
    """A rigid truck with a box body, 8.5 x 2.5 x 3.4 m."""
    pale = (0.78, 0.78, 0.76)
    parts = [box((-4.25, 1.9), (-1.25, 1.25), (0.95, 3.4), pale), box((-4.2, 4.1), (-1.0, 1.0), (0.45, 0.95), _TRIM)]
    cab = [(2.05, 1.2, 0.45, 2.7), (3.6, 1.2, 0.45, 2.7), (4.15, 1.18, 0.45, 1.9), (4.25, 1.12, 0.5, 1.3)]
    parts.append(loft(np.stack([_section(*station) for station in cab]), (1, 1, 1), slot=PAINT))
    parts.append(quads([[(4.13, -1.0, 1.75), (4.13, 1.0, 1.75), (3.68, 0.95, 2.55), (3.68, -0.95, 2.55)]], _GLASS))
    parts += [
        _face(-4.257, (-1.2, 1.2), (3.1, 3.35), (0.5, 0.1, 0.1)),
        _face(-4.257, (-0.02, 0.02), (0.95, 3.1), _TRIM),
    ]
    parts.append(_face(-4.257, (-1.2, 1.2), (0.92, 1.12), (0.75, 0.2, 0.12)))
    parts += _lamps(-4.27, 4.28, 1.2, (0.5, 0.88), (0.7, 1.0))
    parts.append(_face(-4.258, (-0.27, 0.27), (0.6, 0.74), _PLATE))
    parts += _wheels([(x, y) for x in (-2.9, -1.9, 3.0) for y in (-1.24, 1.24)], 0.48, 0.3)
    return merge(parts)


@cache
def bus() -> Mesh:
    """A city bus, 11 x 2.55 x 3.1 m."""
    stations = [(-5.5, 1.2, 0.4, 3.0), (-5.42, 1.275, 0.3, 3.1), (5.4, 1.275, 0.3, 3.1), (5.5, 1.2, 0.4, 3.0)]
    parts = [loft(np.stack([_section(*station) for station in stations]), (1, 1, 1), slot=PAINT)]
    for side in (-1, 1):
        for start in np.arange(-5.0, 4.4, 1.6):
            pane = [(start, side * 1.282, 1.35), (start + 1.45, side * 1.282, 1.35)]
            pane += [(start + 1.45, side * 1.282, 2.5), (start, side * 1.282, 2.5)]
            parts.append(quads([pane if side < 0 else pane[::-1]], _GLASS))
    parts += [_face(-5.506, (-1.0, 1.0), (1.7, 2.6), _GLASS), _face(5.506, (-1.15, 1.15), (1.2, 2.6), _GLASS)]
    parts += [_face(5.507, (-0.8, 0.8), (2.65, 2.92), (0.8, 0.55, 0.1)), _face(-5.506, (-1.0, 1.0), (0.45, 0.7), _TRIM)]
    parts += _lamps(-5.52, 5.52, 1.22, (0.95, 1.42), (0.65, 0.95))
    parts += [_face(-5.51, (-0.3, 0.3), (2.72, 2.86), _LENS, BRAKE)]
    parts.append(_face(-5.51, (-0.27, 0.27), (0.8, 0.94), _PLATE))
    parts += _wheels([(x, y) for x in (-3.2, 3.4) for y in (-1.28, 1.28)], 0.48, 0.3)
    return merge(parts)


SIZES_M = {"car": (4.5, 1.82, 1.48), "van": (5.4, 2.0, 2.3), "truck": (8.5, 2.5, 3.4), "bus": (11.0, 2.55, 3.1)}
