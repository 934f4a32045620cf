"""Networks of the literature against values of the reference implementations."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from roadstill.agents import AgentConfig
from roadstill.agents.literature import convnet_d, resnet_ap10
from roadstill.agents.training import build_network

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def golden():
    about = json.loads((GOLDEN / "golden.json").read_text())["items"]["classifiers"]
    return load_file(GOLDEN / about["file"]), about


def check(golden, name, found):
    values, about = golden
    tolerance = about["tensors"][name]
    torch.testing.assert_close(found, values[name], atol=tolerance["atol"], rtol=tolerance["rtol"])


def renamed(values, prefix, names):
    """Our state from theirs; every one of their tensors is used."""
    theirs = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
    found = {}
    for ours, name in names.items():
        for kind in ("weight", "bias"):
            if f"{name}.{kind}" in theirs:
                found[f"{ours}.{kind}"] = theirs.pop(f"{name}.{kind}")
    assert not theirs
    return found


@torch.no_grad()
def test_convnet_gives_the_references_logits(golden):
    values, about = golden
    depth, width, side = (about["parameters"][name] for name in ("depth", "width", "size"))
    network = convnet_d(10, side, depth=depth, width=width).eval()
    names = {f"stages.{index}.0": f"layers.conv.{index}" for index in range(depth)}
    names |= {f"stages.{index}.1": f"layers.norm.{index}" for index in range(depth)}
    network.load_state_dict(renamed(values, "convnet.state.", names | {"head": "classifier"}))
    check(golden, "convnet.out.features", network.features(values["convnet.in.x"]))
    check(golden, "convnet.out.logits", network(values["convnet.in.x"]))


@torch.no_grad()
def test_resnet_ap10_gives_the_references_logits(golden):
    values, about = golden
    widths = tuple(int(width * about["parameters"]["ap_width"]) for width in (64, 128, 256, 512))
    network = resnet_ap10(10, about["parameters"]["ap_size"], widths=widths).eval()
    names = {"stages.0.0": "layer0.conv1", "stages.0.1": "layer0.bn1", "head": "fc"}
    for block in range(1, 5):
        at = f"layer{block}.0"
        names |= {f"stages.{block}.first.0": f"{at}.conv1", f"stages.{block}.first.1": f"{at}.bn1"}
        names |= {f"stages.{block}.second.0": f"{at}.conv2", f"stages.{block}.second.1": f"{at}.bn2"}
        names |= {
            f"stages.{block}.shortcut.1": f"{at}.downsample.0",
            f"stages.{block}.shortcut.2": f"{at}.downsample.2",
        }
    network.load_state_dict(renamed(values, "resnet_ap10.state.", names))
    check(golden, "resnet_ap10.out.logits", network(values["resnet_ap10.in.x"]))


@pytest.mark.parametrize(
    ("entry", "name", "side"),
    [
        ("convnet3_width128_32px_10classes_instance", "convnet-3", 32),
        ("convnet6_width128_224px_10classes_instance", "convnet-6", 224),
        ("resnet_ap10_224px_10classes_instance", "resnet-ap10", 224),
        ("resnet18_224px_10classes_instance", "resnet18-instance", 224),
        ("resnet18_32px_10classes_instance", "resnet18-instance", 32),
    ],
)
def test_parameters_are_those_of_the_reference(entry, name, side):
    wanted = json.loads((GOLDEN / "ledgers.json").read_text())["classifiers"][entry]
    network = build_network(AgentConfig(network=name), 10, 0, side)
    assert sum(each.numel() for each in network.parameters()) == wanted
