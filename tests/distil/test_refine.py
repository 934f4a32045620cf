"""Refinement: a small set that comes to stand for a large one, for one network and for several."""

import numpy as np
import pytest
import torch

from roadstill.agents import AgentConfig
from roadstill.codecs import CodecConfig, SmallCodec
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.distil.objectives.linear import objective_of
from roadstill.distil.refine import Refinement, refine
from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.networks.dit import DiT
from roadstill.runs import digest_of, plain
from roadstill.schedules import linear
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
        return objective_of(*words) * (float("nan") if len(calls) == 2 else 1)

    monkeypatch.setattr("roadstill.distil.objectives.linear.objective_of", spoilt)
    config = Refinement(steps=5, batch_size=batch_size)
    with pytest.raises(UserError, match=r"^step 2: the loss is not finite \(matching; rows \d"):
        refine(real, real, codec, agent=AGENT, config=config, seed=0, out=tmp_path / "out")
    assert len(calls) == 2
    assert not (tmp_path / "out").exists()


@pytest.fixture
def base():
    network = DiT(input_size=16, patch_size=4, in_channels=12, hidden_size=16, depth=1, num_heads=2, num_classes=2)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    return DiTDenoiser(network, linear(), guided_channels=None)


def test_new_settings_are_in_no_record_while_they_have_their_defaults():
    told = {"type", "steps", "learning_rate", "gradients", "regression", "closeness", "heads", "head_scale", "ridge",
            "real_batch", "real_images", "batch_size"}  # fmt: skip
    assert set(plain(Refinement())) == told
    assert digest_of(Refinement()) == "fdcfd0711a0f2164"
    assert plain(Refinement(networks=["convnet-3"]))["networks"] == ["convnet-3"]


def test_without_new_settings_it_is_one_backward_pass_through_network_and_codec(codec, tmp_path):
    """The loop written out: what is done in two passes, through the pictures, changes nothing but rounding."""
    from roadstill.agents.features import prepare_pixels
    from roadstill.agents.training import build_network
    from roadstill.codecs import from_pixels, to_pixels
    from roadstill.distil.objectives.linear import random_heads
    from roadstill.learning.loops import generator_of

    real = colours(tmp_path / "real", 40)
    few, config = select(real, Random(), per_class=2, seed=0), Refinement(steps=5, closeness=0.5, real_batch=16)
    network = build_network(AGENT, 2, 3, 32).eval().requires_grad_(False)

    def seen(pictures):
        return network.features(network.trunk(prepare_pixels(network, pictures, None)))

    rows = np.concatenate([np.flatnonzero(real.labels == label) for label in (0, 1)])
    known, objective = seen(torch.from_numpy(real.pixels(rows))), config.method().objective
    start = codec.encode(from_pixels(torch.from_numpy(few.pixels()))).mean
    latents, one_hot = start.clone().requires_grad_(True), torch.nn.functional.one_hot
    adam = torch.optim.Adam([latents], lr=config.learning_rate)
    for step in range(config.steps):
        generator = generator_of("linear", 3, step)
        chosen = torch.randint(40, (16,), generator=generator)
        heads = random_heads(known, 2, config.heads, config.head_scale, generator)
        adam.zero_grad()
        ours, labels = seen((codec.decode(latents) + 1) / 2), one_hot(torch.from_numpy(few.labels.copy()), 2).float()
        wanted = one_hot(torch.from_numpy(real.labels[rows])[chosen], 2).float()
        objective_of(ours, labels, known[chosen], wanted, heads, objective).backward()
        (0.5 * (latents - start).square().mean()).backward()
        adam.step()
    made = refine(few, real, codec, agent=AGENT, config=config, seed=3, out=tmp_path / "out")
    wanted = to_pixels(codec.decode(latents.detach())).numpy().astype(int)
    assert np.abs(made.pixels() - wanted).max() <= 1
    assert not np.array_equal(made.pixels(), few.pixels())


def test_every_network_pulls_and_the_record_names_all(codec, tmp_path):
    real = colours(tmp_path / "real", 40)
    few = select(real, Random(), per_class=2, seed=0)
    made = {
        name: refine(
            few, real, codec, agent=AGENT, config=Refinement(steps=3, networks=more), seed=0, out=tmp_path / name
        )
        for name, more in {"one": (), "again": ("convnet",), "two": ("convnet-3",)}.items()
    }
    assert np.array_equal(made["one"].pixels(), made["again"].pixels())  # the agent's own network counts once
    assert not np.array_equal(made["one"].pixels(), made["two"].pixels())
    assert "networks" not in made["one"].about["refined"]
    assert made["two"].about["refined"]["networks"] == ["convnet", "convnet-3"]


