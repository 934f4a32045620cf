"""Half precision: only where the machine computes in it, and said once where it does not."""

import pytest
import torch

from roadstill.denoisers.base import Sampling
from roadstill.denoisers.edm import EDMDenoiser
from roadstill.generator.config import FinetuneConfig
from roadstill.generator.finetune import accelerator_of
from roadstill.learning import precision
from roadstill.learning.precision import has_bfloat16, in_bfloat16
from roadstill.networks.kinds import SongUNetConfig, fresh_network


@pytest.fixture(params=[True, False], ids=["bfloat16", "single"])
def knows_half(request, monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda kind: request.param)
    precision._warn.cache_clear()
    return request.param


def test_the_processor_is_asked():
    assert has_bfloat16("cpu") == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert has_bfloat16("mps")


def test_what_is_wanted_in_vain_is_said_once(knows_half, caplog):
    assert [in_bfloat16("cpu", wanted) for wanted in (False, True, True)] == [False, knows_half, knows_half]
    assert [record.getMessage() for record in caplog.records] == (
        [] if knows_half else ["bf16 computes in single precision here: this cpu has no instructions for bfloat16"]
    )


def test_workers_leave_the_warning_to_their_parent(monkeypatch, caplog):
    monkeypatch.setattr(precision, "has_bfloat16", lambda kind: False)
    monkeypatch.setattr(precision, "parent_process", object)
    precision._warn.cache_clear()
    assert not in_bfloat16("cpu", True)
    assert not caplog.records


def test_everything_that_takes_bf16_asks(knows_half, tmp_path):
    network = fresh_network(
        SongUNetConfig(channels=8, channel_mult=(1,), num_blocks=1, attention=()),
        input_size=8, in_channels=3, num_classes=2, seed=0,
    )  # fmt: skip
    with torch.no_grad():
        for weight in network.parameters():  # a fresh output layer is zero
            weight.add_(0.1)
    drawn = [
        EDMDenoiser(network.eval()).generate(
            torch.tensor([0, 1]), seeds=[0, 1], sampling=Sampling(steps=2, mixed_precision=each)
        )
        for each in ("no", "bf16")
    ]
    assert torch.equal(*drawn) is not knows_half
    accelerator = accelerator_of(FinetuneConfig(mixed_precision="bf16"), tmp_path)
    assert accelerator.mixed_precision == ("bf16" if knows_half else "no")
