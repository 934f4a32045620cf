"""Parquet files that hold the pictures themselves: for the Hugging Face hub and its library, pandas, DuckDB, Spark."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from roadstill.imagesets.card import Layout
from roadstill.imagesets.streams import SetStream
from roadstill.imagesets.tally import Kind
from roadstill.sharing.shards import Shards

_GROUP_BYTES = 2**25  # of pictures in memory at a time, and of what a reader takes at once
_FACTS_BYTES = 2**12  # of a row's facts in memory, about: small pictures have as many of them as large ones
_ARROW: dict[Kind, Any] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "list": pa.list_(pa.float64()),
}


def write(stream: SetStream, folder: Path, split: str, shard_bytes: int) -> Layout:
    """Writes ``data/<split>-00000-of-<n>.parquet`` and so on.

    Args:
        stream: the set.
        folder: folder to write into.
        split: name of the part.
        shard_bytes: size at which a file ends, about.
    """
    schema = _schema(stream)
    shards = Shards(folder / "data", split, "parquet", shard_bytes)
    with shards:
        writer: pq.ParquetWriter | None = None
        for rows in _groups(stream):
            if writer is None:
                writer = pq.ParquetWriter(shards.begin(), schema)
            writer.write_table(pa.Table.from_pylist(rows, schema))
            if shards.is_full():
                writer.close()
                writer = None
        if writer is not None:
            writer.close()
    usage = 'from datasets import load_dataset\n\ndata = load_dataset("FOLDER", split="{split}", streaming=True)'
    return Layout((f"data/{split}-*.parquet",), usage, "dataset_info")


def _schema(stream: SetStream) -> pa.Schema:
    columns = stream.tally.columns
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [("image", picture), ("label", pa.int64()), *((name, _ARROW[kind]) for name, kind in columns.items())]
    told: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": list(stream.record.class_names), "_type": "ClassLabel"},
    }
    for name, kind in columns.items():
        number = {"dtype": "float64" if kind == "list" else kind, "_type": "Value"}
        told[name] = {"feature": number, "_type": "Sequence"} if kind == "list" else number
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": told}})})


def _groups(stream: SetStream) -> Iterator[list[dict[str, Any]]]:
    columns = stream.tally.columns
    rows: list[dict[str, Any]] = []
    size = 0
    for facts, png in stream.pictures():
        row = {name: _cell(facts.get(name), kind) for name, kind in columns.items()}
        rows.append({"image": {"bytes": png, "path": facts["file_name"]}, "label": facts["label"], **row})
        size += len(png) + _FACTS_BYTES
        if size >= _GROUP_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _cell(value: Any, kind: Kind) -> Any:
    """A fact as its column holds it; whole numbers beyond 2^53 are no float64 to Arrow unless they are made one."""
    if value is None:
        return None
    if kind == "list":
        return [float(each) for each in value]
    return float(value) if kind == "float64" else value
