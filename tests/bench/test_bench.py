"""Benches say what they should; how fast anything is, no test asks."""

import re
from functools import partial

import pytest
import torch

from roadstill.agents import AgentConfig, train_agent
from roadstill.bench import (
    Row,
    bench_agent,
    bench_distil,
    bench_edm,
    bench_finetune,
    bench_index,
    bench_prepare,
    bench_sample,
    bench_select,
    bench_world,
    edm,
    table,
    world,
)
from roadstill.bench.agent import _pictures, _plainly
from roadstill.bench.generator import _epochs_table
from roadstill.bench.timing import flops_of, in_turns
from roadstill.distil import METHODS
from roadstill.networks.dit import SIZES
from roadstill.networks.kinds import SongUNetConfig


def test_every_method_of_distillation_is_timed():
    text = bench_distil(rounds=1, small=True)
    assert all(re.search(rf"^{name}$", text, re.MULTILINE) for name in METHODS)
    assert text.count("plain loop") == 4
    assert text.count("share of the convolutions' own rate") == 3


def test_works_take_turns_after_one_untimed_round():
    order = []
    seconds = in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_the_table_holds_rates_ratios_and_shares():
    rows = [Row("ours", [1.0, 2.0, 9.0], 8, flops=3e9), Row("baseline", [8.0], 8)]
    text = table("title", rows, unit="images", roof=6e9)
    assert re.search(r"ours +4\.00 +4\.00x +25%", text)
    assert re.search(r"baseline +1\.00 +1\.00x", text)


def test_operations_are_counted_forward_and_backward():
    weight = torch.randn(4, 5, requires_grad=True)
    x = torch.randn(3, 4)
    # 2 * 3 * 4 * 5 forward, and the same once for the weight's gradient.
    assert flops_of(lambda: (x @ weight).sum().backward()) == 2 * 120


@pytest.fixture(params=[True, False], ids=["bfloat16", "single"])
def knows_half(request, monkeypatch):
    """A processor with and without instructions for bfloat16."""
    for module in ("bench.edm", "bench.generator", "bench.agent", "learning.precision"):
        monkeypatch.setattr(f"roadstill.{module}.has_bfloat16", lambda kind: request.param)
    return request.param


def test_the_baseline_does_the_same_work(knows_half, monkeypatch):
    monkeypatch.setitem(SIZES, "S", (2, 96, 2))  # or it takes long where bfloat16 is computed without instructions
    text = bench_sample("DiT-S/8", images=2, steps=3)
    gaps = {name: float(gap) for gap, name in re.findall(r"(\S+) (one by one|in bfloat16)(?:,|$)", text)}
    assert gaps["one by one"] < 1e-3
    assert len(gaps) == 1 + knows_half == 1 + text.count("20 steps, bfloat16")
    assert gaps.get("in bfloat16", 0) < 0.3


@pytest.mark.slow
def test_the_fine_tuning_bench_runs():
    text = bench_finetune("DiT-S/8", batch_size=2, rounds=1, memory_size=4)
    assert "baseline step" in text
    assert "memories of 4" in text
    assert "8 epochs with encoding" in text
    assert "baseline: 8 steps that encode" in text


def test_eight_epochs_are_summed_up_from_steps_and_one_encoding():
    text = _epochs_table([8.0], [1.0], [13.0], 8)
    ours = next(line for line in text.splitlines() if line.startswith("ours"))
    assert ours.split()[-2:] == ["4.00", "6.50x"]  # 64 images in 8 + 8 seconds, against 8 * 13


def test_the_edm_bench_runs(knows_half, monkeypatch):
    # A processor that has no instructions for bfloat16 takes a minute over the full-sized ones.
    monkeypatch.setattr(edm, "matmul_flops_per_s", partial(edm.matmul_flops_per_s, size=16))
    monkeypatch.setattr(edm, "conv_flops_per_s", partial(edm.conv_flops_per_s, channels=2, side=4))
    tiny = SongUNetConfig(channels=8, channel_mult=(1,), num_blocks=1, attention=(), patch=2)
    text = bench_edm(tiny, batch_size=2, images=2, rounds=1, memory_size=4)
    assert text.count("baseline step") == text.count("one by one") == 1 + knows_half
    assert text.count("of a single convolution's rate") == 2 + 2 * knows_half
    assert ("no instructions" in text) is not knows_half


def test_the_data_benches_run():
    text = bench_index(frames=0, rounds=1)
    assert text.count("read safely") == text.count("pickle.load (runs whatever it holds)") == 2
    assert "logs of the built-in world" in text
    assert "filters and split" in text
    text = bench_prepare(pictures=1, rounds=1)
    assert float(re.search(r"PSNR (\S+) dB", text).group(1)) > 35


def test_the_agent_bench_runs():
    text = bench_agent(pictures=4, seeds=1, rounds=1, small=True)
    assert text.count("plain loop, PyTorch's loader") == text.count("two processes") >= 2


def test_the_plain_loop_trains_the_same_agent(tmp_path):
    # One step on the whole set: the order within the batch is all that can differ.
    images = _pictures(tmp_path / "set", 4, 16)
    config = AgentConfig(network="convnet-3", steps=1)
    ours = train_agent(images, config=config, seed=0).about["last_loss"]
    assert float(_plainly(images, config, 0)) == pytest.approx(ours, abs=1e-5)


def test_the_selection_bench_runs():
    text = bench_select(rows=80, width=8, count=3, rounds=1)
    assert text.count("plain loop") == 7
    assert "near-duplicates out" in text


def test_the_world_bench_draws_the_same_pictures_by_themselves(monkeypatch):
    monkeypatch.setattr(world, "_SIZES_PX", ((64, 36, 2),))
    text = bench_world(drives=1, rounds=1)
    assert re.search(r"1 drives, \d+ frames", text)
    assert "pictures of 64 x 36" in text
    assert re.search(r"each by itself +[\d.]+ +1\.00x", text)
