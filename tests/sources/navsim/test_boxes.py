"""Boxes in the picture: hand-computed pixels, ray casting as a second opinion, and strangers' wrong values."""

import copy

import numpy as np
import pytest
from PIL import Image, ImageDraw

from roadstill.sources.navsim.boxes import CLASSES, MAX_BOXES, NEAR_M, read_boxes, read_camera, regions
from roadstill.sources.navsim.schema import BrokenFrame

AHEAD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # columns: right, down, forward of a camera that looks along x
PLACE_M = np.array([1.6, 0.0, 1.5])
FOCAL_PX, GENUINE_FOCAL_PX = 1000.0, 1545.0
WIDTH_PX, HEIGHT_PX = 1920, 1080
GENUINE_LENS = np.array([-0.356123, 0.172545, -0.00213, 0.000464, -0.05231])


def frame_of(boxes, names=None, *, distortion=None, turn=AHEAD, lidar=(0.0, 0.0, 0.0)):
    focal_px = FOCAL_PX if distortion is None else GENUINE_FOCAL_PX
    lidar2ego = np.eye(4)
    lidar2ego[:3, 3] = lidar
    return {
        "lidar2ego": lidar2ego,
        "cams": {
            "CAM_F0": {
                "sensor2lidar_rotation": np.array(turn),
                "sensor2lidar_translation": PLACE_M - lidar,
                "cam_intrinsic": np.array([[focal_px, 0, 960], [0, focal_px, 540], [0, 0, 1]]),
                "distortion": np.zeros(5) if distortion is None else np.array(distortion, np.float64),
            }
        },
        "anns": {
            "gt_boxes": np.array(boxes, np.float64).reshape(-1, 7),
            "gt_names": np.array(names or ["vehicle"] * len(boxes)),
        },
    }


def box(depth_m, right_m=0.0, down_m=0.0, size=(4.0, 2.0, 1.0), yaw=0.0):
    """A box by its middle in front of the camera."""
    return [PLACE_M[0] + depth_m, -right_m, PLACE_M[2] - down_m, *size, yaw]


def seen(frame, width_px=WIDTH_PX, height_px=HEIGHT_PX):
    return regions(read_camera(frame), read_boxes(frame, CLASSES), width_px, height_px)


def bounds(polygons):
    points = np.concatenate(polygons)
    return [*points.min(0), *points.max(0)]


def mask_of(found, width_px=WIDTH_PX, height_px=HEIGHT_PX):
    mask = Image.new("L", (width_px, height_px))
    for polygons in found:
        for polygon in polygons:
            ImageDraw.Draw(mask).polygon([tuple(point) for point in polygon.tolist()], fill=1)
    return np.asarray(mask) > 0


def test_a_box_straight_ahead():
    (found,) = seen(frame_of([box(12)]))  # its rear is 10 m away: 2 m are 200 px
    assert bounds(found) == pytest.approx([860, 490, 1060, 590])


def test_a_box_beside_and_turned():
    (found,) = seen(frame_of([box(20, right_m=-5, size=(2, 2, 2))]))
    left, top, right, bottom = bounds(found)
    assert left == pytest.approx(960 - 1000 * 6 / 19)
    assert right == pytest.approx(960 - 1000 * 4 / 21)
    assert (top, bottom) == pytest.approx((540 - 1000 / 19, 540 + 1000 / 19))
    (across,) = seen(frame_of([box(10, yaw=np.pi / 2 + 4 * np.pi)]))  # 4 m wide, 2 m deep; yaw need not be wrapped
    assert bounds(across) == pytest.approx([960 - 2000 / 9, 540 - 500 / 9, 960 + 2000 / 9, 540 + 500 / 9])


def test_a_turned_box_has_its_corner_on_the_right_side():
    """Yaw is counter-clockwise seen from above: the front of a car that turns left shows left of its rear."""
    (found,) = seen(frame_of([box(20, size=(8.0, 0.01, 1), yaw=np.radians(45))]))
    points = np.concatenate(found)
    tall = points[np.argmax(points[:, 1])]  # the near end looks larger, so it reaches lowest
    assert tall[0] > 960 + 100
    assert points[:, 0].min() < 960 - 100


def test_up_and_down():
    (found,) = seen(frame_of([box(12, down_m=1.0)]))
    assert bounds(found) == pytest.approx([860, 540 + 500 / 14, 1060, 690])


@pytest.mark.parametrize("place", [{"depth_m": -10}, {"depth_m": -1.9}, {"depth_m": 5, "right_m": 40}])
def test_a_box_behind_or_far_beside_is_nowhere(place):
    assert not mask_of(seen(frame_of([box(**place)]))).any()


