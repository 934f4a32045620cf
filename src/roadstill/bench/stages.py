"""Measures what plans need of each stage, at a small size, in a minute of one core: see `roadstill.bench.rates`."""

import json
import pickle
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from roadstill.agents import AgentConfig, train_agent
from roadstill.bench.data import FRAMES_PER_LOG, _camera_picture, _cut, _entries
from roadstill.bench.rates import FORMAT
from roadstill.bench.timing import flops_of
from roadstill.codecs import load_codec
from roadstill.codecs.latents import encode_imageset
from roadstill.data.picture_store import PictureConfig
from roadstill.denoisers.base import Sampling
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.frames.store import FrameStore
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.networks.dit import dit
from roadstill.runs import write_json
from roadstill.schedules import linear
from roadstill.sources.navsim.logs import frames_of
from roadstill.sources.pickles.unpickle import read_pickle

_SMALL = "DiT-S/2"
_AGENT = AgentConfig(network="convnet", steps=4, batch_size=16, image_px=64)


def bench_stages(out: Path | None = None, *, pictures: int = 16, logs: int = 2, size_px: int = 128) -> str:
    """Measures all stages and writes the figures.

    Args:
        out: file to write; only told if not given.
        pictures: number of pictures.
        logs: number of logs of 600 frames.
        size_px: side of the prepared pictures.
    """
    with one_thread(), TemporaryDirectory() as folder:
        found = measure(Path(folder), pictures=pictures, logs=logs, size_px=size_px)
    if out is not None:
        write_json(out, found)
    lines = [f"{stage}: {', '.join(f'{name} {value:,.5g}' for name, value in its.items())}"
             for stage, its in found.items() if isinstance(its, dict)]  # fmt: skip
    return "\n".join([f"measured on {found['measured_on']}", *lines, *([str(out)] if out else [])])


def measure(folder: Path, *, pictures: int, logs: int, size_px: int) -> dict[str, Any]:
    """The record of `roadstill.bench.rates.Rates`, measured with files in a folder."""
    index = fitted_index(folder, logs)
    prepare, images = measured_prepare(folder / "set", pictures, size_px)
    encode, _ = measured_encode(images, folder / "latents")
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    cores = f"one core ({torch.get_num_threads()} thread) of {sys.platform}"
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {
        "format": FORMAT,
        "measured_on": cores if device is None else f"{cores}, {device}",
        "accelerator": None if device is None else str(device),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**20 // unit,
        "index": index,
        "prepare": prepare,
        "encode": encode,
        "finetune": measured_training(4),
        "generate": measured_sampling(4),
        "train": measured_agent(images),
    }


def fitted_index(folder: Path, logs: int) -> dict[str, Any]:
    """Rates of reading logs, from two sizes, the larger of three times as many logs: so what is fixed is told apart."""
    _, few = measured_index(folder / "index-few", logs)
    found, many = measured_index(folder / "index-many", 3 * logs)
    each = (many - few) / (2 * logs * FRAMES_PER_LOG)
    return found | {"bytes_per_frame": each, "bytes_fixed": max(0.0, few - each * logs * FRAMES_PER_LOG)}


def measured_index(folder: Path, logs: int) -> tuple[dict[str, Any], int]:
    """Rates of reading logs as real ones are, and the bytes that were written."""
    entries = _entries("2021.05.12.22.00.38_veh-35_01008_01518")
    folder.mkdir(parents=True)
    store, names = FrameStore(folder / "frames"), [f"2021.05.12.22.00.38_veh-{each}_0_1" for each in range(logs)]
    for number, log in enumerate(names):
        renamed = [entry | {"log_name": log, "token": f"{number}-{entry['token']}"} for entry in entries]
        (folder / f"{log}.pkl").write_bytes(pickle.dumps(renamed, 4))
    with clock() as spent:
        for log in names:
            store.write(log, *frames_of(log, read_pickle(folder / f"{log}.pkl")))
        _cut(store.tables(store.logs()), folder)
    for log in names:
        (folder / f"{log}.pkl").unlink()
    written, frames = bytes_in(folder), logs * len(entries)
    return {"frames_per_s": frames / spent(), "bytes_per_frame": written / frames}, written


