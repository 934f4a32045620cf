"""Benchmarks of EDM at 32 px: the training step with minimax, and sampling, compared with the machine's own rates."""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.nn import functional as F

from roadstill.adapters import Full, apply_adapters
from roadstill.bench.steps import PlainStep, counted, latents_at, passes
from roadstill.bench.timing import flops_of, in_turns, matmul_flops_per_s, table_of
from roadstill.codecs.latents import LatentStore
from roadstill.denoisers.base import Sampling
from roadstill.denoisers.edm import EDMDenoiser
from roadstill.generator.config import FinetuneConfig, Minimax
from roadstill.generator.finetune import accelerator_of
from roadstill.generator.step import Training
from roadstill.learning.precision import has_bfloat16
from roadstill.networks.kinds import SongUNetConfig, fresh_network
from roadstill.networks.songunet import SongUNet

SHAPE, CLASSES = (3, 32, 32), 10
SMALL = SongUNetConfig(channels=64, channel_mult=(1, 2, 2), num_blocks=1, attention=(8,))
PRECISIONS = {"no": torch.float32, "bf16": torch.bfloat16}


def bench_edm(
    config: SongUNetConfig = SMALL, *, batch_size: int = 64, images: int = 16, rounds: int = 3, memory_size: int = 64
) -> str:
    """Images per second of training and sampling; operations are those of the network alone.

    Ours is the step that `finetune` takes, with all weights trained. The baseline is the same network in a simple loop:
    rows copied one by one, memories as lists, the moving average and optimiser weight by weight.
    """
    torch.manual_seed(0)
    clean, label = torch.randn(batch_size, *SHAPE) / 2, torch.arange(batch_size) % CLASSES
    level = torch.zeros(batch_size)
    tables = [f"SongUNet of {sum(p.numel() for p in _network(config).parameters()):,} parameters, 32 px"]
    with TemporaryDirectory() as folder:
        latents = latents_at(Path(folder) / "latents", 4 * memory_size, SHAPE, CLASSES)
        for precision, dtype in PRECISIONS.items():
            if dtype == torch.bfloat16 and not has_bfloat16("cpu"):
                tables.append("bf16: this processor has no instructions for it")
                continue
            roofs = matmul_flops_per_s(dtype), conv_flops_per_s(dtype)
            training = _training(config, latents, batch_size, memory_size, precision, Path(folder))
            works: dict[str, Callable[[], object]] = {
                "network, forward and backward": passes(_network(config).train(), clean, level, label, precision),
                f"our step, memories of {memory_size}": counted(training.take),
                "baseline step, float32": _plain_step(config, latents, batch_size, memory_size),
            }
            flops = flops_of(works["network, forward and backward"])
            seconds = in_turns(works, rounds=rounds)
            tables.append(_table(f"training, batch {batch_size}, {precision}", seconds, batch_size, flops, *roofs))
            draws = {
                "18 Heun steps, batches": _drawing(config, images, images, precision),
                "18 Heun steps, one by one, float32": _drawing(config, images, 1, "no"),
            }
            flops = flops_of(draws["18 Heun steps, batches"])
            seconds = in_turns(draws, rounds=1)
            tables.append(_table(f"sampling {images} pictures, {precision}", seconds, images, flops, *roofs))
    return "\n".join(tables)


def conv_flops_per_s(dtype: torch.dtype, channels: int = 128, side: int = 16, rounds: int = 5) -> float:
    """The machine's rate on one convolution of 3 x 3, forward and backward, channels last."""
    x = torch.randn(64, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
    x.requires_grad_(True), weight.requires_grad_(True)

    def work() -> None:
        F.conv2d(x, weight, padding=1).sum().backward()

    return flops_of(work) / min(in_turns({"conv": work}, rounds=rounds)["conv"])


def _table(
    title: str, seconds: dict[str, list[float]], items: int, flops: float, matmul: float, convolution: float
) -> str:
    known = {name: flops for name in seconds if "float32" not in name}
    reached = flops / median(next(iter(seconds.values())))
    return (
        f"{table_of(title, seconds, items, unit='images', flops=known, roof=matmul)}\n"
        f"first row: {reached / convolution:.0%} of a single convolution's rate "
        f"({convolution / 1e9:.0f} GFLOP/s; matmul {matmul / 1e9:.0f})"
    )


def _network(config: SongUNetConfig) -> SongUNet:
    network = fresh_network(config, input_size=SHAPE[1], in_channels=SHAPE[0], num_classes=CLASSES, seed=0)
    assert isinstance(network, SongUNet)
    return network


def _training(
    config: SongUNetConfig, latents: LatentStore, batch_size: int, memory_size: int, precision: str, folder: Path
) -> Training:
    settings = FinetuneConfig(
        steps=10_000,
        batch_size=batch_size,
        adapters=(Full(),),
        network=config,
        minimax=Minimax(8.0, 16.0, memory_size),
        mixed_precision=precision,
    )
    network = _network(config)
    apply_adapters(network, settings.adapters)
    return Training(EDMDenoiser(network, label_dropout=0.1), latents, settings, 0, accelerator_of(settings, folder))


def _drawing(config: SongUNetConfig, images: int, batch_size: int, precision: str) -> Callable[[], Tensor]:
    denoiser = EDMDenoiser(_network(config).eval())
    parts = list(zip((torch.arange(images) % CLASSES).split(batch_size), range(0, images, batch_size), strict=True))
    sampling = Sampling(mixed_precision=precision)

    def draw() -> Tensor:
        made = [denoiser.generate(y, seeds=range(first, first + len(y)), sampling=sampling) for y, first in parts]
        return torch.cat(made)

    return draw


def _plain_step(config: SongUNetConfig, latents: LatentStore, batch_size: int, memory_size: int) -> Callable[[], None]:
    """A plain step that trains all weights; its rows are copied one by one."""
    network, generator = _network(config).train(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, foreach=False)
    step = PlainStep(EDMDenoiser(network), optimizer, memory_size, weights=(8.0 / CLASSES, 16.0 / CLASSES))

    def work() -> None:
        rows = torch.randint(len(latents), (batch_size,), generator=generator).tolist()
        clean = torch.stack([latents.draw([row])[0] for row in rows])
        step(clean, torch.tensor([int(latents.labels[row]) for row in rows]))

    return work
