"""From UTM metres to longitude and latitude: the maps are stored in degrees, the poses are metres."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

_RADIUS_M, _FLATTENING = 6_378_137.0, 1 / 298.257223563  # WGS 84
_SCALE, _FALSE_EASTING_M = 0.9996, 500_000.0
_N = _FLATTENING / (2 - _FLATTENING)  # third flattening
_RECTIFYING_M = _RADIUS_M / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
_BETA = (
    _N / 2 - 2 * _N**2 / 3 + 37 * _N**3 / 96 - _N**4 / 360,
    _N**2 / 48 + _N**3 / 15 - 437 * _N**4 / 1440,
    17 * _N**3 / 480 - 37 * _N**4 / 840,
    4397 * _N**4 / 161_280,
)
_DELTA = (
    2 * _N - 2 * _N**2 / 3 - 2 * _N**3 + 116 * _N**4 / 45,
    7 * _N**2 / 3 - 8 * _N**3 / 5 - 227 * _N**4 / 45,
    56 * _N**3 / 15 - 136 * _N**4 / 35,
    4279 * _N**4 / 630,
)


def lonlat_of(points_m: ArrayLike, zone: int) -> NDArray[np.float64]:
    """Longitude and latitude of places in a northern UTM zone.

    The inverse transverse Mercator projection by Krüger's series to the fourth order of the third flattening (Krüger
    1912; coefficients as in Karney 2011, "Transverse Mercator with an accuracy of a few nanometers").

    Args:
        points_m: eastings and northings ``[n, 2]``.
        zone: UTM zone, 1 to 60.

    Returns:
        Longitudes and latitudes, float64 ``[n, 2]`` in degrees, WGS 84.
    """
    points = np.asarray(points_m, dtype=np.float64)
    along = points[:, 1] / (_SCALE * _RECTIFYING_M)
    aside = (points[:, 0] - _FALSE_EASTING_M) / (_SCALE * _RECTIFYING_M)
    xi, eta = along.copy(), aside.copy()
    for j, beta in enumerate(_BETA, start=1):
        xi -= beta * np.sin(2 * j * along) * np.cosh(2 * j * aside)
        eta -= beta * np.cos(2 * j * along) * np.sinh(2 * j * aside)
    conformal = np.arcsin(np.sin(xi) / np.cosh(eta))
    latitude = conformal + sum(delta * np.sin(2 * j * conformal) for j, delta in enumerate(_DELTA, start=1))
    longitude = math.radians(6 * zone - 183) + np.arctan2(np.sinh(eta), np.cos(xi))
    return np.degrees(np.stack([longitude, latitude], axis=1))
