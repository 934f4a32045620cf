"""`finetune`: one loop for both, adapting a pretrained generator and training one from scratch.

Everything random is a function of (seed, step): rows, posterior draws, noise levels, noise, label dropout. What cannot
be computed again (weights, moving average, optimiser, memories) is saved, so that a killed run goes on bit for bit.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from roadstill.adapters import Adapter, DiffFit, Full, trained_state
from roadstill.checkpoints import (
    adapt,
    adapter_record,
    export_base,
    load_denoiser,
    plain_network,
    record_base,
    save_checkpoint,
)
from roadstill.criteria import Diversity, Representativeness
from roadstill.denoisers.base import Estimate
from roadstill.denoisers.dit import DiTDenoiser
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
from roadstill.networks.dit import DiT
from roadstill.runs import Stage, seed_of
from roadstill.schedules import NoiseSchedule, Progressive, cosine, linear, spoon_cosine

__all__ = ["FinetuneConfig", "NetworkConfig", "export_base", "finetune", "load_denoiser"]


@dataclass(frozen=True)
class NetworkConfig:
    """A DiT to be trained from scratch; latent size and classes come from the latents."""

    patch_size: int = 2
    hidden_size: int = 192
    depth: int = 7
    num_heads: int = 3
    learn_sigma: bool = True


@dataclass(frozen=True)
class FinetuneConfig:
    """How a generator is trained.

    Attributes:
        steps: optimiser steps.
        batch_size: latents per optimiser step, over all processes and accumulated parts together.
        learning_rate: peak (thesis 4.3: 1e-3, constant).
        weight_decay: of AdamW.
        warmup_steps: steps of linear rise.
        lr_decay: ``none`` or ``cosine``.
        clip: largest gradient norm; ``None`` does not clip.
        adapters: what learns. From scratch it must be ``Full()`` alone.
        network: sizes of a network to train from scratch; ``None`` adapts the base.
        schedule: ``linear``, ``cosine:2``, ``spoon_cosine:2``, ``progressive:6,5,4,3,2`` (phases may be ``linear``), or
            the dotted path of a function that returns betas.
        retime: tells the network the time at which its base had as much noise (not with a progressive schedule).
        representativeness: weight of the minimax term of thesis eq. 3.11; 0 leaves it out.
        diversity: weight of the term of thesis eq. 3.12; 0 leaves it out.
        memory_size: entries per class and term.
        reduce: ``pairs`` (reference) or ``samples`` (the text's equation).
        t_max: applies the criteria to samples at steps up to this one only; ``None`` to all.
        criteria: further terms: dotted path of a class without arguments -> weight.
        min_snr: weighs the loss by min(1, min_snr / signal-to-noise ratio) (Hang et al. 2023).
        ema: ``warmup`` (decay min(ema_decay, (1 + s) / (10 + s))), ``reference`` (always ema_decay) or ``off``.
        ema_decay: of the moving average.
        class_balanced: every class takes its turn, whatever its share of the data.
        label_rows: the network's class row of each label; ``None`` means label = row.
        label_init: ``base`` keeps the base's label table, ``mean`` starts a new one from its mean row.
        label_dropout: share of samples that lose their label.
        guided_channels: leading latent channels that guidance moves; ``None`` means all, the reference has 3 of 4.
        mixed_precision: ``no`` or ``bf16``.
        gradient_accumulation: parts that a batch is computed in.
        save_every: steps per saved state.
        log_every: steps per line of ``metrics.jsonl``.
    """

    steps: int = 2000
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warmup_steps: int = 0
    lr_decay: str = "none"
    clip: float | None = None
    adapters: tuple[Adapter, ...] = (DiffFit(),)
    network: NetworkConfig | None = None
    schedule: str = "linear"
    retime: bool = False
    representativeness: float = 0.0
    diversity: float = 0.0
    memory_size: int = 64
    reduce: str = "pairs"
    t_max: int | None = None
    criteria: Mapping[str, float] = field(default_factory=dict)
    min_snr: float | None = None
    ema: str = "warmup"
    ema_decay: float = 0.9999
    class_balanced: bool = True
    label_rows: tuple[int, ...] | None = None
    label_init: str = "base"
    label_dropout: float = 0.1
    guided_channels: int | None = None
    mixed_precision: str = "no"
    gradient_accumulation: int = 1
    save_every: int = 500
    log_every: int = 50

    def __post_init__(self) -> None:
        choices = {
            "lr_decay": ("none", "cosine"),
            "ema": ("warmup", "reference", "off"),
            "label_init": ("base", "mean"),
            "mixed_precision": ("no", "bf16"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"{name} is {getattr(self, name)!r}; choose {' or '.join(allowed)}")
        for name in ("steps", "batch_size", "gradient_accumulation", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.batch_size % self.gradient_accumulation:
            raise UserError(
                f"batch_size {self.batch_size} does not divide into {self.gradient_accumulation} parts; "
                "change gradient_accumulation"
            )
        if self.network is not None and [type(one) for one in self.adapters] != [Full]:
            raise UserError("a network from scratch needs adapters: [Full()]; its other weights would stay random")


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
    from accelerate import Accelerator
    from tqdm import tqdm

    denoiser, about = _build(latents, base, out, config, seed)
    stage = Stage(out, config, {"latents": latents.digest, "base": about["base_digest"], "seed": str(seed)})
    if stage.done:
        return out
    _forget_accelerators()
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    parts = config.gradient_accumulation * accelerator.num_processes
    if config.batch_size % parts:
        raise UserError(f"batch_size {config.batch_size} does not divide into {parts} parts over all processes")
    network = denoiser.network
    names, weights = zip(*((n, p) for n, p in network.named_parameters() if p.requires_grad), strict=True)
    criteria = _criteria(config).to(accelerator.device)
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    denoiser.network, prepared = accelerator.prepare(network.train(), optimizer)
    averaged = {} if config.ema == "off" else trained_state(network)
    run = _Run(out / f"resume-{accelerator.process_index}.safetensors", stage.key, names, weights, averaged, criteria)
    start = run.restore(prepared.optimizer)
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
            stage.log(step=done, learning_rate=config.learning_rate * rate, **meter.line(config.batch_size))
        if done % config.save_every == 0 or done == config.steps:
            if main:
                trained = dict(zip(names, weights, strict=True))
                final = denoiser.at(done / config.steps) if done == config.steps else scheduled
                save_checkpoint(
                    out, trained=trained, averaged=averaged, schedule=final.schedule, about={"step": done} | about
                )
            run.save(prepared.optimizer, done)
            accelerator.wait_for_everyone()
    if main:
        stage.finish(trained=sum(weight.numel() for weight in weights), tensors=len(names))
    accelerator.wait_for_everyone()
    _drop(run.path)
    return out


def _build(
    latents: LatentStore, base: Path | None, out: Path, config: FinetuneConfig, seed: int
) -> tuple[DiTDenoiser, dict[str, Any]]:
    """The denoiser with its adapters, and what ``config.json`` says about it."""
    channels, side, width = latents.shape
    num_classes = len(latents.class_names)
    record = None
    if config.network is not None:
        if base is not None:
            raise UserError(f"both a base ({base}) and a network from scratch are given; choose one")
        if side != width:
            raise UserError(f"latents are {side} x {width}; a DiT needs squares")
        network = DiT(
            input_size=side,
            in_channels=channels,
            num_classes=num_classes,
            seed=seed_of("network", seed),
            **asdict(config.network),
        )
    else:
        found = load_denoiser(base)
        network, record = plain_network(found), record_base(out, base, found.digest)
        codecs = found.about.get("codec"), latents.about.get("codec")
        if found.latent_shape != tuple(latents.shape) or (None not in codecs and len(set(codecs)) > 1):
            raise UserError(
                f"the base makes latents {found.latent_shape} of codec {codecs[0]}, but {latents.root} holds "
                f"{tuple(latents.shape)} of codec {codecs[1]}; encode with the base's codec"
            )
    fresh = num_classes if config.label_init == "mean" and config.network is None else None
    plain = network.config
    adapt(network, config.adapters, fresh, seed=seed)
    rows = None if fresh is not None else config.label_rows
    if len(rows or range(num_classes)) != num_classes or (rows is None and num_classes > network.num_classes):
        raise UserError(
            f"{num_classes} classes ({', '.join(latents.class_names)}), but label_rows {rows} over a table of "
            f"{network.num_classes} rows; name one row per class, or set label_init: mean"
        )
    denoiser = DiTDenoiser(
        network,
        _schedule(config),
        label_dropout=config.label_dropout,
        guided_channels=config.guided_channels,
        label_rows=rows,
    )
    about = {
        "network": plain,
        "adapters": [adapter_record(adapter) for adapter in config.adapters],
        "fresh_labels": fresh,
        "label_rows": rows,
        "label_dropout": config.label_dropout,
        "guided_channels": config.guided_channels,
        "class_names": latents.class_names,
        "base": record,
        "base_digest": record["digest"] if record else "none",
        "latents": latents.digest,
        "codec": latents.about.get("codec"),
        "seed": seed,
        "settings": config,
    }
    return denoiser, about


def _schedule(config: FinetuneConfig) -> NoiseSchedule | Progressive:
    """The schedule that a text such as ``spoon_cosine:2`` names."""
    kind, _, argument = config.schedule.partition(":")
    try:
        if kind == "progressive":
            if config.retime:
                raise UserError("retime and a progressive schedule are two answers to one question; choose one")
            phases = [part.strip() for part in argument.split(",")] if argument else ["6", "5", "4", "3", "2"]
            return Progressive(tuple(part if part == "linear" else int(part) for part in phases))
        if kind == "linear" and not argument:
            betas = linear()
        elif kind in ("cosine", "spoon_cosine"):
            betas = (cosine if kind == "cosine" else spoon_cosine)(float(argument or 2))
        else:
            betas = dotted(config.schedule)()
    except (ValueError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"schedule {config.schedule!r} is unknown ({error}); choose linear, cosine:2, spoon_cosine:2, "
            "progressive:6,5,4,3,2 or the dotted path of a function"
        ) from None
    schedule = NoiseSchedule.of(betas)
    return schedule.retimed() if config.retime else schedule


def dotted(path: str) -> Any:
    """What a dotted path such as ``my_module.Spread`` names.

    Raises:
        ValueError: no such module or name.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"no {path!r}: {error}") from None


