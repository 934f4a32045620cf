"""EDM against the reference's values, and against its own equations."""

import pytest
import torch

from roadstill.denoisers.base import Sampling
from roadstill.denoisers.edm import (
    EDMDenoiser,
    chain_share,
    churned,
    loss_weight,
    preconditioning,
    sigma_steps,
    walk,
)
from roadstill.errors import UserError
from roadstill.networks.songunet import STYLES, SongUNet

TINY = {"input_size": 8, "num_classes": 3, "channels": 16, "channel_mult": (1, 2), "num_blocks": 1, "attention": (4,)}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Toy(torch.nn.Module):
    """The golden file's network: conv3x3 + a * c_noise + a row per class."""

    in_channels, input_size, num_classes = 3, 8, 3

    def __init__(self, values):
        super().__init__()
        for name in "WbaV":
            setattr(self, name, torch.nn.Parameter(values[f"net.{name}"].clone()))

    def forward(self, x, t, y):
        wide = torch.nn.functional.conv2d(x, self.W, self.b, padding=1)
        return wide + (t[:, None] * self.a + self.V[y])[:, :, None, None]


@pytest.fixture
def denoiser():
    network = SongUNet(**TINY)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1, generator=seeded(1))
    return EDMDenoiser(network, label_dropout=0.1)


def test_preconditioning_loss_and_gradients_equal_the_reference(golden):
    values = golden("edm_core")
    for name, ours in zip(("c_skip", "c_out", "c_in", "c_noise"), preconditioning(values["in.sigmas"]), strict=True):
        values.check(f"precond.{name}", ours)
    network = Toy(values)
    sigma = (1.2 * values["loss.normal_for_sigma"].flatten() - 1.2).exp()
    values.check("loss.sigma", sigma)
    values.check("loss.weight", loss_weight(sigma))
    batch = {"t": sigma, "noise": values["loss.unit_noise"]}
    estimate = EDMDenoiser(network).estimate_given(values["loss.y"], values["loss.class_id"], **batch)
    values.check("loss.denoised", estimate.clean)
    values.check("loss.per_sample_sum", estimate.loss)
    values.check("loss.sum_over_batch", estimate.loss.mean())
    estimate.loss.mean().backward()
    for name in "WbaV":
        values.check(f"loss.grad.{name}", getattr(network, name).grad)
    mean = EDMDenoiser(network, loss_reduction="mean").estimate_given(
        values["loss.y"], values["loss.class_id"], **batch
    )
    torch.testing.assert_close(mean.loss * 3 * 8 * 8, estimate.loss)
    torch.testing.assert_close(mean.mse, mean.loss.detach())


def test_the_sampler_equals_the_reference(golden):
    values = golden("edm_core")
    mu, s = values["heun.mu"].double()[values["heun.class_id"]][:, :, None, None], values["heun.s"].double()
    seen = []

    def denoise(x, sigma):
        seen.append((sigma, x))
        return (sigma**2 * mu + s**2 * x) / (sigma**2 + s**2)

    for steps in (18, 6):
        sigmas = sigma_steps(steps)
        values.check(f"heun.N{steps}.sigma_steps", sigmas)
        seen.clear()
        values.check(f"heun.N{steps}.final", walk(denoise, 80 * values["heun.latents"].double(), sigmas.tolist()))
        assert len(seen) == 2 * steps - 1
        if steps == 18:
            values.check("heun.N18.x_before_step", torch.stack([x for _, x in seen[::2]]))
    numbers, raised = iter(range(18)), []

    def churn(x, sigma):
        noise = values["heun.churn_noise"][next(numbers)].double()
        x, sigma = churned(x, sigma, noise, amount=40 / 18, between=(0.05, 50.0), scale=1.003)
        raised.append(sigma)
        return x, sigma

    sigmas = sigma_steps(18).tolist()
    values.check("heun.churn.final", walk(denoise, 80 * values["heun.latents"].double(), sigmas, churn=churn))
    values.check("heun.churn.sigma_hat", torch.tensor(raised, dtype=torch.float64))
    toy = EDMDenoiser(Toy(values))

    def toys(x, sigma):
        return toy.denoised(x.float(), torch.full((3,), sigma), values["heun.class_id"]).double()

    with torch.no_grad():
        values.check("heun.conv_net.final", walk(toys, 80 * values["heun.latents"].double(), sigmas))


