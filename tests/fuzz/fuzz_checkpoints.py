"""Generators, codecs, latents and agents of any bytes: they end in a value or in one line."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

from targets import Target, check_line

METADATA = "#metadata"  # of a safetensors file, instead of the whole file


def _denoiser(name: str) -> Callable[[Path], None]:
    def open_it(folder: Path) -> None:
        import torch

        from roadstill.denoisers.base import Sampling
        from roadstill.generator.checkpoints import load_denoiser

        sampling = Sampling(steps=2, guidance=1.0)
        load_denoiser(folder / name).generate(torch.tensor([0]), seeds=[0], sampling=sampling)

    return open_it


def _codec(folder: Path) -> None:
    import torch

    from roadstill.codecs import load_codec

    codec = load_codec(folder / "codec.safetensors")
    codec.encode(torch.zeros(1, 3, codec.downsampling, codec.downsampling))


def _latents(folder: Path) -> None:
    from roadstill.codecs.latents import open_latents

    store = open_latents(folder / "latents")
    store.draw(range(len(store)))
    store.class_mean()


def _agent(folder: Path) -> None:
    import numpy as np

    from roadstill.agents import open_agent

    agent = open_agent(folder / "agent")
    agent.predict(np.zeros((1, 16, 16, 3), np.uint8))


READERS: Mapping[str, Callable[[Path], None]] = {
    "tuned/config.json": _denoiser("tuned"),
    "tuned/trained.safetensors": _denoiser("tuned"),
    "base.safetensors": _denoiser("base.safetensors"),
    f"base.safetensors{METADATA}": _denoiser("base.safetensors"),
    "unet.safetensors" + METADATA: _denoiser("unet.safetensors"),
    "dit.safetensors": _denoiser("dit.safetensors"),
    "dit/model_index.json": _denoiser("dit"),
    "dit/scheduler/scheduler_config.json": _denoiser("dit"),
    "dit/transformer/config.json": _denoiser("dit"),
    "codec.safetensors": _codec,
    f"codec.safetensors{METADATA}": _codec,
    "latents/latents.json": _latents,
    "latents/labels.safetensors": _latents,
    "latents/moments-00000.safetensors": _latents,
    "agent/agent.json": _agent,
    "agent/network.safetensors": _agent,
}


@cache
def whole(folder: Path) -> dict[str, bytes]:
    """Makes whole products below a folder; the bytes of each file, or the text of its metadata, that is fuzzed."""
    import torch
    from made import picture_set, unseal_all
    from weightfiles import tiny_base, tiny_codec, tiny_diffusers, tiny_latents, tiny_original, tiny_unet

    from roadstill.adapters import DiffFit, LoRA
    from roadstill.agents import AgentConfig, train_agent
    from roadstill.generator.config import FinetuneConfig
    from roadstill.generator.finetune import finetune

    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    base, latents = tiny_base(folder / "base.safetensors"), tiny_latents(folder / "latents")
    tuning = FinetuneConfig(steps=1, batch_size=2, adapters=(DiffFit(), LoRA(rank=2)))
    finetune(latents, base=base, out=folder / "tuned", config=tuning, seed=0)
    tiny_unet(folder / "unet.safetensors")
    tiny_codec(folder / "codec.safetensors")
    tiny_original(folder / "dit.safetensors")
    tiny_diffusers(folder / "dit")
    agent = AgentConfig(network="convnet", steps=1)
    train_agent(picture_set(folder / "set", 4, px=16), config=agent, seed=0).save(folder / "agent")
    unseal_all(folder)
    return {file: _read(folder, file) for file in READERS}


def _read(folder: Path, file: str) -> bytes:
    from safetensors import safe_open

    from roadstill.runs import without_seal

    if not file.endswith(METADATA):
        return (folder / file).read_bytes()
    with safe_open(folder / file.removesuffix(METADATA), framework="pt") as opened:
        return json.dumps(without_seal(json.loads(opened.metadata()["roadstill"]), file)).encode()


def _write(folder: Path, file: str, data: bytes) -> None:
    from safetensors.torch import load, save_file

    path = folder / file.removesuffix(METADATA)
    if file.endswith(METADATA):
        save_file(load(path.read_bytes()), path, {"roadstill": data.decode(errors="replace")})
    else:
        path.write_bytes(data)


def read(data: bytes, folder: Path) -> None:
    """Reads one file with these bytes in it; the first chooses which one.

    Raises:
        Exception: anything but a line for the user.
    """
    names = list(READERS)
    read_file(names[data[0] % len(names)] if data else names[0], data[1:], folder)


def read_file(file: str, data: bytes, folder: Path) -> None:
    """Reads one file with these bytes in it, as `read`."""
    from roadstill.errors import UserError

    whole(folder)
    path = folder / file.removesuffix(METADATA)
    before = path.read_bytes()
    try:
        _write(folder, file, data)
        READERS[file](folder)
    except UserError as error:
        check_line(str(error))
    finally:
        path.write_bytes(before)


def seeds(folder: Path) -> Iterator[bytes]:
    """The whole products' files, each after the number of its reader; records once more without white space."""
    for number, (file, data) in enumerate(whole(folder).items()):
        yield bytes([number]) + data
        if file.endswith("json"):
            yield bytes([number]) + json.dumps(json.loads(data)).encode()


ROOMS = ("runs", "weights", "generator", "codecs", "agents", "networks", "denoisers", "learning")
TARGET = Target(seeds, read, ROOMS, most_bytes=65536)
