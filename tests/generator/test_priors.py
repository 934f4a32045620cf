"""What holds refined pictures back: coarse changes first, no new grain, and a generator's score."""

import torch

from roadstill.denoisers.dit import DiTDenoiser
from roadstill.generator.priors import Pyramid, excess_variation, score_direction, total_variation
from roadstill.schedules import NoiseSchedule, linear


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_pyramid_moves_coarse_to_fine():
    start = torch.randn(2, 3, 8, 8, generator=seeded())
    pyramid = Pyramid(start, 3, 6, 0.1)
    pull = torch.randn(start.shape, generator=seeded(1))
    smooth = []
    for step in range(6):
        latents = pyramid.latents(step)
        pyramid.move(latents, pull)
        moved = pyramid.latents(step).detach() - start
        smooth.append(float((moved[..., 1:] - moved[..., :-1]).abs().mean() / moved.abs().mean()))
    assert smooth[1] < 0.7 * smooth[5], smooth
    assert len(pyramid.optimizer.param_groups) == 3
    assert [part.shape[2] for part in pyramid.parts] == [2, 4, 8]
    assert [group["lr"] for group in pyramid.optimizer.param_groups] == [0.1, 0.05, 0.025]


def test_a_pyramid_of_one_level_is_adam_on_the_latents():
    start = torch.randn(2, 3, 4, 4, generator=seeded())
    plain, pyramid = start.clone().requires_grad_(True), Pyramid(start, 1, 5, 0.1)
    adam = torch.optim.Adam([plain], lr=0.1)
    for step in range(5):
        plain.grad = plain.detach().sin()
        adam.step()
        latents = pyramid.latents(step)
        pyramid.move(latents, latents.detach().sin())
    assert torch.equal(pyramid.latents(5), plain)


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
