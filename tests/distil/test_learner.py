"""Unrolled training: its gradient is the true one, whatever the graph's memory."""

import pytest
import torch
from torch.nn import functional as F

from roadstill.agents import AgentConfig
from roadstill.agents.training import build_network
from roadstill.distil.learner import Learner, differentiable_twice, loss_for, roll_out


def learner(px=16):
    return Learner(build_network(AgentConfig(network="convnet-3", image_px=px), 3, 0).train(), loss_for("class"))


def data(count=4, px=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.randn((count, 3, px, px), generator=generator)
    return pictures, F.one_hot(torch.arange(count) % 3, 3).float()


def test_a_flat_vector_is_the_network():
    own = learner()
    flat = own.flat()
    assert len(flat) == sum(p.numel() for p in own.network.parameters())
    pictures, _ = data()
    torch.testing.assert_close(own.outputs(flat, pictures), own.network(pictures))
    own.put(flat + 0.01)
    torch.testing.assert_close(own.flat(), flat + 0.01)
    torch.testing.assert_close(own.outputs(flat + 0.01, pictures), own.network(pictures))


def test_both_ways_to_the_gradient_agree():
    own = learner()
    flat, (pictures, targets) = own.flat(), data()
    once = own.gradient(flat, pictures, targets, twice=False)
    twice = own.gradient(flat.requires_grad_(True), pictures, targets, twice=True)
    assert twice.requires_grad
    assert not once.requires_grad
    torch.testing.assert_close(once, twice.detach(), rtol=1e-3, atol=1e-5)


def test_gradients_of_gradients_are_those_of_differences():
    own = learner(8)
    own.network.double()
    flat, (pictures, targets) = own.flat().double(), data(2, 8)
    pictures, targets = pictures.double(), targets.double()
    direction = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    along = torch.randn(flat.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def value(shift):
        return (own.gradient(flat.clone().requires_grad_(True), pictures + shift * direction, targets, twice=True)
                * along).sum()  # fmt: skip

    moved = pictures.clone().requires_grad_(True)
    wanted = own.gradient(flat.clone().requires_grad_(True), moved, targets, twice=True)
    (found,) = torch.autograd.grad((wanted * along).sum(), moved)
    slope = (value(1e-5) - value(-1e-5)).detach() / 2e-5
    assert float((found * direction).sum()) == pytest.approx(float(slope), rel=1e-4)


def test_rolling_out_is_the_whole_graphs_gradient():
    own = learner()
    (pictures, targets), start = data(), own.flat()
    rate = torch.tensor(0.1)
    batches = [torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([0, 3])]

    def step(state, given, shared):
        gradient = own.gradient(state[0], given[0], given[1], twice=torch.is_grad_enabled())
        return (state[0] - shared[0] * gradient,)

    leaf, labels, rated = (each.clone().requires_grad_(True) for each in (pictures, targets, rate))
    at = start.clone().requires_grad_(True)
    weights = at
    with differentiable_twice(own.network):
        for rows in batches:
            loss = own.loss(own.outputs(weights, leaf[rows]), labels[rows])
            weights = weights - rated * torch.autograd.grad(loss, weights, create_graph=True)[0]
    wanted = torch.autograd.grad(weights.square().sum(), [at, leaf, labels, rated])
    (end,), moved = roll_out(
        step, (start,), [(pictures[rows], targets[rows]) for rows in batches], (rate,), lambda state: (2 * state[0],)
    )
    torch.testing.assert_close(end, weights.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(moved.state[0], wanted[0], rtol=1e-2, atol=1e-3 * float(wanted[0].abs().max()))
    its, their = torch.zeros_like(pictures), torch.zeros_like(targets)
    for rows, (one, two) in zip(batches, moved.inputs, strict=True):
        its.index_add_(0, rows, one)
        their.index_add_(0, rows, two)
    torch.testing.assert_close(its, wanted[1], rtol=1e-2, atol=1e-3 * float(wanted[1].abs().max()))
    torch.testing.assert_close(their, wanted[2], rtol=1e-2, atol=1e-3 * float(wanted[2].abs().max()))
    torch.testing.assert_close(moved.settings[0], wanted[3], rtol=1e-3, atol=1e-6)
