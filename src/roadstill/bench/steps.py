"""Shared by the benchmarks of training steps: latents on disk, a network's bare passes, and a plainly written step."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roadstill.codecs.latents import LatentStore, open_latents
from roadstill.codecs.shards import write_latents
from roadstill.denoisers.labelled import LabelledDenoiser


def latents_at(folder: Path, num: int, shape: tuple[int, ...], num_classes: int) -> LatentStore:
    """Random latents of ``num_classes`` classes on disk."""
    shard = {"mean": torch.randn(num, *shape).half()}
    labels = np.arange(num) % num_classes
    write_latents(
        folder, [(shard, 0.1)], labels, class_names=[str(label) for label in range(num_classes)], shard_rows=num,
        about={},
    )  # fmt: skip
    return open_latents(folder)


def counted(take: Callable[[int], None]) -> Callable[[], None]:
    """A function that calls ``take`` with the next number each time."""
    numbers = count()
    return lambda: take(next(numbers))


def passes(network: nn.Module, clean: Tensor, time: Tensor, label: Tensor, precision: str = "no") -> Callable[[], None]:
    """A network's forward and backward pass, and nothing else."""

    def work() -> None:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            out = network(clean, time, label)
        out.float().square().mean().backward()

    return work


class PlainStep:
    """The step in its simplest form: memories are lists, the moving average goes weight by weight.

    Args:
        denoiser: denoiser that is trained; the moving average covers all of its network's parameters.
        optimizer: optimiser of the parameters that learn.
        memory_size: latents of each class that each memory keeps.
        weights: weights of representativeness and diversity.
    """

    def __init__(
        self,
        denoiser: LabelledDenoiser,
        optimizer: torch.optim.Optimizer,
        memory_size: int,
        *,
        weights: tuple[float, float],
    ) -> None:
        self.denoiser, self.optimizer, self.size, self.weights = denoiser, optimizer, memory_size, weights
        self.average = [parameter.detach().clone() for parameter in denoiser.network.parameters()]
        self.real: dict[int, list[Tensor]] = {}
        self.pseudo: dict[int, list[Tensor]] = {}
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, clean: Tensor, label: Tensor) -> None:
        """Takes one step on clean latents ``[b, c, h, w]`` with labels ``[b]``."""
        representativeness, diversity = self.weights
        estimate = self.denoiser.estimate(clean, label, generator=self.generator)
        loss = estimate.loss.mean()
        for number in label.unique().tolist():
            mine = label == number
            for memory, weight, sign in ((self.real, representativeness, -1), (self.pseudo, diversity, 1)):
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
            for average, now in zip(self.average, self.denoiser.network.parameters(), strict=True):
                average.mul_(0.9999).add_(now, alpha=1e-4)
