"""Kernel regression as an agent."""

import numpy as np
import pytest
import torch
from made import picture_set

from roadstill.agents import AgentConfig, open_agent, train_agent
from roadstill.agents.kernel import require_few
from roadstill.errors import UserError
from roadstill.evaluation import evaluate
from roadstill.learning.kernels import regress, tangent_kernel

CONFIG = AgentConfig(network="kernel")


def test_it_knows_what_it_learnt_and_tells_others_by_the_kernel(tmp_path):
    train, other = picture_set(tmp_path / "a", 24), picture_set(tmp_path / "b", 40, seed=1)
    agent = train_agent(train, config=CONFIG, seed=0)
    assert evaluate(agent, train).balanced_accuracy == 1.0
    assert evaluate(agent, other).balanced_accuracy > 0.8
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def flat(images):
        return ((torch.from_numpy(images.pixels()).permute(0, 3, 1, 2).float() / 255 - mean) / std).flatten(1)

    a, b = flat(train), flat(other)
    targets = torch.nn.functional.one_hot(torch.from_numpy(train.labels), 2).double()
    wanted = regress(tangent_kernel(a, a), tangent_kernel(b, a), targets - 0.5) + 0.5
    np.testing.assert_allclose(agent.predict(other.pixels()), (10 * wanted).softmax(1).numpy(), atol=2e-3)
    again = open_agent(agent.save(tmp_path / "agent"))
    np.testing.assert_array_equal(again.predict_set(other), agent.predict_set(other))


def test_sets_that_are_too_large_are_refused():
    with pytest.raises(UserError, match="kernel regression of 50,000 pictures"):
        require_few(50_000)
