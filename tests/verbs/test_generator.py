"""Class names go out with an export and come back, with the rows that they stand for."""

import json

import numpy as np
import pytest
import torch
from made import picture_set
from weightfiles import tiny_base, tiny_codec, tiny_dit

from roadstill.cli import main
from roadstill.codecs import PixelCodec
from roadstill.denoisers.base import Origin, Sampling
from roadstill.denoisers.dit import DiTDenoiser, VDenoiser
from roadstill.denoisers.sit import SiTDenoiser
from roadstill.errors import UserError
from roadstill.generator.checkpoints import load_denoiser, write_base
from roadstill.generator.generate import generate
from roadstill.imagesets import open_imageset
from roadstill.schedules import linear
from roadstill.verbs.generator import export

NAMES = ("brake", "not_brake")


def shaken(**sizes):
    network = tiny_dit(**sizes)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.2, generator=generator)
    return network


@pytest.mark.parametrize("layout", ["diffusers", "original"])
@pytest.mark.parametrize("rows", [None, (4, 1)])
@pytest.mark.parametrize("kind", [DiTDenoiser, VDenoiser, SiTDenoiser])
def test_an_export_comes_back_as_it_was(tmp_path, layout, rows, kind):
    network = shaken(num_classes=2 if rows is None else 5, in_channels=3)
    settings = {"label_rows": rows, "guided_channels": 2, "label_dropout": 0.2}
    denoiser = kind.of(network, linear(40), settings)
    denoiser.origin = Origin(class_names=NAMES, codec="pixels")
    whole = write_base(denoiser, tmp_path / "whole.safetensors", torch.float32)
    out = tmp_path / ("out" if layout == "diffusers" else "out.safetensors")
    export(out, checkpoint=whole, layout=layout)
    back = load_denoiser(out)
    assert type(back) is kind
    assert (back.origin.class_names, back.origin.codec) == (NAMES, "pixels")
    assert back.settings == denoiser.settings

    def drawn(name, found):
        return generate(found, PixelCodec(), per_class=1, seed=3, config=Sampling(steps=3), out=tmp_path / name)

    if layout == "diffusers" or kind is SiTDenoiser:  # an original file holds no betas
        one, two = (drawn(name, found) for name, found in (("one", load_denoiser(whole)), ("two", back)))
        assert one.class_names == two.class_names == NAMES
        np.testing.assert_array_equal(one.pixels(), two.pixels())
    with pytest.raises(UserError, match="predicts"):
        load_denoiser(out, objective="noise" if kind is SiTDenoiser else "velocity")


def test_equal_generators_are_equal_bytes(tmp_path):
    base = tiny_base(tmp_path / "base.safetensors", NAMES)
    for name in "ab":
        export(tmp_path / f"{name}.safetensors", checkpoint=base, layout="original")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_diffusers_finds_the_names_where_it_looks_for_them(tmp_path):
    from diffusers import DiTPipeline

    export(tmp_path / "out", checkpoint=tiny_base(tmp_path / "base.safetensors", NAMES))
    assert json.loads((tmp_path / "out" / "model_index.json").read_text())["id2label"] == {
        "0": "brake",
        "1": "not_brake",
    }
    pipeline = DiTPipeline.from_pretrained(tmp_path / "out", vae=None)
    assert pipeline.get_label_ids(["not_brake", "brake"]) == [1, 0]


def test_exports_of_older_versions_and_of_others_have_no_names(tmp_path):
    export(tmp_path / "out", checkpoint=tiny_base(tmp_path / "base.safetensors", NAMES))
    index = tmp_path / "out" / "model_index.json"
    record = json.loads(index.read_text())
    del record["generator"]
    index.write_text(json.dumps(record))
    assert load_denoiser(tmp_path / "out").origin.class_names == ()
    index.unlink()
    assert load_denoiser(tmp_path / "out").origin.class_names == ()
    denoiser = load_denoiser(tmp_path / "out")
    with pytest.raises(UserError, match="does not know its class names"):
        generate(denoiser, PixelCodec(), per_class=1, seed=0, config=Sampling(), out=tmp_path / "x")


