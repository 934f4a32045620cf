"""Pictures of the built-in world: pure functions of the scene, in the agreed geometry, with cues that can be seen."""

import math
import random
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from roadstill.errors import UserError
from roadstill.world.actors import draw_object
from roadstill.world.junctions import corner_of
from roadstill.world.render import CAMERA_AHEAD_M, CAMERA_HEIGHT_M, FOCAL_PER_HEIGHT, Renderer
from roadstill.world.routes import Bend, Route
from roadstill.world.scene import LIGHTS, WEATHERS, Layout, Road, RoadObject, Scene, TrafficLight
from roadstill.world.scenery import build_chunk
from roadstill.world.streets import Band
from roadstill.world.towns import TOWNS
from roadstill.world.weather import look_of

YAW, EGO_S_M = 0.4, 40.0
TOWN = TOWNS["brickfield"]
LANE_M = -TOWN.lane_width_m / 2


@lru_cache
def layout_of(town: str = "brickfield", seed: int = 5, crossroads: tuple[float, ...] = ()) -> Layout:
    s = np.arange(400.0)
    points = np.stack([s * np.cos(YAW) + 331_000.0, s * np.sin(YAW) + 4_690_000.0], -1)
    return Layout(TOWNS[town], Road(points, np.full(400, YAW), 1.0), seed, crossroads)


def thing(layout: Layout, kind: str, s_m: float, offset_m: float = LANE_M, **facts: object) -> RoadObject:
    size = {"car": (4.5, 1.82, 1.48), "pedestrian": (0.5, 0.6, 1.75), "truck": (8.5, 2.5, 3.4)}.get(
        kind, (1.5, 0.6, 1.0)
    )
    x, y, yaw = layout.road.at(s_m, offset_m)
    return replace(RoadObject("00000000000000a1", kind, x, y, yaw, *size, 5.0, (0.2, 0.3, 0.6)), **facts)


def scene_of(layout: Layout | None = None, *, light: str = "day", weather: str = "clear", **facts: object) -> Scene:
    layout = layout or layout_of()
    s_m = facts.pop("ego_s_m", EGO_S_M)
    x, y, yaw = layout.road.at(s_m, LANE_M)
    return replace(Scene(layout, s_m, LANE_M, x, y, yaw, light, weather, seed=1), **facts)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(256, 144)


def brake_pair(renderer: Renderer, away_m: float, **sky: str) -> tuple[np.ndarray, np.ndarray]:
    layout = layout_of()
    lead = thing(layout, "car", EGO_S_M + CAMERA_AHEAD_M + away_m + 2.25)
    scene = scene_of(layout, objects=(lead,), **sky)
    unlit = renderer.draw(scene).astype(int)
    return unlit, renderer.draw(replace(scene, objects=(replace(lead, braking=True),))).astype(int)


def test_a_picture_is_a_pure_function_of_its_scene(renderer: Renderer) -> None:
    layout = layout_of(crossroads=(90.0,))
    scenes = [
        scene_of(layout, ego_s_m=s, objects=(thing(layout, "car", s + 12),), seed=i)
        for i, s in enumerate((30.0, 70.0, 120.0))
    ]
    forth = [renderer.draw(scene) for scene in scenes]
    renderer.draw(scene_of(layout_of("palmstrip", 9), light="night", weather="rain"))
    back = [renderer.draw(scene) for scene in scenes[::-1]][::-1]
    alone = [Renderer(256, 144).draw(scene) for scene in scenes]
    for first, second, third in zip(forth, back, alone, strict=True):
        assert first.dtype == np.uint8
        assert first.shape == (144, 256, 3)
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first, third)
    assert np.abs(forth[0].astype(int) - forth[1]).mean() > 3


def test_traffic_on_the_left_is_seen_in_a_mirror(renderer: Renderer) -> None:
    scene = scene_of(objects=(thing(layout_of(), "car", EGO_S_M + 12),))
    np.testing.assert_array_equal(renderer.draw(replace(scene, mirrored=True)), renderer.draw(scene)[:, ::-1])


