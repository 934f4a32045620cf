"""EDM's published pickles: tensors and settings come out bit for bit, and nothing in the file is ever run."""

import builtins
import os
import pickle
import subprocess

import pytest
import torch
from made_edm import Calls, content_of, settings_of, write

from roadstill.denoisers.base import Sampling
from roadstill.errors import UserError
from roadstill.generator.checkpoints import load_denoiser
from roadstill.generator.edm_weights import load_edm
from roadstill.networks.songunet import STYLES, SongUNet
from roadstill.verbs.generator import export

TINY = {"input_size": 8, "num_classes": 3, "channels": 16, "channel_mult": (1, 2), "num_blocks": 1, "attention": (4,)}


def network(style="ncsnpp", **more):
    made = SongUNet(**TINY | {"style": style, "dropout": 0.13, "augment_dim": 9} | more)
    with torch.no_grad():
        for tensor in (*made.parameters(), *made.buffers()):
            tensor.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    return made


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("style", STYLES)
def test_tensors_and_settings_come_out_and_the_module_text_is_not_run(tmp_path, style, protocol):
    theirs, marker = network(style), tmp_path / "marker"
    path = write(tmp_path / "edm.pkl", content_of(theirs, marker=marker), protocol)
    ours, facts = load_edm(path)
    assert not marker.exists()
    assert ours.config == theirs.config
    assert facts == {"label_dropout": 0.0}
    wanted = theirs.state_dict()
    assert ours.state_dict().keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in ours.state_dict().items())


def test_a_pickle_is_a_generator_and_converts_once(tmp_path):
    path = write(tmp_path / "edm-cifar10.pkl", content_of(network(num_classes=10)))
    pickled = load_denoiser(path)
    export(tmp_path / "edm.safetensors", checkpoint=path, layout="original")
    converted = load_denoiser(tmp_path / "edm.safetensors")
    pictures = [
        found.generate(torch.tensor([0, 9]), seeds=[1, 2], sampling=Sampling(steps=3)) for found in (pickled, converted)
    ]
    assert torch.equal(*pictures)
    assert converted.origin.codec == "pixels"
    with pytest.raises(UserError, match="trained without label_dropout"):
        converted.generate(torch.tensor([0]), seeds=[1], sampling=Sampling(guidance=2.0))
    with pytest.raises(UserError, match="diffusers has no pipeline"):
        export(tmp_path / "folder", checkpoint=path)


HOSTILE = {
    "os.system": (Calls(os.system, "touch marker"), "posix.system"),
    "subprocess": (Calls(subprocess.check_call, ["touch", "marker"]), "subprocess.check_call"),
    "eval": (Calls(eval, "open('marker', 'w')"), "builtins.eval"),
    "getattr": (Calls(builtins.getattr, "text", "upper"), "builtins.getattr"),
    "torch.load": (Calls(torch.load, "marker"), "torch.serialization.load"),
    "an unknown class": (Calls(torch.nn.Sequential), "torch.nn.modules.container.Sequential"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("where", ["ema", "augment_pipe"])
def test_hostile_files_are_refused_by_the_name_that_they_call(tmp_path, monkeypatch, name, where):
    monkeypatch.chdir(tmp_path)
    bad, named = HOSTILE[name]
    path = write(tmp_path / "bad.pkl", content_of(network()) | {where: bad})
    with pytest.raises(UserError, match=f"bad.pkl: it names '{named}', which is not") as caught:
        load_denoiser(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "marker").exists()


def test_a_hostile_tensor_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inner = pickle.dumps(Calls(os.system, "touch marker"))
    bad = Calls(torch.storage._load_from_bytes, inner)
    path = write(tmp_path / "bad.pkl", content_of(network()) | {"loss_fn": bad})
    with pytest.raises(UserError, match=r"it names 'posix\.system', which is not"):
        load_denoiser(path)
    assert not (tmp_path / "marker").exists()


def test_a_tensor_beyond_its_numbers_is_refused(tmp_path):
    storage = torch.zeros(4)._typed_storage()
    for offset, size, stride in ((2, (3,), (1,)), (0, (2, 3), (1, 2)), (-1, (1,), (1,)), (0, (2**40,), (0,))):
        bad = Calls(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, None)
        path = write(tmp_path / "bad.pkl", content_of(network()) | {"loss_fn": bad})
        with pytest.raises(UserError, match=r"a tensor of|more bytes than the file"):
            load_denoiser(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"img_resolution": 2**20}, "img_resolution is 1048576"),
        ({"model_channels": 24}, "missing|has the shape"),
        ({"num_blocks": 2}, "8 missing|missing"),
        ({"encoder_type": "skip"}, "only those of ddpmpp and ncsnpp"),
        ({"channel_mult": [1, 99]}, "wider than supported"),
        ({"out_channels": 6}, "out_channels is 6; only 3"),
        ({"dropout": "much"}, "dropout is much"),
        ({"skip_scale": 2.0}, "setting 'skip_scale'"),
    ],
)
def test_settings_that_do_not_fit_are_one_clear_line(tmp_path, change, message):
    made = network()
    path = write(tmp_path / "edm.pkl", content_of(made, settings=settings_of(made) | change))
    with pytest.raises(UserError, match=message) as caught:
        load_denoiser(path)
    assert "\n" not in str(caught.value)


def test_other_networks_and_damage_are_one_clear_line(tmp_path):
    made = network()
    files = {
        "vp.pkl": (content_of(made, outer="VPPrecond"), "holds a 'VPPrecond' over 'SongUNet'; only EDMPrecond"),
        "data.pkl": (content_of(made, sigma_data=1.0), "sigma_data 1.0; only 0.5"),
        "list.pkl": ([1, 2], "no network under 'ema'"),
    }
    for name, (content, message) in files.items():
        with pytest.raises(UserError, match=message):
            load_denoiser(write(tmp_path / name, content))
    whole = write(tmp_path / "cut.pkl", content_of(made))
    whole.write_bytes(whole.read_bytes()[:20_000])
    with pytest.raises(UserError, match=r"cut\.pkl"):
        load_denoiser(whole)
    with torch.no_grad():
        made.map_label.weight[0, 0] = torch.nan
    with pytest.raises(UserError, match=r"map_label.weight .* not finite"):
        load_denoiser(write(tmp_path / "nan.pkl", content_of(made)))
    with pytest.raises(UserError, match=r"none\.pkl"):
        load_denoiser(tmp_path / "none.pkl")
