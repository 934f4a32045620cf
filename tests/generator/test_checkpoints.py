"""A checkpoint's record: what it tells of its tensors, and records of older versions."""

import json

import pytest
import torch
from made import unsealed
from safetensors.torch import load_file
from weightfiles import flipped, rewritten, tiny_base, tiny_latents

from roadstill.adapters import DiffFit, LoRA
from roadstill.errors import UserError
from roadstill.generator.checkpoints import export_base, load_denoiser
from roadstill.generator.config import FinetuneConfig
from roadstill.generator.finetune import finetune
from roadstill.runs import digest_file
from roadstill.weights.tensors import open_tensors

TUNING = FinetuneConfig(steps=1, batch_size=2, adapters=(DiffFit(), LoRA(rank=2)))


@pytest.fixture
def tuned(tmp_path):
    base, latents = tiny_base(tmp_path / "base.safetensors"), tiny_latents(tmp_path / "latents")
    return finetune(latents, base=base, out=tmp_path / "tuned", config=TUNING, seed=0)


def told(folder, **changes):
    path = folder / "config.json"
    record = unsealed(path) | changes
    path.write_text(json.dumps({name: value for name, value in record.items() if value is not ...}))


def test_the_record_tells_the_digest_of_the_tensors(tuned):
    record = unsealed(tuned / "config.json")
    assert record["trained"] == digest_file(tuned / "trained.safetensors") == load_denoiser(tuned).origin.digest
    flipped(tuned / "trained.safetensors")
    with pytest.raises(UserError, match=r"trained\.safetensors is damaged.*; finetune again, or copy it again"):
        load_denoiser(tuned)


def test_a_record_of_an_older_version_opens(tuned):
    expected = load_denoiser(tuned).network.state_dict()
    told(tuned, trained=..., objective=..., step=..., fresh_labels=..., guided_channels=None, latents=..., codec=...)
    found = load_denoiser(tuned)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.network.state_dict().items())
    assert found.origin.class_names == ("not_brake", "brake")


def test_a_base_is_sealed_and_one_of_an_older_version_opens(tuned, tmp_path):
    path = export_base(tuned, tmp_path / "exported.safetensors")
    assert open_tensors(path, "a base").about["tensors"]
    expected = load_file(path)
    rewritten(path)
    assert "tensors" not in open_tensors(path, "a base").about
    found = load_denoiser(path).network.state_dict()
    assert all(torch.equal(found[name].half(), expected[name]) for name in expected if name in found)


def test_the_average_is_held_against_the_network_whichever_is_taken(tuned):
    told(tuned, trained=...)
    rewritten(tuned / "trained.safetensors", tensors=lambda t: t.pop("ema/final_layer.linear.bias") is None or None)
    for which in ("ema", "trained"):
        with pytest.raises(UserError, match=r"1 missing \[ema/final_layer\.linear\.bias\]"):
            load_denoiser(tuned, which=which)


def test_checkpoints_stand_on_one_another_but_not_on_themselves(tuned, tmp_path):
    latents = tiny_latents(tmp_path / "more")
    for number in range(3):
        tuned = finetune(latents, base=tuned, out=tmp_path / f"over{number}", config=TUNING, seed=0)
    load_denoiser(tuned)
    for number in (1, 0):  # over0 on over1 on over0
        record = unsealed(tmp_path / f"over{number}" / "config.json")
        told(tmp_path / f"over{number}", base=record["base"] | {"path": f"../over{1 - number}"})
    with pytest.raises(UserError, match="its base stands on itself"):
        load_denoiser(tuned)
