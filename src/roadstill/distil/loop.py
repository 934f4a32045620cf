"""`distil`: any method, from a large set to a small one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents import Agent, AgentConfig
from roadstill.agents.networks import require_network
from roadstill.agents.training import build_network
from roadstill.codecs import Codec
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.distil.config import Distillation, method_of
from roadstill.distil.objectives import Running
from roadstill.distil.representatives import clustered
from roadstill.distil.spaces import Space, whitening_of
from roadstill.distil.storing import store
from roadstill.distil.synthetic import (
    Moving,
    MovingLatents,
    MovingNoise,
    MovingPixels,
    Pull,
    Synthetic,
    folded,
)
from roadstill.distil.task import Real, Task, real_of
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.learning.loops import (
    finite_sum,
    generator_of,
    optimizer_tensors,
    rate_at,
    require_finite,
    restore_optimizer,
    rows_of_step,
    saved_state,
)
from roadstill.runs import digest_of, holding, remove, require_own, same_classes, state_beside
from roadstill.weights.tensors import write_tensors

_BATCH = 256


@dataclass(frozen=True)
class Tools:
    """What some methods need besides the real set.

    Attributes:
        codec: codec of latents.
        base: generator whose noise moves.
        teacher: agent whose probabilities are labels.
        start: set to begin with, as many images per class as are asked for.
    """

    codec: Codec | None = None
    base: LabelledDenoiser | None = None
    teacher: Agent | None = None
    start: ImageSet | None = None


@holding()
def distil(
    real: ImageSet,
    method: str | Distillation,
    *,
    per_class: int,
    seed: int,
    out: Path,
    agent: AgentConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    tools: Tools = Tools(),
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
) -> ImageSet:
    """Distils a set into ``per_class`` images of each class.

    A run that was stopped goes on where it was last saved, to the same bytes.

    Args:
        real: set that the small one stands for: the train part.
        method: name, see `METHODS`, or its settings.
        per_class: images per class.
        seed: seed of everything random.
        out: folder of the small set.
        agent: network that objectives look at, its normalisation and target; a ConvNet-3 for CIFAR-10 if not given.
        settings: changes of a named method, see `method_of`.
        tools: codec, generator, teacher and start that some settings need.
        device: where to compute.
        say: takes one line of progress.

    Raises:
        UserError: settings that do not fit, tools that are missing or of other classes, a loss that is not finite.
    """
    require_own(out, "set.json")
    config = method_of(method, per_class, settings) if isinstance(method, str) else method
    agent = agent or AgentConfig(network="convnet-3", normalise="cifar10")
    _check(config, agent, real, tools, per_class)
    space = space_of(real, agent, config.whitening)
    task = task_of(real, agent, config, space, tools, per_class, seed, device)
    key = digest_of([config, agent, real.digest, per_class, seed, None if tools.start is None else tools.start.digest])
    state = _State(task, config, config.objective.begin(task), key, state_beside(out, "unfinished"))
    for step in range(state.resume(), config.steps):
        state.step(step)
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            say(
                f"step {step + 1}/{config.steps}: "
                + ", ".join(f"{name} {value:.4g}" for name, value in state.terms.items())
            )
            state.save(step + 1)
    made = store(
        out, task, real, pictures=state.pictures(), config=config, agent=agent, method=method, seed=seed,
        patches=config.patches, start=tools.start, teacher=tools.teacher, told=state.running.told(),
    )  # fmt: skip
    remove(state.folder)
    return made


def _check(config: Distillation, agent: AgentConfig, real: ImageSet, tools: Tools, per_class: int) -> None:
    """Refuses what does not fit before any work."""
    require_network(agent.network)
    if real.about.get("split") == "test":
        raise UserError(f"{real.root} is the test part, from which nothing may be learnt; give the train part")
    for name, wanted in (
        ("codec", config.parametrisation in ("latents", "noise")), ("base", config.parametrisation == "noise"),
    ):  # fmt: skip
        if wanted and getattr(tools, name) is None:
            raise UserError(f"parametrisation {config.parametrisation} needs a {name}; give one")
    if config.labels == "teacher" and tools.teacher is None:
        raise UserError("labels teacher needs a teacher, made by train; give one")
    if tools.teacher is not None:
        same_classes(tools.teacher.class_names, real.class_names, of="the teacher", to=real.root)
    if agent.target != "class" and config.labels in ("soft", "teacher"):
        raise UserError(f"labels {config.labels} are probabilities, and the target is {agent.target}; take values")
    if tools.start is None:
        return
    same_classes(tools.start.class_names, real.class_names, of=tools.start.root, to=real.root)
    if tools.start.size_px != real.size_px:
        raise UserError(f"{tools.start.root} has {tools.start.size_px} px pictures, but {real.root} has {real.size_px} "
                        "px; prepare both alike")  # fmt: skip
    fitting = (per_class, per_class * config.patches**2)
    if wrong := [f"{count} of {name}" for name, count in tools.start.counts().items() if count not in fitting]:
        raise UserError(
            f"{tools.start.root} holds {wrong[0]}, and {per_class} per class are asked for; give such a set"
        )


def space_of(real: ImageSet, agent: AgentConfig, whitening: str) -> Space:
    """What the agent's networks take for a picture; "absolute" or "relative" whitening is that of a set.

    Raises:
        UserError: another word, or pictures that are too large to be whitened.
    """
    if whitening not in ("none", "absolute", "relative"):
        raise UserError(f"whitening is {whitening!r}; take none, absolute or relative")
    network = build_network(agent, max(2, real.num_classes), 0, real.size_px)
    space = Space(tuple(network.mean), tuple(network.std))
    if whitening == "none":
        return space
    parts = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 for _, pixels in real.batches(_BATCH))
    return Space(space.mean, space.std, whitening_of(parts, relative=whitening == "relative"))


def task_of(
    real: ImageSet, agent: AgentConfig, config: Distillation, space: Space, tools: Tools, per_class: int, seed: int,
    device: str,
) -> Task:  # fmt: skip
    """What an objective works with; see `distil` for the arguments."""
    known = real_of(real, space, agent.target, seed)
    known.device = torch.device(device)
    if config.real == "clusters":
        known.chooser = clustered(agent, seed)
    start, classes, rows = _start(known, config, tools, per_class, seed)
    moving = _moving(start, classes, space, config, tools)
    raw, logits = _labels(known, config, tools, start, classes, rows)
    return Task(
        known, Synthetic(moving, classes, raw, logits), agent, config.augment, config.mirrors, config.steps, seed
    )


def _start(
    real: Real, config: Distillation, tools: Tools, per_class: int, seed: int
) -> tuple[Tensor, Tensor, "np.ndarray[Any, np.dtype[np.int64]] | None"]:
    """Pictures in [0, 1] to begin with, their classes, and the real rows that they are, if they are."""
    count = real.num_classes
    classes = torch.arange(count).repeat_interleave(per_class)
    side, rows = real.images.size_px, None
    if tools.start is not None:
        order = np.argsort(tools.start.labels, kind="stable")
        pixels = torch.from_numpy(tools.start.pixels(order))
        pictures = pixels.permute(0, 3, 1, 2).float() / 255
        if len(pictures) > len(classes):
            pictures = folded(pictures, config.patches)
    elif config.start == "real":
        many = config.patches**2
        rows = np.concatenate([
            own[rows_of_step(len(own), per_class * many, seed=seed, step=0, name="start")] for own in real.groups
        ])  # fmt: skip
        pictures = folded(torch.from_numpy(real.images.pixels(rows)).permute(0, 3, 1, 2).float() / 255, config.patches)
        rows = rows[::many]
    else:
        drawn = torch.randn((len(classes), 3, side, side), generator=generator_of("start", seed))
        pictures = real.space.leave(drawn)
    return pictures.to(real.device), classes.to(real.device), rows


def _moving(start: Tensor, classes: Tensor, space: Space, config: Distillation, tools: Tools) -> Moving:
    if config.parametrisation == "latents":
        assert tools.codec is not None
        return MovingLatents(start, space, tools.codec, levels=config.levels)
    if config.parametrisation == "noise":
        assert tools.codec is not None
        assert tools.base is not None
        return MovingNoise(start, classes, space, tools.codec, tools.base, steps=config.noise_steps)
    return MovingPixels(start, space, unit=config.parametrisation == "unit", patches=config.patches)


def _labels(
    real: Real, config: Distillation, tools: Tools, start: Tensor, classes: Tensor, rows: Any
) -> tuple[Tensor, bool]:
    """What targets come from, and whether they are its softmax."""
    if real.targets.dtype.is_floating_point and config.labels == "values" and rows is not None:
        raw = real.targets[torch.from_numpy(rows)].to(start.device)
    elif rows is not None and not bool((real.targets.sum(1) == 1).all()):
        raw = real.targets[torch.from_numpy(rows)].to(start.device)
    else:
        raw = F.one_hot(classes, real.num_classes).float()
    if config.labels in ("soft", "teacher"):
        if tools.teacher is not None:
            with torch.no_grad():
                raw = tools.teacher.logits(start.clamp(0, 1)).float()
        else:
            raw = raw * 5.0  # probabilities of 0.94 or more, which can still move
        if config.labels == "teacher":
            return raw, True
    return raw.clone().requires_grad_(config.labels in ("soft", "values")), config.labels == "soft"


@dataclass
class _State:
    """What moves, and how."""

    task: Task
    config: Distillation
    running: Running[Any]
    key: str
    folder: Path
    terms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config, synthetic = self.config, self.task.synthetic
        moving, settings, rates = synthetic.moving, self.running.settings(), self.running.rates()
        self.names = [*moving.parameters, *(["labels"] if synthetic.learnt else []), *settings]
        self.rates = [config.learning_rate * moving.rates.get(name, 1.0) for name in moving.parameters]
        self.rates += [config.label_rate] * synthetic.learnt + [rates[name] for name in settings]
        leaves = [*moving.parameters.values(), *([synthetic.raw] if synthetic.learnt else []), *settings.values()]
        groups = [{"params": [leaf], "lr": rate} for leaf, rate in zip(leaves, self.rates, strict=True)]
        if config.optimiser == "adam":
            self.optimizer: torch.optim.Optimizer = torch.optim.Adam(groups)
        else:
            self.optimizer = torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
        self.average = {name: value.detach().clone() for name, value in moving.parameters.items()} if config.ema else {}

    def step(self, step: int) -> None:
        """All moves of one step."""
        config = self.config
        share = rate_at(step, steps=config.steps, warmup_steps=0, decay=config.decay)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share
        for pull in self.running.pulls(step):
            self._move(pull, step)

    def _move(self, pull: Pull, step: int) -> None:
        config, synthetic = self.config, self.task.synthetic
        finite_sum(pull.terms, step=step, rows=())
        self.terms = {name: float(term) for name, term in pull.terms.items()}
        if config.clip is not None:
            size = pull.pictures.norm()
            pull.pictures = pull.pictures * (config.clip / size.clamp_min(config.clip))
        self.optimizer.zero_grad()
        synthetic.pull_back(pull)
        moves = synthetic.moving.active(step / config.steps)
        for name, parameter in synthetic.moving.parameters.items():
            if name not in moves:
                parameter.grad = None
        for name, leaf in self.running.settings().items():
            leaf.grad = pull.settings.get(name)
        self.optimizer.step()
        synthetic.moving.settle()
        for name, value in self.average.items():
            value.lerp_(synthetic.moving.parameters[name].detach(), 1 - config.ema)

    def pictures(self) -> Tensor:
        """Pictures to be kept, ``[n, 3, s, s]``."""
        moving = self.task.synthetic.moving
        with torch.no_grad():
            for name, value in self.average.items():
                moving.parameters[name].copy_(value)
            return moving.stored()

    def _own(self) -> dict[str, Tensor]:
        synthetic = self.task.synthetic
        leaves = dict(synthetic.moving.parameters) | ({"labels": synthetic.raw} if synthetic.learnt else {})
        return leaves | dict(self.running.settings())

    def save(self, step: int) -> None:
        """Keeps everything that the next step depends on."""
        own = {f"own/{name}": value.detach() for name, value in self._own().items()}
        require_finite(own, step=step - 1)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_tensors(
            self.folder / "state.safetensors",
            own | optimizer_tensors(self.optimizer, self.names)
            | {f"average/{name}": value for name, value in self.average.items()}
            | {f"objective/{name}": value for name, value in self.running.state().items()},
            {"key": self.key, "step": step},
        )  # fmt: skip

    def resume(self) -> int:
        """Puts back what an earlier call saved, and gives the number of steps that it made."""
        found = saved_state(self.folder / "state.safetensors", self.key, "the state of a distillation")
        if found is None:
            return 0
        tensors, step = found
        with torch.no_grad():
            for name, value in self._own().items():
                value.copy_(tensors[f"own/{name}"])
            for name, value in self.average.items():
                value.copy_(tensors[f"average/{name}"])
        restore_optimizer(self.optimizer, self.names, tensors)
        prefix = "objective/"
        self.running.restore(
            {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        )
        return step
