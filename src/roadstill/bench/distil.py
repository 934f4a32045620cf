"""Benchmark of distillation: steps of each family beside plainly written loops, and the share of the convolutions."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roadstill.agents import AgentConfig
from roadstill.agents.augment import siamese
from roadstill.agents.instance_norm import InstanceNorm
from roadstill.agents.training import build_network
from roadstill.bench.timing import in_turns, table_of
from roadstill.distil import METHODS, Distillation, method_of
from roadstill.distil.beginning import Tools, space_of, task_of
from roadstill.distil.experts import ExpertTraining, make_experts
from roadstill.distil.task import Task, real_of
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset

_AGENT = AgentConfig(network="convnet-3", normalise="cifar10")
_CONVOLUTIONS = 2 * (3 * 1024 + 128 * 256 + 128 * 64) * 128 * 9  # operations of a picture's forward pass, ConvNet-3


def bench_distil(*, classes: int = 10, per_class: int = 10, real_batch: int = 64, rounds: int = 3,
                 small: bool = False) -> str:  # fmt: skip
    """A step of each method on 32 px pictures with a ConvNet-3, and plain loops for three of them.

    The plain loops are as published code has them: PyTorch's own layers, whole batches, one class after the other.

    Args:
        classes: number of classes.
        per_class: pictures of each in the small set.
        real_batch: real pictures of each class in a step.
        rounds: number of timed rounds; the works take turns.
        small: whether to take two classes of two pictures, to check that it works.
    """
    if small:
        classes, per_class, real_batch = 2, 2, 4
    lines = []
    with TemporaryDirectory() as folder:
        real = _pictures(Path(folder) / "real", classes, 4 * real_batch)
        space = space_of(real, _AGENT, "none")
        store = make_experts(real_of(real, space, "class", 0), _AGENT, Path(folder) / "experts",
                             config=ExpertTraining(experts=1, epochs=2), seed=0).folder  # fmt: skip
        rate = _convolution_rate()
        lines.append(f"{classes} classes of {per_class}, {real_batch} real pictures of each in a step; convolutions "
                     f"alone: {rate / 1e9:.0f} GFLOP/s")  # fmt: skip
        for name in METHODS:
            steps = _steps_of(name, real, store, per_class, real_batch)
            works: dict[str, Callable[[], object]] = {"ours": lambda: next(steps)}  # noqa: B023  called at once
            if (plain := _plain(name, real, per_class, real_batch)) is not None:
                works["plain loop"] = plain
            seconds = in_turns(works, rounds=rounds)
            text = table_of(name, seconds, 1, unit="steps")
            if (work := _operations(name, classes, per_class, real_batch)) is not None:
                share = work / rate / min(seconds["ours"])
                text += f"\nshare of the convolutions' own rate: {100 * share:.0f} %"
            lines.append(text)
    return "\n".join(lines)


def _config(name: str, store: Path, per_class: int, real_batch: int) -> Distillation:
    """A method's settings with small batches, so that a step takes seconds."""
    own: dict[str, object] = {}
    if name in ("mtt", "tesla", "datm"):
        own = {"experts": str(store), "student_steps": 10, "expert_epochs": 1, "last_epoch": 1}
        own |= {"early_epoch": 0} if name == "datm" else {}
    elif name in ("kip", "rfad", "frepo"):
        own = {"real_batch": 10 * real_batch, **({"networks": 1, "width": 128} if name == "rfad" else {})}
    elif name == "unroll":
        own = {"window": 5, "most_steps": 5, "real_batch": 4 * real_batch}
    else:
        own = {"real_batch": real_batch}
        own |= {"matches": 1, "epochs": 1} if name in ("dc", "dsa", "idc") else {}
    more = {"parametrisation": "unit"} if name == "lgm" else {}
    return replace(method_of(name, per_class, {"objective": own, **more}), whitening="none")


def _task(name: str, real: ImageSet, store: Path, per_class: int, real_batch: int) -> tuple[Task, Distillation]:
    config = _config(name, store, per_class, real_batch)
    return task_of(real, _AGENT, config, Tools(), per_class=per_class, seed=0)[0], config