ATTRIBUTES = {"cause": ("red_light",), "light": ("day", "night")}


def with_attributes(path):
    denoiser = DiTDenoiser(shaken(attributes=3), linear(40), guided_channels=None)
    denoiser.origin = Origin(class_names=NAMES, attributes=ATTRIBUTES)
    return write_base(denoiser, path, torch.float32)


@pytest.mark.parametrize("layout", ["diffusers", "original"])
def test_an_export_folds_the_attributes_that_are_asked_for_into_the_classes(tmp_path, layout):
    base = with_attributes(tmp_path / "base.safetensors")
    out = tmp_path / ("out" if layout == "diffusers" else "out.safetensors")
    assert export(out, checkpoint=base, layout=layout, where="night, red light").endswith(
        "without its attributes but night, red_light"
    )
    z, t = torch.randn(3, 4, 4, 4), torch.tensor([1, 5, 19])
    with torch.no_grad():
        wanted = load_denoiser(base).network(z, t, torch.tensor([[0, 2, 0], [1, 2, 0], [2, -1, -1]]))
        torch.testing.assert_close(load_denoiser(out).network(z, t, torch.tensor([0, 1, 2])), wanted)
    plain = tmp_path / f"plain-{out.name}"
    assert export(plain, checkpoint=base, layout=layout).endswith("without its attributes")
    assert load_denoiser(plain).origin.attributes == {}


def test_words_of_the_command_line_reach_the_pictures(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with_attributes(tmp_path / "base.safetensors")
    codec = tiny_codec(tmp_path / "codec.safetensors")
    words = ("generate", "--checkpoint", "base.safetensors", "--codec", str(codec), "--sampling.steps", "2")
    for number, where in enumerate(("night, red light", "{light: night, cause: red_light}")):
        assert main([*words, f"out{number}", "--where", where, "--per_class", "1"]) == 0
        made = open_imageset(tmp_path / f"out{number}")
        assert (made.column("light"), made.column("cause")) == (["night"] * 2, ["red_light"] * 2)
    assert main([*words, "out2", "--sampling.where", "{light: day}", "--per_class", "1"]) == 0
    assert main([*words, "out3", "--sampling.strata", "light", "--fill", "out2", "--per_class", "1"]) == 0
    assert open_imageset(tmp_path / "out3").column("light") == ["night"] * 2
    assert main([*words, "out4", "--where", "dusk"]) == 2
    assert "'dusk' is unknown; this generator knows cause: red_light; light: day, night" in capsys.readouterr().err


def test_columns_of_a_set_become_conditions_by_commands_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture_set(tmp_path / "set", 8, light=["day", "night"] * 4, weather=["rain"] * 8)
    tiny_codec(tmp_path / "codec.safetensors")
    assert main(["encode", "set", "latents", "--codec", "codec.safetensors", "--attributes", "light,weather"]) == 0
    assert "light: day, night; weather: rain" in capsys.readouterr().out
    network = (
        "--denoiser.network.hidden_size",
        "16",
        "--denoiser.network.depth",
        "1",
        "--denoiser.network.num_heads",
        "2",
    )
    words = ("--denoiser.steps", "2", "--denoiser.batch_size", "4", "--denoiser.labels.one_class", "drive")
    asked = ("--denoiser.attributes.names", "light,weather", "--denoiser.attributes.dropout", "0.2")
    assert main(["pretrain", "denoiser", "latents", "base", *network, *words, *asked]) == 0
    base = load_denoiser(tmp_path / "base" / "dit.safetensors")
    assert base.origin.attributes == {"light": ("day", "night"), "weather": ("rain",)}
    assert base.origin.class_names == ("drive",)
    tuning = ("--tuning.steps", "2", "--tuning.batch_size", "4", "--tuning.labels.init", "mean")
    assert main(["finetune", "latents", "tuned", "--base", "base/dit.safetensors", *tuning]) == 0
    draw = ("--checkpoint", "tuned", "--codec", "codec.safetensors", "--sampling.steps", "2", "--per_class", "1")
    assert main(["generate", "made", *draw, "--where", "rain"]) == 0
    assert open_imageset(tmp_path / "made").class_names == ("not_brake", "brake")
