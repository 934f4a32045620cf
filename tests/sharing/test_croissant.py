"""Croissant: what ML Commons' own reader makes of a copy, and that its digests are those of the files."""

import hashlib
import json

import numpy as np
import pytest
from made import picture_set

from roadstill.sharing import Published, share

FACTS = {"speed_mps": [1, 2.5, 3, 4], "command": ["left"] * 4, "future": [[0.5, 1.0]] * 4, "timestamp_us": [1, 2, 3, 4]}
WHOLE = Published("Four", ("A",), "https://example.org/four", "2026-11-30")


@pytest.mark.parametrize("format", ["imagefolder", "parquet"])
def test_files_are_told_with_their_digests(tmp_path, format):
    images = picture_set(tmp_path / "set", 4, **FACTS)
    share(images.root, tmp_path / "out", format=format, sources=["world", "navsim"], published=WHOLE)
    told = json.loads((tmp_path / "out" / "croissant.json").read_text())
    files = [each for each in told["distribution"] if each["@type"] == "cr:FileObject"]
    assert len(files) == 1
    for each in files:
        assert each["sha256"] == hashlib.sha256((tmp_path / "out" / each["contentUrl"]).read_bytes()).hexdigest()
    texts = ["https://creativecommons.org/licenses/by-nc-sa/4.0/", "https://www.apache.org/licenses/LICENSE-2.0"]
    assert told["license"] == texts
    assert told["creator"] == [{"@type": "sc:Organization", "name": "A"}]
    assert "http://mlcommons.org/croissant/RAI/1.0" in told["conformsTo"]
    responsible = {name for name in told if name.startswith("rai:")}
    assert {"rai:dataCollection", "rai:dataLimitations", "rai:personalSensitiveInformation"} <= responsible


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ["imagefolder", "parquet"])
@pytest.mark.parametrize("published", [WHOLE, Published()])
def test_mlcroissant_reads_pictures_labels_and_facts(tmp_path, format, published):
    mlcroissant = pytest.importorskip("mlcroissant", reason="needs mlcroissant")
    images = picture_set(tmp_path / "set", 4, **FACTS)
    sources = ["navsim"] if published.name else []
    share(images.root, tmp_path / "out", format=format, sources=sources, published=published)
    data = mlcroissant.Dataset(tmp_path / "out" / "croissant.json")
    assert not data.metadata.ctx.issues.errors
    assert bool(data.metadata.ctx.issues.warnings) == (not published.name)
    classes = [(row["classes/label"], row["classes/name"]) for row in data.records("classes")]
    assert classes == [(0, "not_brake"), (1, "brake")]
    found = {row["pictures/digest"].decode(): row for row in data.records("pictures-and-facts")}
    assert len(found) == 4
    for row, facts in enumerate(images.facts):
        other = found[facts["digest"]]
        np.testing.assert_array_equal(np.asarray(other["pictures/image"]), images.pixels([row])[0])
        assert other["pictures/label"] == images.labels[row]
        assert other["pictures/speed_mps"] == facts["speed_mps"]
        assert list(other["pictures/future"]) == [0.5, 1.0]


@pytest.mark.parametrize("format", ["webdataset", "fiftyone"])
def test_other_layouts_have_none(tmp_path, format):
    share(picture_set(tmp_path / "set", 2).root, tmp_path / "out", format=format)
    assert not (tmp_path / "out" / "croissant.json").exists()
