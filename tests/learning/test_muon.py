"""Muon: orthogonal steps of matrices as PyTorch's own makes them, AdamW for the rest."""

import pytest
import torch
from torch import nn

from roadstill.learning.muon import Muon, matrices_of, orthogonalised


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 8), nn.LayerNorm(8), nn.Embedding(4, 8))


def learn(network, *optimisers, steps=5):
    """A few steps on fixed random gradients."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for weight in network.parameters():
            weight.grad = torch.randn(weight.shape, generator=generator)
        for optimiser in optimisers:
            optimiser.step()
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


@pytest.mark.parametrize("shape", [(32, 96), (96, 32), (48, 48), (1, 7)])
def test_singular_values_become_about_one_and_directions_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = matrix + 3 * torch.eye(*shape)  # far from singular
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = left.T @ orthogonalised(matrix) @ right.T
    values = found.diag()
    assert values.min() > 0.65
    assert values.max() < 1.25
    torch.testing.assert_close(found, values.diag(), atol=1e-5, rtol=0)


def test_a_matrix_without_gradient_stays_where_it_is():
    assert torch.equal(orthogonalised(torch.zeros(4, 6)), torch.zeros(4, 6))


def test_matrices_are_the_weights_of_linear_layers_that_learn(network):
    network[2].weight.requires_grad_(False)
    assert [id(each) for each in matrices_of(network)] == [id(network[0].weight)]


def test_matrices_move_as_in_pytorch_and_the_rest_as_in_adamw(network):
    begun = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    ours = learn(network, Muon(network.parameters(), matrices_of(network), lr=1e-3, weight_decay=0.1))
    network.load_state_dict(begun)
    matrices = matrices_of(network)
    rest = [weight for weight in network.parameters() if not any(weight is matrix for matrix in matrices)]
    theirs = learn(
        network,
        # Its step is scaled to a root mean square of 0.2, ours to 1.
        torch.optim.Muon(matrices, lr=5e-3, weight_decay=0.1 / 5, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=1e-3, weight_decay=0.1, fused=True),
    )
    for name in begun:
        moved, expected = ours[name] - begun[name], theirs[name] - begun[name]
        if name in ("0.weight", "2.weight"):
            assert (moved - expected).norm() < 0.03 * expected.norm(), name  # theirs computes in bfloat16
        else:
            assert torch.equal(moved, expected), name
