"""The codec: shapes, normalisation, exact round trip through its file, and clear words for wrong files."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from roadstill.codecs import Codec, CodecConfig, from_pixels, load_codec, psnr_db, save_codec, to_pixels
from roadstill.errors import UserError

TINY = CodecConfig(latent_channels=4, width=8, encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1))


@pytest.fixture
def codec() -> Codec:
    torch.manual_seed(0)
    codec = Codec(TINY)
    codec.set_statistics([0.1, -0.2, 0.3, 0.0], [0.5, 2.0, 1.0, 0.25])
    return codec.eval().requires_grad_(False)


def test_the_default_shape_is_16_by_16_by_16_and_small():
    codec = Codec()
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
    codec = Codec(CodecConfig(latent_channels=4, width=8, posterior_std=0.5))
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
        (lambda t, m: (t, {"roadstill": m["roadstill"].replace("width", "depth")}), "configuration"),
        (lambda t, m: (t, {"roadstill": "no JSON"}), "format"),
        (lambda t, m: (t, None), "format"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(codec, tmp_path, damage, message):
    from safetensors import safe_open

    path = tmp_path / "codec.safetensors"
    save_codec(codec, path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors, metadata = damage(load_file(path), metadata)
    save_file(tensors, path, metadata)
    with pytest.raises(UserError, match=message) as caught:
        load_codec(path)
    assert "\n" not in str(caught.value)


def test_missing_folder_and_garbage_are_user_errors(tmp_path):
    (tmp_path / "garbage.safetensors").write_bytes(b"\x80\x04pickle?")
    for path, message in (
        (tmp_path / "none.safetensors", "does not exist"),
        (tmp_path, "folder"),
        (tmp_path / "garbage.safetensors", "cannot be read"),
    ):
        with pytest.raises(UserError, match=message):
            load_codec(path)


def test_sizes_that_do_not_fit_are_refused(codec):
    with pytest.raises(UserError, match="multiple of 8"):
        codec.latent_shape(100)
    with pytest.raises(UserError, match="same number of levels"):
        Codec(CodecConfig(encoder_blocks=(1, 1), decoder_blocks=(1, 1, 1)))


def test_8_bit_pictures_survive_both_conversions():
    pixels = torch.from_numpy(np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3))
    assert torch.equal(to_pixels(from_pixels(pixels)), pixels)
    assert to_pixels(torch.full((1, 3, 1, 1), 1.7)).max() == 255


def test_psnr_of_a_known_error():
    assert psnr_db(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.2)) == pytest.approx(20.0, abs=1e-4)
