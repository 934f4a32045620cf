"""Parquet files: pictures and facts as they were, in files of about one size, in flat memory."""

import json

import pyarrow.parquet as pq
from endless import endless, peak_mib
from made import picture_set

from roadstill.sharing import parquet, share


def test_pictures_and_facts(tmp_path):
    images = picture_set(tmp_path / "set", 7, speed_mps=[1, 2.5, 2**60, None, 5, 6, 7], token=["a"] * 7)
    share(images.root, tmp_path / "out", format="parquet", shard_bytes=1)
    (path,) = (tmp_path / "out" / "data").iterdir()  # one group of rows is the least that a file holds
    assert path.name == "train-00000-of-00001.parquet"
    rows = pq.read_table(path).to_pylist()
    assert [row["image"]["bytes"] for row in rows] == [images.picture_bytes(row) for row in range(7)]
    assert [row["image"]["path"] for row in rows] == list(images.files)
    assert [row["label"] for row in rows] == images.labels.tolist()
    assert [row["speed_mps"] for row in rows] == [1.0, 2.5, 2.0**60, None, 5.0, 6.0, 7.0]
    told = json.loads(pq.read_schema(path).metadata[b"huggingface"])["info"]["features"]
    assert told["label"] == {"names": ["not_brake", "brake"], "_type": "ClassLabel"}
    assert told["speed_mps"] == {"dtype": "float64", "_type": "Value"}


def test_many_pictures_are_written_in_flat_memory_and_files_of_one_size(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 2**22)
    peaks = []
    for count in (2000, 20_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        peaks.append(peak_mib(parquet.write, endless(tmp_path, count), folder, "train", 2**20))
    assert peaks[1] < peaks[0] + 2
    paths = sorted((tmp_path / "20000" / "data").iterdir())
    assert len(paths) > 1
    assert sum(pq.read_metadata(path).num_rows for path in paths) == 20_000
