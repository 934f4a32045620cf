"""The needed fields of one frame of a log, checked one by one: untrusted values are used only after a check."""

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

from roadstill.errors import one_line
from roadstill.frames import COMMANDS, leaves_folder

CAMERA = "CAM_F0"
_MAX_TEXT = 512
_MAX_NAME_BYTES = 240  # file systems take 255, and names get a prefix or a suffix
_MAX_MOTION = 1_000.0  # m/s and m/s²: beyond any car; larger values could become infinite in a square or a sum


class BrokenFrame(ValueError):
    """A frame without a usable value in a needed field; one printable line that begins with the field's name."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


@dataclass(frozen=True)
class Frame:
    """The facts of one frame, as a row of a `FrameTable` holds them (without log and drive)."""

    token: str
    timestamp_us: int
    image: str
    vx_mps: float
    vy_mps: float
    accel_mps2: float
    command: int
    location: str
    has_route: bool


def read_frame(frame: Any) -> Frame:
    """The checked facts of one frame of a log.

    Raises:
        BrokenFrame: names the field and what is wrong with it.
    """
    velocity_x, velocity_y, accel, _ = _numbers(frame, "ego_dynamic_state", 4)
    return Frame(
        token=_plain_name(frame, "token"),
        timestamp_us=_timestamp(frame),
        image=_image(frame),
        vx_mps=velocity_x,
        vy_mps=velocity_y,
        accel_mps2=accel,
        command=_command(frame),
        location=_plain_name(frame, "map_location"),
        has_route=_has_route(frame),
    )


def read_log_name(frame: Any) -> str:
    """The log's own name, a single path part.

    Raises:
        BrokenFrame: missing, or not a plain name.
    """
    return _plain_name(frame, "log_name")


def _kind(value: Any) -> str:
    return type(value).__name__


def _field(frame: Any, name: str) -> Any:
    if not isinstance(frame, dict):
        raise BrokenFrame(f"frame: a dict is needed, not {_kind(frame)}")
    if name not in frame:
        raise BrokenFrame(f"{name}: missing")
    return frame[name]


def _clean(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise BrokenFrame(
            f"{name}: text is needed, not {_kind(value) if not isinstance(value, str) else 'an empty one'}"
        )
    if len(value) > _MAX_TEXT or not value.isprintable():
        raise BrokenFrame(f"{name}: text of more than {_MAX_TEXT} letters, or with letters that cannot be printed")
    return str(value)


def _plain_name(frame: Any, name: str) -> str:
    """Text that can be one part of a path: log and place become names of files and folders."""
    text = _clean(_field(frame, name), name)
    if any(letter in text for letter in "/\\:") or text in (".", "..") or len(text.encode()) > _MAX_NAME_BYTES:
        raise BrokenFrame(f"{name}: {text[:80]!r} is not a plain name")
    return text


def _numbers(frame: Any, name: str, count: int) -> list[float]:
    values = _field(frame, name)
    if isinstance(values, np.ndarray) and values.shape == (count,):  # the list of a larger one may be huge
        values = values.tolist()
    if not isinstance(values, (list, tuple)) or len(values) != count:
        raise BrokenFrame(f"{name}: {count} numbers are needed")
    return [_number(value, name) for value in values]


def _number(value: Any, name: str) -> float:
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            if abs(number := float(value)) <= _MAX_MOTION:  # false for NaN
                return number
        except OverflowError:
            pass
    raise BrokenFrame(f"{name}: a value is not a number between {-_MAX_MOTION:g} and {_MAX_MOTION:g}")


def _timestamp(frame: Any) -> int:
    value = _field(frame, "timestamp")
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not 0 <= int(value) < 2**63:
        raise BrokenFrame("timestamp: microseconds as a whole number are needed")
    return int(value)


def _command(frame: Any) -> int:
    values = _numbers(frame, "driving_command", len(COMMANDS))
    if sorted(values) != [0.0, 0.0, 0.0, 1.0]:
        raise BrokenFrame(f"driving_command: one-hot of {', '.join(COMMANDS)} is needed, not {values}")
    return values.index(1.0)


def _has_route(frame: Any) -> bool:
    """Whether a route leads through the frame: an empty list of roadblocks means none."""
    blocks = _field(frame, "roadblock_ids")
    if not isinstance(blocks, (list, tuple, np.ndarray)) or getattr(blocks, "shape", None) == ():
        raise BrokenFrame(f"roadblock_ids: a list is needed, not {_kind(blocks)}")
    return len(blocks) > 0


def _image(frame: Any) -> str:
    name = f"cams.{CAMERA}.data_path"
    value: Any = _field(frame, "cams")
    for key in (CAMERA, "data_path"):
        if not isinstance(value, dict) or key not in value:
            raise BrokenFrame(f"{name}: missing")
        value = value[key]
    path = _clean(value, name)
    if leaves_folder(path):
        raise BrokenFrame(f"{name}: {path[:80]!r} leaves the sensor folder, or is not a path")
    return path