def _steps_of(name: str, real: ImageSet, store: Path, per_class: int, real_batch: int) -> Iterator[None]:
    """One step after the other."""
    task, config = _task(name, real, store, per_class, real_batch)
    running, step = config.objective.begin(task), 0
    while True:
        for pull in running.pulls(step):
            task.synthetic.pull_back(pull)
        step += 1
        yield


def _operations(name: str, classes: int, per_class: int, real_batch: int) -> float | None:
    """Operations of the convolutions in a step, for methods whose work they are: forward, and twice that backward."""
    real, ours = classes * real_batch * _CONVOLUTIONS, classes * per_class * _CONVOLUTIONS
    if name == "dm":
        return real + 2 * ours  # features alone, and the way back to pictures, without weights
    if name in ("dc", "dsa"):
        return 3 * real + 9 * ours  # a gradient of the gradient costs as much as three
    return None


def _convolution_rate() -> float:
    """Operations a second of the convolutions of a ConvNet-3 alone, forward and backward."""
    network = nn.Sequential(*(
        layer for index in range(3)
        for layer in (nn.Conv2d(128 if index else 3, 128, 3, padding=1), nn.AvgPool2d(2))
    )).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # fmt: skip
    x = torch.randn(20, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        network(x).sum().backward()
        best = min(best, time.perf_counter() - start)
    return 3 * 20 * _CONVOLUTIONS / best


def _plain(name: str, real: ImageSet, per_class: int, real_batch: int) -> Callable[[], object] | None:
    """A plainly written step, for some methods."""
    if name not in ("dm", "dc", "dsa", "mtt"):
        return None
    classes = real.num_classes
    known = torch.from_numpy(real.pixels()).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(real.labels)
    ours = torch.randn(classes * per_class, 3, 32, 32, requires_grad=True)
    targets = torch.arange(classes).repeat_interleave(per_class)

    def network() -> nn.Module:
        made = build_network(_AGENT, classes, 0, 32).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        for module in made.modules():
            if isinstance(module, InstanceNorm):
                module.plain = True
        return made.train()

    def batch(label: int) -> Tensor:
        rows = torch.nonzero(labels == label).flatten()[:real_batch]
        return known[rows]

    def dm() -> None:
        net = network()
        loss = torch.zeros(())
        for label in range(classes):
            theirs = net.features(siamese(batch(label), label)).detach()  # type: ignore[operator]
            mine = net.features(siamese(ours[targets == label], label))  # type: ignore[operator]
            loss = loss + (theirs.mean(0) - mine.mean(0)).square().sum()
        loss.backward()

    def dsa(change: bool) -> None:
        net = network()
        weights, loss = list(net.parameters()), torch.zeros(())
        for label in range(classes):
            pictures, mine = batch(label), ours[targets == label]
            if change:
                pictures, mine = siamese(pictures, label), siamese(mine, label)
            wanted = torch.full((len(pictures),), label)
            theirs = torch.autograd.grad(F.cross_entropy(net(pictures), wanted), weights)
            found = torch.autograd.grad(
                F.cross_entropy(net(mine), targets[targets == label]), weights, create_graph=True
            )
            for a, b in zip(found, theirs, strict=True):
                if a.ndim > 1:
                    loss = loss + (1 - F.cosine_similarity(a.flatten(1), b.flatten(1))).sum()
        loss.backward()

    def mtt() -> None:
        from torch.func import functional_call

        net = network()
        start = {key: value.detach().requires_grad_(True) for key, value in net.named_parameters()}
        at = dict(start)
        for _ in range(10):
            loss = F.cross_entropy(functional_call(net, at, (siamese(ours, 0),)), targets)
            grads = torch.autograd.grad(loss, list(at.values()), create_graph=True)
            at = {key: value - 0.01 * grad for (key, value), grad in zip(at.items(), grads, strict=True)}
        torch.stack([(value - start[key]).square().sum() for key, value in at.items()]).sum().backward()

    return {"dm": dm, "dc": lambda: dsa(False), "dsa": lambda: dsa(True), "mtt": mtt}[name]


def _pictures(folder: Path, classes: int, each: int) -> ImageSet:
    rng = np.random.default_rng(0)
    with ImageSetWriter(folder, [f"class{label}" for label in range(classes)], 32) as writer:
        for index in range(classes * each):
            writer.add(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), index % classes, {})
    return open_imageset(folder)
