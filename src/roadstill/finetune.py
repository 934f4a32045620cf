"""`finetune`: one loop for both, adapting a pretrained generator and training one from scratch.

Everything random is a function of (seed, step): rows, posterior draws, noise levels, noise, label dropout. What cannot
be computed again (weights, moving average, optimiser, memories) is saved, so that a killed run goes on bit for bit.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from roadstill.adapters import trained_state
from roadstill.checkpoints import export_base, load_denoiser, save_checkpoint
from roadstill.denoisers.base import Estimate
from roadstill.errors import UserError
from roadstill.latents import LatentStore
from roadstill.loops import (
    balanced_rows,
    generator_of,
    optimizer_tensors,
    rate_at,
    read_tensors,
    restore_optimizer,
    rewind_metrics,
    rows_of_step,
    set_rate,
    write_tensors,
)
from roadstill.runs import Stage, plain
from roadstill.schedules import NoiseSchedule
from roadstill.training import FinetuneConfig, NetworkConfig, build_denoiser, criteria_of, weight_of

__all__ = ["FinetuneConfig", "NetworkConfig", "export_base", "finetune", "load_denoiser"]


def finetune(latents: LatentStore, *, base: Path | None, out: Path, config: FinetuneConfig, seed: int) -> Path:
    """Trains a generator; a second call with the same arguments goes on where the first one stopped.

    Args:
        latents: what is learned.
        base: base file or checkpoint folder; ``None`` is the shipped base, or no base if ``config.network`` is given.
        out: the checkpoint folder.
        config: see `FinetuneConfig`.
        seed: of everything random.

    Returns:
        ``out``.

    Raises:
        UserError: base, latents and configuration do not fit, or ``out`` holds a run with other settings.
    """
    from tqdm import tqdm

    denoiser, about = build_denoiser(latents, base, out, config, seed)
    stage = Stage(out, config, {"latents": latents.digest, "base": about["base_digest"], "seed": str(seed)})
    if stage.done:
        return out
    accelerator = _accelerator(config, out)
    parts = config.gradient_accumulation * accelerator.num_processes
    if config.batch_size % parts:
        raise UserError(f"batch_size {config.batch_size} does not divide into {parts} parts over all processes")
    network = denoiser.network
    accelerator.init_trackers(out.name, _scalars(config))
    names, weights = zip(*((n, p) for n, p in network.named_parameters() if p.requires_grad), strict=True)
    criteria = criteria_of(config).to(accelerator.device)
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    denoiser.network, prepared = accelerator.prepare(network.train(), optimizer)
    averaged = {} if config.ema == "off" else trained_state(network)
    run = _Run(out / f"resume-{accelerator.process_index}.safetensors", stage.key, names, weights, averaged, criteria)
    start = run.restore(prepared.optimizer)
    if (found := set(accelerator.gather(torch.tensor([start], device=accelerator.device)).tolist())) != {start}:
        raise UserError(
            f"{out}: the processes were stopped at different steps {sorted(found)}; remove it and begin anew"
        )
    class_mean = latents.class_mean()
    rewind_metrics(out / "metrics.jsonl", start)
    meter = _Meter()
    main = accelerator.is_main_process
    for step in tqdm(range(start, config.steps), initial=start, total=config.steps, disable=None if main else True):
        scheduled = denoiser.at(step / config.steps)
        rate = rate_at(step, steps=config.steps, warmup_steps=config.warmup_steps, decay=config.lr_decay)
        set_rate(prepared.optimizer, config.learning_rate * rate)
        prepared.zero_grad()
        for part in range(config.gradient_accumulation):
            share = accelerator.process_index * config.gradient_accumulation + part
            clean, label, generator = _batch(latents, config, seed, step, share, parts)
            with _last_part_syncs(accelerator, denoiser.network, part == config.gradient_accumulation - 1):
                estimate = scheduled.estimate(
                    clean.to(accelerator.device), label.to(accelerator.device), generator=generator
                )
                terms = _terms(estimate, clean, label, scheduled.schedule, criteria, config)
                accelerator.backward(torch.stack(list(terms.values())).sum() / config.gradient_accumulation)
            meter.add(terms, estimate)
        if config.clip is not None:
            accelerator.clip_grad_norm_(weights, config.clip)
        prepared.step()
        _average(averaged, names, weights, step, config)
        done = step + 1
        if main and (done % config.log_every == 0 or done == config.steps):
            line = {"learning_rate": config.learning_rate * rate} | meter.line(config.batch_size)
            stage.log(step=done, **line)
            accelerator.log(line, step=done)
        if done % config.save_every == 0 or done == config.steps:
            run.save(prepared.optimizer, done)  # before the checkpoint: a checkpoint without it could not go on
            if main:
                trained = dict(zip(names, weights, strict=True))
                schedule = denoiser.at(1.0).schedule if done == config.steps else scheduled.schedule
                save_checkpoint(
                    out,
                    trained=trained,
                    averaged=averaged,
                    schedule=schedule,
                    class_mean=class_mean,
                    about={"step": done} | about,
                )
            accelerator.wait_for_everyone()
    if main:
        stage.finish(trained=sum(weight.numel() for weight in weights), tensors=len(names))
    accelerator.wait_for_everyone()
    for tracker in accelerator.trackers:  # end_training() would take the process group down with them
        tracker.finish()
    _drop(run.path)
    return out


def _batch(
    latents: LatentStore, config: FinetuneConfig, seed: int, step: int, share: int, shares: int
) -> tuple[Tensor, Tensor, torch.Generator]:
    """One part's latents ``[b, c, h, w]``, labels ``[b]``, and the generator of all that is random in it."""
    if config.class_balanced:
        rows = balanced_rows(latents.members, config.batch_size, seed=seed, step=step)
    else:
        rows = rows_of_step(len(latents), config.batch_size, seed=seed, step=step)
    part = config.batch_size // shares
    rows = rows[share * part : (share + 1) * part]
    generator = generator_of("finetune", seed, step, share)
    return latents.draw(rows, generator), torch.from_numpy(latents.labels[rows]), generator