def test_only_sensor_noise_follows_the_frame_seed(renderer: Renderer) -> None:
    one, two = (renderer.draw(scene_of(seed=seed)).astype(float) for seed in (1, 2))
    assert 0.3 < np.abs(one - two).mean() < 25
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(("away_m", "left_m"), [(12.0, 0.0), (20.0, 2.0), (35.0, -3.0)])
def test_a_car_appears_where_the_pinhole_says(renderer: Renderer, away_m: float, left_m: float) -> None:
    layout = layout_of()
    empty = scene_of(layout)
    rear = thing(layout, "car", EGO_S_M + CAMERA_AHEAD_M + away_m + 2.25, LANE_M + left_m)
    changed = np.abs(renderer.draw(replace(empty, objects=(rear,))).astype(int) - renderer.draw(empty)).sum(-1) > 60
    rows, columns = np.nonzero(changed)
    focal = FOCAL_PER_HEIGHT * 144
    lowest = 72 + CAMERA_HEIGHT_M / away_m * focal
    top = 72 + (CAMERA_HEIGHT_M - 1.48) / (away_m + 1.2) * focal
    middle = 128 - left_m / away_m * focal
    assert rows.max() == pytest.approx(lowest, abs=3)
    assert rows.min() == pytest.approx(top, abs=2)
    near = columns[rows > lowest - 0.9 / away_m * focal]
    assert (near.min() + near.max()) / 2 == pytest.approx(middle, abs=3 + 30 * abs(left_m) / away_m)


def test_what_is_nearer_hides_what_is_farther(renderer: Renderer) -> None:
    layout = layout_of()
    truck = thing(layout, "truck", EGO_S_M + 16)
    walker = thing(layout, "pedestrian", EGO_S_M + 40)
    hidden = renderer.draw(scene_of(layout, objects=(truck, walker)))
    np.testing.assert_array_equal(hidden, renderer.draw(scene_of(layout, objects=(truck,))))
    assert (renderer.draw(scene_of(layout, objects=(walker,))) != renderer.draw(scene_of(layout))).any()


@pytest.mark.parametrize("away_m", [8.0, 20.0, 35.0])
@pytest.mark.parametrize("sky", ["day clear", "day rain", "day fog", "dusk overcast", "night clear"])
def test_lit_brake_lamps_can_be_told(renderer: Renderer, sky: str, away_m: float) -> None:
    unlit, lit = brake_pair(renderer, away_m, light=sky.split()[0], weather=sky.split()[1])
    redder = ((lit - unlit)[..., 0] - (lit - unlit)[..., 1:].max(-1)).clip(0)
    assert (redder > 40).sum() >= 5
    rows, columns = np.nonzero(redder > 40)
    assert abs(columns.mean() - 128) < 4
    assert rows.mean() > 66


@pytest.mark.parametrize("away_m", [14.0, 30.0, 45.0])
@pytest.mark.parametrize("town", ["brickfield", "palmstrip", "gardenia"])
def test_signal_colours_can_be_told_inside_the_centre_square(renderer: Renderer, town: str, away_m: float) -> None:
    layout = layout_of(town, crossroads=(EGO_S_M + 30,))
    pictures = {}
    for state in ("red", "amber", "green"):
        signal = TrafficLight(EGO_S_M + CAMERA_AHEAD_M + away_m, EGO_S_M + away_m - 8, state)
        pictures[state] = renderer.draw(scene_of(layout, lights=(signal,)))[:, 56:200].astype(int)
    for one, other in (("red", "green"), ("red", "amber"), ("amber", "green")):
        assert (np.abs(pictures[one] - pictures[other]).max(-1) > 70).sum() >= 8
    red, green = pictures["red"], pictures["green"]
    assert ((red[..., 0] - red[..., 1]) - (green[..., 0] - green[..., 1])).max() > 120


def test_brightness_does_not_know_about_braking(renderer: Renderer) -> None:
    unlit, lit = brake_pair(renderer, 15.0)
    away = np.ones((144, 256), bool)
    away[60:100, 100:156] = False
    np.testing.assert_allclose(unlit[away], lit[away], atol=1)  # the glow's skirt fades below one level


def test_every_light_weather_and_town_looks_different() -> None:
    small = Renderer(64, 36, supersample=1)
    skies = [(light, weather) for light in LIGHTS for weather in WEATHERS]
    pictures = [small.draw(scene_of(light=light, weather=weather)).astype(float) for light, weather in skies]
    pictures += [small.draw(scene_of(layout_of(town))).astype(float) for town in TOWNS if town != "brickfield"]
    for i, one in enumerate(pictures):
        assert one.std() > 4
        for other in pictures[:i]:
            assert np.abs(one - other).mean() > 2.5
    mean = {sky: picture.mean() for sky, picture in zip(skies, pictures, strict=False)}
    assert mean["day", "clear"] > mean["dusk", "clear"] > mean["night", "clear"]


