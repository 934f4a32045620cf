"""From the degrees that maps are stored in to the metres that poses are told in, by PROJ."""

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec

import numpy as np

from roadstill.driving.poses import Floats
from roadstill.errors import UserError

Transform = Callable[[Floats], Floats]

_NEEDED = "maps need shapely and pyproj; install them with: pip install 'roadstill[map]'"


@lru_cache(maxsize=16)
def transform_between(source: int, target: int) -> Transform:
    """Turns points ``[n, 2]`` (x and y, or longitude and latitude) of one reference system into those of another.

    Args:
        source: EPSG code that the points are in.
        target: EPSG code that they shall be in.

    Raises:
        UserError: PROJ does not know a code.
    """
    if source == target:
        return np.asarray
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        transformer = Transformer.from_crs(source, target, always_xy=True)
    except ProjError:
        raise UserError(f"PROJ knows no way from EPSG:{source} to EPSG:{target}") from None

    def transform(points: Floats) -> Floats:
        x, y = transformer.transform(points[:, 0], points[:, 1])
        return np.stack([x, y], axis=1)

    return transform


def utm_of(longitude: float, latitude: float) -> int:
    """EPSG code of the UTM zone of a place on WGS 84, both in degrees."""
    zone = min(60, int((longitude + 180) // 6) + 1)
    return (32600 if latitude >= 0 else 32700) + zone


def require_shapely() -> None:
    """Refuses, with the way out, to read maps without the libraries for it.

    Raises:
        UserError: shapely or pyproj is not installed.
    """
    if find_spec("shapely") is None or find_spec("pyproj") is None:
        raise UserError(_NEEDED)