def _criteria(config: FinetuneConfig) -> nn.ModuleDict:
    """The criteria whose weight is not zero, by name (a dot is no legal key, hence the replacement)."""
    found: dict[str, nn.Module] = {}
    if config.representativeness:
        found["representativeness"] = Representativeness(config.memory_size, config.reduce)
    if config.diversity:
        found["diversity"] = Diversity(config.memory_size, config.reduce)
    for path, weight in config.criteria.items():
        try:
            criterion = dotted(path)()
        except (ValueError, TypeError) as error:
            raise UserError(f"criterion {path!r} cannot be made ({error}); it is the dotted path of a class") from None
        if weight:
            found[path.replace(".", "/")] = criterion if isinstance(criterion, nn.Module) else _Plain(criterion)
    return nn.ModuleDict(found)


class _Plain(nn.Module):
    """A criterion that is no module, in a module's clothes."""

    def __init__(self, criterion: Any) -> None:
        super().__init__()
        self.criterion = criterion

    def forward(self, estimate: Tensor, clean: Tensor, label: Tensor) -> Tensor:
        found: Tensor = self.criterion(estimate, clean, label)
        return found


def _weight(name: str, config: FinetuneConfig) -> float:
    own = {"representativeness": config.representativeness, "diversity": config.diversity}
    return own[name] if name in own else config.criteria[name.replace("/", ".")]


