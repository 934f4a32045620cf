"""The U-Nets against the reference's values, and what the reference does not say."""

import pytest
import torch

from roadstill.adapters import DiffFit, apply_adapters, parameter_ledger
from roadstill.errors import UserError
from roadstill.networks.songunet import STYLES, SongUNet, songunet
from roadstill.networks.unet_blocks import Resampling

TINY = {"input_size": 8, "num_classes": 3, "channels": 16, "channel_mult": (1, 2), "num_blocks": 1, "attention": (4,)}


def tiny(golden, style):
    values = golden(f"edm_songunet_{style}")
    network = SongUNet(**TINY, style=style, dropout=0.13, augment_dim=9)
    network.load_state_dict(values.weights("state.model."), strict=True)
    return values, network.eval()


def batch(size=2, side=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 3, side, side, generator=generator), torch.linspace(-1, 1, size), torch.arange(size)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("save_memory", [False, True])
def test_outputs_and_gradients_equal_the_reference(golden, style, save_memory):
    values, network = tiny(golden, style)
    network.save_memory = save_memory
    sigma = values["in.sigma"]
    c_in = 1 / (sigma**2 + 0.25).sqrt().reshape(-1, 1, 1, 1)
    out = network(c_in * values["in.x"], sigma.log() / 4, values["in.class_id"])
    values.check("out.raw_network", out)


@pytest.mark.parametrize("style", STYLES)
def test_published_networks_have_the_published_counts(ledgers, style):
    with torch.device("meta"):
        network = songunet(f"SongUNet-{style}")
    apply_adapters(network, [DiffFit()])
    ledger, counted = parameter_ledger(network), ledgers["edm"]
    assert ledger.total == counted[f"edm_cifar10_{style}_total"]
    assert ledger.trainable == counted[f"edm_cifar10_{style}_name_filter_trainable"]


def test_config_builds_the_same_network_again_and_the_seed_its_weights():
    torch.manual_seed(1)
    network = SongUNet(**TINY, style="ddpmpp", dropout=0.1, augment_dim=9, in_channels=4)
    torch.manual_seed(2)
    config = dict(network.config)
    assert config.pop("kind") == "songunet"
    twin, other = SongUNet(**config), SongUNet(**config, seed=1)
    assert all(torch.equal(tensor, twin.state_dict()[name]) for name, tensor in network.state_dict().items())
    assert not torch.equal(network.enc["8x8_conv"].weight, other.enc["8x8_conv"].weight)


def test_dropout_depends_on_its_seed_alone_and_survives_recomputation():
    network = SongUNet(**TINY, dropout=0.5, seed=3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    z, t, y = batch()
    assert torch.equal(network(z, t, y, seed=7), network(z, t, y, seed=7))
    assert not torch.equal(network(z, t, y, seed=7), network(z, t, y, seed=8))
    assert not torch.equal(network(z, t, y, seed=7), network(z, t, y))
    gradients = []
    for save_memory in (False, True):
        network.save_memory = save_memory
        network.zero_grad()
        network(z, t, y, seed=7).square().mean().backward()
        gradients.append(network.enc["8x8_conv"].weight.grad.clone())
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)


def test_the_late_resampling_is_a_convolution_behind_which_the_filter_halves():
    taps = (1.0, 3.0, 3.0, 1.0)
    layer, x = Resampling(3, 5, 3, taps, up=False, late=True), torch.randn(2, 3, 8, 8)
    line = torch.tensor(taps) / 8
    wide = torch.nn.functional.conv2d(x, layer.weight, padding=2)
    filtered = torch.nn.functional.conv2d(
        wide, torch.outer(line, line).expand(5, 1, 4, 4), stride=2, groups=5
    ) + layer.bias.reshape(-1, 1, 1)
    torch.testing.assert_close(layer(x), filtered, rtol=1e-4, atol=1e-5)


def test_half_precision_stays_close(golden):
    for style in STYLES:
        values, network = tiny(golden, style)
        z, t, y = values["in.x"], values["in.sigma"].log() / 4, values["in.class_id"]
        exact = network(z, t, y)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(z, t, y).float()
        assert 0 < (rough - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("change", [{"style": "adm"}, {"channels": 18}, {"input_size": 9}, {"channel_mult": ()}])
def test_sizes_that_do_not_fit_are_refused(change):
    with pytest.raises(UserError, match="does not fit"):
        SongUNet(**(TINY | change))
    with pytest.raises(UserError, match="unknown"):
        songunet("SongUNet-adm")


def test_odd_widths_get_equal_groups():
    network = SongUNet(**(TINY | {"channels": 20}), style="ncsnpp")
    assert network(*batch()).shape == (2, 3, 8, 8)
