"""What a distillation begins with: pixels' space, pictures, labels, and whatever moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents import Agent, AgentConfig, FeatureCache
from roadstill.agents.quantities import QUANTITIES
from roadstill.agents.training import build_network
from roadstill.codecs import Codec
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.distil.config import Distillation
from roadstill.distil.moving import Moving, MovingLatents, MovingNoise, MovingPixels
from roadstill.distil.representatives import Clustered
from roadstill.distil.spaces import Space, Whitening, whitening_of
from roadstill.distil.synthetic import Synthetic
from roadstill.distil.task import Real, Task, real_of
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.imagesets.values import folded
from roadstill.learning.loops import generator_of, rows_of_step

_BATCH = 256
_SURE = 5.0  # logits that begin as labels: probabilities of 0.94 or more, which can still move


@dataclass(frozen=True)
class Tools:
    """What some methods need besides the real set.

    Attributes:
        codec: codec of latents.
        base: generator whose noise moves, or whose score holds latents back.
        teacher: agent whose probabilities are labels.
        start: set to begin with.
        dev: dev part, which chooses among states where that is asked for.
        cache: output of frozen stages on whole sets that were seen before.
    """

    codec: Codec | None = None
    base: LabelledDenoiser | None = None
    teacher: Agent | None = None
    start: ImageSet | None = None
    dev: ImageSet | None = None
    cache: FeatureCache | None = None


@dataclass(frozen=True)
class Start:
    """Pictures to begin with.

    Attributes:
        pictures: pictures ``[n, 3, s, s]`` in [0, 1] or beyond.
        classes: their classes ``[n]``, ascending.
        numbers: their targets where these are numbers, ``[n, d]``.
        facts: facts of each, if it is or was a frame.
    """

    pictures: Tensor
    classes: Tensor
    numbers: Tensor | None
    facts: list[Mapping[str, Any]]


def space_of(real: ImageSet, agent: AgentConfig, whitening: str) -> Space:
    """What the agent's networks take for a picture; "absolute" or "relative" whitening is that of a set.

    Raises:
        UserError: another word, or pictures that are too large to be whitened.
    """
    if whitening not in ("none", "absolute", "relative"):
        raise UserError(f"whitening is {whitening!r}; take none, absolute or relative")
    network = build_network(agent, max(2, real.num_classes), 0, real.size_px)
    return Space(
        tuple(network.mean), tuple(network.std), None if whitening == "none" else whitening_on(real, whitening)
    )


def whitening_on(real: ImageSet, whitening: str) -> Whitening:
    """The "absolute" or "relative" whitening of a set's pictures; errors as `whitening_of`."""
    parts = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 for _, pixels in real.batches(_BATCH))
    return whitening_of(parts, relative=whitening == "relative")


def pictures_of(images: ImageSet, rows: Sequence[int] | NDArray[np.int64]) -> Tensor:
    """Pictures ``[len(rows), 3, s, s]`` of a set, 0 black and 1 white: its exact ones if it has some."""
    if images.values is not None:
        return images.values.pictures(rows)
    return torch.from_numpy(images.pixels(rows)).permute(0, 3, 1, 2).float() / 255


def task_of(
    real: ImageSet, agent: AgentConfig, config: Distillation, tools: Tools, *, per_class: int | None, seed: int,
    device: str = "cpu",
) -> tuple[Task, Start]:  # fmt: skip
    """What an objective works with, and what it begins with.

    Args:
        real: the whole set.
        agent: network that objectives look at.
        config: settings.
        tools: what some settings need.
        per_class: images per class; None takes as many as the start has.
        seed: seed of everything.
        device: where to compute.
    """
    known = real_of(real, space_of(real, agent, config.whitening), agent.target, seed)
    known.device = torch.device(device)
    if config.real == "clusters":
        known.chooser = Clustered(agent, seed)
    start = _start(known, config, tools, per_class, agent.target)
    raw, logits = _labels(known, config, tools, start)
    synthetic = Synthetic(_moving(start, known.space, config, tools), start.classes, raw, logits, config.batch_size)
    cache = tools.cache or FeatureCache()
    return Task(known, synthetic, agent, config.augment, config.mirrors, config.steps, seed, cache), start


def _start(real: Real, config: Distillation, tools: Tools, per_class: int | None, target: str) -> Start:
    if tools.start is not None:
        order = np.argsort(tools.start.labels, kind="stable")
        found = _of_set(tools.start, order, target, real.device)
        wanted = len(order) if per_class is None else per_class * real.num_classes
        return found if len(order) == wanted else _folded(found, config.patches)
    assert per_class is not None
    if config.start == "real":
        count = per_class * config.patches**2
        rows = np.concatenate(
            [own[rows_of_step(len(own), count, seed=real.seed, step=0, name="start")] for own in real.groups]
        )
        return _folded(_of_set(real.images, rows, target, real.device), config.patches)
    classes = torch.arange(real.num_classes).repeat_interleave(per_class)
    side = real.images.size_px
    drawn = torch.randn((len(classes), 3, side, side), generator=generator_of("start", real.seed))
    numbers = None
    if target != "class":  # of each class the mean
        numbers = torch.stack([real.targets[torch.from_numpy(real.groups[int(each)])].mean(0) for each in classes])
    return Start(real.space.leave(drawn).to(real.device), classes.to(real.device), numbers, [{} for _ in classes])


def _of_set(images: ImageSet, rows: NDArray[np.int64], target: str, device: torch.device) -> Start:
    pictures, numbers = pictures_of(images, rows), None
    if target != "class":
        quantity = QUANTITIES[target]
        found = quantity.of(images.subset(rows)) / np.array(quantity.scale, np.float32)
        numbers = torch.from_numpy(found).float()
    facts = [images.facts[int(row)] for row in rows]
    return Start(pictures.to(device), torch.from_numpy(images.labels[rows]).to(device), numbers, facts)


def _folded(start: Start, patches: int) -> Start:
    """Several pictures as the patches of one, which keeps the facts of the first."""
    many = patches**2
    numbers = None if start.numbers is None else start.numbers.view(-1, many, start.numbers.shape[1]).mean(1)
    return Start(folded(start.pictures, patches), start.classes[::many], numbers, start.facts[::many])


def _moving(start: Start, space: Space, config: Distillation, tools: Tools) -> Moving:
    if config.parametrisation == "latents":
        assert tools.codec is not None
        return MovingLatents(start.pictures, space, tools.codec, levels=config.levels, batch_size=config.batch_size)
    if config.parametrisation == "noise":
        assert tools.codec is not None
        assert tools.base is not None
        return MovingNoise(start.pictures, start.classes, space, tools.codec, tools.base, steps=config.noise_steps)
    return MovingPixels(start.pictures, space, unit=config.parametrisation == "unit", patches=config.patches)


def _labels(real: Real, config: Distillation, tools: Tools, start: Start) -> tuple[Tensor, bool]:
    """What targets come from, and whether they are its softmax."""
    if start.numbers is not None:
        raw = start.numbers.to(real.device)
        return raw.clone().requires_grad_(config.labels == "values"), False
    raw = F.one_hot(start.classes, real.num_classes).float()
    if config.labels in ("soft", "teacher"):
        if tools.teacher is not None:
            with torch.no_grad():
                raw = tools.teacher.logits(start.pictures.clamp(0, 1)).float()
        else:
            raw = _SURE * raw
    return raw.clone().requires_grad_(config.labels in ("soft", "values")), config.labels in ("soft", "teacher")
