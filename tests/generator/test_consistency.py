"""Generators of few steps: what they learn, what they record, and what is refused."""

from functools import partial

import numpy as np
import pytest
import torch
from broken import run_broken
from safetensors.torch import load_file
from torch import nn

from roadstill.adapters import Full, LoRA
from roadstill.codecs.latents import open_latents
from roadstill.codecs.shards import write_latents
from roadstill.denoisers.base import Origin, Sampling
from roadstill.denoisers.diffusion import ddim_step
from roadstill.denoisers.dit import DiTDenoiser, VDenoiser
from roadstill.denoisers.sit import SiTDenoiser
from roadstill.errors import UserError
from roadstill.generator.checkpoints import export_base, load_denoiser
from roadstill.generator.config import Attributes, Consistency, Ema, FinetuneConfig, Labels
from roadstill.generator.consistency import Teacher, pseudo_huber
from roadstill.generator.finetune import finetune
from roadstill.networks.dit import DiT
from roadstill.networks.kinds import NetworkConfig
from roadstill.schedules import NoiseSchedule, linear

LINEAR = NoiseSchedule.of(linear())
FEW = Consistency(steps=8, guidance=1.5)
SCRATCH = {
    "network": NetworkConfig(hidden_size=16, depth=2, num_heads=2), "adapters": (Full(),), "batch_size": 8,
}  # fmt: skip
KINDS = {"v_prediction": partial(VDenoiser, betas=linear()), "velocity": SiTDenoiser}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def small(kind, seed=1, **settings):
    """A denoiser whose network has random weights everywhere."""
    network = DiT(input_size=4, patch_size=2, in_channels=4, hidden_size=16, depth=2, num_heads=2, num_classes=2)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1, generator=seeded(seed))
    return KINDS[kind](network, guided_channels=None, label_dropout=0.0, **settings)


def teacher_of(denoiser, steps=8, guidance=1.5):
    return Teacher(denoiser, FinetuneConfig(consistency=Consistency(steps, guidance)))


def latents_at(folder, num=48):
    """Latents whose first channel shows whether it is day or night, and the others what class they have."""
    rng = np.random.default_rng(0)
    labels, light = np.arange(num) % 2, np.arange(num) // 2 % 2
    mean = 0.2 * rng.normal(size=(num, 4, 4, 4)) + (2.0 * labels - 1)[:, None, None, None]
    mean[:, 0] += (2.0 * (light - labels))[:, None, None]
    write_latents(
        folder, [({"mean": torch.from_numpy(mean).half()}, 0.05)], labels, class_names=("not_brake", "brake"),
        shard_rows=num, about={"codec": "codec0"}, attributes={"light": ("day", "night")}, codes=light[:, None],
    )  # fmt: skip
    return open_latents(folder)


@pytest.fixture
def latents(tmp_path):
    return latents_at(tmp_path / "latents")


def trained(latents, out, **settings):
    given = {"steps": 4, **SCRATCH, **settings}
    if "base" in given:
        del given["network"]
    return finetune(latents, base=given.pop("base", None), out=out, config=FinetuneConfig(**given), seed=0)


