import pytest
import torch

from roadstill.denoisers.base import Denoiser, Sampling
from roadstill.denoisers.diffusion import (
    add_noise,
    ancestral_step,
    clean_from_noise,
    ddim_step,
    log_variance,
    posterior_mean,
    sample,
)
from roadstill.denoisers.dit import DiTDenoiser, VDenoiser
from roadstill.errors import UserError
from roadstill.networks.dit import DiT
from roadstill.schedules import NoiseSchedule, Progressive, linear, spoon_cosine

BETAS = {"linear": linear(), "scos2": spoon_cosine(2)}


def network_of(state) -> DiT:
    network = DiT(input_size=8, patch_size=2, in_channels=4, hidden_size=64, depth=2, num_heads=4, num_classes=3)
    network.load_state_dict(state, strict=True)
    return network.eval()


@pytest.fixture
def network(golden) -> DiT:
    return network_of(golden("tiny_dit").weights("state."))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", BETAS)
def test_training_losses_and_gradients_equal_the_reference(golden, network, name):
    values = golden("training_losses")
    denoiser = DiTDenoiser(network, BETAS[name])
    clean, noise, t = values["in.x0"], values["in.noise"], values["in.t"]
    values.check(f"{name}.x_t", add_noise(denoiser.schedule, clean, t, noise))
    estimate = denoiser.estimate_given(clean, values["in.y"], t=t, noise=noise)
    values.check(f"{name}.mse", estimate.mse)
    values.check(f"{name}.vb", estimate.loss - estimate.mse)
    values.check(f"{name}.loss", estimate.loss)
    values.check(f"{name}.predicted_x0", estimate.clean)
    estimate.loss.mean().backward()
    own = dict(network.named_parameters())
    for weight in values.parameters["grad_names"]:
        values.check(f"{name}.grad.{weight}", own[weight].grad)


