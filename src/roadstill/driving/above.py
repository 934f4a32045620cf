"""A view from above: roads, boxes and ways around a car that drives upwards."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from roadstill.driving.boxes import box_corners
from roadstill.driving.poses import Floats

SIDE_PX = 192
GROUND, ROAD, LINE, OTHER, LIVING = (236, 238, 240), (196, 200, 206), (255, 255, 255), (90, 98, 110), (203, 120, 40)
BRAKES, HOLDS, GOES = (190, 30, 45), (70, 90, 160), (30, 130, 76)
AHEAD_M, BEHIND_M = 45.0, 11.0
_LIVING_KINDS = ("pedestrian", "bicycle")
Colour = tuple[int, int, int]


class View:
    """A picture that is drawn piece by piece.

    Args:
        pose: x, y and yaw of the car ``[3]``.
        mirrored: whether left and right change places.
        side_px: side of the picture.
    """

    def __init__(self, pose: Floats, *, mirrored: bool = False, side_px: int = SIDE_PX) -> None:
        self._pose, self._flip, self._side_px = np.asarray(pose), -1.0 if mirrored else 1.0, side_px
        self._picture = Image.new("RGB", (side_px, side_px), GROUND)
        self._draw = ImageDraw.Draw(self._picture)

    def area(self, points_m: Floats, colour: Colour) -> None:
        """Fills a polygon ``[n, 2]``."""
        self._draw.polygon(self._placed(points_m), fill=colour)

    def line(self, points_m: Floats, colour: Colour, width_px: int = 1) -> None:
        """Draws a line ``[n, 2]``."""
        self._draw.line(self._placed(points_m), fill=colour, width=width_px)

    def boxes(self, boxes: Floats, kinds: "list[str] | tuple[str, ...]") -> None:
        """Fills boxes ``[n, 5]`` of some kinds ``[n]``; people and cyclists stand out."""
        for corners_m, kind in zip(box_corners(boxes), kinds, strict=True):
            self.area(corners_m, LIVING if kind in _LIVING_KINDS else OTHER)

    def pixels(self) -> NDArray[np.uint8]:
        """The picture so far, uint8 ``[s, s, 3]``."""
        return np.asarray(self._picture)

    def _placed(self, points_m: Floats) -> list[tuple[float, float]]:
        away, yaw = points_m - self._pose[:2], self._pose[2]
        ahead = away @ (np.cos(yaw), np.sin(yaw))
        left = self._flip * (away @ (-np.sin(yaw), np.cos(yaw)))
        scale = self._side_px / (AHEAD_M + BEHIND_M)
        columns, rows = self._side_px / 2 - left * scale, (AHEAD_M - ahead) * scale
        return list(zip(columns.tolist(), rows.tolist(), strict=True))
