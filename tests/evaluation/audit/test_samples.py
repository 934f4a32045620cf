"""Samples: frames of other drives than the training frames, spread evenly over theirs."""

from dataclasses import replace

import numpy as np
import pytest
from made_streets import pictures, street, streets

from roadstill.errors import UserError
from roadstill.evaluation.audit.samples import further_sample, real_frames
from roadstill.imagesets import ImageSetWriter, open_imageset


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return streets(tmp_path_factory.mktemp("samples") / "train", range(6), 4, px=8)


def with_facts(folder, facts):
    with ImageSetWriter(folder, ("not_brake", "brake"), 8) as writer:
        for row, fact in enumerate(facts):
            writer.add(street(1000 + row, 0, 8), row % 2, fact)
    return open_imageset(folder)


def test_each_drive_is_a_group_and_gives_as_many_frames(train):
    real = real_frames(train, frames=12)
    assert (real.by, real.num_groups, real.held_out) == ("drive", 6, None)
    (sample,) = real.samples
    assert np.bincount(sample.groups).tolist() == [2] * 6
    np.testing.assert_array_equal(sample.groups, real.groups[sample.rows])
    assert [train.facts[row]["drive"] for row in sample.rows] == [f"drive-{group}" for group in sample.groups]
    other = real_frames(train, frames=12, seed=1).samples[0].rows
    assert other.tolist() != sample.rows.tolist()
    assert real_frames(train, frames=12).samples[0].rows.tolist() == sample.rows.tolist()


def test_held_out_frames_that_are_not_held_out_are_left_out(train, tmp_path):
    own = train.facts[5]
    facts = [
        {"drive": own["drive"], "log": "x", "token": "a"},
        {"drive": "y", "log": own["log"], "token": "b"},
        {"drive": "y", "log": "y", "token": own["token"]},
        {"drive": "y", "log": "y", "token": "c"},
        {"drive": "z", "log": "z", "token": "d"},
    ]
    dev = with_facts(tmp_path / "dev", facts)
    real = real_frames(train, dev)
    assert sorted(real.held_out.rows.tolist()) == [3, 4]
    assert real.held_out.left_out == 3
    assert sorted(real.held_out.groups.tolist()) == [6, 7]
    with pytest.raises(UserError, match=r"all frames of .*dev are of drives of .*train or equal to some of it"):
        real_frames(train, dev.subset(range(3)))
    with pytest.raises(UserError, match="all frames of"):
        real_frames(train, train)
    by_log = real_frames(train, dev, by="log").held_out  # another log of a drive may be held out then
    assert (sorted(by_log.rows.tolist()), by_log.left_out) == ([0, 3, 4], 2)


def test_pictures_of_two_folders_with_the_same_file_names_are_apart(tmp_path):
    """Where a picture's own path is its drive and log, as of class folders, it names no drive of another set."""
    named = [dict.fromkeys(("drive", "log", "source_image"), f"a/{n}.png") for n in range(3)]
    one, same = with_facts(tmp_path / "one", named), with_facts(tmp_path / "same", named)
    apart = pictures(tmp_path / "apart", [street(2000 + n, 0, 8) for n in range(3)], 8)
    apart = replace(apart, facts=[{**fact, **named[row]} for row, fact in enumerate(apart.facts)])
    assert real_frames(one, apart).held_out.left_out == 0
    with pytest.raises(UserError, match="equal to some of it"):  # by their digests
        real_frames(one, same)


def test_without_drives_logs_count_and_without_logs_pictures(train, tmp_path):
    logs = with_facts(tmp_path / "logs", [{"log": "a"}, {"log": "a"}, {"log": "b"}])
    assert (real_frames(train, logs).by, real_frames(train, by="log").by) == ("log", "log")
    plain = pictures(tmp_path / "plain", [street(900 + n, 0.5, 8) for n in range(3)], 8)
    real = real_frames(train, plain)
    assert (real.by, real.num_groups) == ("picture", 24)
    with pytest.raises(UserError, match="has no images"):
        real_frames(train.subset([]))


def test_a_further_part_has_groups_of_its_own(train, tmp_path):
    dev, test = streets(tmp_path / "dev", [10, 11], 2, px=8), streets(tmp_path / "test", [10, 20], 2, px=8)
    real = real_frames(train, dev)
    sample = further_sample("test", test, real, frames=10, seed=0)
    assert (sample.name, sorted(set(sample.groups.tolist()))) == ("test", [8, 9])
