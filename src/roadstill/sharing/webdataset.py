"""Tar files of the WebDataset library: a picture, its label and its facts follow each other under one key."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from roadstill.imagesets.card import Features, Layout, class_label, columns_of
from roadstill.imagesets.streams import SetStream
from roadstill.sharing.shards import Shards

INFO = "_info.json"
"""How many samples each file holds, for timm's reader and for sharing files out among processes."""


def write(stream: SetStream, folder: Path, split: str, shard_bytes: int) -> Layout:
    """Writes ``data/<split>-00000-of-<n>.tar`` and so on: ``<key>.png``, ``<key>.cls``, ``<key>.json``.

    Args:
        stream: the set.
        folder: folder to write into.
        split: name of the part.
        shard_bytes: size at which a file ends, about.
    """
    shards, lengths = Shards(folder / "data", split, "tar", shard_bytes), []
    with shards:
        archive: tarfile.TarFile | None = None
        try:
            for index, (facts, png) in enumerate(stream.pictures()):
                if archive is None:
                    archive = tarfile.open(shards.begin(), "w", format=tarfile.USTAR_FORMAT)
                    lengths.append(0)
                _add(archive, f"{index:09d}.png", png)
                _add(archive, f"{index:09d}.cls", str(facts["label"]).encode())
                _add(archive, f"{index:09d}.json", json.dumps(facts).encode())
                lengths[-1] += 1
                if archive.offset >= shard_bytes:
                    archive.close()
                    archive = None
        finally:
            if archive is not None:
                archive.close()
    _write_info(folder, split, shards.paths, lengths)
    usage = (
        "import webdataset\n\n"
        f'files = "FOLDER/data/{split}-{{00000..{len(shards.paths) - 1:05d}}}-of-{len(shards.paths):05d}.tar"\n'
        'data = webdataset.WebDataset(files, shardshuffle=False).decode("pil").to_tuple("png", "cls", "json")'
    )
    return Layout((f"data/{split}-*.tar",), usage, "dataset_info", _features(stream))


def _features(stream: SetStream) -> Features:
    """Columns as the hub's library makes them of the members' endings."""
    own: Features = [{"name": "file_name", "dtype": "string"}, {"name": "label", "dtype": "int64"}]
    return [
        {"name": "png", "dtype": "image"},
        {"name": "cls", "dtype": class_label(stream.tally)},
        {"name": "json", "struct": own + columns_of(stream.tally)},
        {"name": "__key__", "dtype": "string"},
        {"name": "__url__", "dtype": "string"},
    ]


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Adds a file without owner or time, so that equal sets make equal archives."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
    archive.members = []  # type: ignore[attr-defined]  # it would keep one for each file


def _write_info(folder: Path, split: str, paths: list[Path], lengths: list[int]) -> None:
    told: dict[str, Any] = {
        "name": split,
        "num_samples": sum(lengths),
        "filenames": [path.relative_to(folder).as_posix() for path in paths],
        "shard_lengths": lengths,
    }
    (folder / INFO).write_text(json.dumps({"splits": {split: told}}, indent=1) + "\n", encoding="utf-8")
