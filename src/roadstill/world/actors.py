"""Everything that moves or can be switched: road users, barriers and traffic lights, with the lamps that shine."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from roadstill.world import figures, models
from roadstill.world.lamps import AMBER, RED, Glow, Lamp
from roadstill.world.meshes import (
    BRAKE,
    GROUND,
    HEAD,
    LAMP,
    PAINT,
    TURN,
    Floats,
    Mesh,
    box,
    merge,
    quads,
)  # fmt: skip
from roadstill.world.scene import RoadObject
from roadstill.world.weather import Look

_BLUE = (0.2, 0.4, 1.0)
_TAIL, _WHITE = (0.58, 0.05, 0.04), (1.0, 0.97, 0.88)
_BRAKES, _TAILS = Lamp(RED, (0.75, 0.35), (0.62, 0.3)), Lamp(_TAIL, (0.6, 0.35), (0.35, 0.25))
_FRONTS, _BLINKS = Lamp((1.0, 0.95, 0.82), (0.5, 0.7), (0.2, 0.7)), Lamp(AMBER, (0.6, 0.3), (0.55, 0.3))
_VARIANTS = {"car": 3, "pedestrian": 12, "bicycle": 12, "sign": figures.SIGNS}  # models of a kind
_FAR_PX, _NEAR_PX = 12, 160  # people less tall have less detail, and taller ones more
_ALWAYS_LIT = 2  # one car of so many drives with lights on by day
_TURNING = {"": (), "left": (1,), "right": (-1,), "both": (-1, 1)}


def draw_object(
    thing: RoadObject, asphalt: tuple[float, float, float], look: Look, tall_px: float = 100.0
) -> tuple[Mesh, list[Glow]]:
    """Mesh and glows of one object, in as much detail as its height in the picture asks for."""
    number = int(thing.track[-4:] or "0", 16) if thing.track else 0
    shines = thing.role != "parked" and (look.lamps or number % _ALWAYS_LIT == 0)
    step = int(thing.phase * figures.STEPS) % figures.STEPS
    # all that does not say where it is: most things look the same from frame to frame
    alone = replace(thing, track="", x_m=0.0, y_m=0.0, yaw_rad=0.0, speed_mps=0.0, phase=0.0, role="")
    detail = 0 if thing.kind != "pedestrian" else -1 if tall_px < _FAR_PX else int(tall_px > _NEAR_PX)
    mesh, lamps = _model(alone, number % _VARIANTS.get(thing.kind, 1), step, shines, detail, asphalt)
    pose = (thing.x_m, thing.y_m, thing.yaw_rad)
    return mesh.placed(*pose), [lamp.glow(pose, look.dark) for lamp in lamps]


def forget_models() -> None:
    """Drops all models that were kept."""
    _model.cache_clear()
    _shadow.cache_clear()


@lru_cache(maxsize=512)
def _model(
    thing: RoadObject, number: int, step: int, shines: bool, detail: int, asphalt: tuple[float, float, float]
) -> tuple[Mesh, tuple[Lamp, ...]]:
    """An object at the origin with its shadow, and its lamps that shine."""
    size = np.array([thing.length_m, thing.width_m, thing.height_m])
    shadow = _shadow(thing.length_m, thing.width_m, asphalt)
    if thing.kind in models.SIZES_M:
        solid, lamps = _vehicle(thing, number, size, shines)
        return merge([shadow, *solid]), lamps
    turned = 0.0
    if thing.kind == "pedestrian":
        model = figures.far_pedestrian(step, number) if detail < 0 else figures.pedestrian(step, number, detail > 0)
        scale = np.full(3, thing.height_m / 1.75)
    elif thing.kind == "bicycle":
        model, scale = figures.bicycle(step, number), np.full(3, thing.length_m / 1.8)
    elif thing.kind == "barrier":
        model, scale = figures.barrier(), size
        if thing.width_m > thing.length_m:
            turned, scale = np.pi / 2, size[[1, 0, 2]]
    elif thing.kind == "cone":
        model, scale = figures.cone(), size
    elif thing.kind in figures.THINGS:
        model, scale = figures.THINGS[thing.kind](), size
    else:
        model, scale = figures.sign(number), np.full(3, max(thing.height_m, 1.0) / 2.6)
    colours = np.where((model.slots == PAINT)[:, None], np.array(thing.colour) * model.colours, model.colours)
    return merge([shadow, model.painted(colours.astype(np.float32)).placed(0.0, 0.0, turned, scale)]), ()


def _vehicle(thing: RoadObject, number: int, size: Floats, shines: bool) -> tuple[list[Mesh], tuple[Lamp, ...]]:
    model = models.car(number == 0) if thing.kind == "car" else getattr(models, thing.kind)()
    scale = size / np.array(models.SIZES_M[thing.kind])
    colours, kinds = model.colours.copy(), model.kinds.copy()
    colours[model.slots == PAINT] *= np.array(thing.colour, np.float32)
    rear, front, turn = (model.slots == slot for slot in (BRAKE, HEAD, TURN))
    aside = np.abs(model.points[:, 1]) > 0.3  # all but the third brake lamp
    if thing.braking:
        colours[rear], kinds[rear] = RED, LAMP
    elif shines:
        colours[rear & aside], kinds[rear & aside] = _TAIL, LAMP
    if shines:
        colours[front], kinds[front] = _WHITE, LAMP
    blinks = turn & np.isin(np.sign(model.points[:, 1]), _TURNING[thing.turning])
    colours[blinks], kinds[blinks] = AMBER, LAMP
    mesh = replace(model, colours=colours, kinds=kinds).placed(0.0, 0.0, 0.0, scale)
    lamps = []
    for mask, make, on in (
        (rear, _BRAKES, thing.braking),
        (rear, _TAILS, shines and not thing.braking),
        (front, _FRONTS, shines),
        (blinks, _BLINKS, bool(thing.turning)),
    ):
        for side in (-1, 1) if on else ():
            lamp = mask & (np.sign(model.points[:, 1]) == side) & aside
            if lamp.any():
                # the flat patch across the vehicle comes first, its wrap around the corner after it
                x, y, z = mesh.points[np.flatnonzero(lamp)[:4]].mean(0).tolist()
                lamps.append(replace(make, at=(x, y, z)))
    if thing.beacon:
        solid, shine = _beacons(thing, (model.points[:, 0].min(), model.points[:, 2].max()), scale)
        return [mesh, *solid], (*lamps, *shine)
    return [mesh], tuple(lamps)


def _beacons(thing: RoadObject, rear_top_m: tuple[float, float], scale: Floats) -> tuple[list[Mesh], list[Lamp]]:
    """What flashes: two lamps at the upper corners of the rear, or a bar on the roof."""
    rear, top = float(rear_top_m[0] * scale[0]), float(rear_top_m[1] * scale[2])
    half = thing.width_m / 2
    if thing.beacon == "school":
        places = [(rear - 0.05, side * (half - 0.35), top - 0.25, RED) for side in (-1, 1)]
    else:
        places = [(rear * 0.2, side * 0.4, top + 0.12, colour) for side, colour in ((1, RED), (-1, _BLUE))]
    meshes, lamps = [], []
    for x, y, z, colour in places:
        lamp = box((x - 0.06, x + 0.06), (y - 0.2, y + 0.2), (z - 0.14, z + 0.14), colour)
        meshes.append(replace(lamp, kinds=np.full(len(lamp.points), LAMP, np.uint8)))
        lamps.append(Lamp(colour, (0.9, 0.0), (0.77, 0.0), (x - 0.07, y, z)))
    if thing.beacon == "school":  # the arm with a stop sign, on the side of the traffic
        sign = replace(figures.stop_sign(), points=figures.stop_sign().points - np.array([0, 0, 0.6], np.float32))
        keep = sign.points[:, 2] > 0.9
        board = replace(sign, points=np.where(keep[:, None], sign.points, [0, 0, 1.2]).astype(np.float32))
        meshes.append(
            replace(board, points=board.points + np.array([thing.length_m * 0.2, half + 0.45, 0], np.float32))
        )
    return meshes, lamps


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
