"""Steps that every picture passes before it is cropped: the user's hooks, and one that blurs what a log has boxes for.

A hook is any callable ``(picture, facts) -> picture``. What is recorded about it in a set is never read back as a name
to import.
"""

import inspect
import json
import logging
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from roadstill.errors import UserError
from roadstill.images import BrokenImage, LeftOut
from roadstill.moved import recorded
from roadstill.names import dotted
from roadstill.runs import digest_code, digest_of, plain, require_folder
from roadstill.sources.navsim.boxes import CLASSES, read_boxes, read_camera, regions
from roadstill.sources.navsim.lookup import frame_of
from roadstill.sources.navsim.schema import BrokenFrame
from roadstill.sources.pickles.unpickle import BrokenLog

Hook: TypeAlias = Callable[[Image.Image, Mapping[str, Any]], Image.Image]

_MOST_CELLS, _MOST_UNREADABLE_PX = 10, 24
_SHIPPED = (f"{__name__}.BlurBoxes",)

_log = logging.getLogger(__name__)


# ---- hooks


@dataclass(frozen=True)
class NamedHook:
    """A hook with the name and the settings that the user gave for it; it is a hook itself."""

    name: str
    settings: Mapping[str, Any]
    call: Hook

    def __call__(self, picture: Image.Image, facts: Mapping[str, Any]) -> Image.Image:
        """The picture that the hook returns."""
        return self.call(picture, facts)


def find_hook(path: str) -> Any:
    """The function or class of this dotted path; errors as `roadstill.names.dotted`."""
    return dotted(path, "hook", _SHIPPED)


def hook_of(
    path: str, settings: Mapping[str, Any] | None = None, *, defaults: Mapping[str, Any] | None = None
) -> NamedHook:
    """The hook that the user names.

    Args:
        path: dotted path of a function ``(picture, facts, **settings)``, or of a class whose objects are hooks;
            `BlurBoxes`, or one that is trusted (see `roadstill.names`).
        settings: keyword arguments of the function, or of the class.
        defaults: further keyword arguments; the function or class receives those that it takes by name.

    Raises:
        UserError: no such name, one that is not trusted, settings that do not fit or are refused, something that is
            not a hook, or cannot be handed to worker processes.
    """
    settings = dict(settings or {})
    try:
        found = find_hook(path)
        takes = inspect.signature(found).parameters if defaults else ()
        settings = {key: part for key, part in (defaults or {}).items() if key in takes} | settings
        call: Any = found
        if inspect.isclass(found):
            call = found(**settings)
        elif settings:
            call = partial(found, **settings)
        inspect.signature(call).bind(None, {})
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise UserError(
            f"hook {path!r} with settings {settings} cannot be used ({error}); it is the dotted path of a function "
            "(picture, facts) -> picture, or of a class of such objects"
        ) from None
    try:
        pickle.dumps(call)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise UserError(f"hook {path!r} cannot be handed to worker processes: {error}") from None
    return NamedHook(path, settings, call)


def describe(hook: Hook) -> dict[str, Any]:
    """What a set records of the hook that its pictures passed.

    Returns:
        ``name``; ``settings``: what the user gave, and the object's public attributes; ``digest`` over both and over
        the file that holds the hook's code (not over what that file imports).
    """
    call = hook.call if isinstance(hook, NamedHook) else hook
    settings = dict(hook.settings) if isinstance(hook, NamedHook) else {}
    if isinstance(call, partial):
        settings, call = call.keywords | settings, call.func
    code = call if inspect.isroutine(call) else type(call)
    if code is not call:
        settings = {key: part for key, part in getattr(call, "__dict__", {}).items() if key[0] != "_"} | settings
    name = recorded(hook.name if isinstance(hook, NamedHook) else f"{code.__module__}.{code.__qualname__}")
    record = {"name": name, "settings": {str(key): _plain(part) for key, part in settings.items()}}
    return record | {"digest": digest_of(record | {"source": _source(code)})}


def apply_hook(hook: Hook, picture: Image.Image, facts: Mapping[str, Any]) -> Image.Image:
    """The picture that the hook returns, checked.

    Args:
        hook: a `NamedHook` or any callable.
        picture: RGB, fully decoded.
        facts: token, log, drive, timestamp_us, image (posix path below the sensor folder) and what else is known.

    Raises:
        UserError: the hook failed, or did not return an RGB picture of the same size.
        LeftOut: the hook leaves this picture out.
    """
    try:
        made = hook(picture, facts)
    except BrokenImage as error:
        raise LeftOut(str(error)) from None
    except UserError:
        raise
    except Exception as error:  # the user's code may fail on one picture of many: name it
        raise UserError(f"{facts.get('image')}: the hook failed: {type(error).__name__}: {error}") from error
    if not isinstance(made, Image.Image) or made.size != picture.size or made.mode != "RGB":
        what = f"{made.mode} {made.size}" if isinstance(made, Image.Image) else type(made).__name__
        raise UserError(f"{facts.get('image')}: the hook returned {what}, not an RGB picture of {picture.size} px")
    return made


def _plain(value: Any) -> Any:
    """The value if JSON can hold it, else the name of its type (a repr may hold an address and differ every time)."""
    try:
        return json.loads(json.dumps(plain(value)))
    except (TypeError, ValueError, AttributeError):
        return type(value).__name__


def _source(code: Any) -> str:
    if (version := getattr(code, "VERSION", None)) is not None and code.__module__ == __name__:
        return str(version)
    return digest_code(code)


# ---- blurring by boxes


