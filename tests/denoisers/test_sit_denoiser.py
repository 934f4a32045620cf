"""The velocity denoiser against its own equations: exact paths, seeds, guidance, and the loss on known values."""

import pytest
import torch

from roadstill.criteria import Diversity, Representativeness
from roadstill.denoisers.base import Denoiser, Sampling, TeacherGuidance
from roadstill.denoisers.sit import SiTDenoiser
from roadstill.errors import UserError
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


class Straight(torch.nn.Module):
    """Knows one clean latent, so that its velocity is exact: (clean - x_t) / (1 - t)."""

    in_channels, input_size, num_classes = 4, 8, 2

    def __init__(self, clean):
        super().__init__()
        self.clean = torch.nn.Parameter(clean)

    def forward(self, x, t, y):
        return (self.clean - x) / (1 - t).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("solver", ["heun", "euler"])
def test_exact_velocity_gives_the_clean_latent_back(solver):
    clean = torch.randn(1, 4, 8, 8, generator=seeded())
    denoiser = SiTDenoiser(Straight(clean))
    assert isinstance(denoiser, Denoiser)
    estimate = denoiser.estimate(clean.expand(6, -1, -1, -1), torch.zeros(6, dtype=torch.int64), generator=seeded())
    torch.testing.assert_close(estimate.clean, clean.expand(6, -1, -1, -1), rtol=0, atol=1e-4)
    assert estimate.loss.max() < 1e-6
    out = denoiser.generate(torch.tensor([0]), seeds=[1], sampling=Sampling(guidance=1.0, steps=5, solver=solver))
    torch.testing.assert_close(out, clean.detach(), rtol=0, atol=1e-5)


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


def test_heun_is_of_second_order(denoiser):
    def end(solver, steps):
        sampling = Sampling(guidance=2.0, steps=steps, solver=solver)
        return denoiser.generate(torch.tensor([1]), seeds=[4], sampling=sampling)

    limit = end("heun", 128)
    error = {key: float((end(*key) - limit).norm()) for key in (("euler", 8), ("euler", 16), ("heun", 8), ("heun", 16))}
    assert 1.7 < error["euler", 8] / error["euler", 16] < 2.4
    assert error["heun", 8] / error["heun", 16] > 2.5
    assert error["heun", 16] < 0.2 * error["euler", 16]


def test_a_latent_depends_on_its_seed_and_start_and_not_on_its_batch(denoiser):
    label, start = torch.tensor([0, 1, 2]), torch.randn(3, 4, 8, 8, generator=seeded(5))
    sampling = Sampling(guidance=2.0, steps=10, strength=0.3)
    together = denoiser.generate(label, seeds=[1, 2, 3], sampling=sampling, start=start)
    for i in range(3):
        one = denoiser.generate(label[i : i + 1], seeds=[i + 1], sampling=sampling, start=start[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], one, rtol=1e-4, atol=1e-5)
    free = denoiser.generate(label, seeds=[1, 2, 3], sampling=sampling)
    assert (together - start).square().mean() < 0.3 * (free - start).square().mean()


def test_criteria_carry_over_with_gradient(denoiser):
    clean, label = torch.randn(4, 4, 8, 8, generator=seeded(3)), torch.tensor([0, 1, 0, 1])
    terms = Representativeness(), Diversity()
    for _ in range(2):
        estimate = denoiser.estimate(clean, label, generator=seeded(6))
        loss = sum(term(estimate.clean, clean, label) for term in terms)
    loss.backward()
    assert denoiser.network.final_layer.linear.weight.grad[:4].abs().max() > 0


def test_a_solver_of_the_other_kind_is_refused(denoiser):
    with pytest.raises(UserError, match="solver 'ddim' is none of this generator's; choose heun or euler"):
        denoiser.generate(torch.tensor([0]), seeds=[1], sampling=Sampling(solver="ddim"))


@pytest.mark.parametrize(("interval", "calls", "moved"), [((0.0, 1.0), 10, 1), ((0.5, 1.0), 6, 0)])
def test_a_guide_moves_the_clean_estimate_by_shares_of_the_noise_that_is_left(interval, calls, moved):
    clean = torch.randn(1, 4, 8, 8, generator=seeded())
    seen = []

    def guide(estimate):
        seen.append(estimate)
        return torch.ones_like(estimate)

    out = SiTDenoiser(Straight(clean)).generate(
        torch.tensor([0]),
        seeds=[1],
        sampling=Sampling(guidance=1.0, steps=10, solver="euler", teacher=TeacherGuidance(0.3, interval)),
        guide=guide,
    )
    assert len(seen) == calls
    for estimate in seen:
        torch.testing.assert_close(estimate, clean.detach(), rtol=0, atol=1e-5)
    # The last step leaves a tenth of the noise.
    torch.testing.assert_close(out, clean.detach() + moved * 0.3 * 0.1, rtol=0, atol=1e-5)
