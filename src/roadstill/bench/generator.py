"""Benches of the generator: the fine-tuning step, sampling, encoding."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roadstill.adapters import DiffFit, apply_adapters
from roadstill.bench.timing import Row, flops_of, in_turns, matmul_flops_per_s, table
from roadstill.codecs import PretrainedCodec
from roadstill.criteria import Diversity, Representativeness
from roadstill.denoisers.base import Sampling
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.networks.dit import DiT, dit
from roadstill.schedules import linear

CHANNELS, SIDE, CLASSES = 4, 32, 2  # Stable Diffusion's latents at 256 px; brake and not brake


def bench_finetune(backbone: str = "DiT-S/2", *, batch_size: int = 8, rounds: int = 3, memory_size: int = 64) -> str:
    """The step of DiffFit and minimax at 256 px, and what its parts cost.

    The baseline works as the reference does: the autoencoder encodes inside the step, memories are lists of tensors,
    and the moving average covers all parameters.
    """
    torch.manual_seed(0)
    clean, label = torch.randn(batch_size, CHANNELS, SIDE, SIDE), torch.arange(batch_size) % CLASSES
    ours = _Step(backbone, memory_size)
    bare = _Step(backbone, None)
    plain = _PlainStep(backbone, memory_size)
    pixels = torch.rand(batch_size, 3, 8 * SIDE, 8 * SIDE) * 2 - 1
    for _ in range(-(-memory_size * CLASSES // batch_size)):  # a full memory is the one that costs
        ours.fill(clean, label)
    network = _passes(backbone, clean, label)
    works = {
        "network, forward and backward": network,
        "our step without criteria": lambda: bare(clean, label),
        f"our step, memories of {memory_size}": lambda: ours(clean, label),
        "baseline step": lambda: plain(pixels, label),
    }
    seconds = in_turns(works, rounds=rounds)
    flops = {"network, forward and backward": flops_of(network)}
    rows = [Row(name, seconds[name], batch_size, flops.get(name)) for name in works]
    title = f"fine-tuning step, {backbone}, 256 px, batch {batch_size}"
    return table(title, rows, unit="images", roof=matmul_flops_per_s())


def bench_sample(backbone: str = "DiT-S/2", *, images: int = 20, steps: int = 50, rounds: int = 1) -> str:
    """Sampling with guidance 4 at 256 px; the baseline draws image by image."""
    denoiser = DiTDenoiser(_network(backbone).eval(), linear())
    label, seeds = torch.arange(images) % CLASSES, list(range(images))

    def draw(batch_size: int, **settings: Any) -> Tensor:
        sampling = Sampling(**settings)
        parts = zip(label.split(batch_size), torch.tensor(seeds).split(batch_size), strict=True)
        return torch.cat([denoiser.generate(y, seeds=s.tolist(), sampling=sampling) for y, s in parts])

    works = {
        "DPM-Solver++, 20 steps, batches of 10": lambda: draw(10, steps=20, solver="dpm"),
        f"ancestral, {steps} steps, batches of 10": lambda: draw(10, steps=steps),
        f"ancestral, {steps} steps, one by one": lambda: draw(1, steps=steps),
    }
    seconds = in_turns(works, rounds=rounds)
    gap = float((draw(10, steps=steps) - draw(1, steps=steps)).abs().max())
    text = table(f"sampling, {backbone}, 256 px", [Row(n, s, images) for n, s in seconds.items()], unit="images")
    return f"{text}\nlargest difference between batches of 10 and one by one: {gap:.2g}"


def bench_encode(*, images: int = 8, rounds: int = 2) -> str:
    """Encoding at 256 px with Stable Diffusion's autoencoder (random weights); the baseline goes image by image."""
    codec = PretrainedCodec(_autoencoder()).eval().requires_grad_(False)
    pixels = torch.rand(images, 3, 8 * SIDE, 8 * SIDE) * 2 - 1
    works = {
        f"batches of {images}": lambda: codec.encode(pixels),
        "one by one": lambda: [codec.encode(one[None]) for one in pixels],
    }
    seconds = in_turns(works, rounds=rounds)
    rows = [Row(name, seconds[name], images, flops_of(works[name])) for name in works]
    return table("encoding, AutoencoderKL, 256 px", rows, unit="images", roof=matmul_flops_per_s())