@dataclass(frozen=True)
class BlurBoxes:
    """A hook that makes vehicles and people unrecognisable wherever the log has a box for them.

    Inside a box's outline the picture is averaged over a few large cells, which are then blended into each other. What
    the averages drop is gone: a Gaussian blur of the same look could be undone in part, since it only damps detail.
    With six cells along the longer side, a cell on a standing person is taller than a head, and a plate on a car's rear
    is one or two cells wide. The blending keeps the cells' own edges from becoming a feature that an agent learns.

    What has no box, or a box of another class, stays as it is; see docs/data.md.

    Attributes:
        logs: folder of the log pickles, ``<log>.pkl``.
        classes: classes of the boxes that are blurred, see `roadstill.sources.navsim.boxes.CLASSES`.
        margin: share of its width and height (at most of half the picture's shorter side) by which an outline grows to
            each side, for boxes that sit loosely and for the time between laser and camera.
        cells: cells along the outline's longer side.
        min_size_px: outlines whose visible part is smaller both ways stay as they are.
        missing: treatment of a picture whose boxes cannot be found: ``refuse`` stops with an error, ``leave_out`` omits
            the picture, ``keep`` keeps it as it is and warns.
    """

    VERSION: ClassVar[str] = "d46b36169d8228a2"
    """What records hold instead of this file's digest; a change of what pictures look like needs a new value."""

    logs: Path
    classes: tuple[str, ...] = ("vehicle", "pedestrian", "bicycle")
    margin: float = 0.1
    cells: int = 6
    min_size_px: int = 8
    missing: Literal["refuse", "leave_out", "keep"] = "refuse"

    def __post_init__(self) -> None:
        # Settings come from YAML or a command line: paths are text there, tuples are lists.
        object.__setattr__(self, "logs", require_folder(Path(self.logs).expanduser(), "the folder of log pickles"))
        object.__setattr__(self, "classes", tuple(self.classes))
        if not self.classes or (unknown := [name for name in self.classes if name not in CLASSES]):
            raise UserError(f"classes {unknown if self.classes else '[]'}: choose among {', '.join(CLASSES)}")
        if not isinstance(self.margin, (int, float)) or not 0 <= self.margin <= 2:
            raise UserError(f"margin {self.margin!r} should be a share between 0 and 2")
        if type(self.cells) is not int or not 1 <= self.cells <= _MOST_CELLS:
            raise UserError(f"cells {self.cells!r} should be 1 to {_MOST_CELLS}; more would leave faces recognisable")
        if type(self.min_size_px) is not int or not 0 <= self.min_size_px <= _MOST_UNREADABLE_PX:
            raise UserError(f"min_size_px {self.min_size_px!r} should be 0 to {_MOST_UNREADABLE_PX}")
        if self.missing not in ("refuse", "leave_out", "keep"):
            raise UserError(f"missing {self.missing!r} is unknown; choose refuse, leave_out or keep")

    def __call__(self, picture: Image.Image, facts: Mapping[str, Any]) -> Image.Image:
        """The blurred picture, RGB, of the same size; the given one is not changed.

        Raises:
            UserError: the picture's boxes or its camera cannot be found, or are not to be trusted.
            BrokenImage: the same, with ``missing="leave_out"``.
        """
        try:
            if unknown := {"log", "token", "image"} - set(facts):
                raise BrokenFrame(f"it is not a frame of a log: its {min(unknown)} is unknown")
            frame = frame_of(self.logs, str(facts["log"]), str(facts["token"]), str(facts["image"]))
            outlines = regions(read_camera(frame), read_boxes(frame, self.classes), *picture.size)
        except (BrokenFrame, BrokenLog) as error:
            if self.missing == "keep":
                _warn(str(facts.get("log")), str(error))
                return picture
            line = f"{facts.get('image')}: its boxes cannot be found ({error})"
            if self.missing == "leave_out":
                raise BrokenImage(line) from None
            raise UserError(
                f"{line}; set missing to leave_out or keep to continue without it, or with it unblurred"
            ) from None
        blurred = picture.convert("RGB")  # a copy, whatever the mode
        for polygons in outlines:
            self._blur(blurred, polygons)
        return blurred

    def _blur(self, picture: Image.Image, polygons: list[NDArray[np.float64]]) -> None:
        """Blurs one outline in place; where outlines overlap, each works on what the last one left."""
        points = np.concatenate(polygons)
        centre, extent = (points.min(0) + points.max(0)) / 2, np.ptp(points, 0)
        # What passes close by has an outline larger than the picture; a share of that would hide half the street.
        growth = 1 + 2 * self.margin * np.minimum(extent, min(picture.size) / 2) / np.maximum(extent, 1)
        polygons = [centre + (polygon - centre) * growth for polygon in polygons]
        points = np.concatenate(polygons)
        left, top = np.maximum(np.floor(points.min(0)), 0).astype(int).tolist()
        right, bottom = np.minimum(np.ceil(points.max(0)), picture.size).astype(int).tolist()
        width, height = right - left, bottom - top
        if min(width, height) < 1 or max(width, height) < self.min_size_px:
            return
        # Measured on the whole outline, not on the part in the picture: half a car shows its plate at full size.
        cell = min(float(np.ptp(points, 0).max()), max(picture.size)) / self.cells
        part = picture.crop((left, top, right, bottom))
        grid = (max(1, int(width / cell)), max(1, int(height / cell)))
        smooth = part.resize(grid, Image.Resampling.BOX).resize(part.size, Image.Resampling.BILINEAR)
        mask = Image.new("L", part.size)
        draw = ImageDraw.Draw(mask)
        for polygon in polygons:
            draw.polygon([(x - left, y - top) for x, y in polygon.tolist()], fill=255)
        picture.paste(smooth, (left, top), mask)


@lru_cache(maxsize=4096)
def _warn(log: str, why: str) -> None:
    """Once for each log and reason: a log without boxes has hundreds of pictures."""
    _log.warning("%s: pictures are kept as they are, not blurred: %s", log, why)
