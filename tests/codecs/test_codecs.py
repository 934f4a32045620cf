"""The codec: shapes, normalisation, exact round trip through its file, and clear words for wrong files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from roadstill.codecs import (
    CodecConfig,
    PretrainedCodec,
    SmallCodec,
    from_pixels,
    load_codec,
    psnr_db,
    save_codec,
    to_pixels,
)
from roadstill.errors import UserError
from roadstill.names import trusting
from roadstill.runs import without_seal

TINY = CodecConfig(latent_channels=4, width=8, encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1))


@pytest.fixture
def codec() -> SmallCodec:
    torch.manual_seed(0)
    codec = SmallCodec(TINY)
    codec.set_statistics([0.1, -0.2, 0.3, 0.0], [0.5, 2.0, 1.0, 0.25])
    return codec.eval().requires_grad_(False)


def test_the_default_shape_is_16_by_16_by_16_and_small():
    codec = SmallCodec()
    assert codec.latent_shape(128) == (16, 16, 16)
    assert codec.encode(torch.zeros(1, 3, 128, 128)).mean.shape == (1, 16, 16, 16)
    assert sum(weight.numel() for weight in codec.parameters()) * 2 <= 1_800_000


def test_latents_are_normalised_on_the_way_out_and_raw_again_on_the_way_in(codec):
    pixels = torch.rand(2, 3, 32, 32) * 2 - 1
    raw, moments = codec.encode_raw(pixels), codec.encode(pixels)
    wanted = (raw - codec.mean[:, None, None]) / codec.std[:, None, None]
    torch.testing.assert_close(moments.mean, wanted)
    torch.testing.assert_close(codec.decode(moments.mean), codec.decode_raw(raw).clamp(-1, 1))
    assert torch.equal(moments.draw(), moments.mean)  # std 0


def test_a_posterior_with_spread_is_drawn_from_the_generator():
    torch.manual_seed(0)
    codec = SmallCodec(CodecConfig(latent_channels=4, width=8, posterior_std=0.5))
    moments = codec.encode(torch.zeros(64, 3, 16, 16))
    first = moments.draw(torch.Generator().manual_seed(1))
    assert torch.equal(first, moments.draw(torch.Generator().manual_seed(1)))
    assert (first - moments.mean).std().item() == pytest.approx(0.5, rel=0.1)


def test_the_file_brings_everything_back(codec, tmp_path):
    save_codec(codec, tmp_path / "codec.safetensors")
    again = load_codec(tmp_path / "codec.safetensors")
    assert again.config == codec.config
    assert not again.training
    assert len(again.digest) == 16
    pixels = torch.rand(1, 3, 32, 32)
    # Weights are stored as fp16, statistics as fp32.
    torch.testing.assert_close(again.encode(pixels).mean, codec.encode(pixels).mean, atol=2e-2, rtol=2e-2)
    assert torch.equal(again.std, codec.std)
    # Equal content is equal bytes, or digests would say nothing.
    for name in "abc":
        save_codec(again, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t, m: (t | {"extra": torch.zeros(1)}, m), "1 unexpected"),
        (lambda t, m: ({k: v for k, v in t.items() if k != "std"}, m), "1 missing"),
        (lambda t, m: (t | {"std": torch.zeros(3)}, m), "shape"),
        (lambda t, m: (t | {"mean": t["mean"] * float("nan")}, m), "finite"),
        (lambda t, m: (t, {"roadstill": m["roadstill"].replace("roadstill-codec-1", "other")}), "format"),
        (lambda t, m: (t, {"roadstill": m["roadstill"].replace("width", "depth")}), "the setting depth"),
        (
            lambda t, m: (t, {"roadstill": m["roadstill"][:-1] + f', "seal": "{"0" * 16}"}}'}),
            "was changed after it was",
        ),
        (lambda t, m: (t, {"roadstill": "no JSON"}), "metadata cannot be read as JSON"),
        (lambda t, m: (t, None), "format"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(codec, tmp_path, damage, message):
    from safetensors import safe_open

    path = tmp_path / "codec.safetensors"
    save_codec(codec, path)
    with safe_open(path, "pt") as file:
        metadata = {"roadstill": json.dumps(without_seal(json.loads(file.metadata()["roadstill"]), ""))}
    tensors, metadata = damage(load_file(path), metadata)
    save_file(tensors, path, metadata)
    with pytest.raises(UserError, match=message) as caught:
        load_codec(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_does_not_name_its_linear_path_has_blocks(tmp_path):
    from safetensors import safe_open

    torch.manual_seed(0)
    codec, path = SmallCodec(replace(TINY, linear="blocks")), tmp_path / "codec.safetensors"
    save_codec(codec, path)
    with safe_open(path, "pt") as file:
        record = without_seal(json.loads(file.metadata()["roadstill"]), "")
    del record["config"]["linear"]
    save_file(load_file(path), path, {"roadstill": json.dumps(record)})
    again = load_codec(path)
    assert again.config.linear == "blocks"
    latents = torch.randn(1, 4, 4, 4)
    torch.testing.assert_close(again.decode(latents), codec.decode(latents), atol=2e-2, rtol=2e-2)


def test_a_codec_of_odd_cells_has_no_overlapping_patches():
    with pytest.raises(UserError, match="a downsampling of 1 has no lapped transform; take linear: blocks"):
        SmallCodec(CodecConfig(patch=1, encoder_blocks=(1,), decoder_blocks=(1,)))


@pytest.mark.parametrize("kind", ["small", "AutoencoderKL", "AutoencoderTiny"])
def test_a_processor_takes_batches_in_parts_and_nothing_changes(codec, kind, monkeypatch):
    if kind != "small":
        codec = PretrainedCodec(autoencoder(kind)).requires_grad_(False)
    pixels = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    monkeypatch.setattr(type(codec), "cpu_pixels", 2 * 64 * 64)
    assert [len(part) for part in codec.parts(pixels, 64)] == [2, 2, 1]
    parts = codec.encode(pixels)
    decoded = codec.decode(parts.mean)
    monkeypatch.setattr(type(codec), "cpu_pixels", 2**30)
    whole = codec.encode(pixels)
    torch.testing.assert_close(parts.mean, whole.mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(parts.std, whole.std, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(decoded, codec.decode(whole.mean), atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(type(codec), "device", torch.device("cuda"))
    assert len(codec.parts(pixels, 64)) == 1  # an accelerator takes the whole


def test_a_picture_larger_than_a_part_is_one():
    codec = SmallCodec(TINY)
    assert len(codec.parts(torch.zeros(2, 1), 4096)) == 2


def test_missing_folder_and_garbage_are_user_errors(tmp_path):
    (tmp_path / "garbage.safetensors").write_bytes(b"\x80\x04pickle?")
    for path, message in (
        (tmp_path / "none.safetensors", "does not exist"),
        (tmp_path, "not a diffusers model folder"),
        (tmp_path / "garbage.safetensors", "cannot be read"),
    ):
        with pytest.raises(UserError, match=message):
            load_codec(path)


def test_sizes_that_do_not_fit_are_refused(codec):
    with pytest.raises(UserError, match="multiple of 8"):
        codec.latent_shape(100)
    with pytest.raises(UserError, match="same number of levels"):
        SmallCodec(CodecConfig(encoder_blocks=(1, 1), decoder_blocks=(1, 1, 1)))


def test_8_bit_pictures_survive_both_conversions():
    pixels = torch.from_numpy(np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3))
    assert torch.equal(to_pixels(from_pixels(pixels)), pixels)
    assert to_pixels(torch.full((1, 3, 1, 1), 1.7)).max() == 255


def test_psnr_of_a_known_error():
    assert psnr_db(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.2)) == pytest.approx(20.0, abs=1e-4)


def autoencoder(kind, seed=0, **more):
    import diffusers

    torch.manual_seed(seed)
    if kind == "AutoencoderTiny":
        return diffusers.AutoencoderTiny(
            encoder_block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            num_encoder_blocks=(1, 1, 1, 1),
            num_decoder_blocks=(1, 1, 1, 1),
            **more,
        ).eval()
    types = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    widths = {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4}
    return diffusers.AutoencoderKL(**types, **widths, **more).eval()


@pytest.mark.parametrize(("kind", "channels"), [("AutoencoderKL", 4), ("AutoencoderTiny", 32)])
def test_a_diffusers_autoencoder_is_a_codec(tmp_path, kind, channels):
    theirs = autoencoder(kind, latent_channels=channels)
    theirs.save_pretrained(tmp_path)
    codec = load_codec(tmp_path)
    assert codec.latent_shape(64) == (channels, 8, 8)
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    moments = codec.encode(pixels)
    scale = theirs.config.scaling_factor
    if kind == "AutoencoderKL":
        found = theirs.encode(pixels).latent_dist
        assert scale == 0.18215
        torch.testing.assert_close(moments.mean, found.mean * scale)
        torch.testing.assert_close(moments.std, found.std * scale)
        assert not torch.equal(moments.draw(), moments.mean)
    else:
        torch.testing.assert_close(moments.mean, theirs.encode(pixels).latents * scale)
        assert torch.equal(moments.draw(), moments.mean)
    wanted = theirs.decode(moments.mean / scale).sample.clamp(-1, 1)
    torch.testing.assert_close(codec.decode(moments.mean), wanted)
    assert not any(weight.requires_grad for weight in codec.parameters())


def test_one_autoencoder_encodes_and_another_decodes(tmp_path):
    one, other = autoencoder("AutoencoderKL"), autoencoder("AutoencoderKL", seed=1)
    for network, name in ((one, "ema"), (other, "mse"), (autoencoder("AutoencoderKL", latent_channels=8), "wide")):
        network.save_pretrained(tmp_path / name)
    both, alone = load_codec(tmp_path / "ema", decoder=tmp_path / "mse"), load_codec(tmp_path / "ema")
    pixels = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(both.encode(pixels).mean, alone.encode(pixels).mean)
    latents = both.encode(pixels).mean
    torch.testing.assert_close(both.decode(latents), other.decode(latents / 0.18215).sample.clamp(-1, 1))
    assert both.digest == alone.digest  # the same latents
    assert both.decoder_digest == load_codec(tmp_path / "mse").digest
    with pytest.raises(UserError, match="different latents"):
        load_codec(tmp_path / "ema", decoder=tmp_path / "wide")
    with pytest.raises(UserError, match="decodes its own"):
        load_codec(decoder=tmp_path / "mse")


def test_a_damaged_autoencoder_is_named_in_one_line(tmp_path):
    def saved(name):
        autoencoder("AutoencoderKL").save_pretrained(tmp_path / name)
        return tmp_path / name, tmp_path / name / "diffusion_pytorch_model.safetensors"

    folder, weights = saved("cut")
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match="cannot be read as safetensors"):
        load_codec(folder)
    for change, message in (
        (lambda t: t | {"spare": torch.zeros(1)}, "spare"),
        (lambda t: {key: value for key, value in t.items() if key != "quant_conv.bias"}, "quant_conv.bias"),
        (lambda t: t | {"quant_conv.bias": torch.zeros(3)}, "quant_conv.bias"),
    ):
        folder, weights = saved("changed")
        save_file(change(load_file(weights)), weights)
        with pytest.raises(UserError, match=message) as caught:
            load_codec(folder)
        assert "\n" not in str(caught.value)
    folder, weights = saved("pickled")
    weights.rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(UserError, match="may run code"):
        load_codec(folder)


def test_a_hub_name_is_fetched_without_anything_that_runs_code(tmp_path, monkeypatch):
    import huggingface_hub

    autoencoder("AutoencoderKL").save_pretrained(tmp_path / "fetched")
    asked = []

    def fetch(repository, *, revision, allow_patterns=None, local_files_only=False):
        if local_files_only:
            raise OSError("not fetched before")
        asked.append((repository, revision, allow_patterns))
        if repository == "nobody/nothing":
            raise OSError("offline")
        return str(tmp_path / "fetched")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with trusting():
        assert load_codec(Path("stabilityai/sd-vae-ft-ema@abc")).latent_shape(64) == (4, 8, 8)
    assert asked == [("stabilityai/sd-vae-ft-ema", "abc", ["*.json", "*.safetensors"])]
    with trusting(), pytest.raises(UserError, match="could not be fetched from the hub"):
        load_codec(Path("nobody/nothing"))


def test_names_of_the_package_are_not_asked_of_the_hub():
    assert load_codec(Path("roadstill/codec")).digest == load_codec().digest
    assert load_codec().sources == ("roadstill-weights",)
    with pytest.raises(UserError, match=r"roadstill/coder does not come with the package; it has roadstill/codec, "):
        load_codec(Path("roadstill/coder"))
