"""Settings of a generator's training, and what is built from them: denoiser with adapters, schedule, criteria."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from roadstill.adapters import Adapter, DiffFit, Full
from roadstill.codecs.latents import LatentStore
from roadstill.criteria import Diversity, Representativeness
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.errors import UserError
from roadstill.generator.checkpoints import (
    adapt,
    adapter_record,
    denoiser_of,
    load_denoiser,
    objective_of,
    plain_network,
    record_base,
)
from roadstill.names import dotted
from roadstill.networks.kinds import (
    OBJECTIVES,
    Network,
    NetworkConfig,
    SongUNetConfig,
    UNet2DConfig,
    fresh_network,
    kind_of,
)
from roadstill.runs import later, seed_of
from roadstill.schedules import NoiseSchedule, Progressive, read_schedule


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
        network: sizes of a network to train from scratch, a DiT or one of EDM's U-Nets; ``None`` adapts the base.
        objective: what the network predicts, ``noise`` (DiT), ``velocity`` (SiT) or ``denoised`` pictures (EDM); if not
            given, what the base does, and what the network's kind does from scratch or from weights of others.
        schedule: ``linear``, ``cosine:2``, ``spoon_cosine:2``, ``progressive:6,5,4,3,2`` (phases may be ``linear``), or
            the dotted path of a function that returns betas. ``progressive:thesis`` and ``progressive:drivedit`` are
            presets; ``progressive:6,2@4000`` gives each phase but the last 4,000 steps instead of an equal share.
        retime: tells the network the time at which its base had as much noise (not with a progressive schedule).
        representativeness: weight of the minimax term of thesis eq. 3.11; 0 leaves it out.
        diversity: weight of the term of thesis eq. 3.12; 0 leaves it out.
        memory_size: entries per class and term.
        gather_memories: under several processes, whether each remembers the whole batch or, as in the reference, its
            own share; the extreme is taken over the process's own share either way.
        reduce: ``pairs`` (reference) or ``samples`` (the text's equation).
        estimate: what the criteria compare: ``clean``, the estimate of the clean latent (reference), or
            ``zt_minus_eps``, the noisy latent minus the noise estimate (the thesis' text).
        t_max: applies the criteria to samples at steps (of EDM: noise levels) up to this one only; ``None`` to all.
        criteria: further terms: dotted path of a class without arguments -> weight.
        min_snr: weighs the loss by min(1, min_snr / signal-to-noise ratio) (Hang et al. 2023).
        ema: ``warmup`` (decay min(ema_decay, (1 + s) / (10 + s))), ``reference`` (always ema_decay) or ``off``.
        ema_decay: of the moving average.
        class_balanced: every class takes its turn, whatever its share of the data.
        label_rows: the network's class row of each label; ``None`` means label = row. With ``label_init: mean`` those
            whose mean the new rows start from, such as a table's street scenes (semantic initialisation).
        label_init: ``base`` keeps the base's label table, ``mean`` starts a new one from its mean row.
        label_dropout: share of samples that lose their label.
        guided_channels: leading latent channels that guidance moves; ``None`` means all, the reference has 3 of 4.
        loss_reduction: of EDM: ``sum`` over pixels and channels (the default) or ``mean``. The criteria's weights are
            weighed against it: 8 beside a sum over 3 x 32 x 32 is 0.0026 beside a mean.
        augment: of EDM: probability that a training picture is mirrored; a network with ``augment_dim`` is told.
        mixed_precision: ``no``, or ``bf16`` where the machine computes in it.
        gradient_accumulation: parts that a batch is computed in.
        gradient_checkpointing: computes each block again in the backward pass instead of keeping what it held: a third
            more work, a fraction of the memory.
        trackers: names of accelerate's trackers (``tensorboard``, ``wandb``, ...), beside ``metrics.jsonl``; the
            packages behind them are yours to install.
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
    network: NetworkConfig | SongUNetConfig | UNet2DConfig | None = None
    objective: str | None = None
    schedule: str = "linear"
    retime: bool = False
    representativeness: float = 0.0
    diversity: float = 0.0
    memory_size: int = 64
    gather_memories: bool = False
    reduce: str = "pairs"
    estimate: str = "clean"
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
    gradient_checkpointing: bool = False
    trackers: tuple[str, ...] = ()
    save_every: int = 500
    log_every: int = 50
    loss_reduction: str | None = later(None)
    augment: float = later(0.0)

    def __post_init__(self) -> None:
        choices = {
            "lr_decay": ("none", "cosine"),
            "objective": (None, "noise", "velocity", "denoised"),
            "loss_reduction": (None, "sum", "mean"),
            "estimate": ("clean", "zt_minus_eps"),
            "ema": ("warmup", "reference", "off"),
            "label_init": ("base", "mean"),
            "mixed_precision": ("no", "bf16"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"{name} is {getattr(self, name)!r}; choose {' or '.join(filter(None, allowed))}")
        for name in ("steps", "batch_size", "gradient_accumulation", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.batch_size % self.gradient_accumulation:
            raise UserError(
                f"batch_size {self.batch_size} does not divide into {self.gradient_accumulation} parts; "
                "change gradient_accumulation"
            )
        if self.gather_memories and self.t_max is not None:
            raise UserError("gather_memories needs equally many vectors from every process; leave t_max out")


def build_denoiser(
    latents: LatentStore, base: Path | None, out: Path, config: FinetuneConfig, seed: int
) -> tuple[LabelledDenoiser, dict[str, Any]]:
    """The denoiser with its adapters, and what ``config.json`` says about it."""
    num_classes, record = len(latents.class_names), None
    if config.network is not None:
        if base is not None:
            raise UserError(f"both a base ({base}) and a network from scratch are given; choose one")
        network, objective = _from_scratch(latents, config, seed)
    else:
        found = load_denoiser(base, objective=config.objective)
        network, objective, record = plain_network(found), objective_of(found), record_base(out, base, found.digest)
        _check_base(found, latents)
    fresh = num_classes if config.label_init == "mean" and config.network is None else None
    plain = network.config
    adapt(network, config.adapters, fresh, seed=seed, like=config.label_rows)
    network.save_memory = config.gradient_checkpointing
    rows = None if fresh is not None else config.label_rows
    if len(rows or range(num_classes)) != num_classes or (rows is None and num_classes > network.num_classes):
        raise UserError(
            f"{num_classes} classes ({', '.join(latents.class_names)}), but label_rows {rows} over a table of "
            f"{network.num_classes} rows; name one row per class, or set label_init: mean"
        )
    _check_objective(config, objective)
    about = {
        "objective": objective,
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
    if objective == "denoised":
        about |= {"loss_reduction": config.loss_reduction or "sum", "augment": config.augment}
    return denoiser_of(network, schedule_of(config) if objective == "noise" else None, about), about


def _from_scratch(latents: LatentStore, config: FinetuneConfig, seed: int) -> tuple[Network, str]:
    """A network with random weights, and what it will predict."""
    assert config.network is not None
    if [type(one) for one in config.adapters] != [Full]:
        raise UserError("a network from scratch needs adapters: [Full()]; its other weights would stay random")
    channels, side, width = latents.shape
    if side != width:
        raise UserError(f"latents are {side} x {width}; a network from scratch needs squares")
    network = fresh_network(
        config.network,
        input_size=side,
        in_channels=channels,
        num_classes=len(latents.class_names),
        seed=seed_of("network", seed),
    )
    known = OBJECTIVES[kind_of(network)]
    if config.objective not in (None, *known):
        raise UserError(f"a {type(network).__name__} predicts {' or '.join(known)}, not {config.objective}")
    return network, config.objective or known[0]


def _check_base(found: LabelledDenoiser, latents: LatentStore) -> None:
    """Base and latents are of one shape and one codec."""
    codecs = found.about.get("codec"), latents.about.get("codec")
    if found.latent_shape != tuple(latents.shape) or (None not in codecs and len(set(codecs)) > 1):
        raise UserError(
            f"the base makes latents {found.latent_shape} of codec {codecs[0]}, but {latents.root} holds "
            f"{tuple(latents.shape)} of codec {codecs[1]}; encode with the base's codec"
        )


def _check_objective(config: FinetuneConfig, objective: str) -> None:
    """No setting is for another kind of generator."""
    if objective != "noise" and (config.schedule != "linear" or config.retime or config.min_snr is not None):
        raise UserError(
            f"a {objective} predictor has no noise schedule: leave schedule, retime and min_snr as they are"
        )
    if objective == "denoised" and config.estimate != "clean":
        raise UserError("EDM's criteria compare clean estimates; leave estimate as it is")
    if objective != "denoised" and (config.loss_reduction == "sum" or config.augment):
        raise UserError(
            f"loss_reduction: sum and augment are for EDM, but the network predicts {objective}; leave them"
        )


def schedule_of(config: FinetuneConfig) -> NoiseSchedule | Progressive:
    """The schedule that ``config.schedule`` names, retimed if asked."""
    schedule = read_schedule(config.schedule, train_steps=config.steps)
    if not config.retime:
        return schedule
    if isinstance(schedule, Progressive):
        raise UserError("retime and a progressive schedule are two answers to one question; choose one")
    return schedule.retimed()


def criteria_of(config: FinetuneConfig) -> nn.ModuleDict:
    """The criteria whose weight is not zero, by name (a dot is no legal key, hence the replacement)."""
    found: dict[str, nn.Module] = {}
    if config.representativeness:
        found["representativeness"] = Representativeness(config.memory_size, config.reduce, config.gather_memories)
    if config.diversity:
        found["diversity"] = Diversity(config.memory_size, config.reduce, config.gather_memories)
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


def weight_of(name: str, config: FinetuneConfig) -> float:
    """The weight of a criterion, by its key in `criteria_of`."""
    own = {"representativeness": config.representativeness, "diversity": config.diversity}
    return own[name] if name in own else config.criteria[name.replace("/", ".")]
