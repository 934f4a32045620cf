"""Leaks: what a training set shares with the test part is named, refused, or allowed with a caveat."""

import numpy as np
import pytest

from roadstill.agents import AgentConfig, open_agent, train_agent
from roadstill.errors import UserError
from roadstill.evaluation import evaluate, open_test
from roadstill.evaluation.leaks import UNCHECKED, check_leak, shared, trained_on
from roadstill.imagesets import ImageSetWriter, open_imageset


def made(folder, facts, *, seed, **about):
    """A set with one picture of noise for each mapping of facts; ``picture`` chooses the noise."""
    with ImageSetWriter(folder, ("a", "b"), 8) as writer:
        for row, fact in enumerate(facts):
            noise = np.random.default_rng(fact.get("picture", 1000 * seed + row))
            own = {name: value for name, value in fact.items() if name != "picture"}
            writer.add(noise.integers(0, 256, (8, 8, 3), np.uint8), row % 2, own)
        writer.about.update(about)
    return open_imageset(folder)


def frames(log, drive, times, *, token="t", **more):
    return [
        {"log": log, "drive": drive, "timestamp_us": time, "token": f"{token}{log}{time}", "image": f"{log}/{time}.jpg"}
        | more
        for time in times
    ]


@pytest.fixture
def test_part(tmp_path):
    return made(tmp_path / "test", frames("log-5", "drive-2", range(100, 110)), seed=1, split="test")


CASES = {
    "nothing": (frames("log-1", "drive-1", range(100, 110)), ""),
    "another time of a drive": (frames("log-4", "drive-2", range(80, 100)), ""),
    "the same log": (frames("log-5", "drive-2", range(50, 60)), r"shares 1 log \(log-5\) with the test part"),
    "the same time of a drive under another log": (
        frames("renamed", "drive-2", range(109, 119)),
        r"shares the same time of 1 drive \(drive-2\) with the test part",
    ),
    "the same frame under another log": (
        [{**fact, "log": "other", "drive": "other"} for fact in frames("log-5", "d", [105])] * 2,
        r"shares 1 frame \(tlog-5105\) with the test part",
    ),
    "the same pictures, of which nothing is known": (
        [{"picture": 1003}, {"picture": 1004}, {"picture": 7}],
        r"shares 2 pictures \(the first: .*\.png\) with the test part",
    ),
    "pictures that began as a frame": ([{"start": "tlog-5105"}, {"start": "x"}], r"shares 1 frame \(tlog-5105\)"),
}


@pytest.mark.parametrize(("facts", "says"), CASES.values(), ids=CASES)
def test_what_is_shared_is_named(tmp_path, test_part, facts, says):
    train = made(tmp_path / "train", facts, seed=2)
    found = shared(train.footprint, test_part)
    if not says:
        assert found == ""
        return
    with pytest.raises(UserError, match=rf"train: the training set {says}.*split by drive, or .*--allow_leak"):
        check_leak(train.footprint, test_part, "train", allow=False)
    assert check_leak(train.footprint, test_part, "train", allow=True).endswith("--allow_leak let it pass")


def test_a_set_that_names_the_test_part_as_its_origin(tmp_path, test_part):
    for about in ({"selected_from": test_part.digest}, {"refined": {"real": test_part.digest}}):
        train = made(tmp_path / "train", [{}, {}], seed=2, **about)
        assert shared(train.footprint, test_part) == "is made from the test part itself"


def test_pictures_that_are_each_their_own_log_are_told_apart_by_their_content(tmp_path):
    one, other = (
        made(tmp_path / name, [{"log": "a/1.png", "drive": "a/1.png", "image": "a/1.png"}] * 2, seed=seed, split="test")
        for seed, name in enumerate(("one", "other"))
    )
    assert shared(one.footprint, other) == ""
    assert "2 pictures" in shared(one.footprint, one)


AGENT = AgentConfig(network="convnet", steps=1, batch_size=2, image_px=16)


def test_an_agent_knows_what_it_was_trained_on(tmp_path, test_part):
    train = made(tmp_path / "train", frames("log-5", "drive-2", range(10)), seed=2)
    train_agent(train, config=AGENT, seed=0).save(tmp_path / "agent")
    agent = open_agent(tmp_path / "agent")
    np.testing.assert_array_equal(trained_on(agent).logs, train.footprint.logs)
    opened = open_test(test_part, ledger=tmp_path / "ledger.jsonl", config=None, what="x")
    with pytest.raises(UserError, match="shares 1 log"):
        evaluate(agent, opened)
    allowed = open_test(test_part, ledger=tmp_path / "ledger.jsonl", config=None, what="x", allow_leak=True)
    assert evaluate(agent, allowed).caveat.startswith("the training set shares 1 log")
    calm = made(tmp_path / "calm", frames("log-1", "drive-1", range(10)), seed=3)
    assert evaluate(train_agent(calm, config=AGENT, seed=0), opened).caveat == ""


def test_an_agent_of_an_earlier_version_cannot_be_checked(tmp_path, test_part):
    train = made(tmp_path / "train", frames("log-5", "drive-2", range(10)), seed=2)
    agent = train_agent(train, config=AGENT, seed=0)
    digest = agent.digest
    del agent.about["trained_on"]
    assert agent.digest == digest
    opened = open_test(test_part, ledger=tmp_path / "ledger.jsonl", config=None, what="x")
    assert evaluate(agent, opened).caveat == UNCHECKED
    agent.about["trained_on"] = {"pictures": 3}
    with pytest.raises(UserError, match=r"trained_on.*train the agent again"):
        evaluate(agent, opened)


def test_the_opening_is_refused_before_it_is_written(tmp_path, test_part):
    train = made(tmp_path / "train", frames("log-5", "drive-2", range(10)), seed=2)
    with pytest.raises(UserError, match="random: the training set shares"):
        open_test(test_part, ledger=tmp_path / "l.jsonl", config=None, what="x", trained_on={"random": train.footprint})
    assert not (tmp_path / "l.jsonl").exists()