@pytest.mark.parametrize("style", STYLES)
def test_networks_behind_the_preconditioning_equal_the_reference(golden, style):
    values = golden(f"edm_songunet_{style}")
    network = SongUNet(**TINY, style=style, dropout=0.13, augment_dim=9)
    network.load_state_dict(values.weights("state.model."), strict=True)
    denoiser = EDMDenoiser(network.eval())
    x, sigma, rows = values["in.x"], values["in.sigma"], values["in.class_id"]
    out = denoiser.denoised(x, sigma, rows)
    values.check("out.denoised", out)
    values.check("out.mean_square", out.square().mean())
    out.square().mean().backward()
    for name in values.parameters["grad_names"]:
        values.check(f"grad.{name}", dict(network.named_parameters())[name.removeprefix("model.")].grad)
    c_skip, c_out, c_in, c_noise = (each.reshape(-1, 1, 1, 1) for each in preconditioning(sigma))
    told = network(c_in * x, c_noise.flatten(), rows, augment=values["in.augment_labels"])
    values.check("out.denoised_augment_labels", c_skip * x + c_out * told)

    def denoise(x, level):
        return denoiser.denoised(x.float(), torch.full((2,), level), rows[:2]).double()

    with torch.no_grad():
        sampled = walk(denoise, 80 * values["in.latents"].double(), sigma_steps(18).tolist())
    values.check("out.sampled_18_steps", sampled)


def test_eighteen_steps_without_guidance_are_the_default(denoiser):
    assert denoiser.plan(Sampling()) == ("heun", 1.0, 18)
    assert denoiser.plan(Sampling(guidance=2.0))[1] == 2.0
    assert [chain_share(sigma) for sigma in sigma_steps(5)[:5].tolist()] == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    denoiser.label_dropout = 0.0
    with pytest.raises(UserError, match=r"guidance is 2.0, but .* without label_dropout .* set guidance to 1"):
        denoiser.generate(torch.tensor([0]), seeds=[1], sampling=Sampling(guidance=2.0))


def test_mirrored_pictures_are_told_of_and_turned_back(denoiser):
    network = SongUNet(**TINY, augment_dim=9)
    seen = []
    network.register_forward_pre_hook(lambda _m, inputs, more: seen.append((inputs[0], more)), with_kwargs=True)
    mirroring = EDMDenoiser(network.train(), augment=1.0)
    clean = torch.randn(3, 3, 8, 8, generator=seeded(2))
    estimate = mirroring.estimate(clean, torch.tensor([0, 1, 2]), generator=seeded())
    ((shown, told),) = seen
    assert torch.equal(told["augment"], torch.eye(9)[:1].expand(3, -1))
    # A fresh network says nothing, so that the estimate is c_skip times what it was shown.
    c_skip, _, c_in, _ = (each.reshape(-1, 1, 1, 1) for each in preconditioning(estimate.t))
    torch.testing.assert_close(estimate.clean, (c_skip * shown / c_in).flip(3), rtol=1e-3, atol=1e-3)
    seen.clear()
    EDMDenoiser(network).estimate(clean, torch.tensor([0, 1, 2]), generator=seeded())
    assert not seen[0][1]


def test_dropout_is_seeded_by_the_generator_and_off_in_evaluation():
    network = SongUNet(**TINY, dropout=0.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1, generator=seeded(1))
    denoiser, clean, label = EDMDenoiser(network), torch.randn(3, 3, 8, 8), torch.tensor([0, 1, 2])
    first, again = (denoiser.estimate(clean, label, generator=seeded(3)).loss for _ in range(2))
    assert torch.equal(first, again)
    network.eval()
    assert not torch.equal(first, denoiser.estimate(clean, label, generator=seeded(3)).loss)


def test_settings_that_mean_nothing_are_refused():
    for settings in ({"loss_reduction": "median"}, {"augment": 2.0}):
        with pytest.raises(UserError, match="loss_reduction is"):
            EDMDenoiser(SongUNet(**TINY), **settings)
