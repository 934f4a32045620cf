"""Small generators, codecs and agents on disk, whose headers and records tests change."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from roadstill.codecs import CodecConfig, SmallCodec, save_codec
from roadstill.codecs.latents import open_latents
from roadstill.codecs.shards import write_latents
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.denoisers.edm import EDMDenoiser
from roadstill.generator.checkpoints import write_base
from roadstill.networks.dit import DiT
from roadstill.networks.interchange import save_diffusers, save_original
from roadstill.networks.songunet import SongUNet
from roadstill.runs.records import SEAL
from roadstill.schedules import linear

TINY = {"input_size": 4, "patch_size": 2, "in_channels": 4, "hidden_size": 16, "depth": 1, "num_heads": 2,
        "num_classes": 2}  # fmt: skip


def tiny_dit(**changes):
    return DiT(**(TINY | changes), seed=3)


def tiny_base(path: Path, names=("not_brake", "brake")):
    """A base file of a DiT of one block."""
    denoiser = DiTDenoiser(tiny_dit(), linear(40), guided_channels=None)
    denoiser.origin = replace(denoiser.origin, class_names=tuple(names))
    return write_base(denoiser, path)


def tiny_codec(path: Path):
    torch.manual_seed(0)
    save_codec(SmallCodec(CodecConfig(latent_channels=4, width=8, encoder_blocks=(1, 1), decoder_blocks=(1, 1))), path)
    return path


def tiny_diffusers(folder: Path):
    facts = {"objective": "noise", "class_names": ("not_brake", "brake"), "label_dropout": 0.1}
    return save_diffusers(tiny_dit(), linear(40), folder, facts)


def tiny_original(path: Path):
    return save_original(tiny_dit(), path, {"objective": "noise", "class_names": ("not_brake", "brake")})


def rewritten(path: Path, *, tensors=None, about=None, key="roadstill", sealed=False):
    """A safetensors file with its tensors or its metadata changed in place; the seal goes, unless it is to stay."""
    with safe_open(path, framework="pt") as file:
        told = json.loads((file.metadata() or {}).get(key, "{}"))
    found = {name: tensor.clone() for name, tensor in load_file(path).items()}
    if not sealed:
        told.pop("tensors", None)
    told.pop(SEAL, None)
    for value, change in ((found, tensors), (told, about)):
        if change is not None and (new := change(value)) is not None:
            value.clear()
            value.update(new)
    save_file(found, path, {key: json.dumps(told)})
    return path


def with_header(path: Path, header, data=b""):
    """A safetensors file of any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def flipped(path: Path, at=-1):
    """A file with one bit changed."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    return path


def tiny_unet(path: Path):
    """A base file of EDM's smallest U-Net."""
    network = SongUNet(input_size=8, num_classes=2, channels=4, channel_mult=(1, 1), num_blocks=1, attention=())
    return write_base(EDMDenoiser(network, label_dropout=0.1), path)


def tiny_latents(folder: Path, names=("not_brake", "brake")):
    """A store of four latents in one shard."""
    shard = {"mean": torch.linspace(-1, 1, 4 * 64).view(4, 4, 4, 4).half()}
    labels = np.array([0, 1, 0, 1])
    write_latents(folder, [(shard, 0.1)], labels, class_names=names, shard_rows=4, about={"codec": None})
    return open_latents(folder)
