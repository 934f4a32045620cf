"""Networks are no larger than the files that name them."""

import pytest
import torch
from torch import nn

from roadstill.errors import UserError
from roadstill.weights.sizes import without_weights


def test_a_network_that_fits_is_built_without_weights():
    with without_weights("file", {"weight": (8, 4), "bias": (8,)}):
        network = nn.Linear(4, 8)
    assert network.weight.is_meta
    assert not nn.Linear(4, 8).weight.is_meta


def build(make, held=None):
    with without_weights("file", held):
        make()


def hiding():
    try:
        nn.Linear(10**7, 10**7)
    except (ValueError, RuntimeError, TypeError):  # as libraries do
        torch.zeros(1)


@pytest.mark.parametrize("held", [None, {"weight": (8, 4)}])
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(10**7, 10**7),
        lambda: nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(10**7)),
        hiding,
    ],
)
def test_building_stops_at_the_limit(held, make):
    with pytest.raises(UserError, match=r"^file: its sizes are those of a network of more parameters than"):
        build(make, held)
    nn.ModuleList(nn.Linear(100, 1000) for _ in range(200))  # nothing of it is left
    assert not nn.Linear(4, 8).weight.is_meta
