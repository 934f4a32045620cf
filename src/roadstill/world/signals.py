"""Traffic lights: heads for us, for those who turn, who walk across and who come from the sides."""

import math
from functools import lru_cache

from roadstill.world.lamps import AMBER, GREEN, RED, Glow, Lamp, signal_lamp
from roadstill.world.meshes import LAMP, SOLID, Mesh, box, circle, disc, merge, quads, rod
from roadstill.world.scene import Layout, Town, TrafficLight
from roadstill.world.streets import kerb_m

Parts = tuple[list[Mesh], list[Lamp]]

_UNLIT = {RED: (0.16, 0.03, 0.03), AMBER: (0.15, 0.10, 0.03), GREEN: (0.03, 0.13, 0.07)}
_HEADS = ("red", "amber", "green")
_POST, _CASE = (0.20, 0.22, 0.22), (0.06, 0.06, 0.06)
_BOARD_Z_M = 4.6  # middle of the backplate: lamps in view from 12 m on, clear of a van in front
_CROSS_RAD = 1.0  # between our direction and that in which the heads of crossing traffic look


def draw_light(layout: Layout, signal: TrafficLight, dark: float) -> tuple[Mesh, list[Glow]]:
    """The mesh and the glows of one signal with all its heads."""
    pose = layout.road.at(signal.s_m)
    mesh, lamps = _model(layout.town, signal.state, signal.turn, signal.walk)
    return mesh.placed(*pose), [lamp.glow(pose, dark) for lamp in lamps]


@lru_cache(maxsize=512)
def _model(town: Town, state: str, turn: str, walk: str) -> tuple[Mesh, tuple[Lamp, ...]]:
    """A signal in its own axes; the stop line lies behind it."""
    kerb = kerb_m(town) + 0.7
    aside = 0.62 if town.lanes_each_way > 1 or town.mast_arm else kerb
    parts = [_for_us(town, state, -kerb), _for_crossing("green" if state == "red" else "red", kerb + 0.2)]
    parts += [_arrow(turn, aside)] if turn else []
    parts += [_for_walkers(walk, kerb - 1.3)] if walk else []
    return merge([mesh for meshes, _ in parts for mesh in meshes]), tuple(lamp for _, lamps in parts for lamp in lamps)


def _for_us(town: Town, state: str, kerb: float) -> Parts:
    """Over each lane on an arm, or beside the road and, on wide roads, on the middle line."""
    meshes: list[Mesh] = []
    lamps: list[Lamp] = []
    if town.mast_arm:
        places = [-(k + 0.5) * town.lane_width_m for k in range(town.lanes_each_way)]
        top = _BOARD_Z_M + 1.25
        meshes.append(rod((0.15, kerb, 0), (0.15, kerb, top + 0.3), (0.14, 0.11), _POST))
        meshes.append(rod((0.15, kerb, top), (0.15, places[0] + 0.5, top), (0.10, 0.07), _POST))
    else:
        places = [kerb] if town.lanes_each_way == 1 else [kerb, -0.05]
        meshes += [rod((0.15, place, 0), (0.15, place, _BOARD_Z_M), (0.09, 0.09), _POST) for place in places]
    for place in places:
        for deep, half, tall, shade in (((-0.02, 0.06), 0.7, 1.6, 0.03), ((-0.10, 0.02), 0.42, 1.3, 0.06)):
            z = (_BOARD_Z_M - tall, _BOARD_Z_M + tall)
            meshes.append(box(deep, (place - half, place + half), z, (shade, shade, shade)))
        for head, above, colour in zip(_HEADS, (0.86, 0.0, -0.86), (RED, AMBER, GREEN), strict=True):
            shining = head in state.split("_")
            meshes.append(_round((-0.13, place, _BOARD_Z_M + above), 0.32, colour, shining))
            if shining:
                lamps.append(signal_lamp((-0.13, place, _BOARD_Z_M + above), colour, 1.25))
    return meshes, lamps


def _round(at: tuple[float, float, float], radius_m: float, colour: tuple[float, float, float], shining: bool) -> Mesh:
    shade, kind = (colour, LAMP) if shining else (_UNLIT[colour], SOLID)
    return disc(circle(at, radius_m, "x", 14), (-1, 0, 0), shade, kind=kind)


def _arrow(state: str, place: float) -> Parts:
    """The head for the lane that turns left: arrows instead of discs."""
    meshes = [
        box((-0.10, 0.02), (place - 0.42, place + 0.42), (_BOARD_Z_M - 1.3, _BOARD_Z_M + 1.3), _CASE),
        rod((0.15, place, 0), (0.15, place, _BOARD_Z_M), (0.09, 0.09), _POST),
    ]
    lamps: list[Lamp] = []
    for head, above, colour in zip(_HEADS, (0.86, 0.0, -0.86), (RED, AMBER, GREEN), strict=True):
        z, shining = _BOARD_Z_M + above, head == state
        shade, kind = (colour, LAMP) if shining else (_UNLIT[colour], SOLID)
        tip, low, high = (0.30, z), (-0.02, z - 0.27), (-0.02, z + 0.27)
        shaft = ((-0.30, z - 0.09), (-0.02, z - 0.09), (-0.02, z + 0.09), (-0.30, z + 0.09))
        faces = [[(-0.13, place + aside, up) for aside, up in face] for face in ((tip, low, high, tip), shaft)]
        meshes.append(quads(faces, shade, kind=kind))
        if shining:
            lamps.append(signal_lamp((-0.13, place, z), colour, 1.0))
    return meshes, lamps


def _for_walkers(state: str, kerb: float) -> Parts:
    """Red hands and green walkers, on both kerbs and on both sides of the crossroads."""
    meshes: list[Mesh] = []
    lamps: list[Lamp] = []
    colour = RED if state == "red" else GREEN
    for x in (-1.2, -22.0):
        for y in (kerb, -kerb):
            meshes.append(rod((x + 0.1, y, 0), (x + 0.1, y, 2.4), (0.05, 0.05), _POST))
            meshes.append(box((x - 0.1, x + 0.1), (y - 0.3, y + 0.3), (2.3, 2.95), _CASE))
            face = [(x - 0.12, y + aside, z) for aside, z in ((0.22, 2.38), (-0.22, 2.38), (-0.22, 2.86), (0.22, 2.86))]
            meshes.append(quads([face], colour, kind=LAMP))
            lamps.append(signal_lamp((x - 0.12, y, 2.62), colour, 0.8))
    return meshes, lamps


def _for_crossing(state: str, kerb: float) -> Parts:
    """The heads for those who come from the sides, turned a little so that they can be seen from our road, too."""
    meshes: list[Mesh] = []
    lamps: list[Lamp] = []
    lit = RED if state == "red" else GREEN
    for side, x in ((1, -3.0), (-1, -16.0)):
        y, turned = side * kerb, -side * _CROSS_RAD
        meshes.append(rod((x, y, 0), (x, y, 3.9), (0.08, 0.08), _POST))
        head = [box((-0.08, 0.04), (-0.28, 0.28), (2.9, 4.7), _CASE)]
        for z, colour in ((4.4, RED), (3.2, GREEN)):
            head.append(_round((-0.10, 0.0, z), 0.2, colour, colour == lit))
            if colour == lit:
                at = (x - 0.1 * math.cos(turned), y - 0.1 * math.sin(turned), z)
                lamps.append(signal_lamp(at, colour, 0.8))
        meshes += [part.placed(x, y, turned) for part in head]
    return meshes, lamps
