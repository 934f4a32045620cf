"""Pictures with what is known of them: a short caption, and the lines that an enlarged picture shows."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from roadstill.imagesets import ImageSet

THUMB_PX = 176
_QUALITY = 82
_MOST_LETTERS = 80
# Facts in the order in which they are shown, with their names there.
_SHOWN = {
    "seed": "seed",
    "guidance": "guidance",
    "steps": "steps",
    "solver": "solver",
    "strength": "noised by",
    "start": "started from frame",
    "checkpoint": "checkpoint",
    "refined": "refinement",
    "method": "method",
    "cause": "cause",
    "command": "command",
    "light": "light",
    "weather": "weather",
    "town": "town",
    "location": "location",
    "log": "log",
    "token": "frame",
}


@dataclass(frozen=True)
class Tile:
    """One picture.

    Attributes:
        uri: data URI of a small copy.
        size_px: side length in pixels.
        alt: text alternative.
        caption: a few words below it; may be empty.
        lines: names and values that an enlarged picture shows.
        near: real frame that it looks most like, if it is none itself.
        marks: words by which a script can filter tiles.
    """

    uri: str
    size_px: int
    alt: str
    caption: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    near: "Tile | None" = None
    marks: tuple[str, ...] = ()


def jpeg_uri(image: Image.Image, longest_px: int = THUMB_PX) -> str:
    """The picture, at most ``longest_px`` wide or high, as a JPEG data URI."""
    small = image.convert("RGB")
    small.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def picture(images: ImageSet, row: int) -> tuple[str, int]:
    """Data URI and side of one picture of a set."""
    return jpeg_uri(Image.fromarray(images.pixels([row])[0])), min(THUMB_PX, images.size_px)


def class_of(images: ImageSet, row: int) -> str:
    """The class of a picture in words."""
    return images.class_names[int(images.labels[row])].replace("_", " ")


def lines_of(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of the facts that are worth showing."""
    lines = [("motion", motion)] if (motion := motion_of(facts)) else []
    for key, name in _SHOWN.items():
        value = facts.get(key)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
            text = f"{value:g}" if isinstance(value, float) else str(value).replace("_", " " if key == "cause" else "_")
            lines.append((name, text[:_MOST_LETTERS]))
    return lines


def motion_of(facts: Mapping[str, Any]) -> str:
    """Speed and acceleration of a frame; empty for a picture without."""
    speed, accel = facts.get("speed_mps"), facts.get("accel_mps2")
    if not isinstance(speed, (int, float)) or not isinstance(accel, (int, float)):
        return ""
    return f"{speed:.1f}\u00a0m/s, {accel:+.1f}\u00a0m/s²".replace("-", "−")
