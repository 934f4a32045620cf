"""Class names go out with an export and come back, with the rows that they stand for."""

import json

import numpy as np
import pytest
import torch
from weightfiles import tiny_base, tiny_dit

from roadstill.codecs import PixelCodec
from roadstill.denoisers.base import Origin, Sampling
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.denoisers.sit import SiTDenoiser
from roadstill.errors import UserError
from roadstill.generator.checkpoints import load_denoiser, write_base
from roadstill.generator.generate import generate
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
@pytest.mark.parametrize("kind", [DiTDenoiser, SiTDenoiser])
def test_an_export_comes_back_as_it_was(tmp_path, layout, rows, kind):
    network = shaken(num_classes=2 if rows is None else 5, in_channels=3)
    settings = {"label_rows": rows, "guided_channels": 2, "label_dropout": 0.2}
    denoiser = kind.of(network, linear(20), settings)
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
