"""GeoPackage files with nothing but sqlite3: as much of the standard as maps in nuPlan's layout need.

OGC 12-128r18: an SQLite file with an application id, three tables that describe the layers, and geometries as
well-known binary behind a header of eight bytes. Longitude and latitude (EPSG:4326), in this order.
"""

import sqlite3
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Value = str | int | float | None

_APPLICATION_ID, _USER_VERSION = 0x47504B47, 10300  # "GPKG", version 1.3
_WRITTEN = "2021-03-01T00:00:00.000Z"  # not the clock: the same world is the same bytes
_SRS = 4326
_WKT = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],'
    'UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST],'
    'AUTHORITY["EPSG","4326"]]'
)
_TABLES = (
    "CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, "
    "organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, "
    "description TEXT)",
    "CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, "
    "identifier TEXT UNIQUE, description TEXT DEFAULT '', "
    "last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')), min_x DOUBLE, min_y DOUBLE, "
    "max_x DOUBLE, max_y DOUBLE, srs_id INTEGER, CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) "
    "REFERENCES gpkg_spatial_ref_sys(srs_id))",
    "CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, "
    "geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL, "
    "CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name), CONSTRAINT uk_gc_table_name UNIQUE (table_name), "
    "CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name), "
    "CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id))",
)
_SYSTEMS = (
    ("Undefined cartesian SRS", -1, "NONE", -1, "undefined", "undefined cartesian coordinate reference system"),
    ("Undefined geographic SRS", 0, "NONE", 0, "undefined", "undefined geographic coordinate reference system"),
    ("WGS 84 geodetic", _SRS, "EPSG", _SRS, _WKT, "longitude and latitude in degrees on WGS 84"),
)


@dataclass(frozen=True)
class Layer:
    """One table of features.

    Attributes:
        geometry: type, POINT, LINESTRING or POLYGON.
        fields: SQL type of each column besides ``fid`` and ``geom``.
    """

    geometry: str
    fields: Mapping[str, str] = field(default_factory=dict)


def blob_of(geometry: str, lonlat: NDArray[np.float64]) -> bytes:
    """A geometry as GeoPackage stores it.

    Args:
        geometry: type, LINESTRING or POLYGON (one ring, closed here).
        lonlat: longitudes and latitudes ``[n, 2]`` in degrees.
    """
    points = lonlat if geometry == "LINESTRING" else np.concatenate([lonlat, lonlat[:1]])
    # "GP", version 0, flags: little-endian, no envelope; then the reference system
    head = struct.pack("<2sBBi", b"GP", 0, 1, _SRS)
    kind = struct.pack("<BI", 1, 2) if geometry == "LINESTRING" else struct.pack("<BII", 1, 3, 1)
    return head + kind + struct.pack("<I", len(points)) + points.astype("<f8").tobytes()


class GeoPackage:
    """A file that grows row by row; the work of the database stays within its page cache.

    Args:
        path: path of the new file.
        layers: layers by name.
        meta: rows of a table ``meta`` (key, value).
    """

    def __init__(self, path: Path, layers: Mapping[str, Layer], meta: Mapping[str, str]) -> None:
        self._layers = layers
        self._base = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode = OFF", "synchronous = OFF"):  # a torn file is thrown away with its folder
            self._base.execute(f"PRAGMA {setting}")
        self._base.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._base.execute(f"PRAGMA user_version = {_USER_VERSION}")
        self._base.execute("BEGIN")
        for table in _TABLES:
            self._base.execute(table)
        self._base.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", _SYSTEMS)
        for name, layer in layers.items():
            self._describe(name, "features", _SRS)
            columns = ["fid INTEGER PRIMARY KEY NOT NULL", f"geom {layer.geometry}"]
            columns += [f"{column} {kind}" for column, kind in layer.fields.items()]
            self._base.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
            column = (name, "geom", layer.geometry, _SRS, 0, 0)
            self._base.execute("INSERT INTO gpkg_geometry_columns VALUES (?, ?, ?, ?, ?, ?)", column)
        self._describe("meta", "attributes", None)
        self._base.execute("CREATE TABLE meta (fid INTEGER PRIMARY KEY NOT NULL, key TEXT, value TEXT)")
        self._base.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", meta.items())

    def add(self, layer: str, rows: Iterable[Sequence[Value | bytes]]) -> None:
        """Adds rows: ``fid``, the geometry, and the layer's fields in order."""
        places = ", ".join("?" * (2 + len(self._layers[layer].fields)))
        self._base.executemany(f"INSERT INTO {layer} VALUES ({places})", rows)

    def close(self) -> None:
        """Writes what is still in memory."""
        try:
            if self._base.in_transaction:  # SQLite has ended it if the disk is full
                self._base.execute("COMMIT")
        finally:
            self._base.close()

    def _describe(self, name: str, kind: str, srs: int | None) -> None:
        row = (name, kind, name, _WRITTEN, srs)
        columns = "table_name, data_type, identifier, last_change, srs_id"
        self._base.execute(f"INSERT INTO gpkg_contents ({columns}) VALUES (?, ?, ?, ?, ?)", row)