@pytest.fixture(params=KINDS)
def base(request, latents, tmp_path):
    checkpoint = trained(latents, tmp_path / "scratch", objective=request.param)
    return export_base(checkpoint, tmp_path / "base.safetensors")


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_the_target_is_what_the_student_sees_one_guided_step_further_on(kind):
    teacher, student = small(kind), small(kind, seed=2)
    clean, label = torch.randn(16, 4, 4, 4, generator=seeded(3)), torch.arange(16) % 2
    found = teacher_of(teacher).estimate(student, clean, label, generator=seeded(4))
    assert {0, 7} < set(found.t.tolist()) <= set(range(8))
    for place, level in enumerate(found.t.tolist()):
        one, row, share = clean[place : place + 1], label[place : place + 1], torch.tensor([(level + 1) / 8])
        noise = replayed_noise(clean, 4)[place : place + 1]
        if kind == "velocity":
            noisy = (1 - share) * one + share * noise
            velocity = teacher.guided(noisy, 1 - share, row, 1.5)[0]
            ahead, time = noisy + velocity / 8, 1 - share + 1 / 8  # Euler's rule
            wanted = ahead if level == 0 else ahead + (1 - time) * student.predict(ahead, time, row)[0]
            mine = noisy + share * student.predict(noisy, 1 - share, row)[0]
        else:
            chain, t = teacher.schedule.respaced(8, "trailing"), torch.tensor([level])
            signal = chain.alpha_bar[level].float()
            noisy = signal.sqrt() * one + (1 - signal).sqrt() * noise
            v = teacher.guided(noisy, chain.timesteps[t], row, 1.5)[0]
            ahead = ddim_step(chain, noisy, t, signal.sqrt() * v + (1 - signal).sqrt() * noisy)
            mine = signal.sqrt() * noisy - (1 - signal).sqrt() * student.predict(noisy, chain.timesteps[t], row)[0]
            before = chain.alpha_bar_before[level].float()
            wanted = ahead
            if level:
                v = student.predict(ahead, chain.timesteps[t - 1], row)[0]
                wanted = before.sqrt() * ahead - (1 - before).sqrt() * v
        torch.testing.assert_close(found.clean[place], mine[0], rtol=1e-3, atol=1e-4)
        squared = (mine - wanted).square().mean()
        torch.testing.assert_close(found.mse[place], squared, rtol=2e-3, atol=1e-6)
        torch.testing.assert_close(found.loss[place], (squared + 0.00054**2).sqrt() - 0.00054, rtol=2e-3, atol=1e-6)


def replayed_noise(clean, seed):
    """The noise of an estimate of eight levels with this seed."""
    generator = seeded(seed)
    torch.randint(8, (len(clean),), generator=generator)
    return torch.randn(clean.shape, generator=generator)


