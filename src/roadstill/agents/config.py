"""`AgentConfig`: how an agent is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from roadstill.agents.named import PROTOCOLS
from roadstill.agents.networks import check_name
from roadstill.errors import UserError
from roadstill.runs import Range, check_ranges, config_of, later

Optimiser = Literal["adamw", "sgd"]
Augment = Literal["none", "dsa", "cutmix", "dsa_cutmix", "flip_crop"]
Normalise = Literal["network", "cifar10", "unit", "whitened"]
Precision = Literal["no", "bf16"]
Target = Literal["class", "accel", "poses"]
Followed = Literal["require", "apply", "ignore"]


@dataclass(frozen=True)
class AgentConfig:
    """How an agent is trained; except for the network, the defaults are the thesis' for a distilled set.

    Attributes:
        network: "efficientnet-lite0" to "efficientnet-lite2" (ImageNet weights from packages), "resnet18" (the
            thesis' agent; give its weights), "convnet" (small, from scratch); from the literature and from scratch:
            "convnet-3" to "convnet-6", "resnet-ap10", "resnet18-instance"; "timm:<name>", "transformers:<folder or hub
            name>", or the dotted path of your own function ``(size_px) -> nn.Module``; "kernel" is kernel regression,
            in closed form; "blind" sees no picture.
        weights: initial weights; the network's own if not given.
        image_px: side to which pictures are resized for the network; as stored if not given.
        steps: optimiser steps, the same for every arm.
        batch_size: images per batch, never more than the set; drawn without replacement in each epoch, the short last
            batch is kept.
        learning_rate: learning rate at the beginning; constant without ``decay_at``.
        weight_decay: weight decay of the optimiser: decoupled in AdamW, added to the gradient in SGD.
        freeze: leading stages (stem, then blocks) that are not trained, BatchNorm included; 0 trains everything.
        batch_norm: "batch" normalises by the batch in training and keeps running statistics, as the thesis does;
            "fixed" keeps the initial statistics in all stages.
        head_init: initial last layer: "random" (PyTorch's own), or "zero", which removes the chance of the start from
            small sets' results.
        labels: "hard" (each image's class) or "soft" (the probabilities that `soften` has stored with it).
        temperature: temperature of the softmax on both sides of soft labels; above 1, small probabilities count for
            more.
        epochs: passes over the set, in place of ``steps``; sets of different sizes then take different numbers of
            steps.
        optimiser: "adamw" or "sgd".
        momentum: momentum of SGD.
        decay_at: shares of the training after which the learning rate is multiplied by ``decay``, such as 0.5.
        decay: factor for the learning rate at ``decay_at``.
        augment: random change of every batch: "none"; "dsa", one of colour, crop, cutout, flip, scale and rotation
            (see `roadstill.agents.augment`); "cutmix"; "dsa_cutmix", both, without the cutout (IDC); "flip_crop", a
            flip and a shift.
        cutmix_probability: share of the steps that CutMix mixes.
        normalise: normalisation of pixels: by mean and deviation of the "network" or of "cifar10", "unit": only to
            [0, 1], or "whitened" by the matrix that the training set carries.
        head_only: whether only the last layer is trained, on features of the initial weights: a logistic regression.
            All stages are frozen, whatever their number.
        target: what is learnt: the "class"; or by regression the acceleration ("accel") or the next eight poses
            ("poses", of sets with futures), from which classes then follow.
        ego: whether the vehicle's own speed and driving command are an input besides the picture.
        mixed_precision: "no", or "bf16": convolutions compute in half precision, about twice as fast where the
            processor supports it; elsewhere in single precision.
        recipe: what becomes of the recipe that a distilled set carries: "require" refuses other settings, "apply" takes
            what it needs, "ignore" trains without.
    """

    NAMED: ClassVar[Mapping[str, Mapping[str, Any]]] = PROTOCOLS  # names that the command line accepts for --agent

    network: str = "efficientnet-lite0"
    weights: Path | None = None
    image_px: int | None = None
    steps: int = 100
    batch_size: int = 256
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    freeze: int = 0
    batch_norm: Literal["batch", "fixed"] = "batch"
    head_init: Literal["random", "zero"] = "random"
    labels: Literal["hard", "soft"] = "hard"
    temperature: float = 1.0
    epochs: int | None = later(None)
    optimiser: Optimiser = later("adamw")
    momentum: float = later(0.9)
    decay_at: tuple[float, ...] = later(())
    decay: float = later(0.1)
    augment: Augment = later("none")
    cutmix_probability: float = later(1.0)
    normalise: Normalise = later("network")
    mixed_precision: Precision = later("no")
    head_only: bool = later(False)
    target: Target = later("class")
    ego: bool = later(False)
    recipe: Followed = later("require")

    def __post_init__(self) -> None:
        check_name(self.network)
        choices = {
            "head_init": ("random", "zero"),
            "batch_norm": ("batch", "fixed"),
            "labels": ("hard", "soft"),
            "optimiser": get_args(Optimiser),
            "augment": get_args(Augment),
            "normalise": get_args(Normalise),
            "mixed_precision": get_args(Precision),
            "target": get_args(Target),
            "recipe": get_args(Followed),
        }
        for name, allowed in choices.items():
            if (value := getattr(self, name)) not in allowed:
                raise UserError(f"{name} is {value!r}; take {' or '.join(map(repr, allowed))}")
        check_ranges(self, decay=Range(0, 1, above=True))
        if self.labels == "hard" and self.temperature != 1:
            raise UserError(f"temperature is {self.temperature}; it must be 1 for hard labels")
        object.__setattr__(self, "decay_at", tuple(self.decay_at))
        self._check_training()

    def _check_training(self) -> None:
        """Refuses values out of range, and settings that would have no effect.

        Raises:
            UserError: such a value or setting.
        """
        own = {each.name: each.default for each in fields(self)}
        if self.epochs is not None and self.steps != own["steps"]:
            raise UserError(
                f"epochs {self.epochs} and steps {self.steps} both set the length of training; give one of them"
            )
        if list(self.decay_at) != sorted(self.decay_at):
            raise UserError(f"decay_at is {list(self.decay_at)}; it must hold rising shares")
        for name, obeyed, by in (
            ("momentum", self.optimiser == "sgd", "optimiser sgd"),
            ("decay", bool(self.decay_at), "decay_at"),
            ("cutmix_probability", "cutmix" in self.augment, "augment cutmix or dsa_cutmix"),
        ):
            if not obeyed and getattr(self, name) != own[name]:
                raise UserError(
                    f"{name} is {getattr(self, name)}, but has an effect only with {by}; set that or leave {name} out"
                )
        if self.network == "blind" and not self.ego:
            raise UserError(
                "the network blind sees no picture, and ego is false; set ego true, or take another network"
            )
        if self.target != "class" and ("cutmix" in self.augment or self.temperature != 1):
            raise UserError(
                f"augment cutmix and a temperature are for classes; leave them out with target {self.target}"
            )
        if self.target == "poses" and self.augment != "none":
            raise UserError(f"augment {self.augment} mirrors pictures, not poses; leave it out with target poses")
        if self.head_only and self.freeze:
            raise UserError(f"freeze is {self.freeze}, but head_only freezes all stages; leave one of them out")
        if (self.freeze or self.head_only) and self.augment != "none":
            frozen = f"{self.freeze} frozen stages" if self.freeze else "frozen stages (head_only)"
            raise UserError(f"augment {self.augment} changes the pictures in each step, but the output of the "
                            f"{frozen} is kept; set freeze 0 or augment none")  # fmt: skip

    def num_steps(self, num_images: int) -> int:
        """Optimiser steps on a set of this many images."""
        if self.epochs is None:
            return self.steps
        return self.epochs * -(-num_images // min(self.batch_size, num_images))

    def learning_rate_at(self, step: int, num_steps: int) -> float:
        """The learning rate of one step, counted from 0."""
        return self.learning_rate * self.decay ** sum(step >= share * num_steps for share in self.decay_at)


def protocol(name: str, **changes: Any) -> AgentConfig:
    """A named training protocol, see `roadstill.agents.named`; the agent of the last step counts.

    Args:
        name: one of `PROTOCOLS`.
        changes: fields of `AgentConfig` with other values.

    Raises:
        UserError: an unknown name, or changes that do not fit.
    """
    if name not in PROTOCOLS:
        raise UserError(f"agent protocol {name!r} is unknown; take {', '.join(PROTOCOLS)}")
    return AgentConfig(**(PROTOCOLS[name] | changes))


def recorded_config(values: Mapping[str, Any], where: str, remedy: str) -> AgentConfig:
    """The settings of an agent from a record; errors as `config_of`."""
    known = dict(values)
    if isinstance(known.get("weights"), str):
        known["weights"] = Path(known["weights"])
    return config_of(AgentConfig, known, where, remedy)