def measured_prepare(folder: Path, pictures: int, size_px: int) -> tuple[dict[str, Any], ImageSet]:
    """Rates of cropping camera pictures into a set, and the set."""
    config = PictureConfig(size_px)
    camera = folder.with_name(f"{folder.name}-camera")
    camera.mkdir(parents=True)
    paths = [_camera_picture(camera / f"{number}.jpg", number) for number in range(pictures)]
    facts = {"token": "0" * 16, "log": "2021.05.12.22.00.38_veh-35_01008_01518", "drive": "2021.05.12.22.00.38_veh-35",
             "timestamp_us": 1_620_000_000_000_000, "speed_mps": 4.25, "accel_mps2": -0.75, "location": "us-ma-boston",
             "command": "forward"}  # fmt: skip
    with clock() as spent, ImageSetWriter(folder, ("not_brake", "brake"), size_px) as writer:
        for number, path in enumerate(paths):
            writer.add_bytes(config.png(path), number % 2, facts | {"token": f"{number:016x}"})
        tracemalloc.start()
        held = [json.loads(json.dumps(row)) for row in writer._rows]  # as whoever opens the set holds them
        memory = tracemalloc.get_traced_memory()[0] / len(held)
        tracemalloc.stop()
    images = open_imageset(folder)
    return {
        "pictures_per_s": pictures / spent(),
        "size_px": size_px,
        "bytes_per_picture": bytes_in(folder) / pictures,
        "memory_per_picture": memory,
    }, images


def measured_encode(images: ImageSet, out: Path) -> tuple[dict[str, Any], float]:
    """Rates of encoding a set with the shipped codec, and the operations that it took."""
    codec = load_codec()
    pixels = len(images) * images.size_px**2
    flops = flops_of(lambda: encode_imageset(images, codec, out.with_name(f"{out.name}-counted")))
    with clock() as spent:
        store = encode_imageset(images, codec, out)
    return {
        "flops_per_s": flops / spent(),
        "flops_per_pixel": flops / pixels,
        "channels": store.shape[0],
        "downsampling": codec.downsampling,
        "moments": 2 if store.std is None else 1,
    }, flops


def measured_training(batch_size: int, side: int = 16) -> dict[str, Any]:
    """The rate of the forward and backward passes of a small DiT of which all learns."""
    network = dit(_SMALL, input_size=side, num_classes=2, seed=0).train()
    latents, label = torch.randn(batch_size, 4, side, side), torch.arange(batch_size) % 2

    def step() -> None:
        network.zero_grad()
        network(latents, torch.full((batch_size,), 500), label).square().mean().backward()

    flops = flops_of(step)
    with clock() as spent:
        step()
    return {"flops_per_s": flops / spent(), "flops": flops}


def measured_sampling(images: int, side: int = 16, steps: int = 4) -> dict[str, Any]:
    """The rate of sampling with guidance from a small DiT."""
    denoiser = DiTDenoiser(dit(_SMALL, input_size=side, num_classes=2, seed=0).eval(), linear())

    def draw() -> None:
        denoiser.generate(torch.arange(images) % 2, seeds=list(range(images)), sampling=Sampling(steps=steps))

    flops = flops_of(draw)
    with clock() as spent:
        draw()
    return {"flops_per_s": flops / spent()}


def measured_agent(images: ImageSet) -> dict[str, Any]:
    """The rate of training a small agent."""
    flops = flops_of(lambda: train_agent(images, config=_AGENT, seed=0))
    with clock() as spent:
        train_agent(images, config=_AGENT, seed=0)
    seen = _AGENT.steps * min(_AGENT.batch_size, len(images))
    assert _AGENT.image_px is not None
    return {"flops_per_s": flops / spent(), "flops_per_picture": flops / seen, "image_px": _AGENT.image_px}


@contextmanager
def clock() -> Iterator[Callable[[], float]]:
    """Seconds of a block: a processor's own time, so that other work does not count; with an accelerator, all time."""
    now = time.perf_counter if torch.accelerator.is_available() else time.process_time
    start = now()
    end: list[float] = []
    yield lambda: max(end[0] - start, 1e-9)
    end.append(now())


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for PyTorch, so that the time of all threads is the time that passes on an idle machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
