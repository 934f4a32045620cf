"""Generation: one picture per seed whatever the batch, and a record of how each was drawn."""

import numpy as np
import pytest
import torch

from roadstill.codecs import Codec, CodecConfig
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.errors import UserError
from roadstill.generate import Sampling, generate
from roadstill.networks.dit import DiT
from roadstill.runs import seed_of
from roadstill.schedules import linear


@pytest.fixture
def denoiser():
    network = DiT(
        input_size=4, patch_size=2, in_channels=4, hidden_size=16, depth=2, num_heads=2, num_classes=3, seed=1
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # a fresh DiT predicts zero, and its label would change nothing
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.2, generator=generator)
    return DiTDenoiser(network, linear(), guided_channels=None)


@pytest.fixture
def codec():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        codec = Codec(CodecConfig(latent_channels=4, width=16, encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1)))
    return codec.eval().requires_grad_(False)


def draw(denoiser, codec, out, **changes):
    settings = {"per_class": 5, "seed": 7, "class_names": ("not_brake", "brake")} | changes
    sampling = {"steps": 6, "batch_size": settings.pop("batch_size", 16), "solver": settings.pop("solver", "ddpm")}
    return generate(denoiser, codec, out=out, config=Sampling(**sampling), **settings)


@pytest.mark.parametrize("solver", ["ddpm", "ddim"])
def test_a_picture_does_not_depend_on_its_batch(denoiser, codec, tmp_path, solver):
    sets = [draw(denoiser, codec, tmp_path / str(size), batch_size=size, solver=solver) for size in (1, 4, 16)]
    pixels = [found.pixels().astype(int) for found in sets]
    assert np.abs(pixels[0] - pixels[1]).max() <= 1
    assert np.abs(pixels[0] - pixels[2]).max() <= 1
    # Different pictures differ by far more, or the test would say nothing.
    assert np.abs(pixels[0][0] - pixels[0][1]).max() > 10
    assert np.abs(pixels[0][0] - pixels[0][5]).max() > 10


def test_more_pictures_leave_the_first_ones_as_they_were(denoiser, codec, tmp_path):
    few, more = (draw(denoiser, codec, tmp_path / str(n), per_class=n) for n in (2, 6))
    assert np.abs(few.pixels([0, 1]).astype(int) - more.pixels([0, 1])).max() <= 1
    assert np.abs(few.pixels([2, 3]).astype(int) - more.pixels([6, 7])).max() <= 1


def test_the_same_call_writes_the_same_bytes_and_another_seed_others(denoiser, codec, tmp_path):
    one, same, other = (draw(denoiser, codec, tmp_path / name, seed=s) for name, s in (("a", 1), ("b", 1), ("c", 2)))
    assert one.digest == same.digest != other.digest


def test_every_picture_records_how_it_was_drawn(denoiser, codec, tmp_path):
    found = draw(denoiser, codec, tmp_path / "set", label_rows=(2, 0), per_class=3)
    assert found.counts() == {"not_brake": 3, "brake": 3}
    assert found.size_px == 32
    fact = found.facts[4]
    assert (fact["label"], fact["index"], fact["row"]) == (1, 1, 0)
    assert fact["seed"] == seed_of("generate", 7, 1, 1)
    assert (fact["guidance"], fact["solver"], fact["steps"]) == (4.0, "ddpm", 6)
    assert {"checkpoint", "digest"} <= set(fact)
    assert found.about["method"] == "generated"


def test_label_rows_reach_the_network(denoiser, codec, tmp_path):
    plain = draw(denoiser, codec, tmp_path / "plain", per_class=1)
    moved = draw(denoiser, codec, tmp_path / "moved", per_class=1, label_rows=(0, 2))
    assert np.array_equal(plain.pixels([0]), moved.pixels([0]))
    assert not np.array_equal(plain.pixels([1]), moved.pixels([1]))


def test_mistakes_are_named(denoiser, codec, tmp_path):
    for changes, message in (
        ({"class_names": None}, "class names"),
        ({"per_class": 0}, "per_class is 0"),
        ({"label_rows": (0,)}, "1 label_rows for 2 classes"),
    ):
        with pytest.raises(UserError, match=message):
            draw(denoiser, codec, tmp_path / "set", **changes)
    denoiser.about, codec.digest = {"codec": "aaaa"}, "bbbb"
    with pytest.raises(UserError, match="codec aaaa"):
        draw(denoiser, codec, tmp_path / "set")
    assert not (tmp_path / "set").exists()
