"""One optimiser step of a generator's training, whatever learns and whatever the loss is made of."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from roadstill.codecs.latents import LatentStore
from roadstill.denoisers.base import Estimate
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.errors import UserError
from roadstill.generator.alignment import Alignment
from roadstill.generator.assembly import criteria_of, weight_of
from roadstill.generator.attributes import dropped, rows_told
from roadstill.generator.config import Ema, FinetuneConfig
from roadstill.generator.consistency import Teacher
from roadstill.learning.loops import balanced_rows, finite_sum, generator_of, rate_at, rows_of_step
from roadstill.learning.muon import Muon, matrices_of


class Training:
    """A denoiser in training: what learns, its moving average, optimiser and criteria; one call is one step.

    Args:
        denoiser: its network goes to the accelerator's device.
        latents: training data.
        config: see `FinetuneConfig`.
        seed: seed of everything random.
        accelerator: as `accelerator_of` makes it.
        teacher: base from which few steps are learned, instead of from the latents alone.

    Attributes:
        names: names of the parameters that learn.
        weights: the same parameters.
        averaged: their moving average by name; empty if it is off.
        alignment: alignment with features of a trained network, if it is wanted.
        helpers: what learns beside the network and is no part of it, by name.
        criteria: criteria with their memories.
        optimizer: AdamW or Muon, as accelerate wraps it.
        meter: sums for the next line of the log.

    Raises:
        UserError: a batch that does not divide into the parts of all processes.
    """

    def __init__(
        self,
        denoiser: LabelledDenoiser,
        latents: LatentStore,
        config: FinetuneConfig,
        seed: int,
        accelerator: Any,
        teacher: Teacher | None = None,
    ) -> None:
        self.denoiser, self.latents, self.config, self.seed = denoiser, latents, config, seed
        self.accelerator, self.meter = accelerator, _Meter()
        self.teacher = None if teacher is None else teacher.to(accelerator.device)
        self.told = rows_told(latents, config.attributes.names, denoiser.origin.attributes)
        self.shares = config.gradient_accumulation * accelerator.num_processes
        if config.batch_size % self.shares:
            raise UserError(
                f"batch_size {config.batch_size} does not divide into {self.shares} parts over all processes"
            )
        network = denoiser.network
        self.alignment = Alignment(network, latents, config, seed) if config.alignment.weight else None
        learning = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
        self.names, self.weights = tuple(learning), tuple(learning.values())
        self.helpers = {}
        if self.alignment is not None:
            self.alignment.projector = accelerator.prepare(self.alignment.projector)
            parameters = self.alignment.projector.named_parameters()
            self.helpers = {f"alignment/{name.removeprefix('module.')}": weight for name, weight in parameters}
        moved = (*self.weights, *self.helpers.values())
        self.criteria = criteria_of(config).to(accelerator.device)
        rate, decay = config.learning_rate, config.weight_decay
        optimizer: torch.optim.Optimizer
        if config.optimiser == "muon":
            optimizer = Muon(moved, matrices_of(network), lr=rate, weight_decay=decay)
        else:
            optimizer = torch.optim.AdamW(moved, lr=rate, weight_decay=decay, fused=True)
        denoiser.network, self.optimizer = accelerator.prepare(network.train(), optimizer)
        averages = config.ema.mode != "off"
        self.averaged = {name: weight.detach().clone() for name, weight in learning.items()} if averages else {}

    def take(self, step: int) -> None:
        """The optimiser step of this number, in as many parts as the batch is accumulated from.

        Raises:
            UserError: a loss that is not finite; nothing was learned from it.
        """
        config, accelerator = self.config, self.accelerator
        scheduled = self.denoiser.at(step / config.steps)
        rate = config.learning_rate * rate_at(
            step, steps=config.steps, warmup_steps=config.warmup_steps, decay=config.lr_decay
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        for part in range(config.gradient_accumulation):
            share = accelerator.process_index * config.gradient_accumulation + part
            rows, clean, label, generator = _batch(self.latents, config, self.seed, step, share, self.shares)
            clean, label = clean.to(accelerator.device), label.to(accelerator.device)
            asked = label
            if self.told is not None:
                rows_of_all = dropped(self.told[rows], config.attributes, self.seed, step, share)
                asked = torch.cat([label[:, None], rows_of_all.to(label.device)], dim=1)
            with _last_part_syncs(accelerator, self.denoiser.network, part == config.gradient_accumulation - 1):
                if self.teacher is None:
                    estimate = scheduled.estimate(clean, asked, generator=generator)
                else:
                    estimate = self.teacher.estimate(scheduled, clean, asked, generator=generator)
                terms = _terms(estimate, clean, label, scheduled, self.criteria, config)
                if self.alignment is not None:
                    terms["alignment"] = self.alignment.term(rows)
                accelerator.backward(finite_sum(terms, step=step, rows=rows) / config.gradient_accumulation)
            self.meter.add(terms, estimate, rate)
        if config.clip is not None:
            accelerator.clip_grad_norm_((*self.weights, *self.helpers.values()), config.clip)
        self.optimizer.step()
        _average(self.averaged, self.names, self.weights, step, config.ema)


def _batch(
    latents: LatentStore, config: FinetuneConfig, seed: int, step: int, share: int, shares: int
) -> tuple[NDArray[np.int64], Tensor, Tensor, torch.Generator]:
    """One part's rows ``[b]``, latents ``[b, c, h, w]``, labels ``[b]``, and the generator of its random numbers."""
    if config.labels.balanced:
        rows = balanced_rows(latents.members, config.batch_size, seed=seed, step=step)
    else:
        rows = rows_of_step(len(latents), config.batch_size, seed=seed, step=step)
    part = config.batch_size // shares
    rows = rows[share * part : (share + 1) * part]
    generator = generator_of("finetune", seed, step, share)
    return rows, latents.draw(rows, generator), torch.from_numpy(latents.labels[rows]), generator


