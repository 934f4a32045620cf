"""Refinement: the objectives against their definitions, and a small set that comes to stand for a large one."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from roadstill.agents import AgentConfig
from roadstill.codecs import CodecConfig, SmallCodec
from roadstill.errors import UserError
from roadstill.generator.refine import Refinement, head_gradients, refine, ridge_error
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.selection import Random, select

AGENT = AgentConfig(network="convnet", steps=3)


def colours(folder, n, *, seed=0, classes=("warm", "cold")):
    """Pictures whose class is in their colour, under noise."""
    rng = np.random.default_rng(seed)
    with ImageSetWriter(folder, classes, 32) as writer:
        for index in range(n):
            label = index % len(classes)
            picture = rng.integers(0, 200, (4, 4, 3)).repeat(8, 0).repeat(8, 1)
            picture[..., 2 * label] += 20
            writer.add(picture.astype(np.uint8), label, {"token": f"t{index}"})
    return open_imageset(folder)


@pytest.fixture(scope="module")
def codec():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = {"encoder_blocks": (1,), "decoder_blocks": (1,), "linear": "blocks"}
        codec = SmallCodec(CodecConfig(latent_channels=12, width=8, **shape))
        with torch.no_grad():  # a codec that hands pictures on: the linear path alone, both ways
            for part in (codec.encoder, codec.decoder):
                for parameter in part.parameters():
                    parameter.zero_()
            basis = torch.linalg.qr(torch.randn(12, 12))[0]
            codec.project.weight.copy_(basis.view(12, 3, 2, 2))
            codec.unproject.weight.copy_(basis.view(12, 3, 2, 2))
            codec.project.bias.zero_()
            codec.unproject.bias.fill_(1.0)  # the tiny decoder of nothing is -1
    return codec.eval().requires_grad_(False)


def test_head_gradients_are_those_of_the_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(7, 5, generator=generator), torch.tensor([0, 1, 2, 2, 1, 0, 0])
    heads = torch.randn(2, 3, 5, generator=generator)
    found = head_gradients(features, labels, heads)
    for index in range(2):
        weight, bias = heads[index].clone().requires_grad_(True), torch.zeros(3, requires_grad=True)
        F.cross_entropy(features @ weight.T + bias, labels).backward()
        torch.testing.assert_close(found[index, :15], weight.grad.flatten())
        torch.testing.assert_close(found[index, 15:], bias.grad * features.norm(dim=1).mean())


def test_the_ridge_error_is_that_of_the_normal_equations():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(6, 3, generator=generator), torch.randn(50, 3, generator=generator)
    labels, their_labels = torch.arange(6) % 2, (theirs[:, 0] > 0).long()
    found = ridge_error(ours, labels, theirs, their_labels, ridge=0.1)
    spread = (theirs - theirs.mean(0)).square().sum(1).mean().sqrt()
    a, b = (torch.cat([(x - theirs.mean(0)) / spread, torch.ones(len(x), 1)], 1) for x in (ours, theirs))
    penalty = 0.1 * float((a * a).sum(1).mean())
    weights = torch.linalg.solve(a.T @ a + penalty * torch.eye(4), a.T @ (2.0 * F.one_hot(labels, 2) - 1))
    torch.testing.assert_close(found, (b @ weights - (2.0 * F.one_hot(their_labels, 2) - 1)).square().mean())


@pytest.mark.parametrize("objective", [{"regression": 0.0}, {"gradients": 0.0}])
def test_a_refined_set_stands_for_the_whole_better_than_before(codec, tmp_path, objective):
    from roadstill.agents import train_agent
    from roadstill.evaluation import evaluate

    real, dev = colours(tmp_path / "real", 200), colours(tmp_path / "dev", 200, seed=1)
    agent = AgentConfig(network="convnet", steps=40, learning_rate=1e-3, head_init="zero")
    gains = []
    for seed in range(2):
        few = select(real, Random(), per_class=2, seed=seed).save(tmp_path / f"few{seed}")
        config = Refinement(steps=60, real_batch=100, **objective)
        made = refine(few, real, codec, agent=agent, config=config, seed=seed, out=tmp_path / f"made{seed}")
        before, after = (evaluate(train_agent(images, config=agent, seed=seed), dev).auroc for images in (few, made))
        gains.append(after - before)
    assert min(gains) > 0, gains
    assert np.mean(gains) > 0.02, gains


def test_the_record_says_what_was_refined_and_the_same_call_gives_the_same_bytes(codec, tmp_path):
    real = colours(tmp_path / "real", 40)
    few = select(real, Random(), per_class=2, seed=0)
    config = Refinement(steps=2)
    one, same, other = (
        refine(few, real, codec, agent=AGENT, config=config, seed=seed, out=tmp_path / name)
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    assert one.digest == same.digest != other.digest
    assert one.counts() == {"warm": 2, "cold": 2}
    assert one.column("token") == few.column("token")
    assert one.about["refined"]["from"] == few.digest
    assert one.about["refined"]["real"] == real.digest
    assert one.about["method"] == few.about["method"]


def test_batches_save_memory_and_change_nothing_else(codec, tmp_path):
    real = colours(tmp_path / "real", 40)
    few = select(real, Random(), per_class=4, seed=0)
    made = [
        refine(
            few, real, codec, agent=AGENT, config=Refinement(steps=4, batch_size=size), seed=0, out=tmp_path / str(size)
        ).pixels()
        for size in (3, 8)
    ]
    assert np.abs(made[0].astype(int) - made[1]).max() <= 1
    assert np.abs(made[0].astype(int) - few.pixels()).max() > 3


def test_closeness_keeps_pictures_where_they_were(codec, tmp_path):
    real = colours(tmp_path / "real", 40)
    few = select(real, Random(), per_class=2, seed=0)
    moved = [
        np.abs(
            refine(
                few,
                real,
                codec,
                agent=AGENT,
                config=Refinement(steps=10, closeness=closeness),
                seed=0,
                out=tmp_path / str(closeness),
            ).pixels()
            - few.pixels().astype(int)
        ).mean()
        for closeness in (0.0, 1000.0)
    ]
    assert moved[1] < 0.7 * moved[0]


def test_what_does_not_fit_is_refused(codec, tmp_path):
    real = colours(tmp_path / "real", 8)
    others = colours(tmp_path / "others", 8, classes=("a", "b"))
    with pytest.raises(UserError, match=r"has the classes \[a, b\]"):
        refine(others, real, codec, agent=AGENT, config=Refinement(), seed=0, out=tmp_path / "out")
    one_class = real.subset(np.flatnonzero(real.labels == 0))
    with pytest.raises(UserError, match="a class has no image"):
        refine(real, one_class, codec, agent=AGENT, config=Refinement(), seed=0, out=tmp_path / "out")
    with pytest.raises(UserError, match="gradients and regression are 0"):
        Refinement(gradients=0.0, regression=0.0)
    with pytest.raises(UserError, match="at least 1"):
        Refinement(steps=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("batch_size", [2, 32])
def test_a_loss_that_is_not_finite_stops_the_very_step(codec, tmp_path, monkeypatch, batch_size):
    real, calls = colours(tmp_path / "real", 8), []

    def spoilt(*words):
        calls.append(1)
        return ridge_error(*words) * (float("nan") if len(calls) == 2 else 1)

    monkeypatch.setattr("roadstill.generator.refine.ridge_error", spoilt)
    config = Refinement(steps=5, batch_size=batch_size)
    with pytest.raises(UserError, match=r"^step 2: the loss is not finite \(matching; rows \d"):
        refine(real, real, codec, agent=AGENT, config=config, seed=0, out=tmp_path / "out")
    assert len(calls) == 2
    assert not (tmp_path / "out").exists()
