"""Expert trajectories: the weights after every epoch of agents that were trained on the whole set.

A folder holds ``experts.json`` and for each expert ``0003/07.safetensors``: the trainable weights as one vector after
epoch 7 (0 is the start). Files are written one by one, so that a training that was stopped goes on with the next epoch,
and read by memory mapping, so that a store of any size takes no memory.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roadstill.agents import AgentConfig
from roadstill.agents.augment import draws, dsa
from roadstill.agents.config import recorded_config
from roadstill.agents.training import batch_at, build_network, make_optimiser, steps_per_epoch
from roadstill.distil.learner import Learner, loss_for
from roadstill.distil.task import Real
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.learning.loops import require_finite
from roadstill.parallel import Workers
from roadstill.runs import (
    Count,
    Digest,
    Range,
    Record,
    check_ranges,
    config_of,
    later,
    plain,
    read_record,
    seed_of,
    write_json,
)
from roadstill.runs.progress import track
from roadstill.weights.tensors import open_tensors, write_tensors

FORMAT = "roadstill-experts-1"
_REMEDY = "make the experts again"


class _Record(Record, kw_only=True, frozen=True):
    """``experts.json``."""

    images: Digest
    agent: dict[str, Any]
    training: dict[str, Any]
    seed: int
    weights: Annotated[int, msgspec.Meta(ge=1, le=10**9)]
    size_px: Annotated[int, msgspec.Meta(ge=1, le=4096)]
    space: Digest
    steps_per_epoch: Count


@dataclass(frozen=True)
class ExpertTraining:
    """How experts are trained; the defaults are those of Cazenavette et al. 2022 (MTT).

    FTD and DATM follow experts that seek flat minima (``rho`` 0.01, ``alpha`` 0.3, 100 epochs): trajectories that a
    student's errors disturb less.

    Attributes:
        experts: number of them.
        epochs: epochs of each.
        learning_rate: learning rate of SGD without momentum, constant.
        batch_size: images per step.
        augment: change of every batch: "dsa" or "none".
        rho: radius at which the gradient is taken (SAM, Foret et al. 2021); 0 takes it where the weights are.
        alpha: share of the gradient across it that is taken off (GSAM, Zhuang et al. 2022).
    """

    experts: int = 100
    epochs: int = 50
    learning_rate: float = 0.01
    batch_size: int = 256
    augment: str = "dsa"
    rho: float = later(0.0)
    alpha: float = later(0.0)

    def __post_init__(self) -> None:
        check_ranges(self, experts=Range(1, 10_000, whole=True), rho=Range(0), alpha=Range(0))
        if self.alpha and not self.rho:
            raise UserError(f"alpha is {self.alpha}, but has an effect only with rho above 0; set rho")
        if self.augment not in ("dsa", "none"):
            raise UserError(f"augment is {self.augment!r}; take 'dsa' or 'none'")


@dataclass(frozen=True)
class Experts:
    """A store of trajectories.

    Attributes:
        folder: its folder.
        agent: the network.
        epochs: epochs of each.
        numbers: experts that are complete.
        images: digest of the set that they were trained on.
        weights: length of a vector of weights.
        space: digest of what the networks take for a picture.
    """

    folder: Path
    agent: AgentConfig
    epochs: int
    numbers: tuple[int, ...]
    images: str
    weights: int
    space: str

    def at(self, number: int, epoch: int) -> Tensor:
        """Weights ``[p]`` of an expert after an epoch.

        Raises:
            UserError: a missing or damaged file, or weights of another length.
        """
        path = _path(self.folder, self.numbers[number % len(self.numbers)], epoch)
        file = open_tensors(path, "weights of an expert")
        if file.shapes != {"weights": (self.weights,)}:
            raise UserError(f"{path} holds no {self.weights:,} weights; {_REMEDY}")
        return file.tensors()["weights"]


def make_experts(
    real: Real, agent: AgentConfig, out: Path, *, config: ExpertTraining, seed: int, workers: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> Experts:  # fmt: skip
    """Trains experts, side by side if there are several workers, and goes on where an earlier call was stopped.

    Args:
        real: the whole set.
        agent: network.
        out: folder.
        config: their training.
        seed: seed of weights, order and changes.
        workers: processes.
        say: takes one line of progress.

    Raises:
        UserError: a folder of other experts, or weights that are not finite.
    """
    images: ImageSet = real.images
    apprentice = _Apprentice(real, agent, out, config, seed)
    record = {
        "format": FORMAT, "images": images.digest, "agent": plain(agent), "training": plain(config), "seed": seed,
        "weights": len(apprentice.learner(0).flat()), "size_px": images.size_px, "space": real.space.digest,
        "steps_per_epoch": apprentice.steps_per_epoch,
    }  # fmt: skip
    path = out / "experts.json"
    if path.is_file():
        known = read_record(path, _Record, _REMEDY, format=FORMAT)
        its, ours = {**known.training, "experts": 0}, {**plain(config), "experts": 0}
        same = (known.images, known.agent, its, known.seed, known.space) == (
            images.digest, plain(agent), ours, seed, real.space.digest
        )  # fmt: skip
        if not same:
            raise UserError(f"{out} holds experts of other settings or images; choose another folder or remove it")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, record)
    jobs = [(number,) for number in range(config.experts) if not _path(out, number, config.epochs).is_file()]
    with Workers(min(workers, max(len(jobs), 1)), apprentice) as pool:
        for (number,) in track(pool.each("train", jobs), "experts", total=len(jobs)):
            say(f"expert {number}")
    return open_experts(out)


def open_experts(folder: Path) -> Experts:
    """Opens a store that `make_experts` wrote, or is still writing: experts that are complete count.

    Raises:
        UserError: no store, a damaged record, or no complete expert.
    """
    record = read_record(folder / "experts.json", _Record, _REMEDY, format=FORMAT)
    training = config_of(ExpertTraining, dict(record.training), f"{folder / 'experts.json'}, training", _REMEDY)
    agent = recorded_config(record.agent, f"{folder / 'experts.json'}, agent", _REMEDY)
    numbers = sorted(int(each.name) for each in folder.iterdir() if re.fullmatch(r"\d{4,9}", each.name)
                     and _path(folder, int(each.name), training.epochs).is_file())  # fmt: skip
    if not numbers:
        raise UserError(f"{folder} holds no expert that is complete; go on with roadstill experts")
    return Experts(folder, agent, training.epochs, tuple(numbers), record.images, record.weights, record.space)


@dataclass
class _Apprentice:
    """What trains experts in each process."""

    real: Real
    agent: AgentConfig
    out: Path
    config: ExpertTraining
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(len(self.real.images), self.config.batch_size)

    def learner(self, number: int) -> Learner:
        """An expert at its start."""
        seed = seed_of("expert", self.seed, number)
        network = build_network(self.agent, self.real.targets.shape[1], seed, self.real.images.size_px)
        network = network.to(self.real.device).train()
        return Learner(network, loss_for(self.agent.target))

    def train(self, number: int) -> None:
        """Trains one expert from its last epoch on disk."""
        learner, config = self.learner(number), self.config
        known = [epoch for epoch in range(config.epochs + 1) if _path(self.out, number, epoch).is_file()]
        if known:
            file = open_tensors(_path(self.out, number, known[-1]), "weights of an expert")
            learner.put(file.tensors()["weights"])
        else:
            self._keep(learner, number, 0)
        plainly = AgentConfig(network=self.agent.network, optimiser="sgd", momentum=0.0, weight_decay=0.0,
                              learning_rate=config.learning_rate)  # fmt: skip
        optimiser = make_optimiser(learner.network, plainly)
        start = known[-1] if known else 0
        for epoch in track(range(start, config.epochs), "epochs", done=start):
            for place in range(self.steps_per_epoch):
                step = epoch * self.steps_per_epoch + place
                rows = batch_at(
                    step, num_images=len(self.real.images), batch_size=config.batch_size,
                    seed=seed_of("expert order", self.seed, number),
                )  # fmt: skip
                self._step(learner, optimiser, rows, number, step)
            self._keep(learner, number, epoch + 1)

    def _step(
        self, learner: Learner, optimiser: torch.optim.Optimizer, rows: NDArray[np.int64], number: int, step: int
    ) -> None:
        pictures, targets = self.real.batch(rows)
        if self.config.augment == "dsa":
            pictures = dsa(pictures, draws(seed_of("expert augment", self.seed, number, step)))
        if self.config.rho:
            weights = learner.flat()
            learner.put(weights - self.config.learning_rate * self._to_flat_minima(learner, weights, pictures, targets))
        else:
            learner.learn(optimiser, pictures, targets)

    def _to_flat_minima(self, learner: Learner, weights: Tensor, pictures: Tensor, targets: Tensor) -> Tensor:
        """GSAM's direction ``[p]``, algorithm 1 of Zhuang et al. 2022."""
        here = learner.gradient(weights, pictures, targets, twice=False)
        uphill = weights + self.config.rho * here / here.norm().clamp(min=1e-12)
        there = learner.gradient(uphill, pictures, targets, twice=False)
        across = here - (here @ there) / (there @ there).clamp(min=1e-24) * there
        return there - self.config.alpha * across

    def _keep(self, learner: Learner, number: int, epoch: int) -> None:
        weights = learner.flat()
        require_finite({"weights": weights}, step=epoch * self.steps_per_epoch)
        path = _path(self.out, number, epoch)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, {"weights": weights}, {"expert": number, "epoch": epoch})


def _path(folder: Path, number: int, epoch: int) -> Path:
    return folder / f"{number:04d}" / f"{epoch:02d}.safetensors"