def _network(backbone: str) -> DiT:
    network = dit(backbone, input_size=SIDE, in_channels=CHANNELS, num_classes=CLASSES, seed=0)
    with torch.no_grad():  # a fresh DiT's gates are zero, and half of the work would be on zeros
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


def _passes(backbone: str, clean: Tensor, label: Tensor) -> Any:
    network = _network(backbone).train()
    apply_adapters(network, [DiffFit()])
    time = torch.full((len(clean),), 500)

    def work() -> None:
        network.zero_grad()
        network(clean, time, label).square().mean().backward()

    return work


class _Step:
    """Our step: cached latents, ring memories, the average over what learns."""

    def __init__(self, backbone: str, memory_size: int | None) -> None:
        network = _network(backbone).train()
        apply_adapters(network, [DiffFit()])
        self.denoiser = DiTDenoiser(network, linear())
        self.weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.average = [weight.detach().clone() for weight in self.weights]
        self.optimizer = torch.optim.AdamW(self.weights, lr=1e-3, weight_decay=0.0, fused=True)
        self.criteria: list[tuple[float, nn.Module]] = []
        if memory_size is not None:
            self.criteria = [(0.002, Representativeness(memory_size)), (0.008, Diversity(memory_size))]
        self.generator = torch.Generator().manual_seed(0)

    def fill(self, clean: Tensor, label: Tensor) -> None:
        for _, criterion in self.criteria:
            criterion(clean, clean, label)

    def __call__(self, clean: Tensor, label: Tensor) -> None:
        self.optimizer.zero_grad()
        estimate = self.denoiser.estimate(clean, label, generator=self.generator)
        loss = estimate.loss.mean()
        for weight, criterion in self.criteria:
            loss = loss + weight * criterion(estimate.clean, clean, label)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for average, now in zip(self.average, self.weights, strict=True):
                average.lerp_(now, 1e-4)


class _PlainStep:
    """The step as one would first write it down."""

    def __init__(self, backbone: str, memory_size: int) -> None:
        self.autoencoder = _autoencoder()
        network = _network(backbone).train()
        apply_adapters(network, [DiffFit()])
        self.denoiser = DiTDenoiser(network, linear())
        self.network, self.size = network, memory_size
        self.average = [parameter.detach().clone() for parameter in network.parameters()]
        self.optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-3, fused=False)
        self.real: dict[int, list[Tensor]] = {}
        self.pseudo: dict[int, list[Tensor]] = {}
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, pixels: Tensor, label: Tensor) -> None:
        with torch.no_grad():
            clean = self.autoencoder.encode(pixels).latent_dist.sample() * 0.18215
        estimate = self.denoiser.estimate(clean, label, generator=self.generator)
        loss = estimate.loss.mean()
        for number in label.unique().tolist():
            mine = label == number
            for memory, weight, sign in ((self.real, 0.002, -1), (self.pseudo, 0.008, 1)):
                if memory.get(number):
                    known = torch.stack(memory[number]).flatten(1)
                    cosines = F.cosine_similarity(estimate.clean[mine].flatten(1)[:, None], known[None], dim=2)
                    loss = loss + weight * (cosines.max() if sign > 0 else 1 - cosines.min())
            for memory, new in ((self.real, clean[mine]), (self.pseudo, estimate.clean[mine].detach())):
                memory[number] = [*memory.get(number, []), *new][-self.size :]
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for average, now in zip(self.average, self.network.parameters(), strict=True):
                average.mul_(0.9999).add_(now, alpha=1e-4)