def _batch(
    latents: LatentStore, config: FinetuneConfig, seed: int, step: int, share: int, shares: int
) -> tuple[Tensor, Tensor, torch.Generator]:
    """One part's latents ``[b, c, h, w]``, labels ``[b]``, and the generator of all that is random in it."""
    if config.class_balanced:
        rows = balanced_rows(latents.labels, config.batch_size, seed=seed, step=step)
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
    schedule: NoiseSchedule,
    criteria: nn.ModuleDict,
    config: FinetuneConfig,
) -> dict[str, Tensor]:
    """The weighted terms of the loss."""
    loss, clean, label = estimate.loss, clean.to(estimate.loss.device), label.to(estimate.loss.device)
    if config.min_snr is not None:
        signal = schedule.alpha_bar.to(loss.device)[estimate.t]
        loss = loss * (config.min_snr * (1 - signal) / signal).clamp(max=1.0).float()
    terms = {"diffusion": loss.mean()}
    kept = slice(None) if config.t_max is None else estimate.t <= config.t_max
    if criteria and (config.t_max is None or bool(kept.any())):  # type: ignore[union-attr]
        for name, criterion in criteria.items():
            terms[name] = _weight(name, config) * criterion(estimate.clean[kept], clean[kept], label[kept])
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


def _forget_accelerators() -> None:
    # accelerate keeps the first Accelerator's precision for the whole process and refuses another one.
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()


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
