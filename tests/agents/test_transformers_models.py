"""Classifiers of transformers from folders and records of other people: nothing is run, imported or fetched."""

import json
import socket
import sys

import pytest
import torch
from made import picture_set, unsealed
from safetensors.torch import load_file, save_file

from roadstill.agents import AgentConfig, open_agent, train_agent
from roadstill.agents.networks import check_name, make_network
from roadstill.errors import UserError

SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "image_size": 16,
         "patch_size": 8}  # fmt: skip
# What would be run, imported or fetched, were it read.
GENERIC = {
    "attn_implementation": "someone/kernel",
    "_attn_implementation": "someone/kernel",
    "experts_implementation": "someone/kernel",
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "auto_map": {"AutoConfig": "inert_module--thing", "AutoModelForImageClassification": "inert_module.thing"},
    "custom_pipelines": {"x": {"impl": "inert_module.thing"}},
    "_name_or_path": "someone/model",
    "torch_dtype": "float16",
    "dtype": "float16",
    "tie_word_embeddings": True,
}


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """No way to the network."""

    def connect(*_):
        raise AssertionError("it went to the network")

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture
def inert(tmp_path, monkeypatch):
    """``inert()``: whether the module ``inert_module``, which can be found, was imported."""
    mark = tmp_path / "mark"
    (tmp_path / "inert_module.py").write_text(f"open({str(mark)!r}, 'w').close()\n\n\ndef thing(*_):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield mark.exists
    sys.modules.pop("inert_module", None)


@pytest.fixture
def folder(tmp_path):
    """A small ViT of seven classes."""
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig(**SIZES, num_labels=7)).eval()
    model.config.save_pretrained(tmp_path / "model")
    save_file(model.state_dict(), tmp_path / "model" / "model.safetensors", {"format": "pt"})
    return tmp_path / "model"


def change(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def build(folder):
    return make_network(f"transformers:{folder}", 2, size_px=16).eval()


@torch.no_grad()
def features(network):
    return network.trunk(torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16))


@pytest.mark.parametrize("field", GENERIC)
def test_what_names_code_is_left_out(folder, inert, field):
    plain = features(build(folder))
    change(folder, **{field: GENERIC[field]})
    made = build(folder)
    assert torch.equal(features(made), plain)
    assert {parameter.dtype for parameter in made.parameters()} == {torch.float32}
    assert made.stages[0].network.config._attn_implementation in ("eager", "sdpa")
    assert not inert()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"hidden_act": "someone/act"}, "hidden_act is 'someone/act', which names something elsewhere"),
        ({"hidden_act": "/etc/passwd"}, "hidden_act is '/etc/passwd', which names something elsewhere"),
        ({"hidden_act": "hf:act"}, "names something elsewhere"),
        ({"model_type": "timm_wrapper", "architecture": "hf-hub:someone/model"}, "timm_wrapper is made from what its"),
        ({"model_type": "no_such_type"}, "cannot be opened as an image classifier"),
        ({"model_type": "bert"}, "cannot be opened as an image classifier"),
        ({"model_type": ["vit"]}, "model_type: Expected `str`"),
    ],
    ids=str,
)
def test_what_names_something_elsewhere_is_refused(folder, fields, says):
    change(folder, **fields)
    with pytest.raises(UserError, match=says) as refused:
        build(folder)
    assert f"transformers:{folder}" in str(refused.value)


def test_inner_configurations_are_held_to_the_same():
    from roadstill.agents.transformers_models import _settings

    vision = {"hidden_size": 8, "num_hidden_layers": 1, "attn_implementation": "someone/kernel"}
    found = _settings({"model_type": "siglip", "vision_config": vision, "attn_implementation": "someone/kernel"})
    assert found.vision_config.hidden_size == 8
    assert "someone/kernel" not in str(vars(found)) + str(vars(found.vision_config))
    with pytest.raises(UserError, match="hidden_act is 'a/b'"):
        _settings({"model_type": "siglip", "vision_config": {"hidden_act": "a/b"}})


def test_adapters_beside_a_model_are_not_read(folder, inert):
    plain = features(build(folder))
    settings = {
        "peft_type": "LORA",
        "base_model_name_or_path": "someone/model",
        "megatron_core": "inert_module",
        "megatron_config": {"x": 1},
        "target_modules": ["query"],
        "auto_mapping": {"parent_library": "inert_module"},
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    assert torch.equal(features(build(folder)), plain)
    assert not inert()


def test_weights_in_parts(folder):
    plain = features(build(folder))
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    for part, its in enumerate((names[:9], names[9:]), start=1):
        save_file({name: tensors[name] for name in its}, folder / f"model-0000{part}-of-00002.safetensors")
    assert torch.equal(features(build(folder)), plain)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match="tensors are missing or do not fit"):
        build(folder)


@pytest.mark.parametrize("field", GENERIC)
def test_an_agent_s_record_names_no_code_either(folder, inert, field, tmp_path):
    images = picture_set(tmp_path / "set", 4)
    agent = train_agent(images, config=AgentConfig(network=f"transformers:{folder}", steps=1), seed=0)
    path = agent.save(tmp_path / "agent") / "agent.json"
    record = unsealed(path)
    record["made_from"]["config"][field] = GENERIC[field]
    record["config"]["network"] = "transformers:someone/model"
    path.write_text(json.dumps(record))
    opened = open_agent(tmp_path / "agent")
    assert (opened.predict(images.pixels()) == agent.predict(images.pixels())).all()
    assert not inert()
    for made_from in (None, {}, {"config": {}}):
        path.write_text(json.dumps(record | {"made_from": made_from}))
        with pytest.raises(UserError, match=r"agent\.json: .*train it again"):
            open_agent(tmp_path / "agent")


@pytest.mark.parametrize("name", ["timm:hf-hub:a/b", "timm:hf_hub:a/b", "timm:local-dir:/tmp", "timm:a/b", "timm:",
                                  "timm:.a", "hf:a/b", "transformers:", "a/b", "../net", "os", "my.net()"])  # fmt: skip
def test_names_of_networks_that_lead_elsewhere(name):
    with pytest.raises(UserError, match="is unknown"):
        check_name(name)


@pytest.mark.parametrize("name", ["timm:resnet18", "timm:resnet18.a1_in1k", "transformers:a/b", "my.net", "convnet-3"])
def test_names_of_networks(name):
    check_name(name)
