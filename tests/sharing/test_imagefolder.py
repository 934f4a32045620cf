"""The copy of a set is the same set, under today's names of facts."""

import numpy as np
import pytest
import torch
from made import picture_set, unseal_set

from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.sharing import share


def test_it_is_the_same_set(tmp_path):
    images = picture_set(tmp_path / "set", 6, image=[f"log/{row}.jpg" for row in range(6)])
    share(images.root, tmp_path / "out")
    copy = open_imageset(tmp_path / "out")
    copy.check_pictures()
    assert (copy.digest, copy.facts, copy.about) == (images.digest, images.facts, images.about)
    assert (tmp_path / "out" / "set.json").read_bytes() == (tmp_path / "set" / "set.json").read_bytes()


def test_facts_of_earlier_versions_get_their_name_of_today(tmp_path):
    images = picture_set(tmp_path / "set", 4, image=[f"log/{row}.jpg" for row in range(4)])
    path = tmp_path / "set" / "metadata.jsonl"
    path.write_text(path.read_text().replace("source_image", "image"))
    unseal_set(tmp_path / "set")
    share(images.root, tmp_path / "out")
    assert '"source_image"' in (tmp_path / "out" / "metadata.jsonl").read_text()
    assert open_imageset(tmp_path / "out").facts == images.facts


def test_the_numbers_behind_pictures_come_along(tmp_path):
    with ImageSetWriter(tmp_path / "set", ("a",), 8) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), 0, {})
        writer.values = {"pictures": torch.full((1, 3, 8, 8), 0.25)}
    made = share(tmp_path / "set", tmp_path / "out", sources=["world"])
    assert made.notes == []
    assert open_imageset(tmp_path / "out").values.pictures([0]).unique().tolist() == [0.25]
    other = share(tmp_path / "set", tmp_path / "other", format="parquet", sources=["world"])
    assert "values.safetensors" in other.notes[0]
    (tmp_path / "set" / "values.safetensors").write_bytes(b"x")
    with pytest.raises(UserError, match=r"values\.safetensors is not what set\.json was written with"):
        share(tmp_path / "set", tmp_path / "out")
