"""Turns a scene into the picture that a camera behind the windscreen takes.

The camera is a pinhole, focal length 1545 px at 1080 px height, 1.55 m above the road, 1.6 m ahead of the rear axle
(the ego's pose), looking along the ego's yaw with no pitch.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.runs import seed_of
from roadstill.world import optics
from roadstill.world.actors import Glow, draw_light, draw_object
from roadstill.world.meshes import GROUND, LAMP, Mesh, merge
from roadstill.world.scene import Layout, RoadObject, Scene
from roadstill.world.scenery import CHUNK_M, build_chunk
from roadstill.world.sky import Sky, noise_table
from roadstill.world.weather import Floats, Look, aired, lit, look_of

FOCAL_PER_HEIGHT = 1545 / 1080
CAMERA_HEIGHT_M = 1.55
CAMERA_AHEAD_M = 1.6
REACH_M = 165.0  # farther things are not drawn
_CHUNKS_KEPT = 12
_GLARE = 0.015  # least radius of a lamp's glow, as a share of the height: the lens blooms however far the lamp is
_LAMPLIGHT = (1.0, 0.82, 0.55)


@dataclass
class _Standing:
    """A chunk ready to draw: its batch, its light without the ego's, and what the air needs."""

    batch: Any
    mesh: Mesh
    colours: Floats
    lamps_m: Floats


@dataclass
class _Stage:
    """What all frames of one layout, light and weather share; ``local`` is the layout moved to the origin."""

    layout: Layout
    light: str
    weather: str
    local: Layout
    look: Look
    sky: Sky
    grain: Floats
    parked_s_m: NDArray[np.float64]
    chunks: dict[int, _Standing]

    @property
    def origin_m(self) -> NDArray[np.float64]:
        """Where the local axes begin: world coordinates are too large for single precision."""
        return self.layout.road.points_m[0]


