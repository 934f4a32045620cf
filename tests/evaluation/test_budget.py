import json
import os

import pytest
from made import picture_set

from roadstill.errors import UserError
from roadstill.evaluation import set_bytes


def walked(folder):
    """The same count without the library: what lies in the folder, and what its metadata says."""
    pictures = sum(
        os.path.getsize(os.path.join(where, name))
        for where, _, names in os.walk(folder)
        for name in names
        if name.endswith(".png")
    )
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    numbers = sum(len(row.get("soft_label", [])) for row in rows)
    return pictures, 4 * numbers, 4 * sum("weight" in row for row in rows)


def test_bytes_are_what_lies_on_disk(tmp_path):
    images = picture_set(tmp_path / "set", 6, soft_label=[[0.25, 0.75]] * 6, weight=[1, 2, 3, 4, 5, 6])
    pictures, labels, weights = walked(images.root)
    assert labels == 6 * 2 * 4
    assert weights == 6 * 4
    soft = set_bytes(images, "soft")
    assert (soft.pictures, soft.soft_labels, soft.weights, soft.teacher) == (pictures, labels, weights, 0)
    assert soft.total == pictures + labels + weights
    assert set_bytes(images).total == pictures + weights
    part = images.subset([1, 4])
    assert set_bytes(part).pictures == sum((images.root / images.files[row]).stat().st_size for row in (1, 4))


def test_a_teacher_that_training_asks_is_part_of_it(tmp_path):
    images = picture_set(tmp_path / "set", 4)
    (tmp_path / "network.safetensors").write_bytes(b"x" * 1234)
    found = set_bytes(images, "soft", teacher=tmp_path / "network.safetensors")
    assert (found.teacher, found.soft_labels) == (1234, 0)
    assert found.total == walked(images.root)[0] + 1234
    with pytest.raises(UserError, match="soften the set or name the teacher"):
        set_bytes(images, "soft")
    with pytest.raises(UserError, match="is not a file"):
        set_bytes(images, "soft", teacher=tmp_path)