def test_batches_change_nothing_with_everything_on(codec, base, tmp_path):
    real = colours(tmp_path / "real", 40)
    few = select(real, Random(), per_class=4, seed=0)
    made = []
    for size in (3, 8):
        config = Refinement(
            steps=4, batch_size=size, networks=("convnet-3",), augment="dsa", pyramid=2, variation=1.0, score=0.5,
            closeness=0.1, real_batch=20,
        )  # fmt: skip
        out = tmp_path / str(size)
        made.append(refine(few, real, codec, agent=AGENT, config=config, seed=0, out=out, base=base).pixels())
    assert np.abs(made[0].astype(int) - made[1]).max() <= 1
    assert np.abs(made[0].astype(int) - few.pixels()).max() > 3


def test_variation_keeps_grain_out(codec, tmp_path):
    from roadstill.distil.priors import total_variation

    real = colours(tmp_path / "real", 40)
    few = select(real, Random(), per_class=2, seed=0)
    grain = []
    for weight in (0.0, 100.0):
        config = Refinement(steps=15, learning_rate=0.1, variation=weight)
        made = refine(few, real, codec, agent=AGENT, config=config, seed=0, out=tmp_path / str(weight))
        grain.append(float(total_variation(torch.from_numpy(made.pixels()).permute(0, 3, 1, 2).float()).mean()))
    start = float(total_variation(torch.from_numpy(few.pixels()).permute(0, 3, 1, 2).float()).mean())
    assert grain[0] > 1.1 * start
    assert grain[1] - start < 0.5 * (grain[0] - start)


def test_the_start_is_kept_if_nothing_on_the_way_is_better(codec, tmp_path, monkeypatch):
    real, dev = colours(tmp_path / "real", 40), colours(tmp_path / "dev", 20, seed=1)
    few = select(real, Random(), per_class=2, seed=0)
    config = Refinement(steps=4, looks=2, networks=("convnet-3",))
    given = iter([0.7, 0.6, 0.9, 0.5, 0.8, 0.6])  # start, step 2, step 4; a network each
    monkeypatch.setattr("sklearn.metrics.balanced_accuracy_score", lambda *_: next(given))
    made = refine(few, real, codec, agent=AGENT, config=config, seed=0, out=tmp_path / "out", dev=dev)
    assert np.array_equal(made.pixels(), few.pixels())
    found = made.about["refined"]
    assert found["dev"] == dev.digest
    assert found["chosen"]["step"] == 0
    assert [each["step"] for each in found["chosen"]["from"]] == [0, 2, 4]
    assert found["chosen"]["from"][1]["balanced_accuracy"] == {"convnet": 0.9, "convnet-3": 0.5}
    assert dev.digest in made.footprint.sets


def test_the_last_state_judged_is_what_a_refinement_without_looks_gives(codec, tmp_path, monkeypatch):
    real, dev = colours(tmp_path / "real", 40), colours(tmp_path / "dev", 20, seed=1)
    few = select(real, Random(), per_class=2, seed=0)
    given = iter([0.1, 0.2, 0.3])
    monkeypatch.setattr("sklearn.metrics.balanced_accuracy_score", lambda *_: next(given))
    looked, plainly = (
        refine(
            few, real, codec, agent=AGENT, config=Refinement(steps=4, looks=looks), seed=0, out=tmp_path / str(looks),
            dev=dev if looks else None,
        ).pixels()
        for looks in (2, 0)
    )  # fmt: skip
    assert np.array_equal(looked, plainly)


def test_what_has_no_effect_or_does_not_fit_is_refused(codec, base, tmp_path):
    real = colours(tmp_path / "real", 8)
    test_part = real.subset(np.arange(8), split="test").save(tmp_path / "test")

    def call(config, **more):
        refine(real, real, codec, agent=AGENT, config=config, seed=0, out=tmp_path / "out", **more)

    with pytest.raises(UserError, match="mirrors is False, but has an effect only with augment dsa"):
        Refinement(mirrors=False)
    with pytest.raises(UserError, match="pyramid is 3, more than the 2 steps"):
        Refinement(steps=2, pyramid=3)
    with pytest.raises(UserError, match="agent network 'lite' is unknown"):
        Refinement(networks=("lite",))
    with pytest.raises(UserError, match=r"score is 0\.5 and no base"):
        call(Refinement(score=0.5))
    with pytest.raises(UserError, match="score is 0 and a base"):
        call(Refinement(), base=base)
    with pytest.raises(UserError, match="looks is 1 and no dev part"):
        call(Refinement(looks=1))
    with pytest.raises(UserError, match="looks is 0 and a dev part"):
        call(Refinement(), dev=real)
    with pytest.raises(UserError, match="is the test part, which chooses nothing"):
        call(Refinement(looks=1), dev=test_part)
    base.num_classes = 1
    with pytest.raises(UserError, match=r"of 1 classes, but these are \[12, 16, 16\] of 2"):
        call(Refinement(score=0.5), base=base)
    assert not (tmp_path / "out").exists()
