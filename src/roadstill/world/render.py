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
from roadstill.world.actors import draw_object, forget_models
from roadstill.world.develop import Darkroom, Eye
from roadstill.world.lamps import Glow
from roadstill.world.meshes import Mesh, merge
from roadstill.world.scene import Layout, RoadObject, Scene
from roadstill.world.scenery import CHUNK_M, build_chunk
from roadstill.world.signals import draw_light
from roadstill.world.sky import Sky, noise_table
from roadstill.world.weather import Floats, Look, aired, lit, look_of

FOCAL_PER_HEIGHT = 1545 / 1080
CAMERA_HEIGHT_M = 1.55
CAMERA_AHEAD_M = 1.6
REACH_M = 165.0  # farther things are not drawn
_CHUNKS_KEPT = 12
_FINE_PX = 480  # from this height of the pictures on, what stands along the road has more detail
_LAMPLIGHT = (1.0, 0.82, 0.55)


@dataclass
class _Standing:
    """A chunk ready to draw: its batch, its light without the ego's, and what the air needs."""

    batch: Any
    mesh: Mesh
    colours: Floats
    lamps_m: Floats
    glows: list[Glow]


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
        UserError: if a size or the number of samples is not positive.
    """

    def __init__(self, width_px: int, height_px: int, supersample: int = 2) -> None:
        if min(width_px, height_px, supersample) < 1:
            raise UserError(
                f"cannot draw {width_px} x {height_px} px with {supersample} samples; all must be at least 1"
            )
        from roadstill.world.offscreen import Batch, Canvas  # here alone: panda3d is heavy

        focal_px = FOCAL_PER_HEIGHT * height_px
        self._batch = Batch
        self._canvas = Canvas(width_px * supersample, height_px * supersample, focal_px * supersample)
        self._darkroom = Darkroom(width_px, height_px, supersample, focal_px)
        self._half_view, self._focal_px, self._fine = width_px / 2 / focal_px, focal_px, height_px >= _FINE_PX
        self._stage: _Stage | None = None

    def draw(self, scene: Scene) -> NDArray[np.uint8]:
        """The picture of a scene, uint8 ``[h, w, 3]``."""
        stage = self._set(scene)
        yaw = scene.ego_yaw_rad
        ahead = CAMERA_AHEAD_M * np.array([np.cos(yaw), np.sin(yaw)])
        place = np.array([scene.ego_x_m, scene.ego_y_m]) - stage.origin_m + ahead
        eye = Eye(np.array([*place, CAMERA_HEIGHT_M]), yaw)
        standing = self._standing(stage, scene.ego_s_m)
        for part in standing:
            part.batch.colour(_air(part.colours, part.mesh, eye, stage.look))
        lamps = np.concatenate([part.lamps_m for part in standing])
        moving, glows = self._moving(scene, stage, eye, lamps)
        glows += [glow for part in standing for glow in part.glows]
        if stage.look.dark:
            glows += [Glow(lamp, _LAMPLIGHT, 0.9, 0.7 * stage.look.dark) for lamp in lamps]
        batches = [part.batch for part in standing] + moving
        samples = self._canvas.draw(batches, (float(place[0]), float(place[1]), CAMERA_HEIGHT_M), yaw)
        picture = self._darkroom.develop(samples, eye, stage.look, stage.sky, stage.grain, glows, scene.seed)
        return np.ascontiguousarray(picture[:, ::-1]) if scene.mirrored else picture

    def forget(self) -> None:
        """Drops what it has built of the street and the models: the next picture costs as much as the first."""
        self._stage = None
        forget_models()

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
        chunk = build_chunk(stage.local, index, lit=stage.look.dark > 0, fine=self._fine)
        parked, glows = self._parked(stage, index)
        mesh = merge([chunk.mesh, *parked])
        batch = self._batch(mesh.points, mesh.triangles, mesh.kinds)
        return _Standing(batch, mesh, lit(mesh, stage.look, chunk.lamps_m), chunk.lamps_m, [*chunk.glows, *glows])

    def _parked(self, stage: _Stage, index: int) -> tuple[list[Mesh], list[Glow]]:
        inside = (stage.parked_s_m >= index * CHUNK_M) & (stage.parked_s_m < (index + 1) * CHUNK_M)
        meshes: list[Mesh] = []
        glows: list[Glow] = []
        for which in np.flatnonzero(inside):
            mesh, shine = draw_object(stage.local.parked[which], stage.local.town.asphalt, stage.look)
            meshes.append(mesh)
            glows += shine
        return meshes, glows

    def _moving(self, scene: Scene, stage: _Stage, eye: Eye, lamps: Floats) -> tuple[list[Any], list[Glow]]:
        """One batch of everything in view that is not part of the layout, and the glows of its lamps."""
        meshes: list[Mesh] = []
        glows: list[Glow] = []
        look = stage.look
        for thing in (_shifted(thing, stage.origin_m) for thing in scene.objects):
            forward, left = eye.sees(thing.x_m, thing.y_m)
            beside = abs(left) - thing.length_m > max(forward, 0.0) * self._half_view + 2.0
            if -thing.length_m < forward < REACH_M and not beside:
                tall_px = thing.height_m * self._focal_px / max(forward, 1.0)
                mesh, shine = draw_object(thing, scene.layout.town.asphalt, look, tall_px)
                meshes.append(mesh)
                glows += shine
        for signal in scene.lights:
            if -5 < signal.s_m - scene.ego_s_m < REACH_M:
                mesh, shine = draw_light(stage.local, signal, look.dark)
                meshes.append(mesh)
                glows += shine
        if not meshes:
            return [], glows
        mesh = merge(meshes)
        batch = self._batch(mesh.points, mesh.triangles, mesh.kinds)
        batch.colour(_air(lit(mesh, look, lamps), mesh, eye, look))
        return [batch], glows


def _shifted(thing: RoadObject, origin_m: NDArray[np.float64]) -> RoadObject:
    return replace(thing, x_m=thing.x_m - float(origin_m[0]), y_m=thing.y_m - float(origin_m[1]))


def _air(colours: Floats, mesh: Mesh, eye: Eye, look: Look) -> Floats:
    """Colours of a mesh as seen from the eye through the air."""
    cos, sin = np.cos(eye.yaw_rad), np.sin(eye.yaw_rad)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float32)
    return aired(colours, mesh.colours, mesh.kinds, (mesh.points - eye.place_m.astype(np.float32)) @ turn, look)
