"""The latent store: right rows, fresh draws, memory-mapped shards, clear words for damage."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from made import picture_set, unsealed
from weightfiles import rewritten

from roadstill.codecs import CodecConfig, Moments, SmallCodec, from_pixels
from roadstill.codecs.latents import encode_imageset, open_latents
from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.runs import digest_file, digest_of


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    with ImageSetWriter(tmp_path / "images", ("not_brake", "brake"), 16) as writer:
        for index in range(11):
            writer.add(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), index % 3 % 2, {"log": f"log{index}"})
    return open_imageset(tmp_path / "images")


@pytest.fixture
def codec():
    torch.manual_seed(0)
    return SmallCodec(CodecConfig(latent_channels=4, width=8, encoder_blocks=(1, 1), decoder_blocks=(1, 1)))


def test_rows_belong_to_their_images_over_shard_borders(images, codec, tmp_path):
    shape = codec.latent_shape(16)
    store = encode_imageset(images, codec, tmp_path / "latents", batch_size=2, shard_bytes=3 * 2 * int(np.prod(shape)))
    assert store.num_shards == 4  # 3 + 3 + 3 + 2
    assert len(store) == 11
    assert store.shape == shape == (4, 4, 4)
    assert store.class_names == images.class_names
    assert np.array_equal(store.labels, images.labels)
    with torch.no_grad():
        wanted = codec.encode(from_pixels(torch.from_numpy(images.pixels()))).mean
    order = [10, 0, 5, 5, 2]
    torch.testing.assert_close(store.draw(order), wanted[order], atol=2e-3, rtol=2e-3)  # stored as fp16
    assert store.draw([3]).dtype == torch.float32


def test_batch_and_shard_size_change_the_latents_by_rounding_only(images, codec, tmp_path):
    one = encode_imageset(images, codec, tmp_path / "one", batch_size=1)
    many = encode_imageset(images, codec, tmp_path / "many", batch_size=11)
    torch.testing.assert_close(one.draw(range(11)), many.draw(range(11)), atol=2e-3, rtol=2e-3)


class _Spread(SmallCodec):
    def encode(self, pixels):
        moments = super().encode(pixels)
        return Moments(moments.mean, 0.1 + moments.mean.abs())


@pytest.mark.parametrize("kind", ["constant", "per cell"])
def test_the_posterior_is_drawn_anew_and_repeats_with_the_generator(images, tmp_path, kind):
    torch.manual_seed(0)
    spread = CodecConfig(latent_channels=4, width=8, posterior_std=0.3)
    codec = SmallCodec(spread) if kind == "constant" else _Spread(spread)
    store = encode_imageset(images, codec, tmp_path / "latents")
    assert store.std == (pytest.approx(0.3) if kind == "constant" else None)
    rows = [1] * 400
    draws = store.draw(rows, torch.Generator().manual_seed(0))
    assert torch.equal(draws, store.draw(rows, torch.Generator().manual_seed(0)))
    assert not torch.equal(draws, store.draw(rows, torch.Generator().manual_seed(1)))
    wanted = 0.3 if kind == "constant" else store.moment("std", [1])[0]
    torch.testing.assert_close(draws.std(0), torch.as_tensor(wanted).expand(store.shape), rtol=0.2, atol=0)


def test_shards_are_mapped_and_not_read(images, codec, tmp_path):
    store = encode_imageset(images, codec, tmp_path / "latents")
    store.draw([0])
    with open("/proc/self/maps") as maps:
        assert "moments-00000" in maps.read()


def test_the_digest_follows_the_content(images, codec, tmp_path):
    first = encode_imageset(images, codec, tmp_path / "a")
    assert encode_imageset(images, codec, tmp_path / "b").digest == first.digest
    codec.set_statistics([0.0] * 4, [2.0] * 4)
    assert encode_imageset(images, codec, tmp_path / "c").digest != first.digest


def test_damage_is_named(images, codec, tmp_path):
    store = encode_imageset(images, codec, tmp_path / "latents")
    with pytest.raises(UserError, match=r"row 11 is not in 0\.\.10"):
        store.draw([11])
    about = unsealed(store.root / "latents.json")
    (store.root / "latents.json").write_text(json.dumps(about | {"num_rows": 12}))
    with pytest.raises(UserError, match=r"labels\.safetensors: labels has the shape 11, not 12; encode the set again"):
        open_latents(store.root)
    (store.root / "latents.json").write_text(json.dumps(about | {"shape": [4, 2, 8]}))
    with pytest.raises(UserError, match="mean has the shape 11 x 4 x 4 x 4, not 11 x 4 x 2 x 8; encode"):
        open_latents(store.root).draw([0])
    (store.root / "latents.json").write_text(json.dumps(about))
    (store.root / "moments-00000.safetensors").unlink()
    with pytest.raises(UserError, match="1 of 1 shards are missing"):
        open_latents(store.root)
    with pytest.raises(UserError, match="does not exist"):
        open_latents(tmp_path / "nowhere")


def flipped(path, at=-1):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_is_noticed_when_the_shard_is_first_read(images, codec, tmp_path):
    shard_bytes = 3 * 2 * int(np.prod(codec.latent_shape(16)))
    store = encode_imageset(images, codec, tmp_path / "latents", shard_bytes=shard_bytes)
    flipped(store.root / "moments-00001.safetensors")
    store = open_latents(store.root)
    store.draw([0, 2, 6])
    with pytest.raises(UserError, match=r"moments-00001\.safetensors is damaged.*; make it again"):
        store.draw([4])
    flipped(store.root / "labels.safetensors", at=-16)
    with pytest.raises(UserError, match=r"labels\.safetensors is damaged"):
        open_latents(store.root)


def test_a_store_of_an_older_version_opens_and_its_damage_is_noticed(images, codec, tmp_path):
    store = encode_imageset(images, codec, tmp_path / "latents")
    about = unsealed(store.root / "latents.json")
    (store.root / "latents.json").write_text(
        json.dumps({name: value for name, value in about.items() if name not in ("shards", "labels")})
    )
    old = open_latents(store.root)
    assert torch.equal(old.draw(range(11)), store.draw(range(11)))
    flipped(store.root / "labels.safetensors", at=-16)
    with pytest.raises(UserError, match=r"latents is damaged: its files are not those"):
        open_latents(store.root).draw([0])


def test_moments_that_are_not_finite_or_negative_are_refused(images, tmp_path):
    class Odd(_Spread):
        value = float("nan")

        def encode(self, pixels):
            moments = super().encode(pixels)
            if self.value:
                moments.std[-1] = self.value
            return moments

    torch.manual_seed(0)
    codec = Odd(CodecConfig(latent_channels=4, width=8))
    for value in (float("nan"), float("inf"), 1e6):
        codec.value = value
        with pytest.raises(UserError, match=r"images/1_brake/000000\.png: its latent is not finite, or beyond half"):
            encode_imageset(images, codec, tmp_path / "latents", batch_size=2)
    assert not (tmp_path / "latents").exists()
    codec.value = -0.5
    with pytest.raises(UserError, match="negative deviation"):
        encode_imageset(images, codec, tmp_path / "latents").draw([0])


MILLION = """
import resource, sys
from pathlib import Path
import numpy as np, torch
from roadstill.codecs.base import Codec, Moments
from roadstill.codecs.latents import encode_imageset

