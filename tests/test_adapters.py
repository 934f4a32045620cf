import pytest
import torch

from roadstill.adapters import (
    BitFit,
    DiffFit,
    Full,
    LoRA,
    apply_adapters,
    load_trained,
    merge,
    parameter_ledger,
    trainable_names,
    trained_state,
)
from roadstill.errors import UserError
from roadstill.networks.dit import DiT, dit

SIZES = ["DiT-S/2", "DiT-B/2", "DiT-L/2", "DiT-XL/2"]


def small(depth=4, **more) -> DiT:
    sizes = dict(input_size=8, patch_size=2, in_channels=4, hidden_size=32, num_heads=2, num_classes=2)
    return DiT(depth=depth, **sizes, **more)


def shaken(network: DiT, only_trainable: bool = False) -> DiT:
    """Moves every weight, so that nothing is zero or one."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad or not only_trainable:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


def inputs() -> tuple[torch.Tensor, ...]:
    z = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return z, torch.tensor([0, 500, 999]), torch.tensor([0, 1, 2])


@pytest.mark.parametrize("name", SIZES)
def test_difffit_trains_the_published_parameters(ledgers, name):
    facts = ledgers["dit"][name]
    with torch.device("meta"):
        network = dit(name, input_size=32)
    # The reference's list of 14 blocks is half of XL's 28; where a network has fewer or 24 blocks ours says which.
    gammas = facts["blocks_with_gamma"]
    if gammas != network.depth // 2:
        network.add_gammas(gammas)
    apply_adapters(network, [DiffFit()])
    ledger = parameter_ledger(network)
    assert ledger.trainable == facts["difffit_trainable"]
    assert ledger.total == facts["total_with_gammas"]
    kinds = {kind: (row["tensors"], row["parameters"]) for kind, row in facts["difffit_trainable_by_kind"].items()}
    assert ledger.by_kind == kinds


@pytest.mark.parametrize("rank", [8, 16, 32])
def test_lora_trains_the_published_parameters(ledgers, rank):
    facts = ledgers["dit"]["DiT-XL/2"]
    with torch.device("meta"):
        alone, both = dit("DiT-XL/2", input_size=32), dit("DiT-XL/2", input_size=32)
    assert parameter_ledger(alone).total == 675_129_632
    apply_adapters(alone, [LoRA(rank)])
    apply_adapters(both, [DiffFit(), LoRA(rank)])
    assert parameter_ledger(alone).trainable == facts["lora_on_fused_qkv_and_attention_proj_by_rank"][str(rank)]
    assert parameter_ledger(both).trainable == facts["difffit_plus_lora_by_rank"][str(rank)]


def test_the_thesis_counts():
    with torch.device("meta"):
        networks = {name: dit("DiT-XL/2", input_size=32) for name in ("difffit", "8", "16", "32")}
    apply_adapters(networks.pop("difffit"), [DiffFit()])
    counts = {}
    for rank, network in networks.items():
        apply_adapters(network, [LoRA(int(rank))])
        counts[rank] = parameter_ledger(network).trainable
    assert counts == {"8": 1_548_288, "16": 3_096_576, "32": 6_193_152}


def test_bitfit_trains_biases_and_label_rows():
    with torch.device("meta"):
        network = dit("DiT-XL/2", input_size=32)
    apply_adapters(network, [BitFit()])
    assert parameter_ledger(network).trainable == 489_632 + 1_153_152  # method.md 3.1


def test_difffit_trains_the_names_of_the_reference(golden):
    reference = golden("tiny_dit_difffit").item["trainable_names"]["trainable"]
    network = DiT(input_size=8, patch_size=2, in_channels=4, hidden_size=16, depth=28, num_heads=2, num_classes=3)
    names = apply_adapters(network, [DiffFit()])
    own = dict(network.named_parameters())
    assert {name: list(own[name].shape) for name in names} == {name: shape for name, shape in reference}


def test_full_trains_all_but_the_position_table():
    network = small()
    names = apply_adapters(network, [Full()])
    assert set(dict(network.named_parameters())) - set(names) == {"pos_embed"}


@pytest.mark.parametrize("adapters", [[DiffFit()], [LoRA(4)], [DiffFit(), LoRA(4)], [LoRA(4, train_label_table=True)]])
def test_a_fresh_adapter_changes_no_output(adapters):
    plain, network = shaken(small()), shaken(small())
    apply_adapters(network, adapters)
    with torch.no_grad():
        torch.testing.assert_close(network(*inputs()), plain(*inputs()), rtol=1e-5, atol=1e-6)


def test_the_order_of_adapters_does_not_matter():
    first, second = shaken(small()), shaken(small())
    names = apply_adapters(first, [DiffFit(), LoRA(4)])
    torch.manual_seed(99)
    assert apply_adapters(second, [LoRA(4), DiffFit()]) == names
    for name, tensor in trained_state(first).items():
        assert torch.equal(tensor, trained_state(second)[name]), name
    assert any("gamma" in name for name in names)
    assert any(name.endswith("qkv.base_layer.bias") for name in names)
    assert any("lora_B" in name for name in names)


@pytest.mark.parametrize("adapters", [
    [DiffFit()], [DiffFit("all", "residual_only")], [LoRA(4)], [LoRA(4, alpha=12)], [DiffFit("all"), LoRA(4)],
])  # fmt: skip
def test_merging_keeps_the_outputs_and_yields_a_plain_network(adapters):
    network = shaken(small())
    apply_adapters(network, adapters)
    before = shaken(network, only_trainable=True)(*inputs())
    plain = merge(network.eval())
    assert type(plain) is DiT
    assert plain.state_dict().keys() == small().state_dict().keys()
    assert not plain.training
    with torch.no_grad():
        torch.testing.assert_close(plain(*inputs()), before, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(network(*inputs()), before, rtol=0, atol=0)
    assert (small()(*inputs()) - before).abs().max() > 0.1


def test_trained_state_is_all_that_a_checkpoint_needs():
    network = shaken(small())
    apply_adapters(network, [DiffFit(), LoRA(4)])
    shaken(network, only_trainable=True)
    state = trained_state(network)
    assert list(state) == trainable_names(network)
    twin = shaken(small())
    apply_adapters(twin, [DiffFit(), LoRA(4)])
    load_trained(twin, state)
    with torch.no_grad():
        assert torch.equal(twin(*inputs()), network(*inputs()))


def test_a_step_of_training_moves_what_was_chosen_and_nothing_else():
    network = shaken(small())
    names = apply_adapters(network, [DiffFit(), LoRA(4)])
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):  # LoRA's A moves once B has left zero
        optimiser.zero_grad()
        network(*inputs()).square().sum().backward()
        optimiser.step()
    moved = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert moved == set(names)


def test_loading_is_strict_and_names_every_fault():
    network = small()
    apply_adapters(network, [LoRA(4)])
    state = trained_state(network)
    gone = next(iter(state))
    wrong = list(state)[1]
    state["blocks.9.gamma1"] = state.pop(gone)
    state[wrong] = torch.zeros(2, 2)
    with pytest.raises(UserError) as fault:
        load_trained(network, state)
    assert f"missing {gone}" in str(fault.value)
    assert "unexpected blocks.9.gamma1" in str(fault.value)
    assert f"{wrong} is [2, 2]" in str(fault.value)


@pytest.mark.parametrize(("depth", "which", "scaled"), [
    (2, "reference", 2), (7, "reference", 7), (16, "reference", 14), (7, "first_half", 3), (1, "first_half", 1),
    (16, "all", 16),
])  # fmt: skip
def test_scales_of_networks_of_any_depth(depth, which, scaled):
    network = small(depth=depth)
    apply_adapters(network, [DiffFit(which)])
    assert network.gammas == scaled


def test_mistakes_are_named():
    with pytest.raises(UserError, match="nothing would be trained"):
        apply_adapters(small(), [])
    with pytest.raises(UserError, match="gamma_blocks is 'half'"):
        apply_adapters(small(), [DiffFit("half")])
    with pytest.raises(UserError, match="found no layer"):
        apply_adapters(small(), [LoRA(targets=("attn.q",))])
