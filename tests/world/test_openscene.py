"""One frame as a dictionary: what readers make of its calibration and boxes is what the picture shows."""

from dataclasses import replace

import numpy as np
import pytest

from roadstill.world.openscene import Naming, frames_of
from roadstill.world.places import Place
from roadstill.world.render import Renderer
from roadstill.world.roadmap import RoadMap
from roadstill.world.scene import Layout, Road, RoadObject, Scene
from roadstill.world.towns import TOWNS

WIDE, HIGH, YAW, EGO_S_M = 256, 144, 0.4, 60.0


def layout_of(town):
    s = np.arange(400.0)
    points = np.stack([s * np.cos(YAW) + 331_000.0, s * np.sin(YAW) + 4_690_000.0], -1)
    return Layout(TOWNS[town], Road(points, np.full(400, YAW), 1.0), 5)


def scene_of(layout, *things):
    offset_m = -layout.town.lane_width_m / 2
    x, y, yaw = layout.road.at(EGO_S_M, offset_m)
    facts = {"speed_mps": 5.0, "accel_mps2": 0.0, "curvature_per_m": 0.0, "command": 1, "frame": 0, "time_s": 0.0}
    mirrored = layout.town.left_hand
    return Scene(layout, EGO_S_M, offset_m, x, y, yaw, "day", "overcast", 1, things, facts=facts, mirrored=mirrored)


def frame_of(scene):
    road = RoadMap(scene.layout, Place(scene.layout.town.location, (331_000.0, 4_690_000.0), 100_000))
    return frames_of(Naming("log", "veh-01", (1,), 0, 1), [scene], road, WIDE, HIGH)[0]


def corners_of(box):
    x, y, z, length, width, height, yaw = box
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    signs = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) / 2
    return signs * (length, width, height) @ turn.T + (x, y, z)


def projected(box, camera):
    """Pixels ``[8, 2]`` of a box: p_lidar = R p_camera + t, backwards, then the pinhole. NAVSIM draws boxes so."""
    seen = (corners_of(box) - camera["sensor2lidar_translation"]) @ camera["sensor2lidar_rotation"]
    assert (seen[:, 2] > 0).all()
    pixels = seen @ camera["cam_intrinsic"].T
    return pixels[:, :2] / pixels[:, 2:]


@pytest.fixture(scope="module")
def renderer():
    return Renderer(WIDE, HIGH)


@pytest.mark.parametrize("town", ["brickfield", "gardenia"])
@pytest.mark.parametrize(("kind", "ahead_m", "left_m", "turned"), [("van", 14, 0.0, 0.0), ("car", 22, 3.5, np.pi),
    ("pedestrian", 12, -3.0, 1.5), ("truck", 30, -4.0, 0.0), ("bin", 11, -2.5, 0.5)])  # fmt: skip
def test_boxes_lie_on_what_is_drawn(renderer, town, kind, ahead_m, left_m, turned):
    layout = layout_of(town)
    size = {"van": (5.4, 2.05, 2.3), "car": (4.5, 1.85, 1.5), "pedestrian": (0.5, 0.55, 1.75),
            "truck": (8.4, 2.5, 3.3), "bin": (0.75, 0.6, 1.1)}[kind]  # fmt: skip
    empty = scene_of(layout)
    x, y, yaw = layout.road.at(EGO_S_M + ahead_m, empty.ego_offset_m + left_m)
    thing = RoadObject("00000000000000a1", kind, x, y, yaw + turned, *size, 0.0, (0.9, 0.2, 0.6))
    scene = replace(empty, objects=(thing,))
    drawn = np.abs(renderer.draw(scene).astype(int) - renderer.draw(empty)).sum(-1) > 60
    rows, columns = np.nonzero(drawn)
    frame = frame_of(scene)
    (box,) = frame["anns"]["gt_boxes"]
    assert box[1] == pytest.approx(-left_m if town == "gardenia" else left_m, abs=1e-6)
    pixels = projected(box, frame["cams"]["CAM_F0"])
    low, high = pixels.min(0), pixels.max(0)
    metre = frame["cams"]["CAM_F0"]["cam_intrinsic"][0, 0] / ahead_m
    slack = 4 + 0.12 * (high - low) + 0.32 * metre  # shadows, and models that do not fill their boxes
    assert (np.abs([columns.min(), rows.min()] - low) < slack).all()
    assert (np.abs([columns.max(), rows.max()] - high) < slack).all()


def test_traffic_on_the_left_comes_towards_us_on_the_right(renderer):
    for town, side in (("brickfield", 1), ("gardenia", -1)):
        layout = layout_of(town)
        x, y, yaw = layout.road.at(EGO_S_M + 20, layout.town.lane_width_m / 2)
        car = RoadObject("00000000000000a1", "car", x, y, yaw + np.pi, 4.5, 1.85, 1.5, 7.0, (0.9, 0.2, 0.6))
        scene = scene_of(layout, car)
        frame = frame_of(scene)
        (box,), (velocity,) = frame["anns"]["gt_boxes"], frame["anns"]["gt_velocity_3d"]
        assert box[:2] == pytest.approx([20.0, side * layout.town.lane_width_m])
        assert velocity == pytest.approx([-7.0, 0.0, 0.0])
        changed = np.abs(renderer.draw(scene).astype(int) - renderer.draw(scene_of(layout))).sum(-1) > 60
        assert (np.nonzero(changed)[1].mean() < WIDE / 2) == (side > 0)
        heading = np.arctan2(frame["ego2global"][1, 0], frame["ego2global"][0, 0])
        assert heading == pytest.approx(side * YAW)


def test_some_scenes_have_no_route():
    without = [
        [part for part in range(2) if not Naming("log", "veh-01", (seed,), 0, 60).routed(part)] for seed in range(1500)
    ]
    assert max(map(len, without)) == 1
    assert 30 < sum(map(len, without)) < 75
    assert {part for parts in without for part in parts} == {0, 1}
    layout = layout_of("brickfield")
    seed = next(seed for seed in range(1500) if not Naming("log", "veh-01", (seed,), 0, 1).routed(0))
    road = RoadMap(layout, Place(layout.town.location, (331_000.0, 4_690_000.0), 100_000))
    (frame,) = frames_of(Naming("log", "veh-01", (seed,), 0, 1), [scene_of(layout)], road, WIDE, HIGH)
    assert frame["roadblock_ids"] == []
    assert frame["driving_command"].tolist() == [0, 0, 0, 1]
