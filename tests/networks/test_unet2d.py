import torch

from roadstill.networks.kinds import network_of
from roadstill.networks.songunet import SongUNet
from roadstill.networks.unet2d import UNet2D

SIZE = {"input_size": 8, "num_classes": 2, "block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8,
        "attention": (4,)}  # fmt: skip


def test_it_is_told_noise_level_and_class_and_no_label():
    network = UNet2D(**SIZE).eval()
    z, t = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([-1.0, 0.0, 1.0])
    out = network(z, t, torch.tensor([0, 1, 2]))
    assert out.shape == z.shape
    assert not torch.equal(out, network(z, t, torch.tensor([2, 1, 0])))
    assert not torch.equal(out, network(z, t + 1, torch.tensor([0, 1, 2])))


def test_weights_depend_on_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(1)
    wanted = torch.rand(1)
    torch.manual_seed(1)
    first = UNet2D(**SIZE, seed=5)
    assert torch.equal(torch.rand(1), wanted)
    second, other = UNet2D(**SIZE, seed=5), UNet2D(**SIZE, seed=6)
    assert all(torch.equal(tensor, second.state_dict()[name]) for name, tensor in first.state_dict().items())
    assert not torch.equal(first.unet.conv_in.weight, other.unet.conv_in.weight)


def test_configurations_build_every_kind_again():
    unets = UNet2D(**SIZE), SongUNet(input_size=8, num_classes=2, channels=16, num_blocks=1)
    for network, kind in zip(unets, ("unet2d", "songunet"), strict=True):
        twin = network_of(network.config)
        assert twin.config["kind"] == kind
        twin.load_state_dict(network.state_dict(), strict=True)