@torch.no_grad()
@pytest.mark.parametrize("scale", [4.0, 1.5])
def test_guidance_equals_the_reference(golden, network, scale):
    values = golden("tiny_dit")
    z, t, y = (values[f"in.cfg_{name}"][:2] for name in ("z", "t", "y"))
    eps, logits = DiTDenoiser(network, linear()).guided(z, t, y, scale)
    stored = values[f"out.cfg_{scale}"]
    # The stored batch is doubled; the second half differs only in its unguided channels, which sampling never uses.
    values.check(f"out.cfg_{scale}", torch.cat([torch.cat([eps, logits], 1), stored[2:]]))
    torch.testing.assert_close(eps[:, :3], stored[2:, :3], rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_guidance_may_move_all_channels_and_one_skips_the_unlabelled_half(network):
    z, t, y = torch.randn(2, 4, 8, 8, generator=seeded()), torch.tensor([3, 700]), torch.tensor([0, 2])
    labelled, unlabelled = network(z, t, y)[:, :4], network(z, t, torch.tensor([3, 3]))[:, :4]
    every = DiTDenoiser(network, linear(), guided_channels=None).guided(z, t, y, 2.0)[0]
    torch.testing.assert_close(every, 2 * labelled - unlabelled, rtol=1e-4, atol=1e-5)
    batches = []
    network.register_forward_pre_hook(lambda _module, inputs: batches.append(len(inputs[0])))
    alone = DiTDenoiser(network, linear()).guided(z, t, y, 1.0)[0]
    assert batches == [2]
    torch.testing.assert_close(alone, labelled, rtol=0, atol=0)


@pytest.mark.parametrize("name", BETAS)
@pytest.mark.parametrize("index", [49, 25, 1, 0])
def test_single_steps_equal_the_reference(golden, name, index):
    values, schedule = golden("sampling_step"), NoiseSchedule.of(BETAS[name]).respaced(50)
    x, noise = values["in.x_t"], values["in.noise"]
    eps, logits = values["in.model_output"].chunk(2, dim=1)
    t = torch.tensor([index, index])
    at = f"{name}.50.index{index}."
    clean = clean_from_noise(schedule, x, t, eps)
    log_var = log_variance(schedule, logits, t, x)
    values.check(at + "model_t", schedule.timesteps[t])
    values.check(at + "predicted_x0", clean)
    values.check(at + "mean", posterior_mean(schedule, clean, x, t))
    values.check(at + "log_variance", log_var)
    values.check(at + "variance", log_var.exp())
    values.check(at + "sample", ancestral_step(schedule, x, t, eps, logits, noise))
    values.check(at + "ddim_eta0", ddim_step(schedule, x, t, eps))
    values.check(at + "ddim_eta0.5", ddim_step(schedule, x, t, eps, noise, 0.5))


LOOPS = [("random", "linear"), ("trained", "linear"), ("trained", "scos2")]


@torch.no_grad()
@pytest.mark.parametrize(("weights", "name"), LOOPS)
@pytest.mark.parametrize(("solver", "spacing"), [("ddpm", "even"), ("ddim", "even"), ("ddim", "stride")])
def test_whole_loops_equal_the_reference(golden, network, weights, name, solver, spacing):
    values = golden("sampling_loop")
    if weights == "trained":
        network = network_of(values.weights("trained."))
    denoiser = DiTDenoiser(network, BETAS[name])
    noises = iter(values["in.noise"][:, :2])
    seen = {}
    final = sample(
        lambda x, time: denoiser.guided(x, time, values["in.y"][:2], 4.0),
        denoiser.schedule.respaced(50, spacing),
        values["in.z_T"][:2],
        lambda: next(noises),
        solver=solver,
        trace=lambda done, x: seen.update({done: x}),
    )
    run = f"{weights}.{name}.cfg4.0."
    if solver == "ddpm":
        values.check(run + "ddpm.after10", seen[10])
        values.check(run + "ddpm.after_half", seen[25])
        values.check(run + "ddpm.final", final)
    else:
        values.check(run + ("ddim_eta0.50.final" if spacing == "even" else "ddim_eta0.ddim50.final"), final)


@torch.no_grad()
def test_dpm_solver_equals_diffusers(golden):
    from diffusers import DPMSolverMultistepScheduler

    values = golden("sampling_loop")
    denoiser = DiTDenoiser(network_of(values.weights("trained.")), linear())
    chain, start, row = denoiser.schedule.respaced(20), values["in.z_T"][:2], values["in.y"][:2]
    ours = sample(lambda x, time: denoiser.guided(x, time, row, 1.5), chain, start, lambda: None, solver="dpm")
    theirs = DPMSolverMultistepScheduler(
        trained_betas=linear().numpy(), algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="zero"
    )
    theirs.set_timesteps(timesteps=chain.timesteps.flip(0).tolist())
    x = start
    for time in theirs.timesteps:
        eps, _ = denoiser.guided(x, time.expand(2), row, 1.5)
        x = theirs.step(eps, time, x).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-3, atol=1e-3)


def test_guidance_acts_inside_its_interval_only(network):
    seen = []
    network.register_forward_pre_hook(lambda _m, inputs: seen.append((int(inputs[1][0]), len(inputs[0]))))
    sampling = Sampling(guidance=3.0, guidance_interval=(0.25, 0.5), steps=9, solver="ddim")
    DiTDenoiser(network, linear()).generate(torch.tensor([1]), seeds=[1], sampling=sampling)
    # Guided steps ask for two predictions, labelled and not.
    assert [time for time, count in seen if count == 2] == [500, 375, 250]
    assert len(seen) == 9


def test_the_variational_term_does_not_train_the_noise_channels(network):
    denoiser = DiTDenoiser(network, linear())
    heads = {}
    network.register_forward_hook(lambda _m, _i, out: heads.update(out=out) or out.retain_grad())
    clean, label = torch.randn(4, 4, 8, 8, generator=seeded()), torch.tensor([0, 1, 2, 0])
    noise = torch.randn(4, 4, 8, 8, generator=seeded(1))
    estimate = denoiser.estimate_given(clean, label, t=torch.tensor([0, 9, 400, 999]), noise=noise)
    (estimate.loss.sum() - (heads["out"][:, :4] - noise).square().flatten(1).mean(1).sum()).backward()
    assert heads["out"].grad[:, :4].abs().max() < 1e-7
    assert heads["out"].grad[:, 4:].abs().max() > 1e-4


