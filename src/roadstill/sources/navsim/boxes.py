"""Where the boxes of a log's frame lie in its front camera's picture; untrusted values are used only after a check.

Boxes are given in the ego frame (x forward, y left, z up, at the rear axle), the camera's pose in the lidar's, and
``lidar2ego`` leads from there to the ego. NAVSIM's files hold the camera's pose in the ego frame under the same name
(OpenScene's script copies nuPlan's), so their ``lidar2ego`` must be the identity; a chain that puts the camera where no
car has one is refused.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.sources.navsim.schema import CAMERA, BrokenFrame

CLASSES = ("vehicle", "pedestrian", "bicycle", "traffic_cone", "barrier", "czone_sign", "generic_object")
NEAR_M = 0.2  # what is nearer to the lens than this cannot be seen
MAX_BOXES = 4096
_FARTHEST_M, _LARGEST_M, _MOST_TURNS = 1000.0, 100.0, 100.0
_PLACE_M = ((-1.0, 4.0), (-1.5, 1.5), (0.3, 2.7))  # of a car's front camera, from its rear axle
_EDGE_STEPS = 8  # points along an edge: a lens bends it
_SIGNS = [[(x, y, z) for y, z in ((-1, -1), (1, -1), (1, 1), (-1, 1))] for x in (-1, 1)]
_FACES = np.array([np.roll(face, turn, 1) for turn in range(3) for face in _SIGNS]) / 2  # [6, 4, 3]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """The front camera of a frame.

    Attributes:
        axes: its right, down and forward in the ego frame, as columns ``[3, 3]``.
        place_m: its place in the ego frame ``[3]``.
        intrinsic: ``[3, 3]``, in pixels of the full picture.
        distortion: k1, k2, p1, p2, k3 of Brown's model ``[5]``.
    """

    axes: Floats
    place_m: Floats
    intrinsic: Floats
    distortion: Floats

    def bent(self, flat: Floats) -> Floats:
        """Where the lens puts directions ``[n, 2]`` (right and down per metre of depth)."""
        k1, k2, p1, p2, k3 = self.distortion
        x, y = flat.T
        u = x * x + y * y
        radial = 1 + u * (k1 + u * (k2 + u * k3))
        aside = 2 * p1 * x * y + p2 * (u + 2 * x * x)
        below = 2 * p2 * x * y + p1 * (u + 2 * y * y)
        return np.stack([x * radial + aside, y * radial + below], 1)


def read_camera(frame: Any) -> Camera:
    """The checked front camera of a frame of a log.

    Raises:
        BrokenFrame: names the field and what is wrong with it.
    """
    camera, name = _part(_part(frame, "cams", ""), CAMERA, "cams."), f"cams.{CAMERA}."
    turn = _rotation(_numbers(camera, "sensor2lidar_rotation", name, (3, 3)), f"{name}sensor2lidar_rotation")
    place = _numbers(camera, "sensor2lidar_translation", name, (3,))
    to_ego = _numbers(frame, "lidar2ego", "", (4, 4))
    onto = _rotation(to_ego[:3, :3], "lidar2ego")
    axes, place = onto @ turn, onto @ place + to_ego[:3, 3]
    if not all(low <= value <= high for value, (low, high) in zip(place, _PLACE_M, strict=True)):
        where = ", ".join(f"{value:.1f}" for value in place)
        raise BrokenFrame(f"lidar2ego: with {name}sensor2lidar it puts the camera at ({where}) m from the rear axle")
    if axes[0, 2] < 0.5 or axes[2, 1] > -0.5:
        raise BrokenFrame(f"{name}sensor2lidar_rotation: the camera does not point ahead, or is not upright")
    intrinsic = _numbers(camera, "cam_intrinsic", name, (3, 3))
    (fx, skew, cx), (zero, fy, cy), last = intrinsic.tolist()
    shaped = not zero and last == [0, 0, 1] and abs(skew) < fx / 10
    if not (shaped and 1 <= min(cx, cy) and max(cx, cy) < 2**15 and 0.2 < fx / cx < 50 and 0.5 < fy / fx < 2):
        raise BrokenFrame(f"{name}cam_intrinsic: no camera has these numbers")
    distortion = _numbers(camera, "distortion", name, (5,))
    if np.abs(distortion).max() > 100 or np.abs(distortion[2:4]).max() > 0.05:
        raise BrokenFrame(f"{name}distortion: no lens has these numbers")
    return Camera(axes, place, intrinsic, distortion)


def read_boxes(frame: Any, classes: Collection[str]) -> Floats:
    """The checked boxes of these classes: x, y, z of the middle, length, width, height (m) and yaw (rad), ``[n, 7]``.

    Raises:
        BrokenFrame: no annotations, a class that is not one of `CLASSES`, or a value that no box has.
    """
    anns = _part(frame, "anns", "")
    names = _part(anns, "gt_names", "anns.")
    names = names.tolist() if isinstance(names, np.ndarray) else names
    if not isinstance(names, (list, tuple)) or len(names) > MAX_BOXES:
        raise BrokenFrame(f"anns.gt_names: a list of at most {MAX_BOXES} names is needed")
    if unknown := [name for name in names if not isinstance(name, str) or name not in CLASSES]:
        raise BrokenFrame(f"anns.gt_names: {str(unknown[0])[:40]!r} is none of {', '.join(CLASSES)}")
    wanted = [row for row, name in enumerate(names) if name in classes]
    boxes = _numbers(anns, "gt_boxes", "anns.", (len(names), 7), wanted)
    sizes = boxes[:, 3:6]
    if (np.abs(boxes[:, :3]) > _FARTHEST_M).any() or (np.abs(boxes[:, 6]) > _MOST_TURNS).any():
        raise BrokenFrame(f"anns.gt_boxes: a box more than {_FARTHEST_M:.0f} m away, or turned without end")
    if not ((sizes > 0) & (sizes <= _LARGEST_M)).all():
        raise BrokenFrame(f"anns.gt_boxes: a box with a side that is not between 0 and {_LARGEST_M:.0f} m")
    return boxes


def regions(camera: Camera, boxes: Floats, width_px: int, height_px: int) -> list[list[Floats]]:
    """Where boxes lie in a picture.

    Args:
        camera: camera that took it.
        boxes: boxes ``[n, 7]``, see `read_boxes`.
        width_px: width of the picture, which may be a smaller or larger copy of the calibrated one.
        height_px: height of the picture.

    Returns:
        For each box with a part before the lens, near the view or in it: the polygons ``[m, 2]`` of its faces, in
        pixels right and down from the picture's upper left corner. Together they cover the box; they may reach beyond
        the picture.

    Raises:
        BrokenFrame: the calibration does not fit such a picture, or its lens model fails inside it.
    """
    intrinsic = _fitted(camera.intrinsic, width_px, height_px)
    reach = _reach(camera, intrinsic, width_px, height_px)
    # What lies behind a plane is cut off: the near one, and four that keep to directions the lens model is good for.
    planes = np.array([[0, 0, 1], [1, 0, reach], [-1, 0, reach], [0, 1, reach], [0, -1, reach]])
    least = np.array([NEAR_M, 0, 0, 0, 0])
    faces = (_faces(boxes) - camera.place_m) @ camera.axes
    inside = faces @ planes.T >= least  # [n, 6, 4, 5]
    found = []
    for row in np.flatnonzero(inside.any((1, 2)).all(1)):
        polygons = list(faces[row])
        for plane in np.flatnonzero(~inside[row].all((0, 1))):
            polygons = [_cut(polygon, planes[plane], least[plane]) for polygon in polygons]
        pixels = [_pixels(camera, intrinsic, polygon) for polygon in polygons if len(polygon)]
        if pixels:
            found.append(pixels)
    return found


def _faces(boxes: Floats) -> Floats:
    """The faces of boxes in the ego frame, ``[n, 6, 4, 3]``."""
    corners = _FACES * boxes[:, None, None, 3:6]
    cos, sin = np.cos(boxes[:, 6])[:, None, None], np.sin(boxes[:, 6])[:, None, None]
    x, y, z = np.moveaxis(corners, -1, 0)
    return np.stack([x * cos - y * sin, x * sin + y * cos, z], -1) + boxes[:, None, None, :3]


def _cut(polygon: Floats, plane: Floats, least: float) -> Floats:
    """The part of a flat polygon ``[m, 3]`` that lies before a plane: its corners there, and cuts of edges between."""
    height = polygon @ plane - least
    before, after = height >= 0, np.roll(height, -1)
    crossed = before != (after >= 0)
    share = height / np.where(crossed, height - after, 1)
    cuts = polygon + share[:, None] * (np.roll(polygon, -1, 0) - polygon)
    return np.stack([polygon, cuts], 1).reshape(-1, 3)[np.stack([before, crossed], 1).ravel()]


def _pixels(camera: Camera, intrinsic: Floats, polygon: Floats) -> Floats:
    flat = polygon[:, :2] / polygon[:, 2:]
    along = np.arange(_EDGE_STEPS)[:, None] / _EDGE_STEPS
    edges = np.roll(flat, -1, 0) - flat
    bent = camera.bent((flat[:, None] + along * edges[:, None]).reshape(-1, 2))
    return bent @ intrinsic[:2, :2].T + intrinsic[:2, 2]


def _fitted(intrinsic: Floats, width_px: int, height_px: int) -> Floats:
    """The intrinsics in pixels of this picture; the calibration's own size is twice its principal point, about."""
    full = 2 * intrinsic[:2, 2]
    scale = width_px / full[0]
    if abs(scale - 1) < 0.05:
        scale = 1.0  # the point is a little beside the middle, the picture is the full one
    if abs(scale * full[1] / height_px - 1) > 0.15:
        raise BrokenFrame(
            f"cams.{CAMERA}.cam_intrinsic: it fits a picture of about {full[0]:.0f} x {full[1]:.0f} px, "
            f"not of this one, {width_px} x {height_px} px (was it cropped?)"
        )
    return intrinsic * np.array([[scale], [scale], [1]])


