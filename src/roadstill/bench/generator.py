"""Benchmarks of the generator: the fine-tuning step, sampling, encoding."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from roadstill.adapters import DiffFit, apply_adapters
from roadstill.bench.steps import PlainStep, counted, latents_at, passes
from roadstill.bench.timing import flops_of, in_turns, matmul_flops_per_s, table_of
from roadstill.codecs import PretrainedCodec, load_codec, to_pixels
from roadstill.codecs.latents import LatentStore, encode_imageset
from roadstill.denoisers.base import Sampling
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.generator.config import FinetuneConfig, Minimax
from roadstill.generator.finetune import accelerator_of
from roadstill.generator.step import Training
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.learning.precision import has_bfloat16
from roadstill.networks.dit import DiT, dit
from roadstill.schedules import linear

CHANNELS, SIDE, CLASSES = 4, 32, 2
EPOCHS = 8  # that latents are used for; method 1.1 has more
SHAPE = (CHANNELS, SIDE, SIDE)  # Stable Diffusion's latents at 256 px; brake and not brake


def bench_finetune(backbone: str = "DiT-S/2", *, batch_size: int = 8, rounds: int = 3, memory_size: int = 64) -> str:
    """The step of DiffFit and minimax at 256 px, the cost of its parts, and eight epochs with the encoding.

    Ours is the step that `finetune` takes. The baseline works as the reference does: the autoencoder encodes inside the
    step, memories are lists of tensors, and the moving average covers all parameters. Over eight epochs ours encodes
    once, as the verb encode does (pictures read, latents written), and takes eight steps for every batch; the baseline
    takes its own eight.
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
            _ENCODING: _encoding(pixels, Path(folder)),
        }
        seconds = in_turns(works, rounds=rounds)
    encoding = seconds.pop(_ENCODING)
    flops = {"network, forward and backward": flops_of(works["network, forward and backward"])}
    title = f"fine-tuning step, {backbone}, 256 px, batch {batch_size}"
    steps = table_of(title, seconds, batch_size, unit="images", flops=flops, roof=matmul_flops_per_s())
    ours_s, baseline_s = seconds[f"our step, memories of {memory_size}"], seconds["baseline step"]
    return f"{steps}\n\n{_epochs_table(encoding, ours_s, baseline_s, batch_size)}"


def _encoding(pixels: Tensor, folder: Path) -> Callable[[], object]:
    """What the verb encode does with these pictures ``[b, 3, s, s]``, by Stable Diffusion's autoencoder."""
    codec = PretrainedCodec(_autoencoder()).eval().requires_grad_(False)
    with ImageSetWriter(folder / "pictures", [str(number) for number in range(CLASSES)], pixels.shape[-1]) as writer:
        for row, picture in enumerate(to_pixels(pixels).numpy()):
            writer.add(picture, row % CLASSES, {})
    images, numbers = open_imageset(folder / "pictures"), count()
    return lambda: encode_imageset(images, codec, folder / f"encoded{next(numbers)}", batch_size=len(images))


def _epochs_table(
    encoding_s: Sequence[float], ours_s: Sequence[float], baseline_s: Sequence[float], batch_size: int
) -> str:
    """Eight epochs from the seconds of one batch's encoding and of steps, round by round."""
    seconds = {
        "ours: encoding + 8 steps": [once + EPOCHS * step for once, step in zip(encoding_s, ours_s, strict=True)],
        "baseline: 8 steps that encode": [EPOCHS * step for step in baseline_s],
    }
    title = f"{EPOCHS} epochs with encoding, summed up from the times of one batch of {batch_size}"
    table = table_of(title, seconds, EPOCHS * batch_size, unit="images")
    return f"{table}\nencoding a batch {median(encoding_s):.2f} s, our step {median(ours_s):.2f} s"


_ENCODING = "encoding"


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
    """Encoding at 256 px with Stable Diffusion's autoencoder (random weights), and the shipped codec at 128 px.

    The baseline goes image by image. What would happen without `Codec.parts` is shown beside it.
    """
    codec = PretrainedCodec(_autoencoder()).eval().requires_grad_(False)
    pixels = torch.rand(images, 3, 8 * SIDE, 8 * SIDE) * 2 - 1
    works = {
        f"batches of {images}": lambda: codec.encode(pixels),
        f"batches of {images}, computed as a whole": lambda: codec.encoder.encode(pixels),
        "one by one": lambda: [codec.encode(one[None]) for one in pixels],
    }
    with torch.no_grad():
        seconds = in_turns(works, rounds=rounds)
        flops = {name: flops_of(work) for name, work in works.items()}
        small = _small_codec(rounds=rounds)
    title = "encoding, AutoencoderKL, 256 px"
    return f"{table_of(title, seconds, images, unit='images', flops=flops, roof=matmul_flops_per_s())}\n\n{small}"


def _small_codec(*, images: int = 32, rounds: int) -> str:
    codec = load_codec()
    pixels = torch.rand(images, 3, 16 * codec.downsampling, 16 * codec.downsampling) * 2 - 1
    latents = codec.encode(pixels).mean
    kinds: dict[str, Callable[[Tensor], object]] = {"encoding": codec.encode, "decoding": codec.decode}
    tables = []
    for name, work in kinds.items():
        batch = pixels if name == "encoding" else latents
        works: dict[str, Callable[[], object]] = {
            f"batches of {images}": partial(work, batch),
            "one by one": partial(_one_by_one, work, batch),
        }
        title = f"{name}, shipped codec, {pixels.shape[-1]} px"
        tables.append(table_of(title, in_turns(works, rounds=rounds), images, unit="images"))
    return "\n\n".join(tables)


def _one_by_one(work: Callable[[Tensor], object], batch: Tensor) -> None:
    for one in batch:
        work(one[None])


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
