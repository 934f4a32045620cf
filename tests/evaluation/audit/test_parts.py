"""What parts have in common, read from their tables alone."""

from dataclasses import replace

import numpy as np
import pytest
from made_streets import streets

from roadstill.evaluation.audit import parts
from roadstill.evaluation.audit.parts import Places, meeting, meetings_of, places_in
from roadstill.imagesets import ImageSet
from roadstill.sources.pickles.unpickle import BrokenLog


@pytest.fixture(autouse=True)
def _no_picture_is_opened(monkeypatch):
    def refuse(*_):
        raise AssertionError("a picture was opened")

    monkeypatch.setattr(ImageSet, "picture_bytes", refuse)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return streets(tmp_path_factory.mktemp("parts") / "train", range(6), 4, px=8)


def test_parts_of_other_drives_share_nothing(train, tmp_path):
    dev = streets(tmp_path / "dev", [10, 11], 4, px=8)
    found = meeting("train", train, "dev", dev)
    assert (found.shared, found.drives, found.gap_s, found.soon, found.made, found.leaks) == (
        {},
        0,
        None,
        0,
        False,
        False,
    )
    assert found.names == {"location": (2, 2)}  # towns 1 and 2 of three
    assert found.near is None


def test_the_rest_of_a_drive_is_told_by_its_times(train, tmp_path):
    facts = [{**facts, "log": "rest", "token": f"r{row}", "timestamp_us": facts["timestamp_us"] + 5_000_000 * row}
             for row, facts in enumerate(train.facts[:4])]  # fmt: skip
    rest = ImageSet(train.root, train.class_names, train.files[:4], train.labels[:4],
                    [{**fact, "digest": f"{row:016x}"} for row, fact in enumerate(facts)], 8, "d")  # fmt: skip
    found = meeting("train", train, "test", rest)
    assert found.shared == {"drive": (1, "drive-0")}  # the first of its frames lies within the time of log 0
    assert (found.drives, found.gap_s) == (1, 0.0)
    # 0, 5.5, 11 and 16.5 s, where drive 0 has frames from 0 to 1.5 s.
    assert found.soon == 3
    assert found.leaks


def test_paths_of_pictures_are_no_drives(train):
    """Where every picture is a drive of its own, another folder may use the same names."""
    plain = replace(train, facts=[{**facts, "source_image": facts["drive"]} for facts in train.facts])
    assert meeting("train", plain, "dev", plain.subset(range(4))).drives == 0
    assert meeting("train", train, "dev", train.subset(range(4))).drives == 1


def test_the_gap_is_to_the_nearer_of_the_times_before_and_after():
    found = parts._gaps(np.array([0, 10_000_000]), np.array([-3_000_000, 1_000_000, 9_000_000, 12_000_000]))
    assert found.tolist() == [3, 1, 1, 2]


def test_frames_and_pictures_of_both_are_counted(train):
    found = meeting("train", train.subset(range(8)), "dev", train.subset(range(4, 12)))
    assert {name: count for name, (count, _) in found.shared.items()} == {
        "log": 1, "frame": 4, "picture": 4, "drive": 1,
    }  # fmt: skip
    assert found.shared["log"][1] == "log-1"


def test_each_part_meets_those_before_it_but_a_set_its_own_frames(train, tmp_path):
    dev = streets(tmp_path / "dev", [10], 2, px=8)
    names = {"set": dev, "against": train, "heldout": dev, "test": dev}
    found, problems = meetings_of(names, None)
    assert [(each.first, each.second) for each in found] == [
        ("set", "heldout"), ("against", "heldout"), ("set", "test"), ("against", "test"), ("heldout", "test"),
    ]  # fmt: skip
    assert [each.made for each in found] == [True, False, True, False, True]
    assert problems == []


def test_frames_within_five_metres_are_counted_on_the_same_map():
    ours = Places(np.array(["a", "a", "b", "a"]), np.array([[0, 0], [100, 0], [50, 0], [np.nan, np.nan]]))
    theirs = Places(np.array(["a", "a", "b", "c", "a"]), np.array([[3, 3.9], [3, 4.1], [100, 0], [0, 0], [np.nan, 0]]))
    assert parts._near(ours, theirs) == (4, 1)


def test_places_come_from_logs_one_by_one_and_broken_ones_are_told(train, tmp_path, monkeypatch):
    def places_of(logs, log, tokens):
        if log == "log-2":
            raise BrokenLog("log-2 is broken")
        return {token: (float(log[4:]), 7.0) for token in tokens if not token.endswith("-3")}

    monkeypatch.setattr(parts, "places_of", places_of)
    found = places_in(train, tmp_path)
    assert found.problems == ["log-2 is broken"]
    known = np.isfinite(found.metres).all(1)
    assert known.sum() == 5 * 3
    assert found.metres[known, 0].tolist() == [0] * 3 + [1] * 3 + [3] * 3 + [4] * 3 + [5] * 3
    dev = streets(tmp_path / "dev", [3], 4, px=8)
    told, problems = meetings_of({"set": dev, "against": train, "heldout": dev}, tmp_path)
    assert (told[-1].second, told[-1].placed, told[-1].near) == ("heldout", 3, 3)
    assert problems == ["log-2 is broken"]