def test_size_and_samples_are_free() -> None:
    sharp = Renderer(320, 180, supersample=1).draw(scene_of())
    fine = Renderer(320, 180, supersample=3).draw(scene_of())
    assert sharp.shape == fine.shape == (180, 320, 3)
    assert np.abs(sharp.astype(int) - fine).mean() < 12
    with pytest.raises(UserError, match="0 x 180"):
        Renderer(0, 180)


def test_panda3d_is_imported_late_and_stays_silent() -> None:
    code = (
        "import sys, roadstill.world, roadstill.world.render as r, roadstill.world.pictures\n"
        "assert not any(name.startswith('panda3d') for name in sys.modules)\n"
        "r.Renderer(32, 18)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""


def corner_layout(side: int) -> Layout:
    """A road that turns at a crossroads 60 m ahead of where the ego stands."""
    route = Route(random.Random(3), 300.0, [Bend(100.0, 16.0, side * math.pi / 2)])
    bend = Bend(100.0, 16.0, side * math.pi / 2)
    return Layout(TOWN, route.road, 5, corners_s_m=((bend.start_m, bend.end_m),))


@pytest.mark.parametrize("side", [1, -1])
def test_a_turn_at_a_crossroads_leaves_the_way_straight_on_open(side: int) -> None:
    layout = corner_layout(side)
    (begin_m, end_m) = layout.corners_s_m[0]
    corner = corner_of(layout, begin_m, end_m)
    x, y, yaw = layout.road.at(begin_m)
    away = corner.middle_m - (x, y)
    assert math.atan2(away[1], away[0]) == pytest.approx(math.remainder(yaw, 2 * math.pi), abs=1e-3)
    assert corner.outside == -side
    band = Band(layout, begin_m - 20.0, end_m + 20.0)
    middle_m = (begin_m + end_m) / 2
    assert band.near_crossing(middle_m)
    assert band.near_crossing(middle_m, -side)
    assert not band.near_crossing(middle_m, side)  # the kerb on the inner side goes on
    chunks = [build_chunk(layout, index, lit=False).mesh for index in range(1, 5)]
    way = np.array([np.cos(yaw), np.sin(yaw)])
    for mesh in chunks:  # nothing stands on the street straight on
        ahead = (mesh.points[:, :2] - corner.middle_m) @ way
        aside = (mesh.points[:, :2] - corner.middle_m) @ np.array([-way[1], way[0]])
        tall = mesh.points[(ahead > 12.0) & (ahead < 60.0) & (np.abs(aside) < 5.0), 2]
        assert tall.max(initial=0.0) < 0.5


def test_a_picture_is_the_same_after_all_models_were_dropped(renderer: Renderer) -> None:
    layout = layout_of(crossroads=(90.0,))
    scene = scene_of(layout, objects=(thing(layout, "car", 55.0), thing(layout, "pedestrian", 90.0)), light="dusk")
    before = renderer.draw(scene)
    renderer.forget()
    np.testing.assert_array_equal(renderer.draw(scene), before)


def test_detail_follows_the_height_in_the_picture() -> None:
    walker = replace(thing(layout_of(), "pedestrian", 60.0), x_m=0.0, y_m=0.0)  # where single precision is fine enough
    look = look_of("day", "clear", layout_of())
    far, usual, near = (draw_object(walker, TOWN.asphalt, look, tall_px)[0] for tall_px in (8.0, 60.0, 300.0))
    assert len(far.points) * 5 < len(usual.points) * 2 < len(near.points) * 1.5
    for mesh in (far, near):
        np.testing.assert_allclose(mesh.points.mean(0), usual.points.mean(0), atol=0.25)
        np.testing.assert_allclose(mesh.points.max(0), usual.points.max(0), atol=0.2)
    fine, plain = (build_chunk(layout_of(), 2, lit=False, fine=fine).mesh for fine in (True, False))
    assert len(fine.points) > len(plain.points)
    assert fine.points[:, 2].max() == pytest.approx(plain.points[:, 2].max(), abs=0.5)
