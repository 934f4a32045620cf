"""One layer of a GeoPackage: geometries in metres, read by id or by place."""

import struct
from collections.abc import Iterable
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roadstill.driving.maps.kept import Kept
from roadstill.driving.maps.projection import transform_between
from roadstill.driving.maps.sqlite import Tables
from roadstill.errors import UserError, one_line

if TYPE_CHECKING:
    from shapely import STRtree
    from shapely.geometry.base import BaseGeometry

_AT_ONCE = 500  # ids in one question, rows of which boxes are made
_ENVELOPES = (0, 32, 48, 48, 64)  # bytes, by the kind that the header tells
_MOST_KEPT = 4096  # geometries in memory
_BULGE_M = 1.0  # by which an edge of a box in degrees may be bent in metres
_MOST_BYTES = 2**24  # of one geometry; a lane of nuPlan has some kilobytes


class Layer:
    """A layer of features.

    Args:
        tables: the file.
        name: name of the layer.
        column: its column of geometries.
        source: EPSG code that they are stored in.
        target: EPSG code of the metres that are wanted.
        path: the file, for messages.
    """

    def __init__(self, tables: Tables, name: str, column: str, source: int, target: int, path: Path) -> None:
        self._tables, self.name, self._column, self._path = tables, name, column, path
        self._to_metres = transform_between(source, target)
        self._kept: Kept[int, BaseGeometry] = Kept(self._read, _MOST_KEPT)

    def read(self, fids: Iterable[int]) -> "dict[int, BaseGeometry]":
        """Geometries in metres by id.

        Raises:
            UserError: one is missing, empty, damaged or not finite.
        """
        return self._kept.of(fids)

    def near(self, x_m: float, y_m: float, radius_m: float) -> "dict[int, BaseGeometry]":
        """Geometries that come as near to a place as ``radius_m``, by id, in the order of the file."""
        import shapely

        fids, tree = self._tree
        around = shapely.box(x_m - radius_m, y_m - radius_m, x_m + radius_m, y_m + radius_m)
        found = self.read(fids[np.sort(tree.query(around))].tolist())
        place = shapely.Point(x_m, y_m)
        return {fid: geometry for fid, geometry in found.items() if geometry.distance(place) <= radius_m}

    def _read(self, fids: list[int]) -> "dict[int, BaseGeometry]":
        found: dict[int, BaseGeometry] = {}
        for start in range(0, len(fids), _AT_ONCE):
            some = fids[start : start + _AT_ONCE]
            places = ", ".join("?" * len(some))
            for fid, blob in self._tables.rows(self.name, ("fid", self._column), f"fid IN ({places})", some):
                found[fid] = self._in_metres(fid, blob)
        if len(found) < len(fids):
            lost = next(fid for fid in fids if fid not in found)
            raise UserError(f"{self._path}: {self.name} has no row {lost}, which another layer names")
        return found

    @cached_property
    def _tree(self) -> "tuple[NDArray[np.int64], STRtree]":
        """Ids ``[n]`` of all features, and a tree of boxes in metres around them."""
        import shapely

        fids, boxes = [], []
        rows = self._tables.rows(self.name, ("fid", self._column))
        while some := list(islice(rows, _AT_ONCE)):
            fids += [fid for fid, _ in some]
            boxes += [self._box(fid, blob) for fid, blob in some]
        stored = np.array(boxes, np.float64).reshape(-1, 4)
        corners = self._to_metres(stored[:, [0, 1, 0, 3, 2, 1, 2, 3]].reshape(-1, 2)).reshape(-1, 4, 2)
        if not np.isfinite(corners).all():
            raise UserError(f"{self._path}: {self.name} has a place that is not finite")
        low, high = corners.min(1) - _BULGE_M, corners.max(1) + _BULGE_M
        return np.array(fids, np.int64), shapely.STRtree(shapely.box(*low.T, *high.T))

    def _box(self, fid: int, blob: object) -> tuple[float, float, float, float]:
        data, skip = self._checked(fid, blob)
        if skip > 8:
            order = "<" if data[3] & 1 else ">"
            low_x, high_x, low_y, high_y = struct.unpack_from(f"{order}4d", data, 8)
            return low_x, low_y, high_x, high_y
        return self._geometry(fid, data, skip).bounds

    def _in_metres(self, fid: int, blob: object) -> "BaseGeometry":
        import shapely

        geometry = shapely.transform(self._geometry(fid, *self._checked(fid, blob)), self._to_metres)
        if not np.isfinite(shapely.get_coordinates(geometry)).all():
            raise UserError(f"{self._path}: {self.name} {fid} has a place that is not finite")
        return geometry

    def _geometry(self, fid: int, data: bytes, skip: int) -> "BaseGeometry":
        import shapely

        try:
            with np.errstate(invalid="ignore"):  # NaN is told by name below
                geometry = shapely.force_2d(shapely.from_wkb(data[skip:]))
        except shapely.errors.ShapelyError as error:
            raise self._damaged(fid, one_line(str(error))[:100]) from None
        if geometry.is_empty:
            raise self._damaged(fid, "empty")
        return geometry

    def _checked(self, fid: object, blob: object) -> tuple[bytes, int]:
        """The bytes of a geometry and the length of its header."""
        if not isinstance(fid, int) or not isinstance(blob, bytes) or not 8 < len(blob) <= _MOST_BYTES:
            raise self._damaged(fid, "no geometry")
        kind = blob[3] >> 1 & 7
        if blob[:2] != b"GP" or kind >= len(_ENVELOPES) or len(blob) <= 8 + _ENVELOPES[kind]:
            raise self._damaged(fid, "not a geometry of a GeoPackage")
        return blob, 8 + _ENVELOPES[kind]

    def _damaged(self, fid: Any, why: str) -> UserError:
        return UserError(f"{self._path}: {self.name} {one_line(str(fid))[:20]} is damaged ({why})")
