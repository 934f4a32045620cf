import numpy as np
import pytest
import torch
from made import picture_set

from roadstill.agents import AgentConfig, open_agent, train_agent, train_agents
from roadstill.errors import UserError

SMALL = AgentConfig(network="convnet-3", steps=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_agents_side_by_side_are_the_ones_trained_alone(tmp_path, workers):
    images = picture_set(tmp_path / "set", 4)
    found = train_agents(images, config=SMALL, seeds=[0, 7], out=tmp_path / "agents", workers=workers)
    assert [agent.about["seed"] for agent in found] == [0, 7]
    alone = train_agent(images, config=SMALL, seed=7)
    for name, value in alone.network.state_dict().items():
        torch.testing.assert_close(found[1].network.state_dict()[name], value, atol=1e-5, rtol=1e-4)
    opened = open_agent(tmp_path / "agents" / "seed7")
    np.testing.assert_array_equal(opened.predict(images.pixels()), found[1].predict(images.pixels()))


def test_each_agent_has_its_own_seed(tmp_path):
    images = picture_set(tmp_path / "set", 4)
    with pytest.raises(UserError, match="each agent needs its own"):
        train_agents(images, config=SMALL, seeds=[1, 1], out=tmp_path / "agents")
