"""Copies of sets in every layout: what they hold, what is refused, and what libraries of others make of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from made import picture_set

from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.sharing import FORMATS, Published, examine, share

PLAIN = [each for each in FORMATS if each != "coco"]
FACTS = {
    "speed_mps": [1, 2.5, 3, 4, 5, 6],
    "command": ["left", None, "right", "left", "left", "left"],
    "is_night": [True, False] * 3,
    "future": [[0.0, 1.5, 2.0], None, [], [1, 2, 3], [1.0], [2.0]],
    "timestamp_us": list(range(1_614_855_365_500_000, 1_614_855_365_500_006)),
    "image": [f"log/{number}.jpg" for number in range(6)],
    "deep": [{"a": [{"b": 2, "c": "x"}]}] * 3 + [None] * 3,  # what no table holds
}


@pytest.fixture
def images(tmp_path):
    return picture_set(tmp_path / "set", 6, **FACTS)


@pytest.mark.parametrize("format", PLAIN)
def test_a_copy_has_card_and_manifest_and_is_the_same_each_time(tmp_path, images, format):
    for name in ("one", "two"):
        made = share(images.root, tmp_path / name, format=format)
        assert (made.images, made.licences) == (6, ["unknown"])
        assert "the licence of its sources is not known" in made.notes[0]
    files = {path.relative_to(tmp_path / "one"): path for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert {Path("README.md"), Path("manifest.intoto.jsonl")} <= set(files)
    for name, path in files.items():
        assert path.read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert examine(tmp_path / "one") == (len(files) - 1, [])
    card = (tmp_path / "one" / "README.md").read_text()
    assert "None is known: this set does not stand in a run" in card
    assert [path for path in tmp_path.iterdir() if path.name not in ("set", "one", "two")] == []


def test_what_the_user_says_stands_in_the_card(tmp_path, images):
    published = Published("Six pictures", ("A", "B"), "https://example.org/six", "2026-11-30")
    made = share(images.root, tmp_path / "out", sources=["navsim", "dit-weights"], published=published)
    assert made.licences == ["cc-by-nc-4.0", "cc-by-nc-sa-4.0"]
    assert made.notes == []
    front = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---\n")[1])
    assert (front["pretty_name"], front["license"]) == ("Six pictures", ["cc-by-nc-4.0", "cc-by-nc-sa-4.0"])
    described = json.loads((tmp_path / "out" / "croissant.json").read_text())
    assert described["datePublished"] == "2026-11-30"
    assert described["citeAs"] == "A and B, Six pictures, 2026"
    assert described["url"] == "https://example.org/six"
    assert open_imageset(tmp_path / "out").about["sources"] == ["navsim", "dit-weights"]
    again = share(tmp_path / "out", tmp_path / "again", format="parquet")  # what was said once is known from then on
    assert again.licences == made.licences


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"format": "pickle"}, "format 'pickle' is unknown; choose one of imagefolder, parquet"),
        ({"format": "coco"}, "format coco holds the boxes of the logs; name their folder with --logs"),
        ({"logs": Path("logs")}, "logs belong to format coco"),
        ({"sources": ["moon"]}, "source 'moon' is unknown; choose among world"),
        ({"shard_bytes": 0}, "shard_bytes is 0; it must be at least 1"),
        ({"key": Path("no-key")}, "no-key does not exist|needs the package|need the package"),
    ],
)
def test_what_does_not_go_together(tmp_path, images, words, says):
    with pytest.raises(UserError, match=says):
        share(images.root, tmp_path / "out", **words)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("date", ["yesterday", "2026-1-1", "2026-11-30T00:00", "30.11.2026"])
def test_a_date_of_another_form(date):
    with pytest.raises(UserError, match="should be a day such as 2026-11-30"):
        Published(date=date)


@pytest.mark.parametrize("format", PLAIN)
def test_a_damaged_picture_stops_all_and_leaves_what_was_there(tmp_path, images, format):
    share(images.root, tmp_path / "out", format=format)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    (images.root / "1_brake" / "000001.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"000001\.png is not the picture"):
        share(images.root, tmp_path / "out", format=format)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def test_folders_of_this_machine_stay_here(tmp_path, images):
    with ImageSetWriter(tmp_path / "blurred", ("a",), 8) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), 0, {})
        writer.about["hook"] = {"name": "BlurBoxes", "settings": {"logs": "/home/me/secret/mini"}}
    share(tmp_path / "blurred", tmp_path / "out")
    assert open_imageset(tmp_path / "out").about["hook"]["settings"] == {"logs": "mini"}
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes()


def test_only_a_shared_set_is_replaced(tmp_path, images):
    share(images.root, tmp_path / "out", format="parquet")
    share(images.root, tmp_path / "out", format="webdataset")
    assert not list((tmp_path / "out").rglob("*.parquet"))
    kept = open_imageset(images.root).save(tmp_path / "kept").root
    for other in (kept, tmp_path):
        with pytest.raises(UserError, match="which are kept"):
            share(images.root, other)
    with pytest.raises(UserError, match="is what the call reads"):
        share(images.root, images.root)


# ---- libraries of others


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["set", "imagefolder", "parquet"])
@pytest.mark.parametrize("streaming", [False, True])
def test_hugging_face_datasets_opens_it(tmp_path, images, form, streaming):
    datasets = pytest.importorskip("datasets", reason="needs datasets")
    folder = images.root
    if form != "set":
        share(images.root, tmp_path / form, format=form, shard_bytes=1)
        folder = tmp_path / form
    data = datasets.load_dataset(str(folder), split="train", streaming=streaming, cache_dir=tmp_path / "cache")
    assert data.features["label"] == datasets.ClassLabel(names=["not_brake", "brake"])
    assert data.features["image"] == datasets.Image()
    assert data.features["speed_mps"] == datasets.Value("float64")
    found = {row["digest"]: row for row in data}
    assert len(found) == 6
    for row, facts in enumerate(images.facts):
        other = found[facts["digest"]]
        np.testing.assert_array_equal(np.asarray(other["image"]), images.pixels([row])[0])
        assert other["label"] == images.labels[row]
        assert other["source_image"] == f"log/{row}.jpg"
        for name in ("speed_mps", "command", "is_night", "future", "timestamp_us"):
            assert other[name] == FACTS[name][row], name


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_datasets_opens_tars(tmp_path, images):
    datasets = pytest.importorskip("datasets", reason="needs datasets")
    share(images.root, tmp_path / "tars", format="webdataset", shard_bytes=1)
    data = datasets.load_dataset(str(tmp_path / "tars"), split="train", cache_dir=tmp_path / "cache")
    assert data.features["cls"] == datasets.ClassLabel(names=["not_brake", "brake"])
    assert [row["cls"] for row in data] == images.labels.tolist()
    np.testing.assert_array_equal(np.asarray(data[3]["png"]), images.pixels([3])[0])
    assert data[3]["json"]["speed_mps"] == 4


def test_a_folder_of_class_folders_keeps_the_labels_in_readers_that_sort_names(tmp_path):
    """torchvision and timm number class folders as they are sorted, torchvision by text, timm by numbers in it."""
    names = [f"c{number}" for number in range(10)]
    with ImageSetWriter(tmp_path / "set", names, 8) as writer:
        for label in range(10):
            writer.add(np.full((8, 8, 3), label, np.uint8), label, {})
    share(tmp_path / "set", tmp_path / "out")
    folders = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert [folder.partition("_")[2] for folder in folders] == names