class Renderer:
    """Draws scenes; a picture depends on its scene alone, not on what was drawn before.

    Args:
        width_px: width of the pictures.
        height_px: height of the pictures.
        supersample: samples per pixel along each axis.

    Raises:
        UserError: a size or the number of samples is not positive.
    """

    def __init__(self, width_px: int, height_px: int, supersample: int = 2) -> None:
        if min(width_px, height_px, supersample) < 1:
            raise UserError(
                f"cannot draw {width_px} x {height_px} px with {supersample} samples; all must be at least 1"
            )
        from roadstill.world.offscreen import Batch, Canvas  # here alone: panda3d is heavy

        self.width_px, self.height_px, self._factor = width_px, height_px, supersample
        self._focal_px = FOCAL_PER_HEIGHT * height_px
        self._canvas = Canvas(width_px * supersample, height_px * supersample, self._focal_px * supersample)
        self._across = ((np.arange(width_px) + 0.5 - width_px / 2) / self._focal_px).astype(np.float32)
        self._upward = ((height_px / 2 - np.arange(height_px) - 0.5) / self._focal_px).astype(np.float32)
        self._batch = Batch
        self._half_view = width_px / 2 / self._focal_px
        self._sensor = optics.Sensor(width_px, height_px)
        self._stage: _Stage | None = None

    def draw(self, scene: Scene) -> NDArray[np.uint8]:
        """The picture of a scene, uint8 ``[h, w, 3]``."""
        stage = self._set(scene)
        yaw = scene.ego_yaw_rad
        place = np.array([scene.ego_x_m, scene.ego_y_m]) - stage.origin_m
        eye = np.array([*(place + CAMERA_AHEAD_M * np.array([np.cos(yaw), np.sin(yaw)])), CAMERA_HEIGHT_M])
        standing = self._standing(stage, scene.ego_s_m)
        for part in standing:
            part.batch.colour(_air(part.colours, part.mesh, eye, yaw, stage.look))
        lamps = np.concatenate([part.lamps_m for part in standing])
        moving, glows = self._moving(scene, stage, eye, yaw, lamps)
        if stage.look.dark:
            glows += [Glow(lamp, _LAMPLIGHT, 0.9, 0.7 * stage.look.dark) for lamp in lamps]
        samples = self._canvas.draw([part.batch for part in standing] + moving, tuple(eye.tolist()), yaw)
        return self._develop(samples, scene, stage, glows, eye)

    def close(self) -> None:
        """Gives the drawing buffer back; the renderer cannot draw any more."""
        self._canvas.close()

    def _set(self, scene: Scene) -> _Stage:
        stage, layout = self._stage, scene.layout
        if stage is None or stage.layout is not layout or (stage.light, stage.weather) != (scene.light, scene.weather):
            origin = layout.road.points_m[0]
            local = replace(
                layout,
                road=replace(layout.road, points_m=layout.road.points_m - origin),
                parked=tuple(_shifted(thing, origin) for thing in layout.parked),
            )
            look = look_of(scene.light, scene.weather, layout)
            grain = noise_table(seed_of("grain", layout.seed), 256, 256, ((32, 32), (64, 64), (128, 128))) - 0.5
            places = [(local.road.points_m - (thing.x_m, thing.y_m)) for thing in local.parked]
            parked_s_m = np.array([np.argmin((away**2).sum(1)) * local.road.step_m for away in places])
            sky = Sky(layout, look)
            self._stage = _Stage(layout, scene.light, scene.weather, local, look, sky, grain, parked_s_m, {})
        assert self._stage is not None
        return self._stage

    def _standing(self, stage: _Stage, s_m: float) -> list[_Standing]:
        first, last = int(np.floor((s_m - 8) / CHUNK_M)), int(np.floor((s_m + REACH_M) / CHUNK_M))
        for index in [old for old in stage.chunks if not first - _CHUNKS_KEPT < old < last + _CHUNKS_KEPT]:
            del stage.chunks[index]
        for index in range(first, last + 1):
            if index not in stage.chunks:
                stage.chunks[index] = self._stand(stage, index)
        return [stage.chunks[index] for index in range(first, last + 1)]

    def _stand(self, stage: _Stage, index: int) -> _Standing:
        chunk = build_chunk(stage.local, index, lit=stage.look.dark > 0)
        mesh = merge([chunk.mesh, *self._parked(stage, index)])
        batch = self._batch(mesh.points, mesh.triangles, mesh.kinds)
        return _Standing(batch, mesh, lit(mesh, stage.look, chunk.lamps_m), chunk.lamps_m)

    def _parked(self, stage: _Stage, index: int) -> list[Mesh]:
        inside = (stage.parked_s_m >= index * CHUNK_M) & (stage.parked_s_m < (index + 1) * CHUNK_M)
        meshes = []
        for which in np.flatnonzero(inside):
            meshes += draw_object(stage.local.parked[which], stage.local.town.asphalt, stage.look.dark)[0]
        return meshes

    def _moving(
        self, scene: Scene, stage: _Stage, eye: NDArray[np.float64], yaw: float, lamps: Floats
    ) -> tuple[list[Any], list[Glow]]:
        meshes: list[Mesh] = []
        glows: list[Glow] = []
        look = stage.look
        cos, sin = float(np.cos(yaw)), float(np.sin(yaw))
        for thing in (_shifted(thing, stage.origin_m) for thing in scene.objects):
            east, north = thing.x_m - eye[0], thing.y_m - eye[1]
            forward, left = east * cos + north * sin, north * cos - east * sin
            beside = abs(left) - thing.length_m > max(forward, 0.0) * self._half_view + 2.0
            if -thing.length_m < forward < REACH_M and not beside:
                solid, shine = draw_object(thing, scene.layout.town.asphalt, look.dark)
                meshes, glows = meshes + solid, glows + shine
        for signal in scene.lights:
            if -5 < signal.s_m - scene.ego_s_m < REACH_M:
                solid, shine = draw_light(stage.local, signal, look.dark)
                meshes, glows = meshes + solid, glows + shine
        if not meshes:
            return [], glows
        mesh = merge(meshes)
        batch = self._batch(mesh.points, mesh.triangles, mesh.kinds)
        batch.colour(_air(lit(mesh, look, lamps), mesh, eye, yaw, look))
        return [batch], glows

    def _develop(
        self, samples: NDArray[np.uint8], scene: Scene, stage: _Stage, glows: list[Glow], eye: NDArray[np.float64]
    ) -> NDArray[np.uint8]:
        look = stage.look
        rng = np.random.default_rng(seed_of("camera", scene.seed))
        kinds = samples[..., 3]
        factor = self._factor
        masks = np.stack([kinds < GROUND // 2, np.abs(kinds.astype(np.int16) - GROUND) < 20], -1).astype(np.uint8)
        shares = optics.reduce(masks, factor)
        picture: Floats = optics.reduce(samples[..., :3], factor) / np.float32(255)
        half = self.height_px // 2 + 1
        picture[:half] += stage.sky.draw(self._across, self._upward[:half], scene.ego_yaw_rad) * shares[:half, :, :1]
        picture[half:] += stage.sky.beyond * shares[half:, :, :1]
        self._roughen(picture, shares[..., 1], stage, eye, scene.ego_yaw_rad)
        if look.wet > 0.5:
            slope = np.clip(-self._upward, 0.004, None)
            strength = (0.42 * np.exp(-slope * 2.6) * (self._upward < 0)).astype(np.float32)
            picture = optics.reflect_wet(picture, shares[..., 1], strength)
        for glow in glows:
            self._shine(picture, kinds, glow, eye, scene.ego_yaw_rad, look)
        if look.wet > 0.5:
            optics.add_rain(picture, rng, look)
        return self._sensor.expose(picture, rng, look.dark)

    def _roughen(self, picture: Floats, ground: Floats, stage: _Stage, eye: NDArray[np.float64], yaw: float) -> None:
        """Grain of road and ground, fixed to the world; in place."""
        first = int(np.argmax(self._upward < -0.045))
        forward = CAMERA_HEIGHT_M / -self._upward[first:, None]
        left = -self._across[None] * forward
        x = (eye[0] + forward * np.cos(yaw) - left * np.sin(yaw)) * 9
        y = (eye[1] + forward * np.sin(yaw) + left * np.cos(yaw)) * 9
        grain = stage.grain[x.astype(np.int64) % 256, y.astype(np.int64) % 256]
        fade = np.clip(1.15 - forward / 34, 0, 1)
        picture[first:] *= 1 + (0.34 * ground[first:] * grain * fade)[..., None]

    def _shine(
        self, picture: Floats, kinds: NDArray[np.uint8], glow: Glow, eye: NDArray[np.float64], yaw: float, look: Look
    ) -> None:
        """Adds one lamp's glow if the lamp is in sight."""
        away = glow.centre_m - eye
        forward = away[0] * np.cos(yaw) + away[1] * np.sin(yaw)
        if not 1.0 < forward < REACH_M:
            return
        left = -away[0] * np.sin(yaw) + away[1] * np.cos(yaw)
        column = self.width_px / 2 - left / forward * self._focal_px
        row = self.height_px / 2 - away[2] / forward * self._focal_px
        x, y = int(column * self._factor), int(row * self._factor)
        reach = max(1, int(0.1 * self._focal_px * self._factor / forward))
        window = kinds[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        if min(x, y) < -reach or window.size == 0:
            return
        seen = min(1.0, 2.5 * float((window > (LAMP + 130) // 2).mean()))
        if seen > 0:
            radius = max(glow.radius_m * self._focal_px / forward, _GLARE * self.height_px)
            clear = np.exp(-0.35 * forward / look.sight_m)
            optics.add_glow(
                picture, column, row, radius, np.array(glow.colour, np.float32) * (glow.strength * seen * clear)
            )


def _shifted(thing: RoadObject, origin_m: NDArray[np.float64]) -> RoadObject:
    return replace(thing, x_m=thing.x_m - float(origin_m[0]), y_m=thing.y_m - float(origin_m[1]))


def _air(colours: Floats, mesh: Mesh, eye: NDArray[np.float64], yaw: float, look: Look) -> Floats:
    """Colours of a mesh as seen from the eye through the air."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float32)
    return aired(colours, mesh.colours, mesh.kinds, (mesh.points - eye.astype(np.float32)) @ turn, look)