def test_a_box_that_crosses_the_near_plane():
    """From 2 m behind the lens to 4 m before it, 1 to 3 m to the right: its far end is hand-computed."""
    (found,) = seen(frame_of([box(1, right_m=2, size=(6, 2, 1))]))
    left, top, right, bottom = bounds(found)
    assert left == pytest.approx(960 + 1000 / 4)
    assert right > WIDTH_PX
    assert np.isfinite([top, bottom]).all()
    mask = mask_of([found])
    # Its nearest upright face edge in the picture stands where 1 m to the right meets the right border: 1/0.96 m deep.
    assert mask[540, 1211:].all()
    assert not mask[540, :1209].any()
    assert np.flatnonzero(mask[:, -1]).tolist()[0] == pytest.approx(540 - 500 * 0.96, abs=1)


def test_the_camera_inside_a_box_sees_nothing_but_it():
    assert mask_of(seen(frame_of([box(0, size=(6, 4, 3))]))).all()


def test_poses_are_chained():
    turn = np.radians(10)
    aside = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    (found,) = seen(frame_of([box(12)], lidar=(1.4, 0.0, 1.8)))
    assert bounds(found) == pytest.approx([860, 490, 1060, 590])
    turned = frame_of([box(12)], lidar=(1.4, 0.0, 1.8))  # the same camera, told by a lidar that is turned
    turned["lidar2ego"][:3, :3] = aside
    front = turned["cams"]["CAM_F0"]
    front["sensor2lidar_rotation"] = aside.T @ front["sensor2lidar_rotation"]
    front["sensor2lidar_translation"] = aside.T @ front["sensor2lidar_translation"]
    (found,) = seen(turned)
    assert bounds(found) == pytest.approx([860, 490, 1060, 590])
    (found,) = seen(frame_of([box(100, size=(1e-3, 1e-3, 1e-3))], turn=aside @ AHEAD))  # 10 degrees to the left
    assert bounds(found)[0] == pytest.approx(960 + 1000 * np.tan(turn), abs=0.1)


def test_smaller_copies_and_a_principal_point_beside_the_middle():
    frame = frame_of([box(12)])
    (half,) = seen(frame, 960, 540)
    assert bounds(half) == pytest.approx([430, 245, 530, 295])
    frame["cams"]["CAM_F0"]["cam_intrinsic"][:2, 2] = 975, 560  # nuPlan's cameras have such
    (moved,) = seen(frame)
    assert bounds(moved) == pytest.approx([875, 510, 1075, 610])
    with pytest.raises(BrokenFrame, match=r"1950 x 1120 px, not of this one, 1080 x 1080 px \(was it cropped\?\)"):
        seen(frame, 1080, 1080)


def test_the_lens_bends_directions():
    camera = read_camera(frame_of([], distortion=GENUINE_LENS))
    radial = 1 - 0.356123 * 0.25 + 0.172545 * 0.0625 - 0.05231 * 0.015625
    expected = [0.5 * radial + 0.000464 * 0.75, -0.00213 * 0.25]
    np.testing.assert_allclose(camera.bent(np.array([[0.5, 0.0]]))[0], expected)
    k1, k2, p1, p2, k3 = GENUINE_LENS
    x, y, u = 0.3, -0.2, 0.13
    radial = 1 + k1 * u + k2 * u**2 + k3 * u**3
    expected = [x * radial + 2 * p1 * x * y + p2 * (u + 2 * x**2), y * radial + p1 * (u + 2 * y**2) + 2 * p2 * x * y]
    np.testing.assert_allclose(camera.bent(np.array([[x, y]]))[0], expected)


def test_what_is_beyond_the_lens_model_is_not_folded_into_the_picture():
    aside = box(5, right_m=8.5, size=(0.5, 0.5, 0.5))  # 1.7 m per metre: there the polynomial has turned back
    camera = read_camera(frame_of([], distortion=GENUINE_LENS))
    assert abs(camera.bent(np.array([[1.7, 0.0]]))[0, 0]) < 0.5  # it would stand in the picture
    assert not mask_of(seen(frame_of([aside], distortion=GENUINE_LENS))).any()
    across = box(5, size=(1.0, 60.0, 1.0))  # reaches from far left to far right, through the middle
    row = mask_of(seen(frame_of([across], distortion=GENUINE_LENS)))[540]
    assert row.all()


