"""What holds refined pictures back: no new grain, and a generator's score."""

import torch

from roadstill.denoisers.dit import DiTDenoiser
from roadstill.distil.priors import excess_variation, score_direction, total_variation
from roadstill.schedules import NoiseSchedule, linear


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_total_variation_counts_edges():
    pictures = torch.zeros(2, 3, 4, 4)
    pictures[1, :, :, 2:] = 1.0  # one step of 1 in each row: 1 of 3 differences across, none down
    assert torch.allclose(total_variation(pictures), torch.tensor([0.0, 1 / 3]))


def test_only_grain_above_the_usual_costs():
    pictures = torch.rand(3, 3, 8, 8, generator=seeded())
    usual = total_variation(pictures)
    assert excess_variation(pictures, usual) == 0
    assert excess_variation(pictures, 2 * usual) == 0
    grainy = (pictures * 1.5).requires_grad_(True)
    loss = excess_variation(grainy, usual)
    torch.testing.assert_close(loss, torch.tensor(0.5))
    loss.backward()
    assert excess_variation(grainy.detach() - 0.1 * grainy.grad, usual) < loss


class Knows(torch.nn.Module):
    """Takes everything but one latent for noise."""

    input_size, num_classes, in_channels = 4, 2, 3

    def __init__(self, clean):
        super().__init__()
        self.clean = torch.nn.Parameter(clean)
        self.bars = NoiseSchedule.of(linear()).alpha_bar

    def forward(self, x, t, y):
        signal = self.bars[t].float().reshape(-1, 1, 1, 1)
        return (x - signal.sqrt() * self.clean[y % 2]) / (1 - signal).sqrt()


def test_the_score_points_away_from_what_the_generator_knows():
    known = torch.randn(2, 3, 4, 4, generator=seeded())
    base = DiTDenoiser(Knows(known), linear(), guided_channels=None)
    latents = known[[0, 1, 1]] + 0.3 * torch.randn(3, 3, 4, 4, generator=seeded(1))
    found = score_direction(base, latents, torch.tensor([0, 1, 1]), share=0.1, seed=0, step=0, batch_size=2)
    away = latents - known[[0, 1, 1]]
    torch.testing.assert_close(found, away / away.square().mean().sqrt(), atol=1e-4, rtol=1e-3)
