"""Data sources, by name or by the dotted path of your own; a name takes one line here, a source of your own none.

A source is a class or function, called as ``source(data, **settings)``. It yields frames (`FrameSource`: they are
indexed, then cut to size), or pictures with their classes (`PictureSource`: image sets as they are).
"""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from roadstill.data.picture_store import PictureConfig
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.names import dotted
from roadstill.runs import digest_code
from roadstill.sources.base import FrameSource
from roadstill.sources.cifar10.parts import find_cifar10
from roadstill.sources.folder import has_class_folders

NAVSIM = "navsim"  # also the layout of the built-in world
SOURCES: Mapping[str, str] = {
    NAVSIM: "roadstill.sources.navsim.source.NavsimSource",
    "csv": "roadstill.sources.csv.source.CsvSource",
    "cifar10": "roadstill.data.cifar10.Cifar10Source",
    "folder": "roadstill.data.folders.FolderSource",
}


@dataclass(frozen=True)
class SetRequest:
    """The image sets that are wanted from a `PictureSource`.

    Attributes:
        parts: names of the sets: train, test, and dev unless the protocol has none.
        pictures: size, way of decoding, and the hook that pictures pass.
        max_per_class: cap on the pictures of a class in each part; None takes all.
        seed: seed of everything random.
        workers: processes that decode; the result does not depend on it.
    """

    parts: tuple[str, ...]
    pictures: PictureConfig
    max_per_class: int | None = None
    seed: int = 0
    workers: int = 1


@runtime_checkable
class PictureSource(Protocol):
    """Pictures whose classes are known, so that there is nothing to index."""

    @property
    def notes(self) -> Sequence[str]:
        """Remarks for the user, a line each; read once the sets are made."""

    def sets(self, out: Path, request: SetRequest) -> Mapping[str, ImageSet]:
        """Writes the wanted sets to ``out/<part>``; no part has pictures of another."""


def find_source(name: str) -> Callable[..., Any]:
    """The class or function of this name.

    Raises:
        UserError: neither a known name nor the dotted path of a class or function, or one that is not trusted.
    """
    try:
        found = dotted(SOURCES.get(name, name), "source", SOURCES.values())
        inspect.signature(found)
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        close = difflib.get_close_matches(name, SOURCES, n=1)
        why, known = f" ({error})" if "." in name else "", f"choose one of {', '.join(SOURCES)}"
        hint = f"did you mean {close[0]!r}? Else {known}" if close else known
        raise UserError(
            f"source {name!r} is unknown{why}; {hint}, or give the dotted path of your own class or function"
        ) from None
    made: Callable[..., Any] = found
    return made


def has_pictures_only(name: str) -> bool:
    """Whether the source of this name is a class of `PictureSource`, which needs no index; errors as `find_source`."""
    return hasattr(find_source(name), "sets")


def open_frames_of(
    name: str, data: Path, settings: Mapping[str, Any] | None = None, offered: Mapping[str, Any] | None = None
) -> FrameSource:
    """The source of frames of this name.

    Args:
        name: one of `SOURCES`, or a dotted path.
        data: input of the source.
        settings: keyword arguments of the source.
        offered: further keyword arguments; the source receives those that it takes by name.

    Raises:
        UserError: no such source, settings that do not fit or are refused, or no frames.
    """
    if has_pictures_only(name):
        raise UserError(f"source {name!r} yields pictures with classes and needs no index; run `roadstill prepare`")
    made = _opened(name, data, settings, offered)
    try:
        fits = isinstance(made, FrameSource)  # which reads its properties
    except Exception as error:
        raise failed(f"source {name!r} cannot be used", error) from error
    if not fits:
        raise UserError(f"source {name!r} is a {type(made).__name__}, which lacks tables, sensors or notes")
    return made


def open_pictures_of(
    name: str, data: Path, settings: Mapping[str, Any] | None = None, offered: Mapping[str, Any] | None = None
) -> PictureSource:
    """The source of pictures of this name; arguments and errors as `open_frames_of`."""
    if not has_pictures_only(name):
        raise UserError(f"source {name!r} yields frames (its class has no method sets); run `roadstill index` first")
    made = _opened(name, data, settings, offered)
    if not isinstance(made, PictureSource):
        raise UserError(f"source {name!r} has no notes; it should have a list, even if it is empty")
    return made


def _opened(name: str, data: Path, settings: Mapping[str, Any] | None, offered: Mapping[str, Any] | None) -> Any:
    kind, settings = find_source(name), dict(settings or {})
    try:
        return kind(Path(data).expanduser(), **{**taken(kind, offered or {}), **settings})
    except UserError:
        raise
    except Exception as error:
        raise failed(f"source {name!r} with settings {settings} cannot be used", error) from error


def failed(what: str, error: Exception) -> UserError:
    """What went wrong in a user's source, in one line."""
    return UserError(f"{what}: {type(error).__name__}: {' '.join(str(error).split())}")


def taken(kind: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the offered settings that a source takes by name."""
    return {key: value for key, value in offered.items() if key in inspect.signature(kind).parameters}


def describe_source(name: str, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a record holds of a source: name, settings and, for the user's own, a digest of the file of its code."""
    about: dict[str, Any] = {"source": name, "source_settings": dict(settings or {})}
    return about if name in SOURCES else about | {"code": digest_code(find_source(name))}


def write_sets(source: PictureSource, name: str, out: Path, request: SetRequest) -> Mapping[str, ImageSet]:
    """The image sets of a source of pictures.

    Raises:
        UserError: the source failed, or did not make all parts.
    """
    try:
        made = source.sets(out, request)
    except UserError:
        raise
    except Exception as error:
        raise failed(f"source {name!r} failed", error) from error
    if missing := [part for part in request.parts if part not in made]:
        raise UserError(f"source {name!r} made no set {', '.join(missing)}; it should make {', '.join(request.parts)}")
    return made


def looks_like(path: Path) -> str | None:
    """The name of the source of pictures that a path looks like; None for anything else, such as an index."""
    if find_cifar10(path) is not None:
        return "cifar10"
    return "folder" if has_class_folders(path) else None
