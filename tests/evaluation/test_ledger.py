import json

import numpy as np
import pytest

from roadstill.errors import UserError
from roadstill.evaluation import evaluate, note_outcome, open_test, read_ledger
from roadstill.imagesets import ImageSetWriter, open_imageset


class Half:
    def predict(self, pixels):
        return np.full((len(pixels), 2), 0.5, np.float32)


def written(folder, split):
    with ImageSetWriter(folder, ("a", "b"), 8) as writer:
        for index in range(4):
            writer.add(np.zeros((8, 8, 3), np.uint8), index % 2, {"log": "x"})
        writer.about["split"] = split
    return open_imageset(folder)


def test_every_opening_leaves_a_line_and_its_outcome(tmp_path):
    written(tmp_path / "test", "test")
    ledger = tmp_path / "test_ledger.jsonl"
    first = open_test(tmp_path / "test", ledger=ledger, config={"steps": 1}, what="final table")
    second = open_test(tmp_path / "test", ledger=ledger, config={"steps": 2}, what="again")
    note_outcome(second, ledger=ledger, outcome={"accuracy": evaluate(Half(), second).accuracy})
    rows = read_ledger(ledger)
    assert [row["opening"] for row in rows] == [1, 2] == [first.about["test_opening"], second.about["test_opening"]]
    assert rows[0]["config"] != rows[1]["config"]
    assert [row["outcome"] for row in rows] == [None, {"accuracy": 0.5}]
    assert all(json.loads(line) for line in ledger.read_text().splitlines())


def test_a_subset_of_the_test_part_stays_open_and_the_source_stays_shut(tmp_path):
    images = written(tmp_path / "test", "test")
    opened = open_test(images, ledger=tmp_path / "ledger.jsonl", config=None, what="x")
    assert evaluate(Half(), opened.subset([0, 1])).n == 2
    with pytest.raises(UserError, match="open_test"):
        evaluate(Half(), images)


def test_dev_is_not_the_test_part(tmp_path):
    images = written(tmp_path / "dev", "dev")
    with pytest.raises(UserError, match="is the dev part"):
        open_test(images, ledger=tmp_path / "ledger.jsonl", config=None, what="x")
    assert not (tmp_path / "ledger.jsonl").exists()
