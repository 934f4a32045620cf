"""Settings of a generator's training."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from roadstill.adapters import Adapter, DiffFit
from roadstill.denoisers.kinds import KINDS
from roadstill.errors import UserError
from roadstill.imagesets.attributes import check_names
from roadstill.names import Settings, require_trust
from roadstill.networks.kinds import NetworkConfig, SongUNetConfig, UNet2DConfig
from roadstill.runs import Range, check_groups, check_ranges, group, later

_LOCAL_TRACKERS = {"tensorboard"}


def _choose(name: str, value: str | None, *allowed: str | None) -> None:
    if value not in allowed:
        raise UserError(f"{name} is {value!r}; choose {' or '.join(filter(None, allowed))}")


@dataclass(frozen=True)
class Minimax:
    """The minimax criteria, and what all criteria compare.

    Attributes:
        representativeness: weight of the term of thesis eq. 3.11; 0 leaves it out.
        diversity: weight of the term of thesis eq. 3.12; 0 leaves it out.
        memory_size: entries per class and term.
        gather_memories: under several processes, whether each remembers the whole batch or, as in the reference, its
            own share; the extreme is taken over the process's own share either way.
        reduce: ``pairs`` (reference) or ``samples`` (the text's equation).
        estimate: latents that the criteria compare: ``clean``, the estimate of the clean latent (reference), or
            ``zt_minus_eps``, the noisy latent minus the noise estimate (the thesis' text).
        t_max: applies the criteria to samples at steps (of EDM: noise levels) up to this one only; not given, to all.
    """

    representativeness: float = 0.0
    diversity: float = 0.0
    memory_size: int = 64
    gather_memories: bool = False
    reduce: str = "pairs"
    estimate: str = "clean"
    t_max: int | None = None

    def __post_init__(self) -> None:
        check_ranges(self, "minimax.")
        _choose("minimax.estimate", self.estimate, "clean", "zt_minus_eps")
        if self.gather_memories and self.t_max is not None:
            raise UserError("gather_memories needs equally many vectors from every process; leave t_max out")


@dataclass(frozen=True)
class Term:
    """A further criterion.

    Attributes:
        weight: weight in the loss; 0 leaves it out.
        settings: keyword arguments of the class, or of the function beside estimate, clean and label.
    """

    weight: float
    settings: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_ranges(self, "criteria, ")


@dataclass(frozen=True)
class Ema:
    """The moving average of the trained parameters.

    Attributes:
        mode: ``warmup`` (decay min(decay, (1 + s) / (10 + s))), ``reference`` (always decay) or ``off``.
        decay: decay per step.
    """

    mode: str = "warmup"
    decay: float = 0.9999

    def __post_init__(self) -> None:
        check_ranges(self, "ema.")
        _choose("ema.mode", self.mode, "warmup", "reference", "off")


@dataclass(frozen=True)
class Labels:
    """In which order classes are drawn, and which rows of the label table stand for them.

    Attributes:
        balanced: whether every class takes its turn, whatever its share of the data.
        rows: the network's class row of each label; not given, label = row. With ``init: mean`` those whose mean
            the new rows start from, such as a table's street scenes (semantic initialisation).
        init: ``base`` keeps the base's label table, ``mean`` starts a new one from its mean row.
        dropout: share of samples that lose their label.
        one_class: name of one class that stands for all, so that a base never learns which class a picture has; not
            given, the latents' own classes.
    """

    balanced: bool = True
    rows: tuple[int, ...] | None = None
    init: str = "base"
    dropout: float = 0.1
    one_class: str | None = later(None)

    def __post_init__(self) -> None:
        check_ranges(self, "labels.")
        _choose("labels.init", self.init, "base", "mean")


@dataclass(frozen=True)
class Attributes:
    """Attributes that a DiT learns beside the classes, as light and weather; `encode` keeps them with the latents.

    Each value is a vector that is added to those of time and class. It starts at zero, and what is left out adds
    nothing, so that a network without attributes, or asked for none, is the one that it was.

    Attributes:
        names: attributes that are learned. A base's own ones stay, and new values of the latents come behind them.
        dropout: share of samples that lose an attribute, for each one by itself.
        dropout_all: share of samples that lose all attributes and keep their class. Those that lose their class lose
            all in any case: guidance needs pictures without either.
    """

    names: tuple[str, ...] = later(())
    dropout: float = later(0.1)
    dropout_all: float = later(0.1)

    def __post_init__(self) -> None:
        check_ranges(self, "attributes.")
        check_names(self.names, "attributes.names")


@dataclass(frozen=True)
class Consistency:
    """Distillation to few steps: see `roadstill.generator.consistency`.

    Attributes:
        steps: steps of the chain on which the base teaches; not given, there is no distillation. The levels of fewer
            steps are among those of a multiple of them: 40 for 1, 2, 4, 5, 8.
        guidance: guidance of the base, which the few steps then have inside.
    """

    steps: int | None = later(None)
    guidance: float = later(2.0)

    def __post_init__(self) -> None:
        check_ranges(self, "consistency.")


@dataclass(frozen=True)
class Alignment:
    """Alignment of a DiT's tokens with features of a trained network; see `roadstill.generator.alignment`.

    Attributes:
        weight: weight of the term; 0 leaves it out.
        block: block whose tokens are aligned, 1 the first.
    """

    weight: float = later(0.0)
    block: int = later(4)

    def __post_init__(self) -> None:
        check_ranges(self, "alignment.", weight=Range(0), block=Range(1, 1000, whole=True))


@dataclass(frozen=True)
class EDMTraining:
    """Settings that only EDM has.

    Attributes:
        loss_reduction: ``sum`` over pixels and channels (the default) or ``mean``. The criteria's weights are weighed
            against it: 8 beside a sum over 3 x 32 x 32 is 0.0026 beside a mean.
        augment: probability that a training picture is mirrored; a network with ``augment_dim`` is told.
    """

    loss_reduction: str | None = later(None)
    augment: float = later(0.0)

    def __post_init__(self) -> None:
        check_ranges(self, "edm.")
        _choose("edm.loss_reduction", self.loss_reduction, None, "sum", "mean")


@dataclass(frozen=True)
class FinetuneConfig:
    """How a generator is trained.

    Attributes:
        steps: optimiser steps.
        batch_size: latents per optimiser step, over all processes and accumulated parts together.
        learning_rate: peak (thesis 4.3: 1e-3, constant).
        weight_decay: decoupled weight decay.
        warmup_steps: steps of linear rise.
        lr_decay: ``none`` or ``cosine``.
        clip: largest gradient norm; not given, gradients are not clipped.
        adapters: choice of what learns; from scratch it must be ``Full()`` alone.
        network: sizes of a network to train from scratch, a DiT or one of EDM's U-Nets; not given, the base is adapted.
        objective: prediction target of the network: ``noise`` (DiT), ``v_prediction`` (alpha noise - sigma clean),
            ``velocity`` (SiT) or ``denoised`` pictures (EDM); if not given, that of the base, and the usual one of the
            network from scratch or from weights of others.
        schedule: ``linear``, ``cosine:2``, ``spoon_cosine:2``, ``progressive:6,5,4,3,2`` (phases may be ``linear``), or
            the dotted path of a function that returns betas. ``progressive:thesis`` and ``progressive:drivedit`` are
            presets; ``progressive:6,2@4000`` gives each phase but the last 4,000 steps instead of an equal share.
        retime: tells the network the time at which its base had as much noise (not with a progressive schedule).
        min_snr: largest signal-to-noise ratio by which a clean estimate counts (Hang et al. 2023): the loss of noise is
            weighed by min(1, min_snr / ratio).
        minimax: the minimax criteria, and what all criteria compare.
        criteria: further terms: dotted path of a class or of a function ``(estimate, clean, label) -> scalar`` -> its
            weight, or its weight and settings.
        ema: the moving average.
        labels: order of the classes, and the rows of the label table.
        attributes: attributes that are learned beside the classes; only by a DiT.
        consistency: distillation to few steps, of a base that predicts v or velocity.
        alignment: alignment with features of a trained network that the latents hold.
        edm: settings that only EDM has.
        guided_channels: number of leading latent channels that guidance moves (reference: 3 of 4); not given, all.
        mixed_precision: ``no``, or ``bf16`` where the machine computes in it.
        gradient_accumulation: parts that a batch is computed in.
        gradient_checkpointing: computes each block again in the backward pass instead of keeping what it held: a third
            more work, a fraction of the memory.
        trackers: names of accelerate's trackers (``tensorboard``, ``wandb``, ...), beside ``metrics.jsonl``; the
            packages behind them are yours to install.
        save_every: steps per saved state.
        log_every: steps per line of ``metrics.jsonl``.
        optimiser: ``adamw``, or ``muon``: that moves the weights of linear layers, and AdamW the rest.
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
    min_snr: float | None = None
    minimax: Minimax = group(Minimax())
    criteria: Mapping[str, float | Term] = field(default_factory=dict)
    ema: Ema = group(Ema(), mode="ema", decay="ema_decay")
    labels: Labels = group(
        Labels(), balanced="class_balanced", rows="label_rows", init="label_init", dropout="label_dropout"
    )
    attributes: Attributes = group(
        Attributes(), names="attribute_names", dropout="attribute_dropout", dropout_all="attribute_dropout_all"
    )
    consistency: Consistency = group(Consistency(), steps="consistency_steps", guidance="consistency_guidance")
    alignment: Alignment = group(Alignment(), weight="alignment_weight", block="alignment_block")
    edm: EDMTraining = group(EDMTraining())
    guided_channels: int | None = None
    mixed_precision: str = "no"
    gradient_accumulation: int = 1
    gradient_checkpointing: bool = False
    trackers: tuple[str, ...] = ()
    save_every: int = 500
    log_every: int = 50
    optimiser: str = later("adamw")

    def __post_init__(self) -> None:
        check_groups(self)
        _choose("optimiser", self.optimiser, "adamw", "muon")
        _choose("lr_decay", self.lr_decay, "none", "cosine")
        _choose("objective", self.objective, None, *KINDS)
        _choose("mixed_precision", self.mixed_precision, "no", "bf16")
        check_ranges(self)
        for weight in self.criteria.values():
            if not isinstance(weight, Term):
                Term(weight)  # checks it
        if self.batch_size % self.gradient_accumulation:
            raise UserError(
                f"batch_size {self.batch_size} does not divide into {self.gradient_accumulation} parts; "
                "change gradient_accumulation"
            )


def require_trackers(config: FinetuneConfig) -> None:
    """Refuses trackers that are not trusted: all but one are services.

    Raises:
        UserError: names the tracker.
    """
    for name in config.trackers:
        if name not in _LOCAL_TRACKERS:
            require_trust(name, "tracker", "it is imported and may send figures elsewhere")
