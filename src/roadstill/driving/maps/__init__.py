"""Lane maps: nuPlan's GeoPackages and Lanelet2's OSM files, as one graph of lanes in metres."""

from pathlib import Path

from roadstill.driving.maps.geopackage import GeoPackageMap
from roadstill.driving.maps.lanelet2 import Lanelet2Map
from roadstill.driving.maps.lanes import Lane, LaneMap
from roadstill.errors import UserError

__all__ = ["GeoPackageMap", "Lane", "LaneMap", "Lanelet2Map", "map_in", "open_map"]


def open_map(path: Path) -> LaneMap:
    """A map of either kind: Lanelet2's where the name ends with ``.osm``, else nuPlan's.

    Raises:
        UserError: not such a file.
    """
    return Lanelet2Map(path) if path.suffix == ".osm" else GeoPackageMap(path)


def map_in(maps: Path, location: str) -> Path:
    """The newest map of a location, as nuPlan lays them out.

    Raises:
        UserError: there is none.
    """
    found = sorted(maps.glob(f"{location}/*/map.gpkg"))
    if not found:
        raise UserError(f"{maps} has no map of {location}; it should hold {location}/<version>/map.gpkg")
    return found[-1]