def test_label_dropout_draws_once_per_sample_and_only_in_training(network):
    rows = []
    network.register_forward_pre_hook(lambda _m, inputs: rows.append(inputs[2]))
    denoiser = DiTDenoiser(network, linear(), label_dropout=0.25)
    clean, label = torch.zeros(400, 4, 8, 8), torch.full((400,), 1)
    network.train()
    denoiser.estimate(clean, label, generator=seeded(5))
    denoiser.estimate(clean, label, generator=seeded(5))
    network.eval()
    denoiser.estimate(clean, label, generator=seeded(5))
    assert torch.equal(rows[0], rows[1])
    assert 60 < (rows[0] == 3).sum() < 140
    assert ((rows[0] == 3) | (rows[0] == 1)).all()
    assert (rows[2] == 1).all()


def test_progressive_schedules_advance_and_share_the_network(network):
    denoiser = DiTDenoiser(network, Progressive())
    assert isinstance(denoiser, Denoiser)
    torch.testing.assert_close(denoiser.betas, spoon_cosine(6), rtol=0, atol=0)
    last = denoiser.at(0.99)
    torch.testing.assert_close(last.betas, spoon_cosine(2), rtol=0, atol=0)
    torch.testing.assert_close(last.at(0.0).betas, spoon_cosine(6), rtol=0, atol=0)
    assert last.network is network
    fixed = DiTDenoiser(network, linear())
    assert fixed.at(0.5) is fixed


def test_label_rows_are_looked_up_and_checked(network):
    seen = []
    network.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[2].tolist()))
    denoiser = DiTDenoiser(network, linear(), label_rows=[2, 0])
    denoiser.estimate(torch.zeros(3, 4, 8, 8), torch.tensor([0, 1, 0]), generator=seeded())
    assert seen == [[2, 0, 2]]
    with pytest.raises(UserError, match="label_rows"):
        DiTDenoiser(network, linear(), label_rows=[3])


def test_mistakes_are_named(network):
    with pytest.raises(UserError, match="guidance_interval is"):
        Sampling(guidance_interval=(0.6, 0.4))
    with pytest.raises(UserError, match="label_dropout"):
        DiTDenoiser(network, linear(), label_dropout=1.5)


@pytest.mark.parametrize("name", BETAS)
def test_min_snr_counts_an_error_of_the_clean_estimate_alike_whatever_is_predicted(name):
    schedule, t = NoiseSchedule.of(BETAS[name]), torch.arange(0, 1000, 37)
    signal = schedule.alpha_bar[t].float()
    # An error of 1 in the clean estimate is one of alpha / sigma in the noise, and of 1 / sigma in v.
    of_noise = DiTDenoiser(KnowsNothing(), schedule).min_snr_weight(t, 5.0) * signal / (1 - signal)
    of_v = VDenoiser(KnowsNothing(), schedule).min_snr_weight(t, 5.0) / (1 - signal)
    torch.testing.assert_close(of_noise, (signal / (1 - signal)).clamp(max=5.0), rtol=1e-3, atol=0)
    torch.testing.assert_close(of_v, of_noise, rtol=1e-3, atol=0)


class KnowsNothing(torch.nn.Module):
    input_size, num_classes, in_channels = 8, 2, 4

    def forward(self, x, t, y):
        return torch.zeros_like(x)


@torch.no_grad()
def test_v_of_nothing_loses_what_v_is_and_leaves_alpha_of_the_noisy_latent():
    denoiser, t = VDenoiser(KnowsNothing(), linear()), torch.tensor([0, 400, 999])
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=seeded())
    found = denoiser.estimate_given(clean, torch.tensor([0, 1, 1]), t=t, noise=noise)
    signal = denoiser.schedule.alpha_bar[t].float().reshape(-1, 1, 1, 1)
    v = signal.sqrt() * noise - (1 - signal).sqrt() * clean
    torch.testing.assert_close(found.mse, v.square().flatten(1).mean(1))
    noisy = add_noise(denoiser.schedule, clean, t, noise)
    torch.testing.assert_close(found.clean, signal.sqrt() * noisy, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.rough, noisy - (1 - signal).sqrt() * noisy, rtol=1e-4, atol=1e-5)
