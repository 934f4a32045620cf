"""Benchmarks of the generator: the fine-tuning step, sampling, encoding."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from roadstill.adapters import DiffFit, apply_adapters
from roadstill.bench.steps import PlainStep, counted, latents_at, passes
from roadstill.bench.timing import flops_of, in_turns, matmul_flops_per_s, table_of
from roadstill.codecs import PretrainedCodec
from roadstill.codecs.latents import LatentStore
from roadstill.denoisers.base import Sampling
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.generator.config import FinetuneConfig, Minimax
from roadstill.generator.finetune import accelerator_of
from roadstill.generator.step import Training
from roadstill.learning.precision import has_bfloat16
from roadstill.networks.dit import DiT, dit
from roadstill.schedules import linear

CHANNELS, SIDE, CLASSES = 4, 32, 2
SHAPE = (CHANNELS, SIDE, SIDE)  # Stable Diffusion's latents at 256 px; brake and not brake


def bench_finetune(backbone: str = "DiT-S/2", *, batch_size: int = 8, rounds: int = 3, memory_size: int = 64) -> str:
    """The step of DiffFit and minimax at 256 px, and the cost of its parts.

    Ours is the step that `finetune` takes. The baseline works as the reference does: the autoencoder encodes inside the
    step, memories are lists of tensors, and the moving average covers all parameters.
    """
    torch.manual_seed(0)
    clean, label = torch.randn(batch_size, *SHAPE), torch.arange(batch_size) % CLASSES
    pixels = torch.rand(batch_size, 3, 8 * SIDE, 8 * SIDE) * 2 - 1
    network = _network(backbone).train()
    apply_adapters(network, [DiffFit()])
    with TemporaryDirectory() as folder:
        latents = latents_at(Path(folder) / "latents", 4 * memory_size, SHAPE, CLASSES)
        bare, ours = (_training(backbone, latents, batch_size, size, Path(folder)) for size in (None, memory_size))
        for criterion in ours.criteria.values():  # only a full memory has its full cost
            for _ in range(-(-memory_size * CLASSES // batch_size)):
                criterion(clean, clean, label)
        works = {
            "network, forward and backward": passes(network, clean, torch.full((batch_size,), 500), label),
            "our step without criteria": counted(bare.take),
            f"our step, memories of {memory_size}": counted(ours.take),
            "baseline step": _plain_step(backbone, memory_size, pixels, label),
        }
        seconds = in_turns(works, rounds=rounds)
    flops = {"network, forward and backward": flops_of(works["network, forward and backward"])}
    title = f"fine-tuning step, {backbone}, 256 px, batch {batch_size}"
    return table_of(title, seconds, batch_size, unit="images", flops=flops, roof=matmul_flops_per_s())


def bench_memory(backbone: str = "DiT-XL/2", *, batch_size: int = 2, steps: int = 2) -> str:
    """Peak memory of real fine-tuning steps with DiffFit, minimax and gradient checkpointing, random weights."""
    import resource
    import sys

    # Memory in use before any training belongs to the libraries.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with TemporaryDirectory() as folder:
        latents = latents_at(Path(folder) / "latents", 16, SHAPE, CLASSES)
        training = _training(backbone, latents, batch_size, 64, Path(folder), gradient_checkpointing=True)
        for step in range(steps):
            training.take(step)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak, libraries = (value / unit / 1024 for value in (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, before))
    learning = sum(weight.numel() for weight in training.weights)
    return (
        f"{steps} fine-tuning steps, {backbone}, 256 px, batch {batch_size}, {learning:,} parameters learn: "
        f"peak {peak:.2f} GiB, of which libraries {libraries:.2f}"
    )


def bench_sample(backbone: str = "DiT-S/2", *, images: int = 20, steps: int = 50, rounds: int = 1) -> str:
    """Sampling with guidance 4 at 256 px; the baseline draws image by image."""
    denoiser = DiTDenoiser(_network(backbone).eval(), linear())
    label, seeds = torch.arange(images) % CLASSES, list(range(images))

    def draw(batch_size: int, **settings: Any) -> Tensor:
        sampling = Sampling(**settings)
        parts = zip(label.split(batch_size), torch.tensor(seeds).split(batch_size), strict=True)
        return torch.cat([denoiser.generate(y, seeds=s.tolist(), sampling=sampling) for y, s in parts])

    works = {
        "DPM-Solver++, 20 steps": lambda: draw(10, steps=20, solver="dpm"),
        f"ancestral, {steps} steps": lambda: draw(10, steps=steps),
        f"ancestral, {steps} steps, one by one": lambda: draw(1, steps=steps),
    }
    if has_bfloat16("cpu"):
        works = {
            "DPM-Solver++, 20 steps, bfloat16": lambda: draw(10, steps=20, solver="dpm", mixed_precision="bf16"),
            f"ancestral, {steps} steps, bfloat16": lambda: draw(10, steps=steps, mixed_precision="bf16"),
        } | works
    draw(10, steps=2), draw(1, steps=2)  # a network's first call is slow, but a whole untimed chain is not needed
    seconds = in_turns(works, rounds=rounds, warm=False)
    whole, others = draw(10, steps=3), {"one by one": draw(1, steps=3)}
    if has_bfloat16("cpu"):
        others["in bfloat16"] = draw(10, steps=3, mixed_precision="bf16")
    gaps = [f"{float((whole - other).abs().max() / whole.std()):.1g} {name}" for name, other in others.items()]
    return (
        f"{table_of(f'sampling in batches of 10, {backbone}, 256 px', seconds, images, unit='images')}\n"
        f"largest difference after 3 steps, in standard deviations of the latents: {', '.join(gaps)}"
    )


def bench_encode(*, images: int = 8, rounds: int = 2) -> str:
    """Encoding at 256 px with Stable Diffusion's autoencoder (random weights); the baseline goes image by image."""
    codec = PretrainedCodec(_autoencoder()).eval().requires_grad_(False)
    pixels = torch.rand(images, 3, 8 * SIDE, 8 * SIDE) * 2 - 1
    works = {
        f"batches of {images}": lambda: codec.encode(pixels),
        "one by one": lambda: [codec.encode(one[None]) for one in pixels],
    }
    seconds = in_turns(works, rounds=rounds)
    flops = {name: flops_of(work) for name, work in works.items()}
    title = "encoding, AutoencoderKL, 256 px"
    return table_of(title, seconds, images, unit="images", flops=flops, roof=matmul_flops_per_s())