def cast(box_, depth_of_pixels):
    """Whether rays from the camera hit a box in front of the near plane; depth_of_pixels: directions [n, 3]."""
    x, y, z, length, width, height, yaw = box_
    turn = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    start = turn @ (PLACE_M - [x, y, z])
    rays = depth_of_pixels @ AHEAD.T @ turn.T
    half = np.array([length, width, height]) / 2
    with np.errstate(divide="ignore"):
        hits = np.stack([(-half - start) / rays, (half - start) / rays])
    enter, leave = hits.min(0).max(1), hits.max(0).min(1)
    return leave > np.maximum(enter, NEAR_M)


@pytest.mark.parametrize("seed", range(40))
def test_regions_agree_with_ray_casting(seed):
    rng = np.random.default_rng(seed)
    one = box(rng.uniform(-6, 25), rng.uniform(-12, 12), rng.uniform(-2, 2), rng.uniform(0.3, 9, 3), rng.uniform(-7, 7))
    frame = frame_of([one], distortion=GENUINE_LENS if seed % 2 else None)
    mask = mask_of(seen(frame))
    flat = np.stack(np.meshgrid(np.linspace(-0.9, 0.9, 97), np.linspace(-0.6, 0.6, 61)), -1).reshape(-1, 2)
    hit = cast(one, np.concatenate([flat, np.ones((len(flat), 1))], 1))
    camera = read_camera(frame)
    pixels = np.rint(camera.bent(flat) * camera.intrinsic[0, 0] + (960, 540)).astype(int)
    inside = ((pixels >= 3) & (pixels < (WIDTH_PX - 3, HEIGHT_PX - 3))).all(1)
    (columns, rows), hit = pixels[inside].T, hit[inside]
    near = np.stack([mask[rows + dy, columns + dx] for dy in (-2, 0, 2) for dx in (-2, 0, 2)])
    assert not (hit & ~near.any(0)).any()  # what is hit is covered
    assert not (~hit & near.all(0)).any()  # what is covered is hit


def test_only_the_wanted_classes_and_empty_lists():
    frame = frame_of([box(12), box(20), box(30)], ["vehicle", "traffic_cone", "pedestrian"])
    assert read_boxes(frame, ("pedestrian", "vehicle"))[:, 0].tolist() == [13.6, 31.6]
    frame["anns"]["gt_boxes"][1] = np.nan  # of a class that nobody asked for
    assert len(read_boxes(frame, ("vehicle",))) == 1
    for boxes in (np.zeros((0, 7)), [], np.zeros(0)):
        nothing = {"anns": {"gt_boxes": boxes, "gt_names": np.array([])}}
        assert read_boxes(nothing, CLASSES).shape == (0, 7)
    as_lists = {"anns": {"gt_boxes": [box(12)], "gt_names": ["vehicle"]}}
    assert read_boxes(as_lists, CLASSES).shape == (1, 7)
    assert seen(frame_of([])) == []


def put(*path):
    """A change that puts the last item at the path of the others."""

    def change(frame):
        for key in path[:-2]:
            frame = frame[key]
        frame[path[-2]] = path[-1]

    return change


def drop(*path):
    def change(frame):
        for key in path[:-1]:
            frame = frame[key]
        del frame[path[-1]]

    return change


