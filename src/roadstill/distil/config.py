"""`Distillation`: an objective, what moves, and the labels; and the published methods as such."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from roadstill.distil.objectives import (
    DM,
    OBJECTIVES,
    CharacteristicMatching,
    FeatureRegression,
    GradientMatching,
    KernelPoints,
    LinearGradients,
    Objective,
    RandomFeatures,
    TrajectoryMatching,
    Unrolled,
)
from roadstill.distil.priors import Priors
from roadstill.errors import UserError
from roadstill.imagesets.sets import MOST_PATCHES
from roadstill.names import dotted
from roadstill.runs import Range, check_ranges, config_of

Parametrisation = Literal["pixels", "unit", "latents", "noise"]
Labels = Literal["hard", "soft", "values", "teacher"]
_SOME = Range(1, 10_000_000, whole=True)


@dataclass(frozen=True)
class Distillation:
    """One way of making a small set.

    Attributes:
        objective: what the small set should have in common with the whole one.
        parametrisation: what moves: "pixels" as networks take them, "unit" pixels that stay in [0, 1], "latents" of a
            codec (GLaD's idea), or the "noise" that a generator turns into pictures (IT-GAN's).
        patches: patches along a side of a stored picture, each a training picture of its own once enlarged (IDC).
        levels: resolutions at which latents move, coarse to fine.
        noise_steps: steps of the generator.
        labels: "hard" classes; "soft" labels that are learnt as logits, from a teacher's if there is one; learnt
            "values", for objectives of regression; or a "teacher"'s, which stay.
        start: "real" images of the class, drawn at random, or "noise". A set may be given instead.
        real: real images of a step: "random" ones, or those nearest to the centres of "clusters" (DREAM).
        steps: steps.
        optimiser: "sgd" or "adam", of the pictures.
        learning_rate: its learning rate.
        momentum: momentum of "sgd".
        label_rate: learning rate of labels.
        decay: "none", or "cosine" to zero.
        clip: largest norm of the pictures' gradient; None leaves it.
        augment: "dsa", or "none": change of pictures, alike for what is matched (Zhao and Bilen 2021).
        mirrors: whether that may mirror; false for labels that know left and right.
        whitening: "none", "absolute" (MTT's) or "relative" (KIP's and FRePo's) whitening of pixels, whose matrix
            travels with the set.
        ema: decay of a moving average of the pictures, which is kept in place of the last ones; 0 keeps these.
        protocol: protocol by which agents are to be trained on the set, see `roadstill.agents.named`.
        priors: what keeps pictures pictures.
        looks: number of states on the way, the last one included, of which with the start the best on dev is kept: the
            one whose worst network is best; for objectives on frozen networks. 0 keeps the last one and needs no dev.
        batch_size: stored pictures that are differentiated at once; larger sets take a second forward pass, not more
            memory.
        save_every: steps between two saved states.
    """

    objective: Objective
    parametrisation: Parametrisation = "pixels"
    patches: int = 1
    levels: int = 1
    noise_steps: int = 8
    labels: Labels = "hard"
    start: Literal["real", "noise"] = "real"
    real: Literal["random", "clusters"] = "random"
    steps: int = 1000
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 1.0
    momentum: float = 0.5
    label_rate: float = 0.0
    decay: Literal["none", "cosine"] = "none"
    clip: float | None = None
    augment: Literal["dsa", "none"] = "dsa"
    mirrors: bool = True
    whitening: Literal["none", "absolute", "relative"] = "none"
    ema: float = 0.0
    protocol: str = "dsa"
    priors: Priors = field(default_factory=Priors)
    looks: int = 0
    batch_size: int = 64
    save_every: int = 50

    def __post_init__(self) -> None:
        check_ranges(
            self, patches=Range(1, MOST_PATCHES, whole=True), levels=Range(1, 12, whole=True), label_rate=Range(0),
            noise_steps=Range(1, 1000, whole=True), ema=Range(0, 1, below=True), looks=Range(0, 1000, whole=True),
        )  # fmt: skip
        choices = {"parametrisation": Parametrisation, "labels": Labels}
        for name, kind in choices.items():
            allowed = kind.__args__  # type: ignore[attr-defined]
            if getattr(self, name) not in allowed:
                raise UserError(f"{name} is {getattr(self, name)!r}; take {', '.join(allowed)}")
        for name, values in (
            ("start", ("real", "noise")), ("real", ("random", "clusters")), ("optimiser", ("sgd", "adam")),
            ("decay", ("none", "cosine")), ("augment", ("dsa", "none")),
            ("whitening", ("none", "absolute", "relative")),
        ):  # fmt: skip
            if getattr(self, name) not in values:
                raise UserError(f"{name} is {getattr(self, name)!r}; take {' or '.join(values)}")
        if self.levels > 1 and self.parametrisation != "latents":
            raise UserError(f"levels is {self.levels}, but has an effect only on latents; leave it out")
        if self.patches > 1 and self.parametrisation not in ("pixels", "unit"):
            raise UserError(f"patches is {self.patches}, but {self.parametrisation} have none; take pixels or unit")
        if self.priors.score and self.parametrisation != "latents":
            raise UserError(f"priors.score is of latents, but {self.parametrisation} move; leave it out")
        if self.priors.variation and self.whitening != "none":
            raise UserError("priors.variation is of pixels as they are seen, not of whitened ones; leave one out")
        if self.looks and not isinstance(self.objective, LinearGradients):
            raise UserError("looks are judged by an objective's frozen networks, which this one has not; set looks 0")
        if max(self.levels, self.looks) > self.steps:
            name = "levels" if self.levels > self.steps else "looks"
            raise UserError(f"{name} is {getattr(self, name)}, more than the {self.steps} steps; lower it")
        if self.start == "noise" and self.parametrisation in ("latents", "noise"):
            raise UserError(f"{self.parametrisation} start from pictures; take start real, or give a set")


@dataclass(frozen=True)
class Method:
    """A published method.

    Attributes:
        make: its settings for a number of images per class.
        told: what it does, in a line.
        source: paper that it comes from.
    """

    make: Callable[[int], Distillation]
    told: str
    source: str


def _trajectories(per_class: int) -> tuple[TrajectoryMatching, dict[str, Any]]:
    """Settings of MTT for a number of images per class (Cazenavette et al. 2022, table A3)."""
    if per_class < 5:
        return TrajectoryMatching(student_steps=50, expert_epochs=2, last_epoch=2, rate_of_rate=1e-7), {
            "learning_rate": 100.0, "whitening": "absolute"}  # fmt: skip
    if per_class < 30:
        return TrajectoryMatching(student_steps=30, expert_epochs=2, last_epoch=20, rate_of_rate=1e-5), {
            "learning_rate": 1000.0, "whitening": "absolute"}  # fmt: skip
    return TrajectoryMatching(student_steps=30, expert_epochs=2, last_epoch=40, rate_of_rate=1e-5), {
        "learning_rate": 1000.0}  # fmt: skip


def _mtt(per_class: int) -> Distillation:
    objective, more = _trajectories(per_class)
    return Distillation(objective, steps=5000, protocol="mtt", **more)


def _tesla(per_class: int) -> Distillation:
    objective, more = _trajectories(per_class)
    objective = replace(objective, constant_memory=True, last_epoch=max(objective.last_epoch, 5))
    return Distillation(objective, steps=5000, protocol="mtt", **more)


def _datm(per_class: int) -> Distillation:
    objective, more = _trajectories(per_class)
    few = per_class < 5
    objective = replace(
        objective, student_steps=80, last_epoch=4 if few else 20 if per_class < 30 else 40,
        early_epoch=2 if few else 10, grown_by=0.2, skip_above=1.1,
    )  # fmt: skip
    return Distillation(objective, steps=10_000, labels="soft", label_rate=5.0 if few else 2.0, ema=0.995,
                        protocol="datm", **{"whitening": "absolute", **more})  # fmt: skip


def _dc(per_class: int) -> Distillation:
    return Distillation(GradientMatching(), steps=1000, learning_rate=0.1, start="noise", augment="none", protocol="dc")


def _dsa(per_class: int) -> Distillation:
    return Distillation(GradientMatching(), steps=1000, learning_rate=0.1, protocol="dsa")


def _idc(per_class: int) -> Distillation:
    objective = GradientMatching(
        real_batch=64, metric="squared", layers="convolutions", matches=100, trained_on="real", by_class=True, most=128
    )
    return Distillation(objective, parametrisation="unit", patches=2, steps=2000, learning_rate=5e-3 * per_class / 10,
                        protocol="idc")  # fmt: skip


METHODS: Mapping[str, Method] = {
    "dm": Method(
        lambda per_class: Distillation(DM(), steps=20_000, learning_rate=10.0 if per_class >= 100 else 1.0),
        "mean features in random networks", "Zhao and Bilen, WACV 2023",
    ),
    "dc": Method(_dc, "gradients of a network that learns on the set", "Zhao, Mopuri and Bilen, ICLR 2021"),
    "dsa": Method(_dsa, "the same under one augmentation of both sides", "Zhao and Bilen, ICML 2021"),
    "idc": Method(_idc, "the same by squared distance, four pictures in one", "Kim et al., ICML 2022"),
    "mtt": Method(_mtt, "where experts' weights went", "Cazenavette et al., CVPR 2022"),
    "tesla": Method(_tesla, "the same, later weights for constants", "Cui et al., ICML 2023"),
    "datm": Method(_datm, "the same, from easy to hard, with learnt labels", "Guo et al., ICLR 2024"),
    "ncfm": Method(
        lambda per_class: Distillation(CharacteristicMatching(), parametrisation="unit", patches=2, steps=20_000,
                                       learning_rate=0.01 * per_class, protocol="ncfm"),
        "characteristic functions of features", "Wang et al., CVPR 2025",
    ),
    "unroll": Method(
        lambda per_class: Distillation(Unrolled(), steps=2000, optimiser="adam", learning_rate=1e-2, decay="cosine"),
        "the loss after some steps of training on the set", "Wang et al., 2018 (DD)",
    ),
    "kip": Method(
        lambda per_class: Distillation(KernelPoints(), steps=5000, optimiser="adam", learning_rate=0.01,
                                       labels="values", label_rate=0.01, augment="none", whitening="relative"),
        "kernel regression, infinitely wide networks", "Nguyen, Chen and Lee, ICLR 2021",
    ),
    "rfad": Method(
        lambda per_class: Distillation(RandomFeatures(), steps=3000, optimiser="adam", learning_rate=1e-3,
                                       labels="values", label_rate=1e-3, augment="none", whitening="relative"),
        "kernel regression, features of random networks", "Loo et al., NeurIPS 2022",
    ),
    "frepo": Method(
        lambda per_class: Distillation(FeatureRegression(), steps=10_000, optimiser="adam", learning_rate=3e-3,
                                       labels="values", label_rate=3e-3, decay="cosine", augment="none",
                                       whitening="relative"),
        "kernel regression, features of networks that learn", "Zhou, Nezhadarya and Ba, NeurIPS 2022",
    ),
    "lgm": Method(
        lambda per_class: Distillation(LinearGradients(), parametrisation="latents", steps=300, optimiser="adam",
                                       learning_rate=0.05, protocol="head"),
        "gradients of random linear heads", "Cazenavette, Torralba and Sitzmann, 2025",
    ),
}  # fmt: skip
"""Methods by name; `roadstill distil --list` prints them."""


def method_of(name: str, per_class: int, settings: Mapping[str, Any] | None = None) -> Distillation:
    """A method's settings for a number of images per class, with changes.

    Args:
        name: one of `METHODS`, or the dotted path of a class of objective, which then has `Distillation`'s defaults.
        per_class: images per class.
        settings: fields of `Distillation` with other values; ``objective`` holds fields of the method's objective, and
            ``kind`` in it names another one of `OBJECTIVES`.

    Raises:
        UserError: an unknown name or setting, or one that is not trusted.
    """
    changes = dict(settings or {})
    own = changes.pop("objective", {})
    if not isinstance(own, Mapping):
        raise UserError(f"objective is {str(own)[:80]}; it holds settings by name")
    if name in METHODS:
        made = METHODS[name].make(per_class)
    else:
        try:
            kind = dotted(name, "objective", frozenset())
        except ValueError as error:
            raise UserError(
                f"method {name!r} is unknown ({error}); take {', '.join(METHODS)} or the dotted path of an objective"
            ) from None
        made = Distillation(kind())
    objective, own = made.objective, dict(own)
    if (other := own.pop("kind", None)) is not None:
        if other not in OBJECTIVES:
            raise UserError(f"objective kind {str(other)[:80]!r} is unknown; take {', '.join(OBJECTIVES)}")
        objective = OBJECTIVES[other]()
    settings_now = {each.name: getattr(objective, each.name) for each in fields(objective)}  # type: ignore[arg-type]
    if isinstance(priors := changes.get("priors"), Mapping):
        changes["priors"] = config_of(Priors, dict(priors), f"method {name}, priors", "change it")
    objective = config_of(type(objective), {**settings_now, **own}, f"method {name}, objective", "change it")
    known = {each.name: getattr(made, each.name) for each in fields(made) if each.name != "objective"}
    if unknown := sorted(set(changes) - set(known)):
        raise UserError(f"method {name} has no setting {unknown[0]!r}; it has objective, {', '.join(known)}")
    return replace(made, objective=objective, **changes)
