"""Arithmetic against the networks themselves and PyTorch's counter."""

from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from roadstill.adapters import DiffFit, apply_adapters
from roadstill.bench.arithmetic import Backbone, activation_bytes, ddp_bytes, fsdp_bytes, training_bytes
from roadstill.bench.timing import flops_of
from roadstill.errors import UserError
from roadstill.networks.dit import dit


@pytest.mark.parametrize(("name", "side", "channels"), [("DiT-S/2", 4, 4), ("DiT-S/4", 8, 16), ("DiT-XL/2", 32, 4)])
def test_parameters_are_those_of_the_network(name, side, channels):
    with torch.device("meta"):
        network = dit(name, input_size=side, in_channels=channels, num_classes=2)
    assert Backbone(name, side, channels).parameters == sum(weight.numel() for weight in network.parameters())


@pytest.fixture(scope="module")
def small():
    return dit("DiT-S/2", input_size=8, num_classes=2)


def passes(network, *, backward):
    latents, label = torch.randn(2, 4, 8, 8), torch.tensor([0, 1])

    def work():
        out = network(latents, torch.full((2,), 500), label)
        if backward:
            out.square().mean().backward()

    with sdpa_kernel(SDPBackend.MATH):  # the processor's fused kernel is not in the counter's list
        return flops_of(work)


def test_a_forward_pass_is_counted_exactly(small):
    assert 2 * Backbone("DiT-S/2", 8).forward_flops() == passes(small, backward=False)


def test_a_step_is_within_a_quarter(small):
    backbone = Backbone("DiT-S/2", 8)
    assert 2 * backbone.training_flops(all_learn=True) == pytest.approx(passes(small, backward=True), rel=0.25)
    network = dit("DiT-S/2", input_size=8, num_classes=2)
    apply_adapters(network, [DiffFit()])
    assert 2 * backbone.training_flops() == pytest.approx(passes(network, backward=True), rel=0.25)
    learning = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    assert backbone.difffit_parameters == pytest.approx(learning, rel=0.25)


def test_memory_and_traffic_by_hand():
    assert training_bytes(100, 10) == 100 * 4 + 10 * 16
    assert training_bytes(100, 100, shards=4) == 500
    assert ddp_bytes(100, 1) == 0
    assert ddp_bytes(100, 4) == 600
    assert fsdp_bytes(100, 100, 4) == round(0.75 * 1200)
    backbone = Backbone("DiT-S/2", 8)
    assert activation_bytes(backbone, 2, recomputed=False) == 2 * 16 * 384 * 17 * 12 * 4
    assert activation_bytes(backbone, 2, recomputed=True) < activation_bytes(backbone, 2, recomputed=False)


@pytest.mark.parametrize(("name", "side"), [("DiT-M/2", 8), ("S/2", 8), ("DiT-S/3", 8), ("DiT-S/4", 6)])
def test_what_there_is_not_is_refused(name, side):
    with pytest.raises(UserError, match=r"is unknown|cannot be cut"):
        Backbone(name, side)


def test_the_documents_figures_for_dit_xl():
    """docs/scale.md, DDP or FSDP: 256 px, two classes, 8 latents a process."""
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    backbone = Backbone("DiT-XL/2", 32)
    whole, few = backbone.parameters, backbone.difffit_parameters
    giga, mega = 1e9, 1e6
    rows = [
        f"{whole:,}; {few:,} | {whole:,}; all |",
        f"| {backbone.training_flops(recomputed=True):.1e} | "
        f"{backbone.training_flops(all_learn=True, recomputed=True):.1e} |".replace("e+", "e"),
        f"DDP | {training_bytes(whole, few) / giga:.1f} GB | {training_bytes(whole, whole) / giga:.1f} GB |",
        f"FSDP over 8 | {training_bytes(whole, few, shards=8) / giga:.2f} GB | "
        f"{training_bytes(whole, whole, shards=8) / giga:.1f} GB |",
        f"activations | {activation_bytes(backbone, 8, recomputed=True) / giga:.1f} GB |",
        f"DDP | {ddp_bytes(few, 8) / mega:.1f} MB | {ddp_bytes(whole, 8) / giga:.1f} GB |",
        f"FSDP | {fsdp_bytes(whole, few, 8) / giga:.1f} GB | {fsdp_bytes(whole, whole, 8) / giga:.1f} GB |",
    ]
    assert [row for row in rows if row not in page] == []
