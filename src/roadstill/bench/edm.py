"""Benches of EDM at 32 px: the training step with minimax, and sampling, held against the machine's own rates."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.nn import functional as F

from roadstill.adapters import Full, apply_adapters
from roadstill.bench.generator import counted, latents_at
from roadstill.bench.timing import Row, flops_of, in_turns, matmul_flops_per_s, table
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

    Ours is the step that `finetune` takes, all weights learning. The baseline is the same network in a loop as one
    would first write it: rows copied one by one, memories as lists, the moving average and optimiser weight by weight.
    """
    torch.manual_seed(0)
    clean, label = torch.randn(batch_size, *SHAPE) / 2, torch.arange(batch_size) % CLASSES
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
                "network, forward and backward": _passes(config, clean, label, precision),
                f"our step, memories of {memory_size}": counted(training.take),
                "baseline step, float32": _PlainStep(config, latents, batch_size, memory_size),
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
    """What the machine reaches on one convolution of 3 x 3, forward and backward, channels last."""
    x = torch.randn(64, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
    x.requires_grad_(True), weight.requires_grad_(True)

    def work() -> None:
        F.conv2d(x, weight, padding=1).sum().backward()

    return flops_of(work) / min(in_turns({"conv": work}, rounds=rounds)["conv"])


def _table(
    title: str, seconds: dict[str, list[float]], items: int, flops: float, matmul: float, convolution: float
) -> str:
    rows = [Row(name, each, items, None if "float32" in name else flops) for name, each in seconds.items()]
    reached = flops * rows[0].rate / items
    return (
        f"{table(title, rows, unit='images', roof=matmul)}\n"
        f"first row: {reached / convolution:.0%} of a single convolution's rate "
        f"({convolution / 1e9:.0f} GFLOP/s; matmul {matmul / 1e9:.0f})"
    )


def _network(config: SongUNetConfig) -> SongUNet:
    network = fresh_network(config, input_size=SHAPE[1], in_channels=SHAPE[0], num_classes=CLASSES, seed=0)
    assert isinstance(network, SongUNet)
    return network


def _passes(config: SongUNetConfig, clean: Tensor, label: Tensor, precision: str) -> Callable[[], None]:
    network, level = _network(config).train(), torch.zeros(len(clean))

    def work() -> None:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            out = network(clean, level, label)
        out.float().square().mean().backward()

    return work


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


class _PlainStep:
    """The step as one would first write it down."""

    def __init__(self, config: SongUNetConfig, latents: LatentStore, batch_size: int, memory_size: int) -> None:
        self.network, self.latents = _network(config).train(), latents
        self.denoiser, self.batch_size, self.size = EDMDenoiser(self.network), batch_size, memory_size
        self.average = [parameter.detach().clone() for parameter in self.network.parameters()]
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3, foreach=False)
        self.real: dict[int, list[Tensor]] = {}
        self.pseudo: dict[int, list[Tensor]] = {}
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self) -> None:
        rows = torch.randint(len(self.latents), (self.batch_size,), generator=self.generator).tolist()
        clean = torch.stack([self.latents.draw([row])[0] for row in rows])
        label = torch.tensor([int(self.latents.labels[row]) for row in rows])
        estimate = self.denoiser.estimate(clean, label, generator=self.generator)
        loss = estimate.loss.mean()
        for number in label.unique().tolist():
            mine = label == number
            for memory, weight, sign in ((self.real, 8.0, -1), (self.pseudo, 16.0, 1)):
                if memory.get(number):
                    known = torch.stack(memory[number]).flatten(1)
                    cosines = F.cosine_similarity(estimate.clean[mine].flatten(1)[:, None], known[None], dim=2)
                    loss = loss + weight * (cosines.max() if sign > 0 else 1 - cosines.min()) / CLASSES
            for memory, new in ((self.real, clean[mine]), (self.pseudo, estimate.clean[mine].detach())):
                memory[number] = [*memory.get(number, []), *new][-self.size :]
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for average, now in zip(self.average, self.network.parameters(), strict=True):
                average.mul_(0.9999).add_(now, alpha=1e-4)
