"""Lane maps: nuPlan's GeoPackages and Lanelet2's OSM files, as one graph of lanes in metres."""

from roadstill.driving.maps.geopackage import GeoPackageMap
from roadstill.driving.maps.lanes import Lane, LaneMap

__all__ = ["GeoPackageMap", "Lane", "LaneMap"]