def test_the_distance_is_quadratic_near_zero_and_then_linear():
    squared = torch.tensor([0.0, 1e-9, 1.0, 4.0], requires_grad=True)
    near, one, two = pseudo_huber(squared, 1)[1:].tolist()
    assert pseudo_huber(squared, 1)[0] == 0
    assert near == pytest.approx(1e-9 / (2 * 0.00054), rel=1e-2)
    assert two - one == pytest.approx(1.0, rel=1e-3)
    (gradient,) = torch.autograd.grad(pseudo_huber(squared, 1).sum(), squared)
    assert gradient.isfinite().all()
    torch.testing.assert_close(pseudo_huber(7 * squared, 7), pseudo_huber(squared, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_student_learns_and_neither_teacher_nor_target_do(kind):
    teacher, student = small(kind), small(kind, seed=2)
    clean, label = torch.randn(8, 4, 4, 4, generator=seeded(3)), torch.arange(8) % 2
    found = teacher_of(teacher).estimate(student, clean, label, generator=seeded(4))
    found.loss.mean().backward()
    assert all(weight.grad is None for weight in teacher.network.parameters())
    gradient = student.network.final_layer.linear.weight.grad
    assert gradient.abs().max() > 0
    # The target is a constant: with it alone the gradient would be another.
    student.network.zero_grad()
    again = teacher_of(teacher).estimate(student, clean, label, generator=seeded(4))
    wanted = again.clean.detach()
    ((again.clean - wanted).square()).sum().backward()
    assert not student.network.final_layer.linear.weight.grad.any()


class Gaussian(nn.Module):
    """Knows two classes that are normal around -1 and 1: the best guess, or where the chain's way ends (`ends`)."""

    in_channels, input_size, num_classes, spread = 4, 4, 2, 0.3

    def __init__(self, kind: str, ends: bool):
        super().__init__()
        self.kind, self.ends, self.weight = kind, ends, nn.Parameter(torch.zeros(1))

    def forward(self, x, t, y):
        signal = t if self.kind == "velocity" else LINEAR.alpha_bar[t].float().sqrt()
        rest = 1 - signal if self.kind == "velocity" else (1 - signal**2).sqrt()
        signal, rest, mean = (each.reshape(-1, 1, 1, 1) for each in (signal, rest, 2.0 * y - 1))
        total = signal**2 * self.spread**2 + rest**2
        share = self.spread / total.sqrt() if self.ends else signal * self.spread**2 / total
        clean = mean + share * (x - signal * mean)
        return (clean - x) / rest if self.kind == "velocity" else (signal * x - clean) / rest


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_a_student_that_knows_where_the_way_ends_is_consistent_and_draws_the_classes(kind):
    teacher, student = (KINDS[kind](Gaussian(kind, ends), guided_channels=None) for ends in (False, True))
    clean, label = 0.3 * torch.randn(256, 4, 4, 4, generator=seeded(3)), torch.arange(256) % 2
    clean += (2.0 * label - 1)[:, None, None, None]
    teaching = teacher_of(teacher, steps=250, guidance=1.0)
    best, other = (
        float(teaching.estimate(each, clean, label, generator=seeded(4)).mse.sqrt().mean())
        for each in (student, teacher)
    )
    assert best < 0.005
    assert other > 2 * best
    student.origin = Origin(distilled=1.0)
    for steps in (1, 2, 4):
        drawn = student.generate(label, seeds=range(256), sampling=Sampling(steps=steps))
        for each in (0, 1):
            assert drawn[label == each].mean() == pytest.approx(2 * each - 1, abs=0.02)
            assert drawn[label == each].std() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_of_the_distilled_comes_nearer_to_many_than_one_of_its_base(kind, latents, tmp_path):
    settings = {"batch_size": 32, "learning_rate": 5e-3, "ema": Ema(decay=0.95), "save_every": 1000, "log_every": 1000}
    checkpoint = trained(latents, tmp_path / "many", objective=kind, **settings | {"steps": 300})
    base = export_base(checkpoint, tmp_path / "base.safetensors")
    settings |= {"steps": 200, "learning_rate": 2e-3}
    few = trained(latents, tmp_path / "few", base=base, consistency=FEW, **settings)
    label, seeds = torch.tensor([0, 1] * 16), range(32)

    def drawn(path, **sampling):
        return load_denoiser(path).generate(label, seeds=seeds, sampling=Sampling(**sampling))

    solver = "ddim" if kind == "v_prediction" else "euler"
    many = drawn(base, steps=64, guidance=1.5, solver=solver)
    at_once = drawn(base, steps=2, guidance=1.5, solver=solver)
    one_step = drawn(few, steps=1)
    assert (one_step - many).square().mean() < (at_once - many).square().mean()
    means = one_step[:, 1:].mean((1, 2, 3))
    assert (means[label == 1] > 0.4).all()
    assert (means[label == 0] < -0.4).all()


def test_it_is_recorded_goes_on_to_the_bit_and_stands_alone(latents, base, tmp_path, monkeypatch):
    config = FinetuneConfig(steps=6, batch_size=8, log_every=2, save_every=2, adapters=(LoRA(rank=2),), consistency=FEW)
    arguments = {"base": base, "config": config, "seed": 0}
    whole = finetune(latents, out=tmp_path / "whole", **arguments)
    broken = run_broken(monkeypatch, 4, latents, out=tmp_path / "broken", **arguments)
    one, other = (load_file(folder / "trained.safetensors") for folder in (whole, broken))
    assert all(torch.equal(one[name], other[name]) for name in one)
    alone = export_base(whole, tmp_path / "few.safetensors")
    for found in (load_denoiser(whole), load_denoiser(alone)):
        assert found.origin.distilled == 1.5
        assert found.plan(Sampling()) == ("consistency", 1.0, 4)
        assert found.plan(Sampling(steps=1, guidance=1.0)) == ("consistency", 1.0, 1)
        with pytest.raises(UserError, match=r"has guidance 1\.5 inside; leave guidance out"):
            found.plan(Sampling(guidance=3.0))
        with pytest.raises(UserError, match="walks many steps, and this generator has few"):
            found.plan(Sampling(solver=type(found).solvers[0]))
        with pytest.raises(UserError, match="tells nothing of single noise levels"):
            found.residual(torch.zeros(1, 4, 4, 4), torch.tensor([0]), share=0.5, noise=torch.zeros(1, 4, 4, 4))
    with pytest.raises(UserError, match="the base was distilled to few steps"):
        trained(latents, tmp_path / "again", base=alone)
    assert load_denoiser(base).origin.distilled is None
    with pytest.raises(UserError, match="it was not distilled to few steps"):
        load_denoiser(base).plan(Sampling(solver="consistency"))


def test_what_does_not_go_with_it_is_refused(latents, base, tmp_path):
    refused = [
        ({"min_snr": 5.0}, "has its own loss"),
        ({"labels": Labels(init="mean")}, "keeps the base's classes"),
        ({"adapters": (Full(),), "base": None}, "needs a base"),
    ]
    if load_denoiser(base).objective == "velocity":
        refused = refused[1:]
    else:
        refused.append(({"schedule": "cosine:2"}, "keeps the base's noise schedule, which cosine:2 is not"))
    for number, (settings, message) in enumerate(refused):
        given = {"base": base, "consistency": FEW} | settings
        if given["base"] is None:
            del given["base"]
        with pytest.raises(UserError, match=message):
            trained(latents, tmp_path / str(number), **given)


def test_a_noise_predictor_has_no_few_steps(latents, tmp_path):
    base = export_base(trained(latents, tmp_path / "scratch"), tmp_path / "base.safetensors")
    assert type(load_denoiser(base)) is DiTDenoiser
    with pytest.raises(UserError, match="v_prediction or velocity, and this one predicts noise"):
        trained(latents, tmp_path / "few", base=base, consistency=FEW)


def test_weights_of_others_teach_as_what_they_are_said_to_predict(latents, tmp_path):
    network = DiT(input_size=4, patch_size=2, in_channels=4, hidden_size=384, depth=1, num_heads=6, num_classes=2)
    torch.save(network.state_dict(), tmp_path / "SiT.pt")
    config = FinetuneConfig(steps=1, batch_size=8, objective="velocity", consistency=FEW, labels=Labels(rows=(0, 1)))
    out = finetune(latents, base=tmp_path / "SiT.pt", out=tmp_path / "few", config=config, seed=0)
    assert load_denoiser(out, base=tmp_path / "SiT.pt").origin.distilled == 1.5


def test_attributes_are_taught_too_and_none_is_new(latents, tmp_path):
    light = Attributes(("light",))
    settings = {"batch_size": 32, "learning_rate": 5e-3, "ema": Ema(decay=0.95), "save_every": 1000, "log_every": 1000}
    checkpoint = trained(
        latents, tmp_path / "many", objective="velocity", attributes=light, **settings | {"steps": 250}
    )
    base = export_base(checkpoint, tmp_path / "base.safetensors")
    few = trained(latents, tmp_path / "few", base=base, attributes=light, consistency=FEW, **settings | {"steps": 100})
    found = load_denoiser(few)
    assert found.origin.attributes == {"light": ("day", "night")}
    for row, sign in ((0, -1), (1, 1)):
        drawn = found.generate(torch.tensor([[1, row]] * 16), seeds=range(16), sampling=Sampling(steps=2))
        assert sign * drawn[:, 0].mean() > 0.5
    plain = export_base(trained(latents, tmp_path / "p", objective="velocity"), tmp_path / "plain.safetensors")
    with pytest.raises(UserError, match="name no new attributes"):
        trained(latents, tmp_path / "new", base=plain, attributes=light, consistency=FEW)
