"""Pictures of the built-in world: pure functions of the scene, in the agreed geometry, with cues that can be seen."""

import subprocess
import sys
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from roadstill.errors import UserError
from roadstill.world.render import CAMERA_AHEAD_M, CAMERA_HEIGHT_M, FOCAL_PER_HEIGHT, Renderer
from roadstill.world.scene import LIGHTS, WEATHERS, Layout, Road, RoadObject, Scene, TrafficLight
from roadstill.world.towns import TOWNS

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