WRONG = [
    (drop("anns"), "anns: missing"),
    (put("anns", None), "anns: a dict is needed, not NoneType"),
    (drop("anns", "gt_boxes"), "anns.gt_boxes: missing"),
    (drop("anns", "gt_names"), "anns.gt_names: missing"),
    (put("anns", "gt_names", "vehicle"), "anns.gt_names: a list"),
    (put("anns", "gt_names", ["vehicle"] * (MAX_BOXES + 1)), "anns.gt_names: a list of at most"),
    (put("anns", "gt_names", ["car", "vehicle"]), "anns.gt_names: 'car' is none of vehicle, "),
    (put("anns", "gt_names", [3, {}]), "anns.gt_names: '3' is none of"),
    (put("anns", "gt_names", []), r"anns.gt_boxes: numbers of shape \(0, 7\)"),
    (put("anns", "gt_names", np.array(["vehicle"])), r"anns.gt_boxes: numbers of shape \(1, 7\)"),
    (put("anns", "gt_boxes", np.zeros((2, 9))), r"anns.gt_boxes: numbers of shape \(2, 7\)"),
    (put("anns", "gt_boxes", [[1.0], [1.0, 2.0]]), "anns.gt_boxes: numbers of shape"),
    (put("anns", "gt_boxes", np.full((2, 7), "1")), "anns.gt_boxes: numbers of shape"),
    (put("anns", "gt_boxes", np.full((2, 7), True)), "anns.gt_boxes: numbers of shape"),
    (put("anns", "gt_boxes", [[2**80] * 7] * 2), "anns.gt_boxes: numbers of shape"),
    (put("anns", "gt_boxes", np.full((2, 7), np.inf)), "anns.gt_boxes: a value is not a finite number"),
    (
        put("anns", "gt_boxes", np.full((2, 7), np.longdouble("1e4000"))),
        "anns.gt_boxes: a value is not a finite number",
    ),
    (put("anns", "gt_boxes", 0, 3, 0.0), "anns.gt_boxes: a box with a side"),
    (put("anns", "gt_boxes", 0, 4, -2.0), "anns.gt_boxes: a box with a side"),
    (put("anns", "gt_boxes", 0, 5, 101.0), "anns.gt_boxes: a box with a side"),
    (put("anns", "gt_boxes", 0, 1, 1e7), "anns.gt_boxes: a box more than 1000 m away"),
    (put("anns", "gt_boxes", 0, 6, 1e7), "anns.gt_boxes: a box .* turned without end"),
    (drop("lidar2ego"), "lidar2ego: missing"),
    (put("lidar2ego", np.eye(3)), r"lidar2ego: numbers of shape \(4, 4\)"),
    (put("lidar2ego", np.eye(4) * 2), "lidar2ego: not a rotation"),
    (put("lidar2ego", 2, 3, 1.7), r"lidar2ego: with .* puts the camera at \(1.6, 0.0, 3.2\) m from the rear axle"),
    (drop("cams"), "cams: missing"),
    (put("cams", {}), "cams.CAM_F0: missing"),
    (put("cams", "CAM_F0", []), "cams.CAM_F0: a dict is needed"),
    (drop("cams", "CAM_F0", "distortion"), "cams.CAM_F0.distortion: missing"),
    (put("cams", "CAM_F0", "distortion", np.zeros(4)), r"cams.CAM_F0.distortion: numbers of shape \(5,\)"),
    (put("cams", "CAM_F0", "distortion", np.full(5, 1e300)), "cams.CAM_F0.distortion: no lens"),
    (put("cams", "CAM_F0", "distortion", np.array([0, 0, 0.2, 0, 0])), "cams.CAM_F0.distortion: no lens"),
    (put("cams", "CAM_F0", "sensor2lidar_rotation", np.zeros((3, 3))), "sensor2lidar_rotation: not a rotation"),
    (put("cams", "CAM_F0", "sensor2lidar_rotation", AHEAD * [-1, 1, 1]), "sensor2lidar_rotation: a mirror image"),
    (put("cams", "CAM_F0", "sensor2lidar_rotation", AHEAD * [-1, 1, -1]), "sensor2lidar_rotation: .* not point ahead"),
    (put("cams", "CAM_F0", "sensor2lidar_rotation", AHEAD * [-1, -1, 1]), "sensor2lidar_rotation: .* upright"),
    (put("cams", "CAM_F0", "sensor2lidar_translation", 0, np.nan), "sensor2lidar_translation: a value is not a finite"),
    (put("cams", "CAM_F0", "sensor2lidar_translation", [90.0, 0, 1.5]), r"the camera at \(90.0, 0.0, 1.5\) m"),
    (put("cams", "CAM_F0", "cam_intrinsic", np.eye(3) * 900), "cam_intrinsic: no camera has these"),
    (put("cams", "CAM_F0", "cam_intrinsic", 0, 0, -1000.0), "cam_intrinsic: no camera has these"),
    (put("cams", "CAM_F0", "cam_intrinsic", 1, 1, 1e-9), "cam_intrinsic: no camera has these"),
    (put("cams", "CAM_F0", "cam_intrinsic", 0, 1, 700.0), "cam_intrinsic: no camera has these"),
    (put("cams", "CAM_F0", "cam_intrinsic", 0, 2, -960.0), "cam_intrinsic: no camera has these"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_values_are_named(change, message):
    frame = frame_of([box(12), box(20)])
    read_camera(frame), read_boxes(frame, CLASSES)
    frame = copy.deepcopy(frame)
    change(frame)
    with pytest.raises(BrokenFrame, match=message):
        seen(frame)


@pytest.mark.parametrize("frame", [None, [], "frame"])
def test_no_frame(frame):
    with pytest.raises(BrokenFrame, match="frame: a dict is needed"):
        read_boxes(frame, CLASSES)


@pytest.mark.parametrize("k1", [-100.0, -2.0, 50.0])
def test_a_lens_that_would_push_boxes_out_of_sight_is_refused(k1):
    with pytest.raises(BrokenFrame, match="distortion: this model does not hold"):
        seen(frame_of([box(12)], distortion=(k1, 0, 0, 0, 0)))
