"""Regions of prepared pictures: the boxes of the logs in the centre square, and rear faces."""

import pickle

import numpy as np
import pytest

from roadstill.data.outlines import region_masks
from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset

LOG = "2021.05.12.22.00.38_veh-35_01008_01518"
WIDTH_PX, HEIGHT_PX, FOCAL_PX, SIZE_PX = 480, 270, 400.0, 128
IMAGE = f"{LOG}/CAM_F0/0.jpg"
CAR, WALKER = [11.6, 0.0, 1.5, 2.0, 2.0, 2.0, 0.0], [21.6, -6.0, 1.5, 0.6, 0.6, 1.8, 0.0]
ONCOMING = [31.6, 6.0, 1.5, 4.0, 2.0, 1.5, np.pi]


def frame():
    front = {
        "data_path": IMAGE,
        "sensor2lidar_rotation": np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]),
        "sensor2lidar_translation": np.array([1.6, 0.0, 1.5]),
        "cam_intrinsic": np.array([[FOCAL_PX, 0, WIDTH_PX / 2], [0, FOCAL_PX, HEIGHT_PX / 2], [0, 0, 1]]),
        "distortion": np.zeros(5),
    }
    names = np.array(["vehicle", "pedestrian", "vehicle"])
    anns = {"gt_boxes": np.array([CAR, WALKER, ONCOMING]), "gt_names": names}
    return {"token": "t", "lidar2ego": np.eye(4), "cams": {"CAM_F0": front}, "anns": anns}


def images(folder, **facts):
    with ImageSetWriter(folder, ("a",), SIZE_PX) as writer:
        writer.add(np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8), 0, facts)
    return open_imageset(folder)


def bounds(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1], rows[-1]]


def test_boxes_are_where_the_camera_sees_them_in_the_centre_square(tmp_path):
    (tmp_path / f"{LOG}.pkl").write_bytes(pickle.dumps([frame()]))
    masks = region_masks(images(tmp_path / "set", log=LOG, token="t", image=IMAGE), 0, tmp_path)
    scale = SIZE_PX / HEIGHT_PX
    # The walker's near face is 19.7 m away, from 5.7 to 6.3 m to the right and 0.9 m up and down.
    edges = np.array([5.7 / 20.3, -0.9 / 19.7, 6.3 / 19.7, 0.9 / 19.7]) * FOCAL_PX * scale + SIZE_PX / 2
    assert bounds(masks["persons"]) == pytest.approx(edges, abs=1.5)
    # The car's rear face is 9 m away and 2 m wide and high; the oncoming car shows its front.
    rear = np.array([-1, -1, 1, 1]) / 9 * FOCAL_PX * scale + SIZE_PX / 2
    assert bounds(masks["rears"]) == pytest.approx(rear, abs=1.5)
    assert (masks["vehicles"] & ~masks["rears"]).any()
    assert not (masks["rears"] & ~masks["vehicles"])[:, : SIZE_PX // 3].any()


def test_pictures_without_a_log_are_named(tmp_path):
    with pytest.raises(UserError, match="pictures without the fact log have no boxes; take a prepared set"):
        region_masks(images(tmp_path / "a"), 0, tmp_path)
    with pytest.raises(UserError, match=r"0\.jpg: its boxes cannot be found"):
        region_masks(images(tmp_path / "b", log=LOG, token="t", image=IMAGE), 0, tmp_path)
