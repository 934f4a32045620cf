import json
import sys
import types

import numpy as np
import pytest
import torch
from made import picture_set, unsealed
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from roadstill.agents import AgentConfig, open_agent, train_agent
from roadstill.agents.training import build_network
from roadstill.errors import UserError

pytestmark = pytest.mark.usefixtures("trusted")

BASIC = {"depths": [1, 1], "hidden_sizes": [8, 16], "embedding_size": 8, "layer_type": "basic"}


def build(name, px, classes=10, **more):
    return build_network(AgentConfig(network=name, **more), classes, 0, px).eval()


def size(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_convnet_3_has_the_literatures_size():
    assert size(build("convnet-3", 32)) == 320_010


@pytest.mark.parametrize("depth", [3, 6])
@pytest.mark.parametrize("px", [64, 100])
def test_convnet_d_by_hand(depth, px):
    first, later, norms = 3 * 128 * 9 + 128, (depth - 1) * (128 * 128 * 9 + 128), depth * 256
    assert size(build(f"convnet-{depth}", px)) == first + later + norms + 128 * (px // 2**depth) ** 2 * 10 + 10


def blocks(depths, widths=(64, 128, 256, 512)):
    """Parameters of basic blocks with affine norms, no biases."""
    total, before = 0, widths[0]
    for depth, width in zip(depths, widths, strict=True):
        for _ in range(depth):
            total += before * width * 9 + width * width * 9 + 4 * width
            total += before * width + 2 * width if before != width else 0
            before = width
    return total


@pytest.mark.parametrize(("px", "kernel"), [(64, 3), (144, 7)])
@pytest.mark.parametrize(("name", "depths"), [("resnet-ap10", (1, 1, 1, 1)), ("resnet18-instance", (2, 2, 2, 2))])
def test_residual_networks_by_hand(name, depths, px, kernel):
    expected = 3 * 64 * kernel**2 + 128 + blocks(depths) + 512 * 10 + 10
    network = build(name, px)
    assert size(network) == expected
    assert network(torch.zeros(2, 3, px, px)).shape == (2, 10)


def test_resnet18_instance_is_resnet18_but_for_the_norm():
    assert size(build("resnet18-instance", 224, 2)) == 11_177_538


def test_average_pooling_takes_the_place_of_strides():
    network = build("resnet-ap10", 224)
    assert {module.stride for module in network.modules() if isinstance(module, nn.Conv2d)} == {(1, 1)}
    x = torch.zeros(1, 3, 224, 224)
    sides = []
    for stage in network.stages[:-1]:
        x = stage(x)
        sides.append(x.shape[2])
    assert sides == [56, 56, 28, 14, 7]


@pytest.mark.parametrize(("px", "kernel"), [(64, 3), (65, 3), (96, 3), (128, 3), (129, 7)])
@pytest.mark.parametrize("name", ["resnet-ap10", "resnet18-instance"])
def test_the_stem_of_each_size_by_hand(name, px, kernel):
    """Kim et al.: small up to 64 px, mid up to 128 px with one pooling by two, large above."""
    network, x = build(name, px), torch.randn(1, 3, px, px, generator=torch.Generator().manual_seed(px))
    weight = next(module.weight for module in network.stages[0].modules() if isinstance(module, nn.Conv2d))
    stride = 2 if kernel == 7 and name == "resnet18-instance" else 1
    wanted = F.relu(F.instance_norm(F.conv2d(x, weight, stride=stride, padding=kernel // 2)))
    if px > 64 and name == "resnet-ap10":
        wanted = F.avg_pool2d(wanted, 4 if px > 128 else 2)
    elif px > 64:
        wanted = F.max_pool2d(wanted, 3, 2, 1)
    torch.testing.assert_close(network.stages[0](x), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["convnet-3", "resnet-ap10", "resnet18-instance"])
def test_instance_norm_does_not_look_at_the_batch(name):
    network = build(name, 32).train()
    pictures = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(pictures)[:1], network(pictures[:1]), atol=1e-4, rtol=1e-4)


def test_the_seed_decides_the_weights():
    one, same, other = (build_network(AgentConfig(network="convnet-3"), 2, seed, 16) for seed in (0, 0, 1))
    pairs = list(zip(one.parameters(), same.parameters(), strict=True))
    assert all(torch.equal(left, right) for left, right in pairs)
    assert not torch.equal(one.head.weight, other.head.weight)


def test_a_saved_agent_of_the_literature_answers_alike(tmp_path):
    images = picture_set(tmp_path / "set", 6)
    agent = train_agent(images, config=AgentConfig(network="convnet-3", steps=2), seed=0)
    opened = open_agent(agent.save(tmp_path / "agent"))
    np.testing.assert_array_equal(opened.predict(images.pixels()), agent.predict(images.pixels()))


def transformers_folder(folder, weights=True):
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    model = ResNetForImageClassification(ResNetConfig(**BASIC, num_labels=7)).eval()
    model.config.save_pretrained(folder)
    if weights:
        save_file(model.state_dict(), folder / "model.safetensors", {"format": "pt"})
    return model


def test_a_folder_of_transformers_is_a_backbone(tmp_path):
    model = transformers_folder(tmp_path / "model")
    config = AgentConfig(network=f"transformers:{tmp_path / 'model'}", freeze=1, steps=2)
    network = build_network(config, 2, 0, 16).eval()
    assert network.pretrained
    pictures = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = model.resnet(pictures).pooler_output.flatten(1)
        torch.testing.assert_close(network.trunk(pictures), whole, atol=1e-5, rtol=1e-5)
    images = picture_set(tmp_path / "set", 4)
    agent = train_agent(images, config=config, seed=0)
    agent.save(tmp_path / "agent")
    (tmp_path / "model").rename(tmp_path / "elsewhere")  # an agent needs no other folder than its own
    opened = open_agent(tmp_path / "agent")
    np.testing.assert_array_equal(opened.predict(images.pixels()), agent.predict(images.pixels()))
    np.testing.assert_array_equal(open_agent(opened.save(tmp_path / "again")).predict(images.pixels()),
                                  agent.predict(images.pixels()))  # fmt: skip
    record = unsealed(tmp_path / "agent" / "agent.json")
    (tmp_path / "agent" / "agent.json").write_text(json.dumps(record | {"made_from": {}}))
    with pytest.raises(UserError, match=r"made_from: .*config"):  # and nothing is looked for elsewhere
        open_agent(tmp_path / "agent")


def test_a_folder_without_weights_starts_random_and_refuses_pickles(tmp_path):
    transformers_folder(tmp_path / "model", weights=False)
    name = f"transformers:{tmp_path / 'model'}"
    assert build(name, 16).origin == "random weights"
    with pytest.raises(UserError, match="random weights; give weights"):
        build(name, 16, freeze=1)
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match="only safetensors files are read"):
        build(name, 16)


def test_torn_weights_of_transformers_are_refused(tmp_path):
    model = transformers_folder(tmp_path / "model")
    state = {name: value for name, value in model.state_dict().items() if "stages.1" not in name}
    save_file(state, tmp_path / "model" / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"missing or do not fit.*stages\.1"):
        build(f"transformers:{tmp_path / 'model'}", 16)


class TinyTimm(nn.Module):
    def __init__(self, num_classes=1000):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.fc = nn.Linear(5, num_classes) if num_classes else nn.Identity()
        self.pretrained_cfg = {"classifier": "fc", "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.5, 0.5)}

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


@pytest.fixture
def timm(monkeypatch):
    def create_model(name, pretrained, num_classes=1000):
        assert not pretrained
        if name != "tiny":
            raise RuntimeError(f"Unknown model ({name})")
        return TinyTimm(num_classes)

    monkeypatch.setitem(sys.modules, "timm", types.SimpleNamespace(create_model=create_model))


def test_a_model_of_timm_is_a_backbone(timm, tmp_path):
    whole = TinyTimm()
    save_file(whole.state_dict(), tmp_path / "tiny.safetensors")
    network = build("timm:tiny", 16, 2, weights=tmp_path / "tiny.safetensors", freeze=1)
    assert network.mean == (0.1, 0.2, 0.3)
    assert torch.equal(network.stages[0].conv.weight, whole.conv.weight)
    assert network.head.weight.shape == (2, 5)
    assert not build("timm:tiny", 16).pretrained
    with pytest.raises(UserError, match=r"timm cannot build 'huge': Unknown model"):
        build("timm:huge", 16)
    torch.save(whole.state_dict(), tmp_path / "tiny.pth")
    with pytest.raises(UserError, match=r"is not a \.safetensors file"):
        build("timm:tiny", 16, weights=tmp_path / "tiny.pth")


def test_timm_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match="pip install timm") as error:
        build("timm:resnet18", 16)
    assert "\n" not in str(error.value)


def tiny(size_px):
    return nn.Sequential(nn.AvgPool2d(size_px), nn.Flatten(), nn.Linear(3, 4), nn.Dropout(0.5))


def wide(size_px):
    return nn.Conv2d(3, 4, 3)


def unasked():
    return nn.Flatten()


def test_a_network_of_ones_own_trains_from_the_seed_alone(tmp_path):
    images = picture_set(tmp_path / "set", 6)
    config = AgentConfig(network=f"{__name__}.tiny", steps=3)
    torch.manual_seed(5)
    one = train_agent(images, config=config, seed=0)
    torch.manual_seed(6)
    other = train_agent(images, config=config, seed=0)
    for left, right in zip(one.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(left, right)
    opened = open_agent(one.save(tmp_path / "agent"))
    np.testing.assert_array_equal(opened.predict(images.pixels()), one.predict(images.pixels()))


@pytest.mark.parametrize(
    ("name", "px", "message"),
    [
        ("vgg", 32, "'vgg' is unknown"),
        ("timm:", 32, "is unknown"),
        ("convnet-9", 32, "is unknown"),
        ("convnet-6", 32, "at least 64 px, not 32"),
        ("resnet-ap10", 8, "at least 16 px"),
        ("convnet-3", None, "set image_px"),
        ("no_such_module.network", 32, "cannot be built: no 'no_such_module.network'"),
        ("transformers:/no/such/folder", 32, r"neither a folder with a config\.json nor"),
        (f"{__name__}.wide", 32, r"features \[b, d\]"),
        (f"{__name__}.unasked", 32, "cannot be built"),
    ],
)
def test_names_that_lead_nowhere_give_one_line(name, px, message):
    with pytest.raises(UserError, match=message) as error:
        build(name, px)
    assert "\n" not in str(error.value)


def test_networks_from_scratch_take_no_weights(tmp_path):
    with pytest.raises(UserError, match="leave out weights"):
        build("convnet-3", 32, weights=tmp_path)
    with pytest.raises(UserError, match="leave out weights"):
        build(f"transformers:{tmp_path}", 32, weights=tmp_path)
