"""Where on earth the roads of the built-in world lie: four towns of nuPlan, and a tile of its own for every log."""

import math
from dataclasses import dataclass

from roadstill.world.spec import FRAME_S, LOG_FRAMES, LOGS, SHORT_LOGS, TOP_MPS, DriveSpec
from roadstill.world.towns import TOWNS

MAP_VERSION = "nuplan-maps-v1.0"
IDS_PER_ROAD = 100_000
_COLUMNS = 64
_SPARE_M = 700.0  # a road is longer than its log's frames at ``TOP_MPS`` by at most this


@dataclass(frozen=True)
class Location:
    """One of nuPlan's maps.

    Attributes:
        version: version of the genuine map, part of the file's path.
        zone: UTM zone on the northern hemisphere.
        origin_m: easting and northing of the first tile.
    """

    version: str
    zone: int
    origin_m: tuple[float, float]


LOCATIONS: dict[str, Location] = {
    "sg-one-north": Location("9.17.1964", 48, (365_000.0, 143_000.0)),
    "us-ma-boston": Location("9.12.1817", 19, (331_000.0, 4_690_000.0)),
    "us-nv-las-vegas-strip": Location("9.15.1915", 11, (664_000.0, 3_997_000.0)),
    "us-pa-pittsburgh-hazelwood": Location("9.17.1937", 17, (587_000.0, 4_473_000.0)),
}


@dataclass(frozen=True)
class Place:
    """Where a log's road lies and how its features are numbered.

    Attributes:
        location: key of ``LOCATIONS``.
        origin_m: easting and northing where the road begins.
        first_id: first of the ``IDS_PER_ROAD`` ids that belong to this road.
    """

    location: str
    origin_m: tuple[float, float]
    first_id: int


def place_of(spec: DriveSpec, number: int) -> Place:
    """The place of one log of a drive: in a grid so wide that no two roads meet, whatever way they turn."""
    logs, frames = max(len(spec.frames), LOGS[1] + len(SHORT_LOGS)), max(*spec.frames, LOG_FRAMES[1], 0)
    tile_m = 1000.0 * math.ceil(2 * (frames * FRAME_S * TOP_MPS + _SPARE_M) / 1000.0)
    location = TOWNS[spec.town].location
    row, column = divmod(spec.index, _COLUMNS)
    east, north = LOCATIONS[location].origin_m
    origin = (east + (column - _COLUMNS // 2) * tile_m, north + (row * logs + number) * tile_m)
    return Place(location, origin, (1 + spec.index * logs + number) * IDS_PER_ROAD)
