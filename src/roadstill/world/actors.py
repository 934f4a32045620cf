"""Everything that moves or can be switched: road users, barriers and traffic lights, with the lamps that shine."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from roadstill.world import figures, models
from roadstill.world.meshes import BRAKE, GROUND, HEAD, LAMP, PAINT, Floats, Mesh, box, circle, disc, merge, quads, rod
from roadstill.world.scene import Layout, RoadObject, TrafficLight
from roadstill.world.streets import Band

RED, AMBER, GREEN = (1.0, 0.10, 0.06), (1.0, 0.66, 0.08), (0.15, 1.0, 0.48)
_UNLIT = {RED: (0.16, 0.03, 0.03), AMBER: (0.15, 0.10, 0.03), GREEN: (0.03, 0.13, 0.07)}
_BOARD_Z_M = 4.6  # middle of the backplate: lamps in view from 12 m on, clear of a van in front
_HEADS = ("red", "amber", "green")


@dataclass(frozen=True)
class Glow:
    """Light around a lamp, seen only where the lamp itself is.

    Attributes:
        centre_m: position ``[3]`` in world axes.
        colour: colour of the light.
        radius_m: distance at which it has faded to about a tenth.
        strength: peak brightness that is added, 0..1.
    """

    centre_m: Floats
    colour: tuple[float, float, float]
    radius_m: float
    strength: float


def draw_object(thing: RoadObject, asphalt: tuple[float, float, float], dark: float) -> tuple[list[Mesh], list[Glow]]:
    """Meshes and glows of one object; ``dark`` 0 by day, 1 at night."""
    look = int(thing.track[-4:] or "0", 16) if thing.track else 0
    size = np.array([thing.length_m, thing.width_m, thing.height_m])
    patch = _shadow(round(thing.length_m, 2), round(thing.width_m, 2), asphalt)
    shadow = patch.placed(thing.x_m, thing.y_m, thing.yaw_rad)
    if thing.kind in models.SIZES_M:
        return _vehicle(thing, look, size, dark, shadow)
    step = int(thing.phase * figures.STEPS) % figures.STEPS
    if thing.kind == "pedestrian":
        model, scale = figures.pedestrian(step, look % 12), np.full(3, thing.height_m / 1.75)
    elif thing.kind == "bicycle":
        model, scale = figures.bicycle(step, look % 12), np.full(3, thing.length_m / 1.8)
    elif thing.kind == "barrier":
        turned = thing.width_m > thing.length_m
        model, scale = figures.barrier(), size[[1, 0, 2]] if turned else size
        thing = replace(thing, yaw_rad=thing.yaw_rad + np.pi / 2) if turned else thing
    elif thing.kind == "cone":
        model, scale = figures.cone(), size
    else:
        model, scale = figures.sign(look % 4), np.full(3, max(thing.height_m, 1.0) / 2.6)
    colours = np.where((model.slots == PAINT)[:, None], np.array(thing.colour) * model.colours, model.colours)
    placed = model.painted(colours.astype(np.float32)).placed(thing.x_m, thing.y_m, thing.yaw_rad, scale)
    return [shadow, placed], []


def _vehicle(thing: RoadObject, look: int, size: Floats, dark: float, shadow: Mesh) -> tuple[list[Mesh], list[Glow]]:
    model = models.car(look % 3 == 0) if thing.kind == "car" else getattr(models, thing.kind)()
    scale = size / np.array(models.SIZES_M[thing.kind])
    parked = thing.role == "parked"
    colours, kinds = model.colours.copy(), model.kinds.copy()
    colours[model.slots == PAINT] *= np.array(thing.colour, np.float32)
    rear, front = model.slots == BRAKE, model.slots == HEAD
    if thing.braking:
        colours[rear], kinds[rear] = RED, LAMP
    elif dark and not parked:
        colours[rear & (model.points[:, 2] < 0.42 * model.points[:, 2].max() + 0.4)] = (0.42, 0.04, 0.03)
    if dark and not parked:
        colours[front], kinds[front] = (1.0, 0.97, 0.88), LAMP
    mesh = replace(model, colours=colours, kinds=kinds).placed(thing.x_m, thing.y_m, thing.yaw_rad, scale)
    glows = []
    for mask, colour, radius, strength, on in (
        (rear, RED, 0.75 + 0.35 * dark, 0.62 + 0.3 * dark, thing.braking),
        (front, (1.0, 0.95, 0.82), 0.5 + 0.7 * dark, 0.9 * dark, bool(dark) and not parked),
    ):
        if on:
            for side in (-1, 1):
                lamp = mask & (np.sign(model.points[:, 1]) == side) & (np.abs(model.points[:, 1]) > 0.3)
                # the flat patch across the vehicle comes first, its wrap around the corner after it
                corners = mesh.points[np.flatnonzero(lamp)[:4]]
                glows.append(Glow(corners.mean(0), colour, radius, strength))
    return [shadow, mesh], glows


@lru_cache(maxsize=256)
def _shadow(length_m: float, width_m: float, asphalt: tuple[float, float, float]) -> Mesh:
    """A soft dark patch on the road: full under the object, gone a little beyond it."""
    corners = 12
    angle = np.arange(corners) * 2 * np.pi / corners + 0.26
    square = np.stack([np.cos(angle), np.sin(angle)], -1)
    square /= np.abs(square).max(1, keepdims=True) ** 0.75
    half = np.array([length_m, width_m]) / 2
    inner, outer = (
        np.concatenate([square * reach, np.full((corners, 1), 0.024)], 1) for reach in (half * 0.94, half + 0.32)
    )
    road = np.array(asphalt, np.float32)
    faces = np.stack([outer, np.roll(outer, -1, 0), np.roll(inner, -1, 0), inner], 1)
    shades = np.stack([road * 0.98, road * 0.98, road * 0.32, road * 0.32])[None].repeat(corners, 0)
    fan = [[inner[0], inner[i], inner[i + 1], inner[i + 1]] for i in range(1, corners - 1)]
    mesh = merge([quads(faces, shades, kind=GROUND), quads(np.array(fan), road * 0.32, kind=GROUND)])
    mesh.normals[:] = (0, 0, 1)
    return mesh


def draw_light(layout: Layout, signal: TrafficLight, dark: float) -> tuple[list[Mesh], list[Glow]]:
    """The heads of one signal: over each lane on an arm, or beside the road and, on wide roads, on the middle line."""
    town = layout.town
    band = Band(layout, signal.s_m, signal.s_m)
    x, y, yaw = layout.road.at(signal.s_m)
    grey = (0.20, 0.22, 0.22)
    kerb = -(band.kerb_m + 0.7)
    meshes, glows = [], []
    if town.mast_arm:
        places = [-(k + 0.5) * town.lane_width_m for k in range(town.lanes_each_way)]
        top = _BOARD_Z_M + 1.25
        meshes.append(rod((0.15, kerb, 0), (0.15, kerb, top + 0.3), (0.14, 0.11), grey))
        meshes.append(rod((0.15, kerb, top), (0.15, places[0] + 0.5, top), (0.10, 0.07), grey))
    else:
        places = [kerb] if town.lanes_each_way == 1 else [kerb, -0.05]
        meshes += [rod((0.15, place, 0), (0.15, place, _BOARD_Z_M), (0.09, 0.09), grey) for place in places]
    for place in places:
        for deep, half, tall, shade in (((-0.02, 0.06), 0.7, 1.6, 0.03), ((-0.10, 0.02), 0.42, 1.3, 0.06)):
            z = (_BOARD_Z_M - tall, _BOARD_Z_M + tall)
            meshes.append(box(deep, (place - half, place + half), z, (shade, shade, shade)))
        for head, above, colour in zip(_HEADS, (0.86, 0.0, -0.86), (RED, AMBER, GREEN), strict=True):
            shining = head in signal.state.split("_")
            rim = circle((-0.13, place, _BOARD_Z_M + above), 0.32, "x", 14)
            meshes.append(disc(rim, (-1, 0, 0), colour if shining else _UNLIT[colour], kind=LAMP if shining else 130))
            if shining:
                centre = np.array([[-0.13, place, _BOARD_Z_M + above]], np.float32)
                turned = replace(meshes[-1], points=centre, normals=centre).placed(x, y, yaw).points[0]
                glows.append(Glow(turned, colour, 1.25 + 0.25 * dark, 0.62 + 0.3 * dark))
    return [mesh.placed(x, y, yaw) for mesh in meshes], glows
