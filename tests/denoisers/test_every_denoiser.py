"""What holds for every denoiser, whatever its network predicts: exact networks, seeds, guides, criteria, resuming."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from roadstill.criteria import Diversity, Representativeness
from roadstill.denoisers.base import Denoiser, Sampling, SolverNoise, TeacherGuidance
from roadstill.denoisers.dit import DiTDenoiser, VDenoiser
from roadstill.denoisers.edm import EDMDenoiser, preconditioning
from roadstill.denoisers.sit import SiTDenoiser
from roadstill.errors import UserError
from roadstill.networks.dit import DiT
from roadstill.networks.songunet import SongUNet
from roadstill.schedules import NoiseSchedule, linear

LINEAR = NoiseSchedule.of(linear())


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Knowing(nn.Module):
    """Knows one clean latent ``[c, h, w]`` per class, so that what it predicts is exact; a subclass says how."""

    input_size, num_classes = 8, 2

    def __init__(self, clean: Tensor):
        super().__init__()
        self.clean, self.in_channels = nn.Parameter(clean), clean.shape[1]

    def forward(self, x, t, y):
        return self.predict(x, t, self.clean[y % 2])


class KnowsNoise(Knowing):
    def predict(self, x, t, clean):
        signal = LINEAR.alpha_bar[t].float().reshape(-1, 1, 1, 1)
        return (x - signal.sqrt() * clean) / (1 - signal).sqrt()


class KnowsV(KnowsNoise):
    def predict(self, x, t, clean):
        signal = LINEAR.alpha_bar[t].float().reshape(-1, 1, 1, 1)
        return signal.sqrt() * super().predict(x, t, clean) - (1 - signal).sqrt() * clean


class KnowsVelocity(Knowing):
    def predict(self, x, t, clean):
        return (clean - x) / (1 - t).reshape(-1, 1, 1, 1)


class KnowsPicture(Knowing):
    def predict(self, x, t, clean):
        c_skip, c_out, c_in, _ = (each.reshape(-1, 1, 1, 1) for each in preconditioning((4 * t).exp()))
        return (clean - c_skip * x / c_in) / c_out


def with_weights(network):
    """The network with random weights everywhere: a fresh one predicts zeros."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1, generator=seeded(1))
    return network


def small_dit():
    return with_weights(
        DiT(input_size=8, patch_size=2, in_channels=4, hidden_size=16, depth=2, num_heads=2, num_classes=3)
    )


def small_unet():
    sizes = {"input_size": 8, "num_classes": 3, "channels": 16, "channel_mult": (1, 2), "num_blocks": 1}
    return with_weights(SongUNet(**sizes, attention=(4,)))


@dataclass(frozen=True)
class Kind:
    """One denoiser under test.

    Attributes:
        small: makes one with random weights and three classes.
        exact: makes one whose network knows its clean latents ``[2, c, 8, 8]``.
        channels: channels of its latents.
        walks: sampling settings under which exact networks give the clean latents back.
        gap: largest distance from them.
        draws: sampling settings under which batches are compared with single latents.
        last: the weights of the small one's last layer.
        estimate_gap: largest distance of an exact network's estimate from the clean latent.
        free: sampling settings that switch guidance off.
    """

    small: Callable[[], Denoiser]
    exact: Callable[[Tensor], Denoiser]
    channels: int
    walks: tuple[dict[str, Any], ...]
    gap: float
    draws: tuple[dict[str, Any], ...]
    last: Callable[[Any], Tensor]
    estimate_gap: float = 1e-4
    free: dict[str, Any] = field(default_factory=lambda: {"guidance": 1.0})

    def clean(self):
        return torch.randn(2, self.channels, 8, 8, generator=seeded()) / 2


