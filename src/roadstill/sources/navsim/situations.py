"""Where the vehicle of a frame is, its route, and what is around; untrusted values are used only after a check."""

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import one_line
from roadstill.sources.navsim.boxes import CLASSES, read_boxes
from roadstill.sources.navsim.schema import BrokenFrame

_MOST_NAMES, _MOST_LETTERS = 4096, 80
_FARTHEST_M = 1e8
_FASTEST = 1000.0  # m/s and m/s2

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Situation:
    """One frame.

    Attributes:
        timestamp_us: its time.
        pose: x and y of the rear axle on the map in m, and yaw in rad ``[3]``.
        motion: vx, vy (m/s), ax and ay (m/s2) of the rear axle as the vehicle sees them ``[4]``.
        route: ids of the route's blocks in order.
        red: ids of the connectors that a red light closes.
        tracks: ids of n boxes.
        classes: class of each.
        boxes: x, y and z of the middle, length, width, height (m) and yaw (rad) in the vehicle's frame ``[n, 7]``.
        speeds_mps: speed of each ``[n]``.
    """

    timestamp_us: int
    pose: Floats
    motion: Floats
    route: tuple[str, ...]
    red: frozenset[str]
    tracks: tuple[str, ...]
    classes: tuple[str, ...]
    boxes: Floats
    speeds_mps: Floats


def read_situation(frame: Any) -> Situation:
    """The checked situation of a frame of a log.

    Raises:
        BrokenFrame: names the field and what is wrong with it.
    """
    time = _field(frame, "timestamp")
    if not isinstance(time, numbers.Integral) or isinstance(time, bool) or not 0 <= int(time) < 2**62:
        raise BrokenFrame("timestamp: microseconds as a whole number are needed")
    place = _array(frame, "ego2global_translation", (3,), _FARTHEST_M)
    w, x, y, z = _array(frame, "ego2global_rotation", (4,), 2.0)
    if not 0.9 < w * w + x * x + y * y + z * z < 1.1:
        raise BrokenFrame("ego2global_rotation: not a rotation")
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    boxes = read_boxes(frame, CLASSES)
    anns = frame["anns"]  # which read_boxes has checked, with the names
    velocity = _array(anns, "gt_velocity_3d", (len(boxes), 3), _FASTEST) if len(boxes) else np.zeros((0, 3))
    return Situation(
        timestamp_us=int(time),
        pose=np.array([place[0], place[1], yaw]),
        motion=_array(frame, "ego_dynamic_state", (4,), _FASTEST),
        route=_names(frame, "roadblock_ids"),
        red=_red(frame),
        tracks=_names(anns, "track_tokens", len(boxes)),
        classes=tuple(str(name) for name in anns["gt_names"]),
        boxes=boxes,
        speeds_mps=np.hypot(velocity[:, 0], velocity[:, 1]),
    )


def _field(whole: Any, name: str) -> Any:
    if not isinstance(whole, dict) or name not in whole:
        raise BrokenFrame(f"{name}: missing")
    return whole[name]


def _array(whole: Any, name: str, shape: tuple[int, ...], most: float) -> Floats:
    told = _field(whole, name)
    try:
        value = np.asarray(told)
    except ValueError:  # lists of unequal length
        value = np.zeros(0)
    if value.dtype.kind not in "iuf" or value.shape != shape:
        raise BrokenFrame(f"{name}: numbers of shape {shape} are needed")
    with np.errstate(over="ignore", invalid="ignore"):
        found = value.astype(np.float64)
        fine = bool((np.abs(found) <= most).all())  # false for NaN
    if not fine:
        raise BrokenFrame(f"{name}: a value is not a number between {-most:g} and {most:g}")
    return found


def _names(whole: Any, name: str, count: int | None = None) -> tuple[str, ...]:
    values = _field(whole, name)
    values = values.tolist() if isinstance(values, np.ndarray) and values.ndim == 1 else values
    if not isinstance(values, (list, tuple)) or len(values) > _MOST_NAMES or count not in (None, len(values)):
        raise BrokenFrame(f"{name}: a list of {'at most 4096' if count is None else count} names is needed")
    for value in values:
        if not isinstance(value, str) or not 0 < len(value) <= _MOST_LETTERS:
            raise BrokenFrame(f"{name}: {one_line(repr(value)[:80])} is not a name")
    return tuple(str(value) for value in values)


def _red(frame: Any) -> frozenset[str]:
    lights = _field(frame, "traffic_lights")
    if not isinstance(lights, (list, tuple)) or len(lights) > _MOST_NAMES:
        raise BrokenFrame("traffic_lights: a list of at most 4096 (connector, is red) is needed")
    found = set()
    for light in lights:
        if not isinstance(light, (list, tuple)) or len(light) != 2:
            raise BrokenFrame("traffic_lights: pairs (connector, is red) are needed")
        connector, is_red = light
        if not isinstance(connector, numbers.Integral) or abs(int(connector)) >= 2**62:
            raise BrokenFrame("traffic_lights: a connector is a whole number")
        if not isinstance(is_red, (bool, np.bool_, numbers.Integral)):
            raise BrokenFrame("traffic_lights: is red is true or false")
        if is_red:
            found.add(str(int(connector)))
    return frozenset(found)
