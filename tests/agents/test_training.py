"""Ways of training: optimisers, rates, epochs, augmentation, precision, protocols; digests of the time before them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from made import picture_set
from torch.nn import functional as F

from roadstill.agents import AgentConfig, open_agent, protocol, train_agent
from roadstill.agents.augment import cutmix, draws
from roadstill.agents.config import PROTOCOLS
from roadstill.agents.training import augmented, batch_at, build_network, make_optimiser
from roadstill.cli import completed, main, verb_function
from roadstill.errors import UserError
from roadstill.runs import digest_of, plain, seed_of


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return picture_set(tmp_path_factory.mktemp("set") / "set", 12, px=16)


def config(**changes):
    return AgentConfig(**({"network": "convnet-3", "steps": 6, "learning_rate": 0.01} | changes))


def state(agent):
    return torch.cat([value.flatten() for value in agent.network.state_dict().values()])


# ---- configuration


def test_digests_are_those_of_the_time_before_the_new_fields():
    assert digest_of(AgentConfig(network="convnet", steps=5)) == "29179eba585889a2"
    assert digest_of(AgentConfig(steps=2)) == "94b8ff051c4f0882"
    assert set(plain(AgentConfig())) == {
        "type", "network", "weights", "image_px", "steps", "batch_size", "learning_rate", "weight_decay", "freeze",
        "batch_norm", "head_init", "labels", "temperature",
    }  # fmt: skip
    assert plain(config(optimiser="sgd"))["optimiser"] == "sgd"
    assert digest_of(config(augment="dsa")) != digest_of(config())


def test_rates_fall_at_their_shares():
    author = protocol("author")
    steps = author.num_steps(500)
    assert steps == 8000
    rates = [author.learning_rate_at(step, steps) for step in (0, 5333, 5334, 6666, 6667, 7999)]
    assert rates == pytest.approx([1e-3, 1e-3, 2e-4, 2e-4, 4e-5, 4e-5])
    dsa = protocol("dsa-200")
    assert dsa.num_steps(500) == 400
    assert [dsa.learning_rate_at(step, 400) for step in (199, 200)] == pytest.approx([1e-2, 1e-3])
    assert AgentConfig().learning_rate_at(99, 100) == 1e-4


@pytest.mark.parametrize(("images", "steps"), [(1, 3), (5, 3), (8, 3), (9, 6), (17, 9)])
def test_an_epoch_sees_every_image_once(images, steps):
    found = AgentConfig(epochs=3, batch_size=8).num_steps(images)
    assert found == steps
    seen = [batch_at(step, num_images=images, batch_size=8, seed=0) for step in range(found)]
    assert (np.bincount(np.concatenate(seen), minlength=images) == 3).all()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"optimiser": "adam"}, "take 'adamw' or 'sgd'"),
        ({"augment": "flip"}, "augment is 'flip'"),
        ({"normalise": "imagenet"}, "normalise is"),
        ({"mixed_precision": "fp16"}, "mixed_precision is"),
        ({"epochs": 0}, "at least 1"),
        ({"epochs": 5, "steps": 7}, "both set the length"),
        ({"momentum": 0.5}, "only with optimiser sgd"),
        ({"decay": 0.5}, "only with decay_at"),
        ({"cutmix_probability": 0.5}, "only with augment cutmix or dsa_cutmix"),
        ({"optimiser": "sgd", "momentum": 1.0}, "momentum is 1.0; it must be at least 0 and below 1"),
        ({"decay_at": (0.5, 0.2)}, "rising shares"),
        ({"decay_at": (1.0,)}, r"decay_at is \[1.0\]; it must be above 0 and below 1"),
        ({"freeze": 2, "augment": "dsa"}, "frozen stages"),
    ],
)
def test_settings_that_cannot_be_or_that_nothing_obeys(changes, match):
    with pytest.raises(UserError, match=match):
        AgentConfig(**changes)


def test_protocols_by_name():
    assert protocol("dc", network="resnet-ap10").network == "resnet-ap10"
    assert {name: protocol(name).epochs for name in PROTOCOLS} == {
        "dc": 300, "dsa": 1000, "mtt": 1000, "idc": 1000, "datm": 1000, "ncfm": 2000, "author": 2000, "dsa-200": 200,
        "author-200": 200, "head": None,
    }  # fmt: skip
    assert protocol("dc").augment == "none"
    with pytest.raises(UserError, match="take dc, dsa"):
        protocol("mt")


def test_the_command_line_takes_a_protocol_and_changes_to_it(pictures, tmp_path):
    words = completed(verb_function("train"), ["a", "b", "--agent", "dc", "--seed", "1"])
    assert json.loads(words[3]) == PROTOCOLS["dc"]
    options = ["--agent", "dc", "--agent.epochs", "2", "--agent.network", "convnet-4"]
    assert main(["train", str(pictures.root), str(tmp_path / "agent"), *options]) == 0
    assert open_agent(tmp_path / "agent").config == protocol("dc", epochs=2, network="convnet-4")


# ---- training


def test_sgd_with_momentum_and_decay_by_hand(pictures):
    chosen = config(optimiser="sgd", weight_decay=5e-4, decay_at=(0.5,), normalise="unit", batch_size=8)
    agent = train_agent(pictures, config=chosen, seed=3)
    network = build_network(chosen, 2, 3, 16)
    speed = [torch.zeros_like(each) for each in network.parameters()]
    for step in range(6):
        rows = batch_at(step, num_images=12, batch_size=8, seed=3)
        x = torch.from_numpy(pictures.pixels(rows)).permute(0, 3, 1, 2).float() / 255
        loss = F.cross_entropy(network(x), torch.from_numpy(pictures.labels[rows]))
        found = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for weight, each, moved in zip(network.parameters(), found, speed, strict=True):
                moved.mul_(0.9).add_(each + 5e-4 * weight)
                weight.sub_((0.01 if step < 3 else 0.001) * moved)
    wanted = torch.cat([value.flatten() for value in network.state_dict().values()])
    torch.testing.assert_close(state(agent), wanted, atol=2e-5, rtol=1e-4)
    assert agent.about["last_loss"] == pytest.approx(loss.item(), abs=1e-5)


@pytest.mark.parametrize("augment", ["dsa", "cutmix", "flip_crop"])
def test_augmentation_is_a_function_of_seed_and_step(pictures, augment):
    chosen = config(augment=augment)
    torch.manual_seed(1)
    one = state(train_agent(pictures, config=chosen, seed=0))
    torch.manual_seed(2)
    assert torch.equal(one, state(train_agent(pictures, config=chosen, seed=0)))
    assert not torch.equal(one, state(train_agent(pictures, config=config(), seed=0)))
    x = torch.randn(4, 3, 8, 8)
    found = {tuple(augmented(x, chosen, seed=seed, step=step)[0].flatten().tolist()) for seed, step in
             ((0, 0), (0, 1), (1, 0), (0, 0))}  # fmt: skip
    assert len(found) == 3


def test_cutmix_learns_both_pictures_by_their_shares(pictures):
    chosen = config(steps=1, augment="cutmix", normalise="unit")
    agent = train_agent(pictures, config=chosen, seed=0)
    rows = batch_at(0, num_images=12, batch_size=256, seed=0)
    x = torch.from_numpy(pictures.pixels(rows)).permute(0, 3, 1, 2).float() / 255
    mixed = cutmix(x, draws(seed_of("agent augment", 0, 0)))
    labels = torch.from_numpy(pictures.labels[rows])
    logits = build_network(chosen, 2, 0, 16)(mixed.pictures)
    wanted = mixed.share * F.cross_entropy(logits, labels)
    wanted = wanted + (1 - mixed.share) * F.cross_entropy(logits, labels[mixed.partner])
    assert agent.about["last_loss"] == pytest.approx(wanted.item(), abs=1e-5)


def test_a_batch_in_parts_is_a_batch(pictures, monkeypatch):
    chosen = config(optimiser="sgd")  # AdamW would blow up the rounding of gradients that are nothing else
    seen = []
    whole = state(train_agent(pictures, config=chosen, seed=0, watch=lambda rows, logits: seen.append(len(logits))))
    monkeypatch.setattr("roadstill.agents.literature._PIXELS_AT_ONCE", 5 * 16 * 16)
    network = build_network(chosen, 2, 0, 16)
    assert [(part.start, part.stop) for part in network.parts(torch.zeros(12, 3, 16, 16))] == [(0, 4), (4, 8), (8, 12)]
    parts = state(train_agent(pictures, config=chosen, seed=0))
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=1e-3)
    assert seen == [12] * 6


def test_half_precision_trains_alike_and_judges_in_single(pictures, monkeypatch):
    monkeypatch.setattr(
        "roadstill.learning.precision.has_bfloat16", lambda kind: True
    )  # slower without, but it computes
    half = train_agent(pictures, config=config(mixed_precision="bf16", steps=8), seed=0)
    full = train_agent(pictures, config=config(steps=8), seed=0)
    assert all(value.dtype == torch.float32 for value in half.network.state_dict().values())
    assert not torch.equal(state(half), state(full))
    assert half.about["last_loss"] == pytest.approx(full.about["last_loss"], abs=0.1)
    x = pictures.pixels()
    half.network.mixed_precision = "no"
    np.testing.assert_array_equal(half.predict(x), train_agent(
        pictures, config=config(mixed_precision="bf16", steps=8), seed=0).predict(x))  # fmt: skip
    monkeypatch.setattr("roadstill.learning.precision.has_bfloat16", lambda kind: False)
    assert torch.equal(
        state(train_agent(pictures, config=config(mixed_precision="bf16", steps=8), seed=0)), state(full)
    )


def test_an_agent_remembers_how_its_pixels_are_normalised(pictures, tmp_path):
    agent = train_agent(pictures, config=config(normalise="cifar10", decay_at=(0.5,)), seed=0)
    opened = open_agent(agent.save(tmp_path / "agent"))
    assert opened.config == agent.config
    assert opened.network.mean == (0.4914, 0.4822, 0.4465)
    np.testing.assert_array_equal(opened.predict(pictures.pixels()), agent.predict(pictures.pixels()))


def test_the_optimiser_is_the_wanted_one():
    network = build_network(config(), 2, 0, 16)
    sgd = make_optimiser(network, config(optimiser="sgd", momentum=0.5))
    assert (type(sgd), sgd.defaults["momentum"], sgd.defaults["lr"]) == (torch.optim.SGD, 0.5, 0.01)
    assert type(make_optimiser(network, config())) is torch.optim.AdamW


def test_a_loss_that_explodes_is_the_users_to_mend(pictures):
    with pytest.raises(UserError, match=r"^step 3: the loss is not finite .*; lower the learning rate"):
        train_agent(pictures, config=config(optimiser="sgd", learning_rate=1e12, steps=400_000), seed=0)
    with pytest.raises(UserError, match=r"^step 1: \d+ of \d+ tensors are not finite"):
        train_agent(pictures, config=config(optimiser="sgd", learning_rate=1e30, weight_decay=1e30, steps=1), seed=0)


def test_dev_knows_the_same_classes_in_the_same_order(pictures):
    turned = replace(pictures, class_names=pictures.class_names[::-1], digest="turned")
    with pytest.raises(UserError, match="in another order"):
        train_agent(pictures, config=config(), seed=0, dev=turned)


def test_a_head_alone_is_what_freezing_every_stage_gives(tmp_path):
    images = picture_set(tmp_path / "set", 8, px=32)
    alone = train_agent(images, config=protocol("head", steps=3), seed=0)
    frozen = train_agent(images, config=protocol("head", head_only=False, freeze=18, steps=3), seed=0)
    for name, value in frozen.network.state_dict().items():
        assert torch.equal(value, alone.network.state_dict()[name]), name
    opened = open_agent(alone.save(tmp_path / "agent"))
    assert opened.network.frozen == 18
    np.testing.assert_array_equal(opened.predict_set(images), alone.predict_set(images))


def test_a_head_alone_goes_with_trained_weights_and_nothing_else_frozen():
    with pytest.raises(UserError, match="head_only freezes all stages"):
        AgentConfig(head_only=True, freeze=3)
    with pytest.raises(UserError, match=r"frozen stages \(head_only\) is kept"):
        AgentConfig(head_only=True, augment="dsa")
    with pytest.raises(UserError, match="starts from random weights"):
        build_network(AgentConfig(network="convnet", head_only=True), 2, 0, 32)


def test_settings_without_a_head_alone_are_recorded_as_before():
    assert "head_only" not in plain(AgentConfig())
    assert plain(AgentConfig(head_only=True))["head_only"] is True
