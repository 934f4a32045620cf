import json

import numpy as np
import pytest

from roadstill.errors import UserError
from roadstill.imagesets.footprints import footprint_of, hashed, key_of, read_footprint

A, B = "00112233445566aa", "ffeeddccbbaa9900"


def test_what_a_footprint_holds():
    facts = [
        {"digest": B, "token": "t1", "log": "l1", "drive": "d", "timestamp_us": 5, "source_image": "l1/a.jpg"},
        {"digest": A, "token": "t2", "log": "l1", "drive": "d", "timestamp_us": 9, "source_image": "l1/b.jpg"},
        {"digest": A, "token": None, "log": "l2", "drive": "d", "timestamp_us": 20},
    ]
    found = footprint_of(B, facts, {"selected_from": A, "refined": {"real": "1" * 16, "from": "no digest"}})
    assert found.sets == {A, B, "1" * 16}
    assert found.pictures.tolist() == [key_of(A), key_of(B)]
    assert found.tokens.tolist() == sorted(key_of(hashed(name)) for name in ("t1", "t2"))
    assert found.logs.tolist() == sorted(key_of(hashed(name)) for name in ("l1", "l2"))
    assert found.drives == {hashed("d"): [(5, 9), (20, 20)]}


def test_a_picture_that_is_its_own_log_leaves_only_its_digest():
    facts = [
        {"digest": A, "log": "brake/1.png", "drive": "brake/1.png", "source_image": "brake/1.png", "timestamp_us": 3}
    ]
    found = footprint_of(B, facts, {})
    assert (len(found.pictures), len(found.tokens), len(found.logs), found.drives) == (1, 0, 0, {})


def test_what_generation_started_from_counts():
    found = footprint_of(B, [{"digest": B, "start": "token"}, {"digest": B, "start": A}], {})
    assert key_of(hashed("token")) in found.tokens
    assert key_of(A) in found.pictures


def test_a_record_gives_the_footprint_back():
    rng = np.random.default_rng(0)
    facts = [
        {"digest": rng.bytes(8).hex(), "token": f"t{row}", "log": f"l{row % 7}", "drive": f"d{row % 3}"}
        | {"timestamp_us": -row}
        for row in range(1000)
    ]
    first = footprint_of(A, facts, {})
    record = json.loads(json.dumps(first.as_record()))
    again = read_footprint(record, "agent.json, trained_on", "train it again")
    assert (again.sets, again.drives) == (first.sets, dict(first.drives))
    for name in ("pictures", "tokens", "logs"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    assert len(first.pictures) == 1000
    assert len(json.dumps(record)) < 17_000


@pytest.mark.parametrize(
    ("name", "value"),
    [("sets", ["x"]), ("pictures", "ä"), ("pictures", "AAAA"), ("tokens", None), ("drives", [["0" * 16, 1]])],
)
def test_a_damaged_record(name, value):
    record = footprint_of(A, [{"digest": A}], {}).as_record() | {name: value}
    with pytest.raises(UserError, match=r"agent\.json.*train it again"):
        read_footprint(record, "agent.json", "train it again")