def _reach(camera: Camera, intrinsic: Floats, width_px: int, height_px: int) -> float:
    """How far to each side (metres per metre of depth) the lens model is good; that is beyond the picture's edges.

    Far from the middle the polynomial turns back, and would put things into the picture that are not in it.
    """
    k1, k2, _, _, k3 = camera.distortion
    size = np.array([width_px, height_px])
    centre = intrinsic[:2, 2]
    widest = 2 * float((np.maximum(centre, size - centre) / np.diag(intrinsic)[:2]).max())
    radius = np.linspace(0, widest * 2**0.5, 256)
    u = radius**2
    rising = 1 + u * (3 * k1 + u * (5 * k2 + u * 7 * k3)) > 0.05
    good = rising if rising.all() else np.arange(len(u)) < rising.argmin()
    reach = float(radius[good].max()) / 2**0.5
    radial = (1 + u * (k1 + u * (k2 + u * k3)))[good]
    side = np.linspace(-reach, reach, 65)
    ends = np.full(65, reach)
    edge = np.concatenate([np.stack(pair, 1) for pair in ((side, ends), (side, -ends), (ends, side), (-ends, side))])
    pixels = camera.bent(edge) @ intrinsic[:2, :2].T + centre
    sane = (radial > 0.3).all() and (radial < 3).all()
    if not sane or ((pixels > 0) & (pixels < size)).all(1).any():
        raise BrokenFrame(f"cams.{CAMERA}.distortion: this model does not hold up to the picture's edges")
    return reach


