"""Attributes in a DiT: what is left out, or not learned yet, changes no bit."""

import pytest
import torch
from weightfiles import tiny_dit

from roadstill.networks.conditions import AttributeEmbed
from roadstill.networks.kinds import network_of, sizes_of


def shaken(**sizes):
    network, generator = tiny_dit(**sizes), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name not in ("pos_embed", "a_embedder.weight"):
                parameter.normal_(std=0.2, generator=generator)
    return network


INPUTS = torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([3, 500, 999])
CLASSES = torch.tensor([0, 1, 2])


def told(*rows):
    return torch.cat([CLASSES[:, None], torch.tensor(rows)], dim=1)


@torch.no_grad()
def test_a_table_that_has_not_learned_and_rows_that_are_left_out_change_nothing():
    plain, able = shaken(), shaken(attributes=5)
    wanted = plain(*INPUTS, CLASSES)
    assert torch.equal(able(*INPUTS, CLASSES), wanted)
    assert torch.equal(able(*INPUTS, told([0, 4], [1, -1], [-1, -1])), wanted)
    able.a_embedder.weight.normal_()
    found = able(*INPUTS, told([0, 4], [-1, -1], [2, -1]))
    assert torch.equal(found[1], wanted[1])
    assert not torch.equal(found[0], wanted[0])


def test_rows_add_up_and_only_those_that_are_told_get_a_gradient():
    table = AttributeEmbed(4, 3)
    with torch.no_grad():
        table.weight.copy_(torch.arange(12.0).view(4, 3))
    out = table(torch.tensor([[0, 3], [-1, 1], [-1, -1]]))
    torch.testing.assert_close(out, torch.tensor([[9.0, 11, 13], [3, 4, 5], [0, 0, 0]]))
    out.sum().backward()
    assert table.weight.grad.tolist() == [[1.0] * 3, [1.0] * 3, [0.0] * 3, [1.0] * 3]


def test_sizes_tell_of_attributes_only_where_there_are_some():
    assert "attributes" not in tiny_dit().config
    sizes = tiny_dit(attributes=5).config
    assert sizes["attributes"] == 5
    assert network_of(sizes_of(sizes, "file", "again")).config == sizes
    with pytest.raises(ValueError, match="attributes"):
        sizes_of(sizes | {"attributes": -1}, "file", "again")
