"""OpenStreetMap's XML: nodes, ways and relations of a stranger's file, element by element."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from roadstill.errors import UserError, one_line

_MOST_ELEMENTS = 20_000_000
_PIECE = 2**20  # bytes


@dataclass(slots=True)
class Element:
    """A node, way or relation.

    Attributes:
        kind: ``node``, ``way`` or ``relation``.
        id: its id.
        place: longitude and latitude of a node, in degrees.
        refs: nodes of a way; members of a relation as (type, id, role).
        tags: its tags.
    """

    kind: str
    id: str
    place: tuple[float, float] | None = None
    refs: list[tuple[str, str, str]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


def elements_of(path: Path) -> Iterator[Element]:
    """All elements of a file, one in memory at a time.

    Raises:
        UserError: not such a file, or one with a document type, whose entities could grow without end.
    """
    reader = _Reader(path)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield from reader.fed(piece, last=False)
    yield from reader.fed(b"", last=True)


class _Reader:
    """What expat has read so far."""

    def __init__(self, path: Path) -> None:
        self._path, self._count = path, 0
        self._done: list[Element] = []
        self._open: Element | None = None
        self._parser = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def fed(self, piece: bytes, *, last: bool) -> list[Element]:
        """Elements that end in this piece."""
        try:
            self._parser.Parse(piece, last)
        except expat.ExpatError as error:
            raise self._wrong(str(error)) from None
        done, self._done = self._done, []
        return done

    def _start(self, name: str, told: dict[str, str]) -> None:
        if self._count == 0 and name != "osm":
            raise self._wrong(f"begins with <{name}>")
        self._count += 1
        if self._count > _MOST_ELEMENTS:
            raise UserError(f"{self._path} has more than {_MOST_ELEMENTS:,} elements")
        if name in ("node", "way", "relation"):
            self._open = Element(name, told.get("id", ""), self._place(told) if name == "node" else None)
        elif self._open is not None and name == "tag":
            self._open.tags[told.get("k", "")] = told.get("v", "")
        elif self._open is not None and name in ("nd", "member"):
            self._open.refs.append((told.get("type", "node"), told.get("ref", ""), told.get("role", "")))

    def _end(self, name: str) -> None:
        if self._open is not None and name == self._open.kind:
            self._done.append(self._open)
            self._open = None

    def _place(self, told: dict[str, str]) -> tuple[float, float]:
        try:
            longitude, latitude = float(told["lon"]), float(told["lat"])
        except (KeyError, ValueError):
            raise self._wrong(f"node {told.get('id', '')} has no lon and lat") from None
        if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
            raise self._wrong(f"node {told.get('id', '')} lies at lon {longitude}, lat {latitude}")
        return longitude, latitude

    def _refuse(self, *_: object) -> NoReturn:
        raise self._wrong("a document type, which maps have not")

    def _wrong(self, why: str) -> UserError:
        return UserError(f"{self._path} is no map in OpenStreetMap's XML ({one_line(why)[:200]})")