def _terms(
    estimate: Estimate,
    clean: Tensor,
    label: Tensor,
    schedule: NoiseSchedule | None,
    criteria: nn.ModuleDict,
    config: FinetuneConfig,
) -> dict[str, Tensor]:
    """The weighted terms of the loss."""
    loss, clean, label = estimate.loss, clean.to(estimate.loss.device), label.to(estimate.loss.device)
    if config.min_snr is not None and schedule is not None:
        signal = schedule.alpha_bar.to(loss.device)[estimate.t]
        loss = loss * (config.min_snr * (1 - signal) / signal).clamp(max=1.0).float()
    terms = {"diffusion": loss.mean()}
    found = estimate.clean if config.estimate == "clean" or estimate.rough is None else estimate.rough
    kept = slice(None) if config.t_max is None else estimate.t <= config.t_max
    if criteria and (config.t_max is None or bool(kept.any())):  # type: ignore[union-attr]
        for name, criterion in criteria.items():
            terms[name] = weight_of(name, config) * criterion(found[kept], clean[kept], label[kept])
    return terms


@torch.no_grad()
def _average(
    averaged: Mapping[str, Tensor], names: tuple[str, ...], weights: tuple[Tensor, ...], step: int, c: FinetuneConfig
) -> None:
    """Moves the average towards the weights; a warm-up forgets the start that a short run would remember."""
    decay = min(c.ema_decay, (1 + step) / (10 + step)) if c.ema == "warmup" else c.ema_decay
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


def _drop(path: Path) -> None:
    path.unlink(missing_ok=True)  # the run is finished: nothing will resume it


def _accelerator(config: FinetuneConfig, out: Path) -> Any:
    """Device, precision, processes and trackers.

    Raises:
        UserError: more processes were started than work together, or a tracker that is not installed.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.tracking import filter_trackers

    # accelerate keeps the first Accelerator's precision for the whole process and refuses another one.
    AcceleratorState._reset_state()
    asked = list(config.trackers)
    try:
        found = {str(tracker) for tracker in filter_trackers(asked, out)}
    except ValueError as error:
        raise UserError(f"trackers {', '.join(asked)}: {error}") from None
    if missing := set(asked) - found:
        raise UserError(f"tracker {min(missing)!r} is not installed; install its package or leave it out of trackers")
    accelerator = Accelerator(
        mixed_precision=config.mixed_precision,
        cpu=not torch.accelerator.is_available(),  # else it sees no other processes on a machine without any
        log_with=asked or None,
        project_dir=out,
    )
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != started:
        raise UserError(
            f"{started} processes were started, but {accelerator.num_processes} work together; start them with "
            "python -m torch.distributed.run --nproc_per_node N"
        )
    return accelerator


def _scalars(config: FinetuneConfig) -> dict[str, Any]:
    """The settings that every tracker can show."""
    return {name: value for name, value in plain(config).items() if isinstance(value, (bool, int, float, str))}


class _Meter:
    """Sums between two lines of metrics."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._parts, self._samples, self._began = 0, 0, time.monotonic()

    def add(self, terms: Mapping[str, Tensor], estimate: Estimate) -> None:
        for name, term in [*terms.items(), ("mse", estimate.mse.mean())]:
            self._sums[name] = self._sums.get(name, torch.zeros((), device=term.device)) + term.detach()
        self._parts += 1
        self._samples += len(estimate.t)

    def line(self, batch_size: int) -> dict[str, float]:
        means = {name: round(float(total) / self._parts, 6) for name, total in self._sums.items()}
        rate = self._samples / (time.monotonic() - self._began)
        self.__init__()  # type: ignore[misc]
        return means | {"images_per_s": round(rate, 2)}


@dataclass
class _Run:
    """What must be saved to go on: weights, their average, the optimiser's moments, the criteria's memories."""

    path: Path
    key: str
    names: tuple[str, ...]
    weights: tuple[Tensor, ...]
    averaged: dict[str, Tensor]
    criteria: nn.ModuleDict

    def save(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        tensors: dict[str, Tensor] = {
            f"weight/{name}": weight for name, weight in zip(self.names, self.weights, strict=True)
        }
        tensors |= {f"average/{name}": tensor for name, tensor in self.averaged.items()}
        tensors |= {f"criterion/{name}": tensor for name, tensor in self.criteria.state_dict().items()}
        tensors |= optimizer_tensors(optimizer, self.names)
        write_tensors(self.path, tensors, {"step": step, "key": self.key})

    def restore(self, optimizer: torch.optim.Optimizer) -> int:
        """Puts the saved state back, if there is one; returns the number of steps done."""
        if not self.path.is_file():
            if (self.path.parent / "config.json").exists():
                raise UserError(f"{self.path.parent} holds another checkpoint; choose another folder or remove it")
            return 0
        tensors, about = read_tensors(self.path, "the state of a training")
        if about.get("key") != self.key:
            raise UserError(f"{self.path.parent} holds a run with other settings; choose another folder or remove it")
        with torch.no_grad():
            for name, weight in zip(self.names, self.weights, strict=True):
                weight.copy_(tensors[f"weight/{name}"])
            for name, average in self.averaged.items():
                average.copy_(tensors[f"average/{name}"])
        memories = {n.removeprefix("criterion/"): t for n, t in tensors.items() if n.startswith("criterion/")}
        self.criteria.load_state_dict(memories)
        restore_optimizer(optimizer, self.names, tensors)
        return int(about["step"])