class Halves(Codec):
    channels, downsampling = 4, 1
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
    def encode(self, pixels):
        return Moments(pixels[:, :1].repeat(1, 4, 1, 1), torch.zeros(1, 1, 1, 1))
    def decode(self, latents):
        return latents

class Frames:
    '''Stands for a million pictures: each is one grey that its number decides.'''
    size_px, class_names, digest, about = 8, ("not_brake", "brake"), "frames", {}
    labels = np.arange(1_000_000) % 2
    def __len__(self):
        return len(self.labels)
    def pixels(self, rows):
        return np.broadcast_to((rows % 251).astype(np.uint8)[:, None, None, None], (len(rows), 8, 8, 3))

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store = encode_imageset(Frames(), Halves(), Path(sys.argv[1]), batch_size=4096)
written = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rng = np.random.default_rng(0)
for _ in range(100):
    rows = rng.integers(len(store), size=64)
    expected = (torch.from_numpy(rows % 251) / 127.5 - 1).half().float()
    assert torch.equal(store.draw(rows)[:, 3, 7, 7], expected)
anonymous = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))
size = sum(path.stat().st_size for path in Path(sys.argv[1]).iterdir())
print((written - before) // 1024, anonymous // 1024, size // 2**20)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory use from Linux' /proc")
def test_a_million_latents_are_written_and_read_in_flat_memory(tmp_path):
    command = [sys.executable, "-c", MILLION, str(tmp_path / "latents")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    written_mib, read_mib, size_mib = map(int, done.stdout.split())
    assert size_mib > 480
    assert written_mib < 300
    assert read_mib < 500  # the libraries themselves


def test_columns_of_the_set_are_kept_as_attributes_if_asked_for(codec, tmp_path):
    lights = ["night", None, "day", "day"]
    images = picture_set(tmp_path / "images", 4, light=lights, weather=["rain"] * 4)
    store = encode_imageset(images, codec, tmp_path / "kept", attributes=("light",))
    assert store.attributes == {"light": ("day", "night")}
    assert store.codes.tolist() == [[1], [-1], [0], [0]]
    bare = encode_imageset(images, codec, tmp_path / "bare")
    assert (bare.attributes, bare.codes) == ({}, None)
    assert bare.digest != store.digest
    one = store.as_one_class("drive")
    assert (one.class_names, one.labels.tolist(), one.codes.tolist()) == (("drive",), [0] * 4, store.codes.tolist())
    assert torch.equal(one.moment("mean", [2]), store.moment("mean", [2]))
    with pytest.raises(UserError, match="no image has the fact 'town'"):
        encode_imageset(images, codec, tmp_path / "no", attributes=("town",))
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("codes", [[[2], [0], [0], [0]], [[-2], [0], [0], [0]], [[0, 0]] * 4, None])
def test_attributes_beyond_the_values_are_refused(codec, tmp_path, codes):
    images = picture_set(tmp_path / "images", 4, light=["day", "night"] * 2)
    store = encode_imageset(images, codec, tmp_path / "kept", attributes=("light",))

    def change(tensors):
        tensors.pop("attributes") if codes is None else tensors.update(attributes=torch.tensor(codes))

    rewritten(store.root / "labels.safetensors", tensors=change)
    record = unsealed(store.root / "latents.json")
    record["labels"] = digest_file(store.root / "labels.safetensors")
    record["digest"] = digest_of([record["about"], record["shards"], record["labels"], record["attributes"]])
    (store.root / "latents.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"labels\.safetensors.*; encode the set again"):
        open_latents(store.root)
