"""Tar files: members in the order that readers ask for, nothing of time and place in them."""

import json
import tarfile

import numpy as np
import pytest
from endless import endless, peak_mib
from made import picture_set

from roadstill.sharing import share, webdataset


@pytest.fixture
def shared(tmp_path):
    images = picture_set(tmp_path / "set", 5, speed_mps=[1, 2, 3, 4, 5.5], deep=[{"a": 1}] * 5)
    share(images.root, tmp_path / "out", format="webdataset", shard_bytes=2000)
    return images, tmp_path / "out"


def test_members_of_a_sample_follow_each_other(shared):
    images, out = shared
    info = json.loads((out / "_info.json").read_text())["splits"]["train"]
    paths = sorted((out / "data").iterdir())
    assert [path.relative_to(out).as_posix() for path in paths] == info["filenames"]
    assert len(paths) == 5 == info["num_samples"]
    assert info["shard_lengths"] == [1] * 5
    assert paths[0].name == "train-00000-of-00005.tar"
    for row, path in enumerate(paths):
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            assert [member.name for member in members] == [f"{row:09d}.{end}" for end in ("png", "cls", "json")]
            assert {(member.mtime, member.uid, member.uname) for member in members} == {(0, 0, "")}
            png, label, facts = (archive.extractfile(member).read() for member in members)
        assert png == images.picture_bytes(row)
        assert int(label) == images.labels[row]
        assert json.loads(facts) == images.facts[row]


def test_many_pictures_are_written_in_flat_memory(tmp_path):
    peaks = []
    for count in (500, 5000):
        folder = tmp_path / str(count)
        folder.mkdir()
        peaks.append(peak_mib(webdataset.write, endless(tmp_path, count), folder, "train", 2**20))
    assert peaks[1] < peaks[0] + 1
    assert sum(json.loads((folder / "_info.json").read_text())["splits"]["train"]["shard_lengths"]) == 5000


@pytest.mark.filterwarnings("ignore")
def test_the_webdataset_library_opens_it(shared):
    library = pytest.importorskip("webdataset", reason="needs webdataset")
    images, out = shared
    files = sorted(map(str, (out / "data").iterdir()))
    data = library.WebDataset(files, shardshuffle=False).decode("rgb8").to_tuple("png", "cls", "json")
    for row, (pixels, label, facts) in enumerate(data):
        np.testing.assert_array_equal(pixels, images.pixels([row])[0])
        assert label == images.labels[row]
        assert facts["digest"] == images.facts[row]["digest"]
