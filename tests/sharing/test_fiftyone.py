"""The layout that FiftyOne's importer of classified pictures reads: names without endings, labels, attributes."""

import json

from made import picture_set

from roadstill.sharing import share


def test_labels_and_attributes(tmp_path):
    images = picture_set(tmp_path / "set", 4, speed_mps=[1.0, 2, 3, 4], tags=["x"] * 4, command=["left", None] * 2)
    share(images.root, tmp_path / "out", format="fiftyone")
    told = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert told["classes"] == ["not_brake", "brake"]
    for row, file in enumerate(images.files):
        its = told["labels"][file.removesuffix(".png")]
        assert its["label"] == images.class_names[images.labels[row]]
        assert its["attributes"]["speed_mps"] == row + 1
        assert ("command" in its["attributes"]) == (row % 2 == 0)
        assert "tags" not in its["attributes"]  # a field of FiftyOne's own
        assert (tmp_path / "out" / "data" / file).read_bytes() == images.picture_bytes(row)
    assert len(told["labels"]) == 4