def _terms(
    estimate: Estimate,
    clean: Tensor,
    label: Tensor,
    denoiser: LabelledDenoiser,
    criteria: nn.ModuleDict,
    config: FinetuneConfig,
) -> dict[str, Tensor]:
    """The weighted terms of the loss."""
    loss = estimate.loss
    if config.min_snr is not None and isinstance(denoiser, DiTDenoiser):
        loss = loss * denoiser.min_snr_weight(estimate.t, config.min_snr)
    terms = {"diffusion": loss.mean()}
    found = estimate.clean if config.minimax.estimate == "clean" or estimate.rough is None else estimate.rough
    kept = slice(None) if config.minimax.t_max is None else estimate.t <= config.minimax.t_max
    if criteria and (config.minimax.t_max is None or bool(kept.any())):  # type: ignore[union-attr]
        for name, criterion in criteria.items():
            term = criterion(found[kept], clean[kept], label[kept])
            if not isinstance(term, Tensor) or term.shape != ():
                said = f"a tensor {tuple(term.shape)}" if isinstance(term, Tensor) else f"a {type(term).__name__}"
                raise UserError(f"criterion {name.replace('/', '.')!r} returned {said}; it should be a scalar tensor")
            terms[name] = weight_of(name, config) * term
    return terms


@torch.no_grad()
def _average(
    averaged: Mapping[str, Tensor], names: tuple[str, ...], weights: tuple[Tensor, ...], step: int, ema: Ema
) -> None:
    """Moves the average towards the weights; a warm-up forgets the start that a short run would remember."""
    decay = min(ema.decay, (1 + step) / (10 + step)) if ema.mode == "warmup" else ema.decay
    if averaged:
        for name, weight in zip(names, weights, strict=True):
            averaged[name].lerp_(weight, 1 - decay)


@contextmanager
def _last_part_syncs(accelerator: Any, network: nn.Module, last: bool) -> Iterator[None]:
    """Processes exchange gradients after the last part of a batch only."""
    if last:
        yield
    else:
        with accelerator.no_sync(network):
            yield


class _Meter:
    """Sums between two lines of metrics."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._parts, self._samples, self._rate, self._began = 0, 0, 0.0, time.monotonic()

    def add(self, terms: Mapping[str, Tensor], estimate: Estimate, rate: float) -> None:
        for name, term in [*terms.items(), ("mse", estimate.mse.mean())]:
            self._sums[name] = self._sums.get(name, torch.zeros((), device=term.device)) + term.detach()
        self._parts += 1
        self._samples += len(estimate.t)
        self._rate = rate

    def tensors(self) -> dict[str, Tensor]:
        """The sums by name, for a saved state: the line after a resumed step is that of an unbroken run."""
        sums = {f"meter/{place:03d}/{name}": total for place, (name, total) in enumerate(self._sums.items())}
        return sums | {"meter/parts": torch.tensor(self._parts)} if sums else {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts back what `tensors` gave, if it is among these; the speed counts from now on."""
        found = sorted(name for name in tensors if name.startswith("meter/") and name != "meter/parts")
        self._sums = {name.split("/", 2)[2]: tensors[name].clone() for name in found}
        self._parts = int(tensors["meter/parts"]) if found else 0

    def line(self) -> dict[str, float]:
        """Learning rate, means and speed since the last line."""
        means = {name: round(float(total) / self._parts, 6) for name, total in self._sums.items()}
        speed = round(self._samples / (time.monotonic() - self._began), 2)
        line = {"learning_rate": self._rate} | means | {"images_per_s": speed}
        self.__init__()  # type: ignore[misc]
        return line
