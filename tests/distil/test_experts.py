"""Experts that seek flat minima: a step against one written out with gradients of the network itself."""

import numpy as np
import pytest
import torch
from made import picture_set
from torch.nn import functional as F

from roadstill.agents import AgentConfig
from roadstill.agents.training import build_network
from roadstill.distil.experts import ExpertTraining, make_experts
from roadstill.distil.spaces import Space
from roadstill.distil.task import real_of
from roadstill.errors import UserError
from roadstill.runs import seed_of

AGENT = AgentConfig(network="convnet-3", normalise="cifar10")
RATE, RHO, ALPHA = 0.5, 0.3, 0.4


def test_a_step_towards_flat_minima_is_that_of_gsam(tmp_path):
    images = picture_set(tmp_path / "set", 8, px=16)
    real = real_of(images, Space((0.5,) * 3, (0.25,) * 3), "class", 0)
    config = ExpertTraining(1, 1, RATE, batch_size=len(images), augment="none", rho=RHO, alpha=ALPHA)
    experts = make_experts(real, AGENT, tmp_path / "experts", config=config, seed=0)
    moved = experts.at(0, 1) - experts.at(0, 0)

    network = build_network(AGENT, 2, seed_of("expert", 0, 0), 16).train()
    pictures, targets = real.batch(np.arange(len(images)))

    def gradients():
        network.zero_grad()
        F.cross_entropy(network(pictures), targets).backward()
        return [each.grad.clone() for each in network.parameters()]

    def dot(ones, others):
        return sum((one * other).sum() for one, other in zip(ones, others, strict=True))

    here = gradients()
    with torch.no_grad():
        for weight, slope in zip(network.parameters(), here, strict=True):
            weight += RHO * slope / dot(here, here).sqrt()
    there = gradients()
    share = dot(here, there) / dot(there, there)
    wanted = [-RATE * (b - ALPHA * (a - share * b)) for a, b in zip(here, there, strict=True)]
    torch.testing.assert_close(moved, torch.cat([each.flatten() for each in wanted]), rtol=1e-4, atol=1e-7)


def test_taking_off_what_lies_across_needs_a_radius():
    with pytest.raises(UserError, match=r"alpha is 0\.3, but has an effect only with rho above 0; set rho"):
        ExpertTraining(alpha=0.3)
