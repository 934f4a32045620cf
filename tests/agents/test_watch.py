from dataclasses import replace

import numpy as np
import pytest
import torch
from made import picture_set

from roadstill.agents import AgentConfig, FeatureCache, open_agent, train_agent
from roadstill.agents.training import build_network
from roadstill.agents.watch import DevWatch
from roadstill.errors import UserError
from roadstill.evaluation import evaluate

SMALL = AgentConfig(network="convnet", steps=12, batch_size=4, learning_rate=3e-3)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return picture_set(tmp_path_factory.mktemp("train") / "set", 10)


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    return picture_set(tmp_path_factory.mktemp("dev") / "set", 30, seed=1)


def test_looking_changes_nothing_but_the_second_agent(train, dev, tmp_path):
    blind = train_agent(train, config=SMALL, seed=0)
    seen = train_agent(train, config=SMALL, seed=0, dev=dev, looks=5)
    assert blind.chosen is None
    assert blind.digest == seen.digest
    for name, value in blind.network.state_dict().items():
        assert torch.equal(value, seen.network.state_dict()[name])
    chosen = seen.chosen
    assert [step for step, _ in chosen.about["looks"]] == [3, 5, 8, 10, 12]
    best = max(share for _, share in chosen.about["looks"])
    assert chosen.about["chosen_step"] == next(step for step, share in chosen.about["looks"] if share == best)
    assert evaluate(chosen, dev).balanced_accuracy == pytest.approx(best)
    assert evaluate(seen, dev).balanced_accuracy == pytest.approx(chosen.about["looks"][-1][1])
    opened = open_agent(seen.save(tmp_path / "agent"))
    assert opened.digest == seen.digest
    # What the last look has seen is not computed again, and is what an opened agent would find.
    assert seen.known.keys() == {dev.digest}
    assert not chosen.known
    np.testing.assert_array_equal(seen.predict_set(dev), opened.predict_set(dev))
    np.testing.assert_array_equal(opened.chosen.predict(dev.pixels()), chosen.predict(dev.pixels()))
    np.testing.assert_array_equal(open_agent(tmp_path / "agent" / "chosen").predict(dev.pixels()),
                                  chosen.predict(dev.pixels()))  # fmt: skip
    again = train_agent(train, config=SMALL, seed=0, dev=dev, looks=5)
    assert again.chosen.about == chosen.about
    assert open_agent(blind.save(tmp_path / "agent")).chosen is None


def test_the_first_of_equal_looks_is_kept(dev):
    network = build_network(SMALL, 2, 0).train()
    watch = DevWatch(dev, network, None, steps=4, looks=4, cache=FeatureCache())
    with torch.no_grad():
        network.head.weight.zero_()
        for step, bias in enumerate([[0.0, 1.0], [1.0, 0.0]], 1):
            network.head.bias.copy_(torch.tensor(bias))
            watch.after(step)
    assert watch.looks == [(1, 0.5), (2, 0.5)]
    assert watch.best == (1, 0.5)
    assert network.training
    assert watch.chosen().head.bias.tolist() == [0.0, 1.0]


def test_the_test_part_chooses_nothing(train, dev):
    with pytest.raises(UserError, match="is the test part"):
        train_agent(train, config=SMALL, seed=0, dev=replace(dev, about={"split": "test", "test_opening": 1}))
    with pytest.raises(UserError, match="every class"):
        train_agent(train, config=SMALL, seed=0, dev=dev.subset([0, 2]))
    with pytest.raises(UserError, match="looks"):
        train_agent(train, config=SMALL, seed=0, dev=dev, looks=0)
