"""Which rows a step draws, the learning rate's shape, and state that comes back as it was."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from roadstill.errors import UserError
from roadstill.learning.loops import (
    balanced_rows,
    channels_last,
    evenly,
    generator_of,
    optimizer_tensors,
    rate_at,
    require_finite,
    restore_optimizer,
    rewind_metrics,
    rows_of_step,
    saved_state,
)
from roadstill.runs import read_metrics
from roadstill.weights.tensors import read_tensors, write_tensors


@pytest.mark.parametrize("count", [1, 3, 7, 16])
def test_every_row_comes_once_per_epoch_in_a_new_order(count):
    drawn = np.concatenate([rows_of_step(7, count, seed=1, step=step) for step in range(14)])[: 7 * 2]
    first, second = drawn[:7].tolist(), drawn[7:].tolist()
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second
    assert not np.array_equal(rows_of_step(50, 50, seed=1, step=0), rows_of_step(50, 50, seed=2, step=0))
    assert not np.array_equal(rows_of_step(50, 50, seed=1, step=0), rows_of_step(50, 50, seed=1, step=0, name="a"))


def test_classes_take_turns_whatever_their_share_and_use_up_their_rows():
    members = [np.arange(2), np.arange(2, 12), np.arange(12, 15)]
    label = np.repeat([0, 1, 2], [2, 10, 3])
    steps = [balanced_rows(members, 2, seed=0, step=step) for step in range(30)]
    rows = np.concatenate(steps)
    assert label[rows].tolist() == [0, 1, 2] * 20
    # 20 turns of a class: its rows come equally often, as far as the turns go.
    assert Counter(rows[label[rows] == 0].tolist()) == {0: 10, 1: 10}
    assert Counter(rows[label[rows] == 1].tolist()) == dict.fromkeys(range(2, 12), 2)
    assert set(Counter(rows[label[rows] == 2].tolist()).values()) == {6, 7}


def test_evenly_spread_rows_hold_both_ends():
    assert evenly(np.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert evenly(np.arange(3), 4).tolist() == [0, 1, 2]


def test_the_rate_warms_up_then_stays_or_falls_to_zero():
    settings = {"steps": 12, "warmup_steps": 2}
    rates = [rate_at(step, decay="none", **settings) for step in range(4)]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1, 1])
    falling = [rate_at(step, decay="cosine", **settings) for step in range(2, 13)]
    assert falling[0] == 1
    assert falling[5] == pytest.approx(0.5)
    assert falling[10] == pytest.approx(0)
    assert rate_at(99, decay="cosine", **settings) == pytest.approx(0)
    assert rate_at(0, steps=0, warmup_steps=0, decay="cosine") == 1


def step_of(network, optimizer):
    optimizer.zero_grad()
    network(torch.ones(1, 3, 4, 4)).square().sum().backward()
    optimizer.step()


def test_an_optimiser_that_was_put_back_goes_on_as_if_nothing_had_been(tmp_path):
    def fresh():
        network = torch.nn.Conv2d(3, 4, 3)
        channels_last(network)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_(generator=generator_of("start"))
        return network, torch.optim.AdamW(network.parameters(), lr=0.1, fused=True)

    network, optimizer = fresh()
    step_of(network, optimizer)
    names = [name for name, _ in network.named_parameters()]
    write_tensors(
        tmp_path / "state", optimizer_tensors(optimizer, names) | dict(network.named_parameters()), {"step": 1}
    )
    tensors, about = read_tensors(tmp_path / "state", "a state")
    assert about == {"step": 1}

    again, resumed = fresh()
    again.load_state_dict({name: tensors[name] for name in names})
    restore_optimizer(resumed, names, tensors)
    moments = resumed.state[again.weight]["exp_avg"]
    assert moments.is_contiguous(memory_format=torch.channels_last)
    step_of(network, optimizer)
    step_of(again, resumed)
    for ours, theirs in zip(again.parameters(), network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_resumed_log_holds_no_step_twice(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    rewind_metrics(path, 2)
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]
    rewind_metrics(tmp_path / "none.jsonl", 2)
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"key": "0" * 16}, "step"),
        ({"key": "0" * 16, "step": "two"}, "metadata, step"),
        ({"key": "0" * 16, "step": -1}, "metadata, step"),
        ({"key": 7, "step": 1}, "metadata, key"),
        ({"key": "1" * 16, "step": 1}, "a training with other settings"),
        ([], "its metadata is no record"),
    ],
)
def test_a_state_that_is_damaged_is_named(tmp_path, about, message):
    path = tmp_path / "state.safetensors"
    assert saved_state(path, "0" * 16, "a state") is None
    save_file({"x": torch.ones(1)}, path, {"roadstill": json.dumps(about)})
    with pytest.raises(UserError, match=message):
        saved_state(path, "0" * 16, "a state")


def test_a_state_that_is_not_finite_is_refused_before_it_is_saved():
    require_finite({"x": torch.ones(2), "n": torch.ones(1, dtype=torch.int64), "none": torch.ones(0)}, step=0)
    for value in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(UserError, match="step 8: 1 of 2 tensors are not finite, the first y"):
            require_finite({"x": torch.ones(2), "y": torch.tensor([0, value, 1.0])}, step=7)
