"""Where persons, vehicles and lamps are in prepared pictures, by the boxes of their logs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.imagesets.records import SOURCE_IMAGE
from roadstill.sources.navsim.boxes import CLASSES, Camera, Floats, read_boxes, read_camera, regions
from roadstill.sources.navsim.lookup import frame_of
from roadstill.sources.navsim.schema import BrokenFrame
from roadstill.sources.pickles.unpickle import BrokenLog

REGIONS = ("persons", "vehicles", "rears")
_PERSONS, _VEHICLES = ("pedestrian", "bicycle"), ("vehicle",)
_LEAST_PX = 1.0  # sides of a box that can be seen at all
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
    frame = _frame(images.facts[row], logs, images.root)
    try:
        camera, persons, vehicles = read_camera(frame), read_boxes(frame, _PERSONS), read_boxes(frame, _VEHICLES)
        found = {"persons": persons, "vehicles": vehicles, "rears": _rears(vehicles)}
        return {name: _mask(camera, boxes, images.size_px) for name, boxes in found.items()}
    except BrokenFrame as error:
        raise _no_boxes(images.facts[row], error) from None


def boxes_in(facts: Mapping[str, Any], size_px: int, logs: Path, root: Path) -> list[tuple[str, list[float]]]:
    """Class and rectangle of every box of a log that lies in a prepared picture (centre square of the frame).

    A rectangle is x, y, width and height in pixels from the upper left corner, of the box's outline as far as it is in
    the picture; what hides behind something else has one, too.

    Args:
        facts: facts of the picture.
        size_px: side of the picture.
        logs: folder of ``<log>.pkl``.
        root: folder of the set, for messages.

    Raises:
        UserError: the picture is not a frame of a log, or its boxes or camera cannot be used.
    """
    frame, found = _frame(facts, logs, root), []
    try:
        camera = read_camera(frame)
        for name in CLASSES:
            for polygons in _squared(camera, read_boxes(frame, (name,)), size_px):
                points = np.concatenate(polygons).clip(0, size_px)
                (left, top), (width, height) = points.min(0), np.ptp(points, 0)
                if min(width, height) >= _LEAST_PX:
                    found.append((name, [round(float(each), 2) for each in (left, top, width, height)]))
    except BrokenFrame as error:
        raise _no_boxes(facts, error) from None
    return found


def _frame(facts: Mapping[str, Any], logs: Path, root: Path) -> dict[str, Any]:
    if unknown := {"log", "token", SOURCE_IMAGE} - set(facts):
        raise UserError(f"{root}: pictures without the fact {min(unknown)} have no boxes; take a prepared set")
    try:
        return frame_of(logs, str(facts["log"]), str(facts["token"]), str(facts[SOURCE_IMAGE]))
    except (BrokenFrame, BrokenLog) as error:
        raise _no_boxes(facts, error) from None


def _no_boxes(facts: Mapping[str, Any], error: Exception) -> UserError:
    return UserError(f"{facts[SOURCE_IMAGE]}: its boxes cannot be found ({error})")


def _rears(boxes: Floats) -> Floats:
    """The rear faces, as very short boxes, of boxes ``[n, 7]`` that look the ego's way."""
    rears = boxes[np.cos(boxes[:, 6]) > 0.5]
    aside = np.stack([np.cos(rears[:, 6]), np.sin(rears[:, 6])], 1) * rears[:, 3:4] / 2
    return np.concatenate([rears[:, :2] - aside, rears[:, 2:3], np.full((len(rears), 1), _THIN_M), rears[:, 4:]], 1)


def _mask(camera: Camera, boxes: Floats, size_px: int) -> NDArray[np.bool_]:
    mask = Image.new("1", (size_px, size_px))
    draw: Any = ImageDraw.Draw(mask)
    for polygons in _squared(camera, boxes, size_px):
        for polygon in polygons:
            draw.polygon([(float(x), float(y)) for x, y in polygon], fill=1)
    return np.asarray(mask)


def _squared(camera: Camera, boxes: Floats, size_px: int) -> Iterator[list[Floats]]:
    """The polygons of each box that is near the view, in pixels of the prepared picture."""
    # The calibration's own size is twice its principal point, about; the square is cut from its middle.
    width, height = (max(2, round(2 * float(part))) for part in camera.intrinsic[:2, 2])
    side = min(width, height)
    for polygons in regions(camera, boxes, width, height):
        yield [(polygon - ((width - side) / 2, (height - side) / 2)) * size_px / side for polygon in polygons]
