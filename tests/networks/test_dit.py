import pytest
import torch
import torch.nn.functional as F

from roadstill.errors import UserError
from roadstill.networks.dit import DiT, dit, time_sinusoid


def tiny(golden) -> DiT:
    values = golden("tiny_dit")
    network = DiT(input_size=8, patch_size=2, in_channels=4, hidden_size=64, depth=2, num_heads=4, num_classes=3)
    network.load_state_dict(values.weights("state."), strict=True)
    return network.eval()


def test_the_position_table_is_the_reference_one(golden):
    fresh = DiT(input_size=8, patch_size=2, in_channels=4, hidden_size=64, depth=1, num_heads=4, num_classes=3)
    torch.testing.assert_close(fresh.pos_embed.data, golden("tiny_dit")["state.pos_embed"], rtol=0, atol=1e-6)


@torch.no_grad()
def test_outputs_and_tokens_equal_the_reference(golden):
    values, network = golden("tiny_dit"), tiny(golden)
    kept = []
    for module in network.blocks:
        module.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    z, t, y = values["in.z"], values["in.t"], values["in.y"]
    values.check("out.eps_sigma", network(z, t, y))
    for i, tokens in enumerate(kept):
        values.check(f"out.tokens_after_block{i}", tokens)
    values.check("out.eps_sigma_t_fractional", network(z, values["in.t_fractional"], y))
    # Vectorised exponentials differ by a few units in the last place between processors; a time of 999 multiplies that.
    values.check("out.t_sinusoid", time_sinusoid(t), atol=1e-4)
    values.check("out.t_emb", network.t_embedder(t))
    values.check("out.y_emb", network.y_embedder(y))
    values.check("out.tokens_in", network.x_embedder(z) + network.pos_embed)


@pytest.mark.parametrize("save_memory", [False, True])
def test_gammas_and_their_gradients_equal_the_reference(golden, save_memory):
    values = golden("tiny_dit_difffit")
    network = DiT(
        input_size=8, patch_size=2, in_channels=4, hidden_size=16, depth=28, num_heads=2, num_classes=3, gammas=14
    )
    network.load_state_dict(values.weights("state."), strict=True)
    network.save_memory = save_memory
    out = network.eval()(values["in.z"], values["in.t"], values["in.y"])
    values.check("out.eps_sigma", out)
    out.square().mean().backward()
    values.check("out.mean_square", out.square().mean())
    own = dict(network.named_parameters())
    assert values.parameters["grad_names"]
    for name in values.parameters["grad_names"]:
        values.check(f"grad.{name}", own[name].grad)


def test_a_fresh_network_says_zero_and_depends_on_its_seed_alone():
    size = {
        "input_size": 8,
        "patch_size": 2,
        "in_channels": 4,
        "hidden_size": 32,
        "depth": 2,
        "num_heads": 2,
        "num_classes": 2,
    }
    torch.manual_seed(1)
    first = DiT(**size)
    torch.manual_seed(2)
    second, other = DiT(**size), DiT(**size, seed=1)
    out = first(torch.randn(2, 4, 8, 8), torch.tensor([0, 999]), torch.tensor([0, 2]))
    assert out.shape == (2, 8, 8, 8)
    assert out.count_nonzero() == 0
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name]), name
    assert not torch.equal(first.blocks[0].attn.qkv.weight, other.blocks[0].attn.qkv.weight)


def test_config_builds_the_same_network_again():
    network = DiT(
        input_size=8, patch_size=4, in_channels=3, hidden_size=32, depth=3, num_heads=2, num_classes=2,
        learn_sigma=False, gammas=2, gamma_sites="residual_only",
    )  # fmt: skip
    twin = DiT(**network.config)
    twin.load_state_dict(network.state_dict(), strict=True)
    assert twin.config == network.config
    assert twin(torch.randn(1, 3, 8, 8), torch.tensor([5]), torch.tensor([1])).shape == (1, 3, 8, 8)
    assert sum("gamma" in name for name in network.state_dict()) == 4


@pytest.mark.parametrize("name", ["DiT-S/2", "DiT-B/2", "DiT-L/2", "DiT-XL/2"])
def test_named_sizes_have_the_published_counts(ledgers, name):
    with torch.device("meta"):
        network = dit(name, input_size=32)
    assert sum(p.numel() for p in network.parameters()) == ledgers["dit"][name]["total_vanilla"]
    with torch.device("meta"):
        gammas = dit(name, input_size=32, gammas=ledgers["dit"][name]["blocks_with_gamma"])
    assert sum(p.numel() for p in gammas.parameters()) == ledgers["dit"][name]["total_with_gammas"]


@pytest.mark.parametrize("name", ["DiT-M/2", "DiT-XL/3", "XL/2", "DiT-XL"])
def test_unknown_names_are_refused(name):
    with pytest.raises(UserError, match="unknown"):
        dit(name, input_size=32)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="do not fit"):
        DiT(input_size=9, patch_size=2, in_channels=4, hidden_size=32, depth=1, num_heads=2, num_classes=2)
    with pytest.raises(UserError, match="gammas in 3 of 1"):
        DiT(input_size=8, patch_size=2, in_channels=4, hidden_size=32, depth=1, num_heads=2, num_classes=2, gammas=3)


def test_the_patch_embedding_is_a_strided_convolution():
    network = DiT(input_size=8, patch_size=2, in_channels=4, hidden_size=32, depth=1, num_heads=2, num_classes=2)
    z = torch.randn(3, 4, 8, 8)
    proj = network.x_embedder.proj
    strided = F.conv2d(z, proj.weight, proj.bias, stride=2).flatten(2).transpose(1, 2)
    torch.testing.assert_close(network.x_embedder(z), strided, rtol=1e-5, atol=1e-6)


def test_half_precision_on_a_processor_stays_close(golden):
    values, network = golden("tiny_dit"), tiny(golden)
    batch = values["in.z"], values["in.t"], values["in.y"]
    exact = network(*batch)
    exact.square().mean().backward()
    weight = network.blocks[0].attn.qkv.weight
    gradient, weight.grad = weight.grad, None
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(*batch).float()
    rough.square().mean().backward()
    assert 0 < (rough - exact).abs().max() < 0.05 * exact.abs().max()
    assert (weight.grad - gradient).norm() < 0.05 * gradient.norm()
