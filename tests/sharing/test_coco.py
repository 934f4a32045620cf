"""COCO's layout: boxes of the logs as rectangles in the prepared picture."""

import json
import pickle

import numpy as np
import pytest

from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter
from roadstill.sharing import share
from roadstill.sources.navsim.boxes import CLASSES

LOG = "2021.05.12.22.00.38_veh-35_01008_01518"
WIDTH_PX, HEIGHT_PX, FOCAL_PX, SIZE_PX = 480, 270, 400.0, 128
CAR, WALKER = [11.6, 0.0, 1.5, 2.0, 2.0, 2.0, 0.0], [21.6, -6.0, 1.5, 0.6, 0.6, 1.8, 0.0]
BEHIND, FAR = [-20.0, 0.0, 1.5, 4.0, 2.0, 1.5, 0.0], [900.0, 0.0, 1.5, 0.3, 0.3, 0.3, 0.0]
BESIDE = [11.6, -4.5, 1.5, 2.0, 2.0, 2.0, 0.0]  # reaches out of the square


def frame(number):
    front = {
        "data_path": f"{LOG}/CAM_F0/{number}.jpg",
        "sensor2lidar_rotation": np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]),
        "sensor2lidar_translation": np.array([1.6, 0.0, 1.5]),
        "cam_intrinsic": np.array([[FOCAL_PX, 0, WIDTH_PX / 2], [0, FOCAL_PX, HEIGHT_PX / 2], [0, 0, 1]]),
        "distortion": np.zeros(5),
    }
    boxes = {"pedestrian": [WALKER, BEHIND], "vehicle": [CAR, FAR, BESIDE]} if number else {"vehicle": [CAR]}
    names = [name for name, its in boxes.items() for _ in its]
    anns = {"gt_boxes": np.array([box for its in boxes.values() for box in its]), "gt_names": np.array(names)}
    return {"token": f"t{number}", "lidar2ego": np.eye(4), "cams": {"CAM_F0": front}, "anns": anns}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / f"{LOG}.pkl").write_bytes(pickle.dumps([frame(0), frame(1)]))
    with ImageSetWriter(tmp_path / "set", ("not_brake", "brake"), SIZE_PX) as writer:
        for number in range(2):
            facts = {"log": LOG, "token": f"t{number}", "image": f"{LOG}/CAM_F0/{number}.jpg"}
            writer.add(np.full((SIZE_PX, SIZE_PX, 3), number, np.uint8), number, facts)
        writer.about.update({"crop": "centre square", "source": "navsim"})
    return tmp_path


def test_rectangles_lie_around_what_the_camera_sees(folder):
    share(folder / "set", folder / "out", format="coco", logs=folder / "logs")
    told = json.loads((folder / "out" / "labels.json").read_text())
    assert [its["name"] for its in told["categories"]] == list(CLASSES)
    assert [(its["id"], its["file_name"], its["label"], its["width"]) for its in told["images"]] == [
        (1, "0_not_brake/000000.png", "not_brake", SIZE_PX), (2, "1_brake/000000.png", "brake", SIZE_PX),
    ]  # fmt: skip
    found = [(its["image_id"], CLASSES[its["category_id"] - 1]) for its in told["annotations"]]
    assert found == [(1, "vehicle"), (2, "vehicle"), (2, "vehicle"), (2, "pedestrian")]
    assert [its["id"] for its in told["annotations"]] == [1, 2, 3, 4]
    scale = SIZE_PX / HEIGHT_PX
    # The car's rear face is 9 m away and 2 m wide and high.
    side = 2 / 9 * FOCAL_PX * scale
    assert told["annotations"][0]["bbox"] == pytest.approx([64 - side / 2, 64 - side / 2, side, side], abs=0.02)
    assert told["annotations"][0]["area"] == pytest.approx(side**2, abs=1)
    left, _, width, _ = told["annotations"][2]["bbox"]
    assert left + width == SIZE_PX  # cut at the picture's edge
    walker = [64 + 5.7 / 20.3 * FOCAL_PX * scale, 64 - 0.9 / 19.7 * FOCAL_PX * scale]
    assert told["annotations"][3]["bbox"][:2] == pytest.approx(walker, abs=0.02)
    assert (folder / "out" / "data" / "1_brake" / "000000.png").is_file()
    assert not (folder / "out" / "boxes.part").exists()


def test_pycocotools_opens_it(folder):
    coco = pytest.importorskip("pycocotools.coco", reason="needs pycocotools")
    share(folder / "set", folder / "out", format="coco", logs=folder / "logs")
    data = coco.COCO(str(folder / "out" / "labels.json"))
    assert len(data.getAnnIds(imgIds=[2])) == 3
    assert [its["name"] for its in data.loadCats(data.getCatIds())] == list(CLASSES)


def test_sets_without_logs_are_named(folder):
    with ImageSetWriter(folder / "other", ("a",), 8) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), 0, {})
    for about, says in (({}, "not known how its pictures were cropped"), ({"crop": "centre square"}, "the fact log")):
        with ImageSetWriter(folder / "other", ("a",), 8) as writer:
            writer.add(np.zeros((8, 8, 3), np.uint8), 0, {})
            writer.about.update(about)
        with pytest.raises(UserError, match=says):
            share(folder / "other", folder / "out", format="coco", logs=folder / "logs")
    with pytest.raises(UserError, match="nowhere does not exist; it should be the folder of the logs' pickles"):
        share(folder / "set", folder / "out", format="coco", logs=folder / "nowhere")
    (folder / "logs" / f"{LOG}.pkl").write_bytes(b"x")
    with pytest.raises(UserError, match=r"0\.jpg: its boxes cannot be found"):
        share(folder / "set", folder / "out", format="coco", logs=folder / "logs")
    assert not (folder / "out").exists()
