"""Where persons, vehicles and lamps are in prepared pictures, by the boxes of their logs."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.sources.navsim.boxes import Camera, Floats, read_boxes, read_camera, regions
from roadstill.sources.navsim.lookup import frame_of
from roadstill.sources.navsim.schema import BrokenFrame
from roadstill.sources.pickles.unpickle import BrokenLog

REGIONS = ("persons", "vehicles", "rears")
_PERSONS, _VEHICLES = ("pedestrian", "bicycle"), ("vehicle",)
_THIN_M = 0.05  # length of what is left of a box that is cut down to its rear face


def region_masks(images: ImageSet, row: int, logs: Path) -> dict[str, NDArray[np.bool_]]:
    """The `REGIONS` of one picture of a prepared set (centre square of the frame), ``[s, s]`` each.

    Persons are pedestrians and bicycles, rears the rear faces of vehicles that look the ego's way. What hides behind
    something else counts as if it were seen.

    Args:
        images: image set made by prepare from an index.
        row: number of the picture.
        logs: folder of ``<log>.pkl``.

    Raises:
        UserError: the picture is not a frame of a log, or its boxes or camera cannot be used.
    """
    facts = images.facts[row]
    if unknown := {"log", "token", "image"} - set(facts):
        raise UserError(f"{images.root}: pictures without the fact {min(unknown)} have no boxes; take a prepared set")
    try:
        frame = frame_of(logs, str(facts["log"]), str(facts["token"]), str(facts["image"]))
        camera, persons, vehicles = read_camera(frame), read_boxes(frame, _PERSONS), read_boxes(frame, _VEHICLES)
        found = {"persons": persons, "vehicles": vehicles, "rears": _rears(vehicles)}
        return {name: _mask(camera, boxes, images.size_px) for name, boxes in found.items()}
    except (BrokenFrame, BrokenLog) as error:
        raise UserError(f"{facts['image']}: its boxes cannot be found ({error})") from None


def _rears(boxes: Floats) -> Floats:
    """The rear faces, as very short boxes, of boxes ``[n, 7]`` that look the ego's way."""
    rears = boxes[np.cos(boxes[:, 6]) > 0.5]
    aside = np.stack([np.cos(rears[:, 6]), np.sin(rears[:, 6])], 1) * rears[:, 3:4] / 2
    return np.concatenate([rears[:, :2] - aside, rears[:, 2:3], np.full((len(rears), 1), _THIN_M), rears[:, 4:]], 1)


def _mask(camera: Camera, boxes: Floats, size_px: int) -> NDArray[np.bool_]:
    # The calibration's own size is twice its principal point, about; the square is cut from its middle.
    width, height = (max(2, round(2 * float(part))) for part in camera.intrinsic[:2, 2])
    side = min(width, height)
    mask = Image.new("1", (size_px, size_px))
    draw: Any = ImageDraw.Draw(mask)
    for polygons in regions(camera, boxes, width, height):
        for polygon in polygons:
            points = (polygon - ((width - side) / 2, (height - side) / 2)) * size_px / side
            draw.polygon([(float(x), float(y)) for x, y in points], fill=1)
    return np.asarray(mask)
