"""Plans against what was really written and computed, at three sizes of each stage; how fast it was, no test asks."""

import json
from dataclasses import replace

import msgspec
import pytest

from roadstill.bench.plan import Size, plan, table, told_bytes
from roadstill.bench.rates import Rates, read_rates
from roadstill.bench.stages import (
    bench_stages,
    bytes_in,
    fitted_index,
    measured_encode,
    measured_index,
    measured_prepare,
    one_thread,
)
from roadstill.errors import UserError

SIZE = Size(frames=1000, backbone="DiT-S/2", size_px=64, train_share=1.0)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Figures of one size, as ``bench stages`` writes them, and the folders and operations of three."""
    folder, found = tmp_path_factory.mktemp("plan"), {}
    with one_thread():
        for count in (2, 4, 8):
            prepare, images = measured_prepare(folder / f"set{count}", count, 64)
            encode, flops = measured_encode(images, folder / f"latents{count}")
            _, written = measured_index(folder / f"index{count}", count // 2)
            found[count] = {
                "prepare": prepare, "encode": encode, "flops": flops, "frames": 600 * count // 2,
                "set": bytes_in(folder / f"set{count}"), "latents": bytes_in(folder / f"latents{count}"),
                "table": written,
            }  # fmt: skip
        fitted = fitted_index(folder, 1)
    network = {"flops_per_s": 1e9}
    own = found[4]
    rates = msgspec.convert(
        {
            "measured_on": "the test", "accelerator": None, "memory": 3e8, "index": fitted,
            "prepare": own["prepare"], "encode": own["encode"], "finetune": network, "generate": network,
            "train": {"flops_per_s": 1e9, "flops_per_picture": 1e6, "image_px": 64},
        },
        Rates,
    )  # fmt: skip
    return rates, found


def stage(name, size, rates):
    return next(each for each in plan(size, rates) if each.name == name)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_bytes_and_operations_are_within_a_quarter_at_three_sizes(measured, count):
    rates, found = measured
    its, size = found[count], replace(SIZE, frames=count)
    encode = stage("encode", size, rates)
    assert encode.flops == pytest.approx(its["flops"])
    numbers = encode.disk
    assert numbers <= its["latents"] <= numbers + 8192  # records and labels come on top
    assert stage("prepare", size, rates).disk == pytest.approx(its["set"], rel=0.25)
    of_logs = replace(SIZE, frames=its["frames"])
    assert stage("index", of_logs, rates).disk == pytest.approx(its["table"], rel=0.25)


def test_hours_follow_from_the_rates(measured):
    rates, _ = measured
    size = replace(SIZE, frames=7200, cores=2)
    assert stage("index", size, rates).hours == pytest.approx(1 / rates.index.frames_per_s)
    assert stage("prepare", size, rates).hours == pytest.approx(1 / rates.prepare.pictures_per_s)
    encode = stage("encode", size, rates)
    assert encode.hours == pytest.approx(encode.flops / rates.encode.flops_per_s / 7200)
    assert stage("finetune", size, rates).hours == pytest.approx(stage("finetune", size, rates).flops / 1e9 / 7200)


def test_hours_on_gpus_are_not_made_up(measured):
    rates, _ = measured
    unknown = replace(SIZE, gpus=8)
    assert stage("finetune", unknown, rates).hours is None
    text = table(plan(unknown, rates), unknown, rates)
    assert "unknown" in text
    assert "--gpu_tflops" in text
    told = stage("finetune", replace(unknown, gpu_tflops=100), rates)
    assert told.hours == pytest.approx(told.flops / 1e14 / 8 / 3600)
    assert told.engine == "torchrun, 8 processes (DDP)"
    own = msgspec.structs.replace(rates, accelerator="cuda")
    assert stage("finetune", unknown, own).hours == pytest.approx(told.flops / 1e9 / 8 / 3600)


def test_large_sizes_name_other_engines(measured):
    rates, _ = measured
    small, large = (
        plan(replace(SIZE, frames=frames, cores=cores), rates) for frames, cores in ((1000, 8), (10**9, 512))
    )
    assert [each.engine for each in small[:2]] == ["8 processes", "8 processes"]
    assert large[0].engine == "8 shards of 64 processes (Slurm)"
    assert "or Ray Data" in large[1].engine
    assert "indexes, one set each" in large[1].engine
    assert large[1].memory < 70 * 2**30


def test_shipped_figures_are_read_and_say_what_they_are():
    rates = read_rates()
    assert "core" in rates.measured_on
    assert rates.accelerator is None
    text = table(plan(Size(frames=100_000), rates), Size(frames=100_000), rates)
    assert "100,000 frames at 256 px, DiT-XL/2, shipped codec, 2 cores" in text
    assert rates.measured_on in text


def test_figures_are_written_and_read_again(tmp_path):
    bench_stages(tmp_path / "rates.json", pictures=2, logs=1, size_px=64)
    rates = read_rates(tmp_path / "rates.json")
    assert rates.encode.downsampling == 8
    assert min(rates.finetune.flops_per_s, rates.generate.flops_per_s, rates.train.flops_per_s) > 1e6


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"frames": 0}, "frames is 0"),
        ({"gpus": -1}, "gpus is -1"),
        ({"train_share": 0.0}, "train_share is 0"),
        ({"size_px": 100}, "size_px 100 must be a multiple of 8"),
        ({"backbone": "UNet"}, "backbone 'UNet' is unknown"),
    ],
)
def test_sizes_that_there_are_not_are_refused(fields, says):
    with pytest.raises(UserError, match=says):
        plan(replace(SIZE, **fields), read_rates())


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "rates.json"
    path.write_text(json.dumps({"format": "roadstill-rates-1", "measured_on": "here"}))
    with pytest.raises(UserError, match="measure it again"):
        read_rates(path)


@pytest.mark.parametrize(("count", "text"), [(0, "-"), (999, "999 B"), (3.2e9, "3.2 GB"), (5e16, "50 PB")])
def test_bytes_as_people_read_them(count, text):
    assert told_bytes(count) == text
