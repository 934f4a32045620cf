"""Triangle meshes as plain arrays, and the few solids of which the driving world is built.

Frame of every model: x forward, y left, z up, metres. A vertex carries its albedo and a *kind*, which the renderer
writes into the picture's alpha channel: so that later steps know what a pixel shows (sky, ground, solid or lit lamp).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

GROUND, SOLID, LAMP = 60, 130, 250  # 0 is the sky
FIXED, PAINT, BRAKE, HEAD, TURN = range(5)  # slots: which colour of the object a vertex takes

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Mesh:
    """Vertices and triangles.

    Attributes:
        points: positions ``[n, 3]`` in metres.
        normals: unit vectors ``[n, 3]``.
        colours: albedo ``[n, 3]`` (of a lamp: emitted light).
        kinds: GROUND, SOLID or LAMP, uint8 ``[n]``.
        slots: FIXED, or the slot that an object's own colour or lamps replace, uint8 ``[n]``.
        triangles: vertex numbers int32 ``[m, 3]``.
    """

    points: Floats
    normals: Floats
    colours: Floats
    kinds: NDArray[np.uint8]
    slots: NDArray[np.uint8]
    triangles: NDArray[np.int32]

    def placed(self, x_m: float, y_m: float, yaw_rad: float, scale: ArrayLike = 1.0, z_m: float = 0.0) -> "Mesh":
        """The mesh scaled along its own axes, turned and moved."""
        cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)
        points = (self.points * np.asarray(scale, np.float32)) @ turn + np.array([x_m, y_m, z_m], np.float32)
        return replace(self, points=points.astype(np.float32), normals=self.normals @ turn)

    def painted(self, colour: ArrayLike) -> "Mesh":
        """The mesh with another albedo everywhere."""
        return replace(self, colours=np.broadcast_to(np.asarray(colour, np.float32), self.points.shape))


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """All meshes as one (an empty list gives an empty mesh)."""
    if not meshes:
        return quads(np.zeros((0, 4, 3)), (0, 0, 0))
    starts = np.cumsum([0] + [len(mesh.points) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.points for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.colours for mesh in meshes]),
        np.concatenate([mesh.kinds for mesh in meshes]),
        np.concatenate([mesh.slots for mesh in meshes]),
        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]).astype(np.int32),
    )


def quads(corners: ArrayLike, colours: ArrayLike, *, kind: int = SOLID, slot: int = FIXED) -> Mesh:
    """Flat four-cornered faces ``[n, 4, 3]``, counter-clockwise seen from outside.

    Args:
        corners: corners of the faces, in metres.
        colours: one colour ``[3]``, one a face ``[n, 3]`` or one a corner ``[n, 4, 3]``.
        kind: GROUND, SOLID or LAMP.
        slot: FIXED or the slot that may recolour these faces.
    """
    faces = np.asarray(corners, np.float32).reshape(-1, 4, 3)
    count = len(faces)
    shades = np.asarray(colours, np.float32)
    if shades.ndim == 2:
        shades = shades[:, None, :]
    normals = _unit_cross(faces[:, 1] - faces[:, 0], faces[:, 3] - faces[:, 0])
    first = np.arange(count, dtype=np.int32)[:, None] * 4
    return Mesh(
        faces.reshape(-1, 3),
        np.repeat(normals, 4, axis=0).astype(np.float32),
        np.broadcast_to(shades, (count, 4, 3)).reshape(-1, 3).astype(np.float32),
        np.full(count * 4, kind, np.uint8),
        np.full(count * 4, slot, np.uint8),
        np.concatenate([first + np.array([0, 1, 2]), first + np.array([0, 2, 3])]).astype(np.int32),
    )


def _unit_cross(a: Floats, b: Floats) -> Floats:
    """Unit vectors across two; ``numpy.cross`` is several times slower on the few rows of a model."""
    normal = np.empty(a.shape, np.float32)
    normal[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    normal[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    normal[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return normal / np.maximum(np.sqrt((normal * normal).sum(-1, keepdims=True)), 1e-9)


def frustum(bottom: ArrayLike, top: ArrayLike, colour: ArrayLike, *, kind: int = SOLID, slot: int = FIXED) -> Mesh:
    """A solid between two polygons of four corners each ``[4, 3]`` (counter-clockwise from above), open below."""
    low, high = np.asarray(bottom, np.float32), np.asarray(top, np.float32)
    sides = [[low[i], low[(i + 1) % 4], high[(i + 1) % 4], high[i]] for i in range(4)]
    return quads([*sides, list(high)], colour, kind=kind, slot=slot)


def rectangle(x_low: float, x_high: float, half_width: float, z: float, y: float = 0.0) -> Floats:
    """Four corners of a level rectangle, counter-clockwise from above."""
    left, right = y + half_width, y - half_width
    return np.array([[x_low, right, z], [x_high, right, z], [x_high, left, z], [x_low, left, z]], np.float32)


def box(
    x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], colour: ArrayLike, *, slot: int = FIXED
) -> Mesh:
    """An upright box between the given bounds."""
    half, middle = (y[1] - y[0]) / 2, (y[0] + y[1]) / 2
    return frustum(rectangle(*x, half, z[0], middle), rectangle(*x, half, z[1], middle), colour, slot=slot)


def loft(rings: ArrayLike, colour: ArrayLike, *, slot: int = FIXED, caps: bool = True) -> Mesh:
    """A smooth skin over rings ``[r, k, 3]`` of corresponding points, normals pointing away from each ring's middle."""
    points = np.asarray(rings, np.float32)
    count, around = points.shape[:2]
    along = np.gradient(points, axis=0)
    across = np.roll(points, -1, axis=1) - np.roll(points, 1, axis=1)
    normals = _unit_cross(across, along)
    outward = points - points.mean(axis=1, keepdims=True)
    normals *= np.where((normals * outward).sum(-1, keepdims=True) < 0, -1, 1)
    place = np.arange(count * around).reshape(count, around)
    a, b = place[:-1], np.roll(place, -1, axis=1)[:-1]
    c, d = np.roll(place, -1, axis=1)[1:], place[1:]
    triangles = [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    meshes = [
        Mesh(
            points.reshape(-1, 3),
            normals.reshape(-1, 3).astype(np.float32),
            np.broadcast_to(np.asarray(colour, np.float32), (count * around, 3)).copy(),
            np.full(count * around, SOLID, np.uint8),
            np.full(count * around, slot, np.uint8),
            np.concatenate(triangles).astype(np.int32),
        )
    ]
    if caps:
        axis = points[-1].mean(0) - points[0].mean(0)
        axis /= max(float(np.linalg.norm(axis)), 1e-9)
        meshes += [disc(points[0], -axis, colour, slot=slot), disc(points[-1], axis, colour, slot=slot)]
    return merge(meshes)


def disc(rim: Floats, normal: ArrayLike, colour: ArrayLike, *, kind: int = SOLID, slot: int = FIXED) -> Mesh:
    """A flat convex polygon ``[k, 3]``."""
    count = len(rim)
    fan = [[0, i, i + 1] for i in range(1, count - 1)]
    return Mesh(
        np.asarray(rim, np.float32),
        np.broadcast_to(np.asarray(normal, np.float32), (count, 3)),
        np.broadcast_to(np.asarray(colour, np.float32), (count, 3)),
        np.full(count, kind, np.uint8),
        np.full(count, slot, np.uint8),
        np.array(fan, np.int32),
    )


def circle(centre: ArrayLike, radius_m: float, axis: str, corners: int = 10) -> Floats:
    """Points of a circle about an axis, ``"x"``, ``"y"`` or ``"z"``."""
    angle = np.arange(corners) * (2 * np.pi / corners) + np.pi / corners
    wide, tall, flat = np.cos(angle) * radius_m, np.sin(angle) * radius_m, np.zeros(corners)
    parts = {"x": (flat, wide, tall), "y": (wide, flat, tall), "z": (wide, tall, flat)}[axis]
    return (np.stack(parts, -1) + np.asarray(centre)).astype(np.float32)


def rod(start: ArrayLike, end: ArrayLike, radii: tuple[float, float], colour: ArrayLike, corners: int = 6) -> Mesh:
    """A tapering round rod between two points."""
    low, high = np.asarray(start, float), np.asarray(end, float)
    axis = (high - low) / max(float(np.linalg.norm(high - low)), 1e-9)
    side = np.cross(axis, (0.0, 0.0, 1.0) if abs(axis[2]) < 0.9 else (1.0, 0.0, 0.0))
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    angle = np.arange(corners)[:, None] * (2 * np.pi / corners)
    ring = np.cos(angle) * side + np.sin(angle) * other
    return loft(np.stack([low + ring * radii[0], high + ring * radii[1]]), colour)


def blob(centre: ArrayLike, radii: ArrayLike, colour: ArrayLike, *, around: int = 8, levels: int = 5) -> Mesh:
    """A low-polygon ellipsoid."""
    tilt = (np.arange(levels) + 0.35) / (levels - 0.3) * np.pi - np.pi / 2
    turn = np.arange(around) * (2 * np.pi / around)
    ring = np.stack(
        [
            np.cos(tilt)[:, None] * np.cos(turn),
            np.cos(tilt)[:, None] * np.sin(turn),
            np.broadcast_to(np.sin(tilt)[:, None], (levels, around)),
        ],
        -1,
    )
    return loft(ring * np.asarray(radii) + np.asarray(centre), colour)
