"""What a size takes: disk, memory, floating-point operations and hours of every stage, from a machine's figures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal, TypeAlias

import msgspec

from roadstill.bench.arithmetic import Backbone, activation_bytes, training_bytes
from roadstill.bench.rates import Encode, Rates
from roadstill.errors import UserError

Codec: TypeAlias = Literal["shipped", "autoencoder"]
MACHINE_CORES = 64
AUTOENCODER_FLOPS_PER_PIXEL = 4.16e6
"""Encoding a pixel of a picture of 256 px with Stable Diffusion's autoencoder, by PyTorch's counter."""
_CLASSES = 2
_TERA = 1e12
_HELD_MOST = 64 * 2**30  # memory beyond which one process is no longer asked to hold a part's facts


@dataclass(frozen=True)
class Size:
    """What is to be done.

    Attributes:
        frames: frames that are indexed and prepared.
        backbone: name of the generator's network.
        gpus: GPUs that encode, fine-tune and draw; 0 for the cores.
        cores: cores of all machines; those of one are taken to be `MACHINE_CORES` at most.
        size_px: side of the prepared pictures.
        codec: codec of the latents: the shipped one, or Stable Diffusion's autoencoder.
        train_share: share of the frames in the train part, which is encoded.
        steps: steps of fine-tuning.
        batch_size: latents a step, over all processes.
        all_learn: whether all weights learn, not adapters alone.
        per_class: generated images of each class.
        sets: generated sets, one for each seed.
        sampling_steps: steps of drawing an image.
        agents: agents that are trained, over all arms and seeds.
        agent_steps: steps of each.
        gpu_tflops: rate of one GPU in TFLOP/s, where the figures are of a machine without one; None for unknown.
    """

    frames: int
    backbone: str = "DiT-XL/2"
    gpus: int = 0
    cores: int = 2
    size_px: int = 256
    codec: Codec = "shipped"
    train_share: float = 0.7
    steps: int = 20_000
    batch_size: int = 32
    all_learn: bool = False
    per_class: int = 10
    sets: int = 10
    sampling_steps: int = 50
    agents: int = 60
    agent_steps: int = 100
    gpu_tflops: float | None = None

    def __post_init__(self) -> None:
        for name in ("frames", "cores", "size_px", "steps", "batch_size", "per_class", "sets", "sampling_steps",
                     "agents", "agent_steps"):  # fmt: skip
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.gpus < 0:
            raise UserError(f"gpus is {self.gpus}; it must be at least 0")
        if not 0 < self.train_share <= 1:
            raise UserError(f"train_share is {self.train_share:g}; it must be above 0 and at most 1")


@dataclass(frozen=True)
class Stage:
    """What one stage takes.

    Attributes:
        name: name of the verb.
        engine: what runs it.
        disk: bytes that it leaves.
        memory: bytes that the largest process holds, about.
        flops: floating-point operations; 0 where nothing but reading and cropping is done.
        hours: time on all cores or GPUs together; None if the rate of a GPU is not known.
    """

    name: str
    engine: str
    disk: float
    memory: float
    flops: float
    hours: float | None


def plan(size: Size, rates: Rates) -> list[Stage]:
    """All stages in order."""
    encode = _codec(size, rates)
    if size.size_px % encode.downsampling:
        raise UserError(f"size_px {size.size_px} must be a multiple of {encode.downsampling}, the codec's downsampling")
    backbone = Backbone(size.backbone, size.size_px // encode.downsampling, encode.channels, _CLASSES)
    return [
        _index(size, rates), _prepare(size, rates), _encode(size, rates), _finetune(size, rates, backbone),
        _generate(size, rates, backbone), _train(size, rates),
    ]  # fmt: skip


def _codec(size: Size, rates: Rates) -> Encode:
    if size.codec == "shipped":
        return rates.encode
    known = {"flops_per_pixel": AUTOENCODER_FLOPS_PER_PIXEL, "channels": 4, "downsampling": 8, "moments": 2}
    return msgspec.structs.replace(rates.encode, **known)


def _index(size: Size, rates: Rates) -> Stage:
    hours = size.frames / rates.index.frames_per_s / size.cores / 3600
    disk = rates.index.bytes_fixed + size.frames * rates.index.bytes_per_frame
    return Stage("index", _shards(size.cores), disk, rates.memory, 0, hours)


def _prepare(size: Size, rates: Rates) -> Stage:
    its = rates.prepare
    hours = size.frames / its.pictures_per_s / size.cores / 3600
    disk = size.frames * its.bytes_per_picture * (size.size_px / its.size_px) ** 2
    held = size.frames * size.train_share * its.memory_per_picture
    parts = ceil(held / _HELD_MOST)
    engine = _shards(size.cores)
    engine = f"{engine}, or Ray Data" if "shards" in engine else engine
    if parts > 1:
        engine = f"{engine}; {parts:,} indexes, one set each"
    return Stage("prepare", engine, disk, rates.memory + held / parts, 0, hours)


def _encode(size: Size, rates: Rates) -> Stage:
    its, pictures = _codec(size, rates), size.frames * size.train_share
    flops = pictures * size.size_px**2 * its.flops_per_pixel
    numbers = its.channels * (size.size_px / its.downsampling) ** 2 * its.moments
    hours = _hours(flops, its.flops_per_s, size, rates)
    workers = size.gpus or size.cores
    engine = "one process" if workers == 1 else f"Ray Data, {workers:,} workers"
    held = pictures * rates.prepare.memory_per_picture
    return Stage("encode", engine, pictures * numbers * 2, rates.memory + min(held, _HELD_MOST), flops, hours)


def _finetune(size: Size, rates: Rates, backbone: Backbone) -> Stage:
    recomputed = size.backbone.startswith(("DiT-L", "DiT-XL"))
    flops = size.steps * size.batch_size * backbone.training_flops(all_learn=size.all_learn, recomputed=recomputed)
    learning = backbone.parameters if size.all_learn else backbone.difffit_parameters
    gpus = min(size.gpus, size.batch_size)
    each = ceil(size.batch_size / max(1, gpus))
    memory = training_bytes(backbone.parameters, learning) + activation_bytes(backbone, each, recomputed=recomputed)
    hours = _hours(flops, rates.finetune.flops_per_s, replace(size, gpus=gpus), rates)
    # A checkpoint: what learns, its two moments and its average.
    return Stage("finetune", _processes(gpus), learning * 16, rates.memory + memory, flops, hours)


def _generate(size: Size, rates: Rates, backbone: Backbone) -> Stage:
    images = size.sets * size.per_class * _CLASSES
    gpus = min(size.gpus, size.per_class * _CLASSES)  # the images of a set are shared out
    flops = images * size.sampling_steps * 2 * backbone.forward_flops()  # guidance takes two passes
    disk = images * rates.prepare.bytes_per_picture * (size.size_px / rates.prepare.size_px) ** 2
    memory = backbone.parameters * 4 + activation_bytes(backbone, 10, recomputed=True)
    hours = _hours(flops, rates.generate.flops_per_s, replace(size, gpus=gpus), rates)
    return Stage("generate", _processes(gpus), disk, rates.memory + memory, flops, hours)


def _train(size: Size, rates: Rates) -> Stage:
    its = rates.train
    seen = size.agents * size.agent_steps * size.per_class * _CLASSES
    flops = seen * its.flops_per_picture
    hours = flops / its.flops_per_s / (1 if rates.accelerator else min(size.cores, size.agents)) / 3600
    pixels = 3 * 4 * size.size_px**2 * size.per_class * _CLASSES
    return Stage(
        "train agents",
        "one process" if size.cores == 1 else f"{min(size.cores, size.agents):,} processes",
        0,
        rates.memory + pixels,
        flops,
        hours,
    )


def _hours(flops: float, flops_per_s: float, size: Size, rates: Rates) -> float | None:
    if not size.gpus:
        return None if rates.accelerator else flops / flops_per_s / size.cores / 3600
    if rates.accelerator is None:
        if size.gpu_tflops is None:
            return None
        flops_per_s = size.gpu_tflops * _TERA
    return flops / flops_per_s / size.gpus / 3600


def _shards(cores: int) -> str:
    """Processes of one machine, or shards on several."""
    machines = ceil(cores / MACHINE_CORES)
    if machines < 2:
        return f"{cores:,} processes" if cores > 1 else "one process"
    return f"{machines:,} shards of {cores // machines:,} processes (Slurm)"


def _processes(gpus: int) -> str:
    return f"torchrun, {gpus:,} processes (DDP)" if gpus > 1 else "one process"


def table(stages: Sequence[Stage], size: Size, rates: Rates) -> str:
    """The stages as text."""
    lines = [
        f"{size.frames:,} frames at {size.size_px} px, {size.backbone}, {size.codec} codec, "
        + (f"{size.gpus:,} GPU{'s' if size.gpus > 1 else ''}" if size.gpus else f"{size.cores:,} cores"),
        f"rates: {rates.measured_on}",
        f"{'stage':<13} {'disk':>9} {'memory':>9} {'FLOPs':>9} {'hours':>9}  engine",
    ]
    for each in stages:
        hours = "unknown" if each.hours is None else f"{each.hours:,.3g}" if each.hours < 100 else f"{each.hours:,.0f}"
        flops = f"{each.flops:.2e}" if each.flops else "-"
        disk, memory = told_bytes(each.disk), told_bytes(each.memory)
        lines.append(f"{each.name:<13} {disk:>9} {memory:>9} {flops:>9} {hours:>9}  {each.engine}")
    known = [each.hours for each in stages if each.hours is not None]
    lines.append(f"{'all':<13} {told_bytes(sum(each.disk for each in stages)):>9} {'':>9} "
                 f"{sum(each.flops for each in stages):>9.2e} {sum(known):>9,.3g}")  # fmt: skip
    if len(known) < len(stages):
        lines.append(_UNKNOWN_GPU if size.gpus else _UNKNOWN_CORES)
    return "\n".join(lines)


_UNKNOWN_GPU = (
    "these figures are of a machine without a GPU: measure on one with `roadstill bench stages --out FILE` and name it "
    "with --bench, or say with --gpu_tflops what one GPU reaches"
)
_UNKNOWN_CORES = "these figures are of a GPU: say with --gpus how many there are"


def told_bytes(count: float) -> str:
    """Bytes as people read them: ``3.2 GB``."""
    if count < 1:
        return "-"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} PB"