def _network(backbone: str) -> DiT:
    network = dit(backbone, input_size=SIDE, in_channels=CHANNELS, num_classes=CLASSES, seed=0)
    with torch.no_grad():  # a fresh DiT's gates are zero, so half of the work would be on zeros
        for name, parameter in network.named_parameters():
            if "adaLN" in name or "final_layer" in name:
                parameter.normal_(std=0.02)
    return network


def _autoencoder() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        sample_size=8 * SIDE,
    ).eval()


def _training(
    backbone: str, latents: LatentStore, batch_size: int, memory_size: int | None, folder: Path, **settings: Any
) -> Training:
    config = FinetuneConfig(
        steps=10_000,
        batch_size=batch_size,
        minimax=Minimax(0.002, 0.008, memory_size) if memory_size else Minimax(),
        **settings,
    )
    network = _network(backbone)
    apply_adapters(network, config.adapters)
    network.save_memory = config.gradient_checkpointing
    return Training(DiTDenoiser(network, linear()), latents, config, 0, accelerator_of(config, folder))


def _plain_step(backbone: str, memory_size: int, pixels: Tensor, label: Tensor) -> Callable[[], None]:
    """A plain step that first encodes its pictures; the optimiser has only the parameters that learn."""
    autoencoder = _autoencoder()
    network = _network(backbone).train()
    apply_adapters(network, [DiffFit()])
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-3, fused=False)
    step = PlainStep(DiTDenoiser(network, linear()), optimizer, memory_size, weights=(0.002, 0.008))

    def work() -> None:
        with torch.no_grad():
            clean = autoencoder.encode(pixels).latent_dist.sample() * 0.18215
        step(clean, label)

    return work