KINDS = {
    "dit": Kind(
        small=lambda: DiTDenoiser(small_dit(), linear()),
        exact=lambda clean: DiTDenoiser(KnowsNoise(clean), LINEAR),
        channels=4,
        walks=({"steps": 20, "solver": "ddpm"}, {"steps": 20, "solver": "ddim"}, {"steps": 20, "solver": "dpm"}),
        gap=2e-2,
        estimate_gap=1e-3,
        draws=({"steps": 6, "solver": "ddpm"}, {"steps": 6, "solver": "ddim", "noise": SolverNoise(eta=0.5)}),
        last=lambda network: network.final_layer.linear.weight,
    ),
    "v": Kind(
        small=lambda: VDenoiser(small_dit(), linear()),
        exact=lambda clean: VDenoiser(KnowsV(clean), LINEAR),
        channels=4,
        walks=({"steps": 20, "solver": "ddpm"}, {"steps": 20, "solver": "ddim"}, {"steps": 20, "solver": "dpm"}),
        gap=2e-2,
        draws=({"steps": 6, "solver": "ddpm"}, {"steps": 6, "solver": "dpm"}),
        last=lambda network: network.final_layer.linear.weight,
    ),
    "sit": Kind(
        small=lambda: SiTDenoiser(small_dit(), guided_channels=None),
        exact=lambda clean: SiTDenoiser(KnowsVelocity(clean)),
        channels=4,
        walks=({"steps": 5, "solver": "heun"}, {"steps": 5, "solver": "euler"}),
        gap=1e-5,
        draws=({"steps": 10},),
        last=lambda network: network.final_layer.linear.weight,
    ),
    "edm": Kind(
        small=lambda: EDMDenoiser(small_unet(), label_dropout=0.1),
        exact=lambda clean: EDMDenoiser(KnowsPicture(clean)),
        channels=3,
        walks=({}, {"steps": 5, "solver": "euler"}, {"steps": 1}, {"noise": SolverNoise(churn=40.0)}),
        gap=2e-3,
        draws=(
            {"steps": 6, "guidance": None},
            {"steps": 6, "noise": SolverNoise(churn=40.0)},
            {"steps": 6, "mixed_precision": "bf16"},
        ),
        last=lambda network: network.dec["8x8_aux_conv"].weight,
        free={},
    ),
}


@pytest.fixture(params=KINDS)
def kind(request) -> Kind:
    return KINDS[request.param]


def of_each(fields: str):
    """Cases ``(kind, settings)`` by the kind's name and number, of one of its fields."""
    return [
        pytest.param(each, settings, id=f"{name}-{number}")
        for name, each in KINDS.items()
        for number, settings in enumerate(getattr(each, fields))
    ]


@pytest.mark.parametrize(("kind", "settings"), of_each("walks"))
def test_an_exact_network_gives_the_clean_latent_back(kind, settings):
    clean, label = kind.clean(), torch.tensor([0, 1, 1])
    denoiser = kind.exact(clean)
    assert isinstance(denoiser, Denoiser)
    estimate = denoiser.estimate(clean[label], label, generator=seeded())
    torch.testing.assert_close(estimate.clean, clean[label], rtol=0, atol=kind.estimate_gap)
    assert estimate.mse.max() < 1e-6
    out = denoiser.generate(label, seeds=[1, 2, 3], sampling=Sampling(**kind.free | settings))
    torch.testing.assert_close(out, clean[label].detach(), rtol=0, atol=kind.gap)


@pytest.mark.parametrize(("kind", "settings"), of_each("draws"))
@pytest.mark.parametrize("strength", [None, 0.3])
def test_a_latent_depends_on_its_seed_and_start_and_not_on_its_batch(kind, settings, strength):
    denoiser, label, seeds = kind.small(), torch.tensor([0, 1, 2]), [11, 12, 13]
    start = None if strength is None else torch.randn(3, kind.channels, 8, 8, generator=seeded(5)) / 2
    sampling = Sampling(**{"guidance": 2.0} | settings | ({"strength": strength} if strength else {}))
    together = denoiser.generate(label, seeds=seeds, sampling=sampling, start=start)
    rough = 0.1 if "mixed_precision" in settings else 1e-4
    for i in range(3):
        own = None if start is None else start[i : i + 1]
        alone = denoiser.generate(label[i : i + 1], seeds=[seeds[i]], sampling=sampling, start=own)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=rough, atol=rough)
    other = denoiser.generate(label, seeds=[11, 12, 14], sampling=sampling, start=start)
    assert torch.equal(together[:2], other[:2])
    assert (together[2] - other[2]).abs().max() > 0.01
    if start is not None:
        free = denoiser.generate(label, seeds=seeds, sampling=sampling)
        assert (together - start).square().mean() < 0.5 * (free - start).square().mean()


@pytest.mark.parametrize(
    ("name", "guidance", "coarse", "limit", "share"), [("sit", 2.0, 8, 128, 0.2), ("edm", None, 18, 256, 0.5)]
)
def test_heun_is_of_second_order_and_euler_of_first(name, guidance, coarse, limit, share):
    denoiser = KINDS[name].small()

    def end(solver, steps):
        sampling = Sampling(guidance=guidance, steps=steps, solver=solver)
        return denoiser.generate(torch.tensor([1]), seeds=[4], sampling=sampling)

    best = end("heun", limit)
    error = {
        (solver, steps): float((end(solver, steps) - best).norm())
        for solver in ("euler", "heun")
        for steps in (coarse, 2 * coarse)
    }
    assert 1.7 < error["euler", coarse] / error["euler", 2 * coarse] < 2.4
    assert error["heun", coarse] / error["heun", 2 * coarse] > 2.5
    assert error["heun", coarse] < 0.5 * error["euler", coarse]
    assert error["heun", 2 * coarse] < share * error["euler", 2 * coarse]


