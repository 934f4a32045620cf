"""Lane maps: nuPlan's GeoPackages and Lanelet2's OSM files, as one graph of lanes in metres."""

from pathlib import Path

from roadstill.driving.maps.geopackage import GeoPackageMap
from roadstill.driving.maps.lanelet2 import Lanelet2Map
from roadstill.driving.maps.lanes import Lane, LaneMap

__all__ = ["GeoPackageMap", "Lane", "LaneMap", "Lanelet2Map", "open_map"]


def open_map(path: Path) -> LaneMap:
    """A map of either kind: Lanelet2's where the name ends with ``.osm``, else nuPlan's.

    Raises:
        UserError: not such a file.
    """
    return Lanelet2Map(path) if path.suffix == ".osm" else GeoPackageMap(path)
