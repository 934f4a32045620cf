"""CIFAR-10 as the Hugging Face hub distributes it: Parquet with the columns ``img`` (a PNG's bytes) and ``label``."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from roadstill.errors import UserError, one_line
from roadstill.images import BrokenImage, read_image
from roadstill.runs import parse_json
from roadstill.sources.cifar10.batch import CLASS_NAMES, SIDE_PX, Batch, check_labels, check_names

_ROWS = 1000
_FOLDERS = ("", "plain_text", "data")


def find_parts(root: Path) -> dict[str, list[Path]]:
    """The files of train and test, sorted; empty unless both exist with such columns."""
    for folder in (root / name for name in _FOLDERS):
        parts = {name: sorted(folder.glob(f"{name}-*.parquet")) for name in ("train", "test")}
        if all(parts.values()) and {"img", "label"} <= set(columns_of(parts["train"][0])):
            return parts
    return {}


def columns_of(path: Path) -> list[str]:
    """Names of a Parquet file's columns; none if it cannot be read."""
    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowException):
        return []


def read_class_names(path: Path) -> tuple[str, ...]:
    """The class names that the hub writes into the schema; the official ones if it has none.

    Raises:
        UserError: not ten plain names.
    """
    about = (pq.read_schema(path).metadata or {}).get(b"huggingface")
    try:
        names = parse_json(about, str(path))["info"]["features"]["label"]["names"] if about else None
    except (UserError, LookupError, TypeError):
        names = None
    return CLASS_NAMES if names is None else check_names(names if isinstance(names, list) else [], str(path))


def read_part(files: Sequence[Path]) -> Iterator[Batch]:
    """The pictures of one part, a thousand at a time.

    Raises:
        UserError: a damaged file, columns of other types, a picture that is unreadable or not 32 x 32, a label above 9.
    """
    for path in files:
        start = 0
        try:
            for rows in pq.ParquetFile(path).iter_batches(_ROWS, columns=["img", "label"]):
                yield _batch(rows, path, start)
                start += len(rows)
        except (OSError, pa.ArrowException) as error:
            raise UserError(one_line(f"{path} cannot be read as Parquet: {str(error)[:200]}; fetch it again")) from None


def _batch(rows: pa.RecordBatch, path: Path, start: int) -> Batch:
    kind = rows.schema.field("img").type
    if not (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):
        raise UserError(f"{path}: the column 'img' should hold a picture's bytes, not {kind}")
    if not pa.types.is_integer(rows.schema.field("label").type) or rows.column("label").null_count:
        raise UserError(f"{path}: the column 'label' should hold a number in every row")
    pixels = np.empty((len(rows), SIDE_PX, SIDE_PX, 3), np.uint8)
    for row, value in enumerate(rows.column("img").to_pylist()):
        data = (value or {}).get("bytes")
        if not isinstance(data, bytes):
            raise UserError(f"{path}: row {start + row:,} has no picture")
        try:
            picture = read_image(io.BytesIO(data))
        except BrokenImage as error:
            raise UserError(one_line(f"{path}: the picture of row {start + row:,} cannot be read: {error}")) from None
        if picture.size != (SIDE_PX, SIDE_PX):
            raise UserError(f"{path}: the picture of row {start + row:,} is {picture.width} x {picture.height} pixels, "
                            f"not {SIDE_PX} x {SIDE_PX}")  # fmt: skip
        pixels[row] = np.asarray(picture)
    labels = np.array(rows.column("label").to_pylist(), np.int64)
    return Batch(path.stem, start, pixels, check_labels(labels, str(path)))