def test_criteria_carry_over_with_gradient(kind):
    denoiser = kind.small()
    clean, label = torch.randn(4, kind.channels, 8, 8, generator=seeded(3)), torch.tensor([0, 1, 0, 1])
    terms = Representativeness(), Diversity()
    for _ in range(2):
        estimate = denoiser.estimate(clean, label, generator=seeded(6))
        loss = sum(term(estimate.clean, clean, label) for term in terms)
    loss.backward()
    assert kind.last(denoiser.network).grad[: kind.channels].abs().max() > 0


def noise_left(name: str, steps: int) -> float:
    """Share of noise behind the last but one step, which is what a guide's last move is a share of."""
    if name in ("dit", "v"):
        return float((1 - LINEAR.respaced(steps).alpha_bar[0]).sqrt())
    # EDM's last step leaves sigma_min of noise.
    return 1 / steps if name == "sit" else float(preconditioning(torch.tensor([0.002]))[1])


@pytest.mark.parametrize(
    ("name", "settings", "interval", "calls", "moved"),
    [
        ("dit", {"steps": 11, "solver": "ddim"}, (0.0, 1.0), 11, True),
        ("dit", {"steps": 11, "solver": "ddim"}, (0.0, 0.0), 1, True),
        ("dit", {"steps": 11, "solver": "ddim"}, (0.2, 1.0), 9, False),
        ("v", {"steps": 11, "solver": "ddim"}, (0.0, 1.0), 11, True),
        ("sit", {"steps": 10, "solver": "euler"}, (0.0, 1.0), 10, True),
        ("sit", {"steps": 10, "solver": "euler"}, (0.5, 1.0), 6, False),
        ("edm", {"steps": 6, "solver": "euler"}, (0.0, 0.5), 3, True),
        ("edm", {"steps": 6, "solver": "euler"}, (0.5, 1.0), 3, False),
    ],
)
def test_a_guide_moves_the_clean_estimate_by_shares_of_the_noise_that_is_left(name, settings, interval, calls, moved):
    kind, seen = KINDS[name], []
    clean = kind.clean()

    def guide(estimate):
        seen.append(estimate)
        return torch.ones_like(estimate)

    teacher = {"teacher": TeacherGuidance(0.3, interval)}
    sampling = Sampling(**kind.free | settings | teacher)
    out = kind.exact(clean).generate(torch.tensor([1]), seeds=[1], sampling=sampling, guide=guide)
    assert len(seen) == calls
    # What earlier steps moved is forgotten where the network knows the truth; the last step's move stays.
    for estimate in seen:
        torch.testing.assert_close(estimate, clean[1:].detach(), rtol=0, atol=kind.gap)
    left = moved * 0.3 * noise_left(name, settings["steps"])
    torch.testing.assert_close(out, clean[1:].detach() + left, rtol=0, atol=min(kind.gap, 2e-3))


def test_a_stored_generator_state_resumes_exactly(kind):
    denoiser, generator = kind.small(), seeded(3)
    clean, label = torch.randn(3, kind.channels, 8, 8, generator=seeded(2)), torch.tensor([0, 1, 2])
    denoiser.estimate(clean, label, generator=generator)
    state = generator.get_state()
    unbroken = denoiser.estimate(clean, label, generator=generator)
    resumed = denoiser.estimate(clean, label, generator=torch.Generator().set_state(state))
    assert torch.equal(unbroken.t, resumed.t)
    assert torch.equal(unbroken.loss, resumed.loss)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_the_residual_is_what_an_exact_network_takes_for_noise(kind, share):
    clean = kind.clean()
    denoiser, noise = kind.exact(clean), torch.randn(clean.shape, generator=seeded(2))
    latents = clean + 0.1 * torch.randn(clean.shape, generator=seeded(3))
    denoiser.network.train()
    found = denoiser.residual(latents, torch.tensor([0, 1]), share=share, noise=noise)
    assert torch.allclose(found, latents - clean, atol=5e-3)
    assert denoiser.network.training
    assert not found.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_generating_leaves_the_training_mode_and_needs_no_gradient(kind, training):
    denoiser = kind.small()
    denoiser.network.train(training)
    latents = denoiser.generate(torch.tensor([1]), seeds=[1], sampling=Sampling(steps=2))
    assert denoiser.network.training is training
    assert not latents.requires_grad
    assert latents.shape == (1, kind.channels, 8, 8)


@pytest.mark.parametrize(("name", "solver"), [("dit", "euler"), ("sit", "ddim"), ("edm", "ddim")])
def test_a_solver_of_another_kind_and_missing_seeds_are_refused(name, solver):
    denoiser = KINDS[name].small()
    with pytest.raises(UserError, match=f"solver '{solver}' is none of this generator's; choose"):
        denoiser.generate(torch.tensor([0]), seeds=[1], sampling=Sampling(solver=solver))
    with pytest.raises(UserError, match="1 seeds for 2 labels"):
        denoiser.generate(torch.tensor([0, 1]), seeds=[1])
