"""`AgentConfig`: how an agent is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from roadstill.agents.networks import check_name
from roadstill.errors import UserError


@dataclass(frozen=True)
class AgentConfig:
    """How an agent is trained; the defaults are the thesis' for a distilled set, but for the network.

    Attributes:
        network: "efficientnet-lite0" (ImageNet weights from a package), "resnet18" (the thesis' agent; bring the
            weights), "convnet" (small, from scratch); of the literature and from scratch: "convnet-3" to "convnet-6",
            "resnet-ap10", "resnet18-instance"; "timm:<name>", "transformers:<folder or hub name>", or the dotted path
            of your own function ``(size_px) -> nn.Module``.
        weights: initial weights; the network's own if not given.
        image_px: side to which pictures are brought before the network; as stored if not given.
        steps: optimiser steps, the same for every arm.
        batch_size: never more than the set; drawn without replacement in each epoch, the short last batch is kept.
        learning_rate: of AdamW, constant.
        weight_decay: of AdamW.
        freeze: leading stages (stem, then blocks) that stay as they are, BatchNorm included; 0 trains everything.
        batch_norm: "batch" normalises by the batch in training and keeps running statistics, as the thesis does;
            "fixed" keeps the initial statistics in all stages.
        head_init: of the last layer: "random" (PyTorch's own), or "zero", which takes the luck of the start out of
            small sets' results.
        labels: what is learnt: "hard", each image's class, or "soft", the probabilities that `soften` has written
            beside it.
        temperature: of the softmax on both sides of soft labels; above 1, small probabilities count for more.
    """

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

    def __post_init__(self) -> None:
        check_name(self.network)
        if self.head_init not in ("random", "zero"):
            raise UserError(f"head_init is {self.head_init!r}; take 'random' or 'zero'")
        if self.batch_norm not in ("batch", "fixed"):
            raise UserError(f"batch_norm is {self.batch_norm!r}; take 'batch' or 'fixed'")
        if self.labels not in ("hard", "soft"):
            raise UserError(f"labels is {self.labels!r}; take 'hard' or 'soft'")
        if not self.temperature > 0 or (self.labels == "hard" and self.temperature != 1):
            raise UserError(f"temperature is {self.temperature}; it is above 0, and 1 for hard labels")
        if min(self.steps, self.batch_size) < 1 or (self.image_px is not None and self.image_px < 8):
            raise UserError(
                f"agent: steps {self.steps}, batch_size {self.batch_size}, image_px {self.image_px} are too small"
            )