def _part(whole: Any, name: str, above: str) -> Any:
    if not isinstance(whole, dict):
        raise BrokenFrame(f"{above.rstrip('.') or 'frame'}: a dict is needed, not {type(whole).__name__}")
    if name not in whole:
        raise BrokenFrame(f"{above}{name}: missing")
    return whole[name]


def _numbers(
    whole: Any, name: str, above: str, shape: tuple[int, ...], rows: list[int] | slice = slice(None)
) -> Floats:
    """Finite numbers of this shape; only the rows that are asked for need be finite."""
    value = _part(whole, name, above)
    try:
        array = np.asarray(value)
    except ValueError:  # nested lists of unequal length
        array = np.zeros(1)
    if 0 in shape and not array.size:
        array = np.zeros(shape)  # an empty array need not have seven columns
    if array.dtype.kind not in "iuf" or array.shape != shape:
        raise BrokenFrame(f"{above}{name}: numbers of shape {shape} are needed")
    with np.errstate(over="ignore"):  # a long double may be too large: it becomes infinite
        array = array[rows].astype(np.float64)
    if not np.isfinite(array).all():
        raise BrokenFrame(f"{above}{name}: a value is not a finite number")
    return array


def _rotation(matrix: Floats, name: str) -> Floats:
    if np.abs(matrix).max() > 2 or not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3):
        raise BrokenFrame(f"{name}: not a rotation")
    if np.linalg.det(matrix) < 0:
        raise BrokenFrame(f"{name}: a mirror image, not a rotation")
    return matrix
