"""The velocity denoiser on known values; what it shares with the others stands in test_every_denoiser."""

import pytest
import torch

from roadstill.denoisers.sit import SiTDenoiser
from roadstill.networks.dit import DiT


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def denoiser():
    network = DiT(input_size=8, patch_size=2, in_channels=4, hidden_size=16, depth=2, num_heads=2, num_classes=3)
    generator = seeded(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1, generator=generator)
    return SiTDenoiser(network, guided_channels=None)


def test_loss_and_clean_estimate_are_those_of_the_equations(denoiser):
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=seeded(2))
    t, rows = torch.tensor([0.0, 0.3, 0.9]), torch.tensor([0, 2, 1])
    estimate = denoiser.estimate_given(clean, rows, t=t, noise=noise)
    for i in range(3):
        mixed = t[i] * clean[i] + (1 - t[i]) * noise[i]
        velocity = denoiser.network(mixed[None], t[i : i + 1], rows[i : i + 1])[0, :4]
        torch.testing.assert_close(estimate.loss[i], (velocity - clean[i] + noise[i]).square().mean())
        torch.testing.assert_close(estimate.clean[i], mixed + (1 - t[i]) * velocity)
        torch.testing.assert_close(estimate.rough[i], mixed - (mixed - t[i] * velocity))
    torch.testing.assert_close(estimate.t, torch.tensor([1.0, 0.7, 0.1]))
