"""Records of sets, old names among them; what is damaged is tested in test_sets.py."""

import json

import numpy as np
from made import unseal_set

from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.imagesets.records import read_facts, read_set, renamed


def test_the_picture_that_a_picture_was_made_from_has_a_name_that_hides_nothing(tmp_path):
    facts = {"token": "t", "image": "log/CAM_F0/0.jpg", "cause": "red_light"}
    with ImageSetWriter(tmp_path / "set", ("a",), 8) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), 0, facts)
    images = open_imageset(tmp_path / "set")
    assert images.column("source_image") == ["log/CAM_F0/0.jpg"]
    assert list(images.facts[0])[4:] == ["token", "source_image", "cause"]
    assert "image" in facts  # the caller's facts are not touched


def test_sets_of_earlier_versions_are_read(tmp_path):
    with ImageSetWriter(tmp_path / "set", ("a",), 8) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), 0, {"image": "log/0.jpg", "log": "log/0.jpg"})
    new = open_imageset(tmp_path / "set")
    path = tmp_path / "set" / "metadata.jsonl"
    path.write_text(path.read_text().replace("source_image", "image"))
    assert "image" in json.loads(path.read_text())
    unseal_set(tmp_path / "set")
    old = open_imageset(tmp_path / "set")
    assert old.facts == new.facts
    assert old.digest == new.digest
    assert old.footprint.as_record() == new.footprint.as_record()
    assert list(read_facts(tmp_path / "set", read_set(tmp_path / "set"))) == new.facts
    assert open_imageset(old.save(tmp_path / "again").root).facts == new.facts


def test_a_set_that_has_both_names_keeps_both():
    assert renamed({"image": "a", "source_image": "b"}) == {"image": "a", "source_image": "b"}
