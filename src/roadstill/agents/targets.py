"""Training targets of each image: its class or soft labels, and its weight."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents.agent import Agent
from roadstill.agents.config import AgentConfig
from roadstill.agents.quantities import QUANTITIES, SOFT_VALUE
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.runs import digest_of, same_classes

SOFT_LABEL, WEIGHT = "soft_label", "weight"


@dataclass(frozen=True)
class Targets:
    """Targets of a whole set.

    Attributes:
        wanted: classes int64 ``[n]``, probabilities float32 ``[n, k]``, or numbers in units of their scale ``[n, d]``.
        weight: weights float32 ``[n]`` with mean 1; None weighs all images alike.
        temperature: temperature of soft labels.
        numbers: whether they are numbers.
    """

    wanted: Tensor
    weight: Tensor | None = None
    temperature: float = 1.0
    numbers: bool = False

    def loss(self, logits: Tensor, indices: NDArray[np.int64]) -> Tensor:
        """Mean cross-entropy of one batch, scalar; of numbers Huber's loss.

        With a temperature T, logits are divided by it and the loss is multiplied by T^2, so that gradients keep their
        size (Hinton et al., "Distilling the knowledge in a neural network", 2015).

        Args:
            logits: logits of the batch, ``[b, k]``.
            indices: indices of the batch's images, ``[b]``.
        """
        rows = torch.from_numpy(indices)
        wanted = self.wanted[rows].to(logits.device)
        if self.numbers:
            each = F.smooth_l1_loss(logits, wanted, reduction="none").mean(1)
            return (each if self.weight is None else each * self.weight[rows].to(logits.device)).mean()
        if self.temperature != 1:
            logits = logits / self.temperature
        if self.weight is None:
            loss = F.cross_entropy(logits, wanted)
        else:
            loss = (F.cross_entropy(logits, wanted, reduction="none") * self.weight[rows].to(logits.device)).mean()
        return loss * self.temperature**2 if self.temperature != 1 else loss


def read_targets(images: ImageSet, config: AgentConfig) -> tuple[ImageSet, Targets, str | None]:
    """The images that count, their targets, and a digest of what the set's own digest does not cover.

    Args:
        images: image set; its facts ``weight`` (at least 0) and ``soft_label`` (k probabilities) are used, if present.
        config: settings with the kind of labels.

    Raises:
        UserError: soft labels or weights that are missing for some images or invalid.
    """
    weights = _weights(images)
    used = images
    if weights is not None and not weights.all():  # images of weight 0 must not move BatchNorm either
        used, weights = images.subset(np.flatnonzero(weights)), weights[weights > 0]
    if weights is not None and (weights == weights[0]).all():
        weights = None
    wanted = torch.from_numpy(used.labels)
    quantity = QUANTITIES.get(config.target)
    if quantity is not None:
        wanted = torch.from_numpy(quantity.of(used) / np.array(quantity.scale, np.float32))
    elif config.labels == "soft":
        wanted = torch.from_numpy(soft_labels(used))
        if config.temperature != 1:
            wanted = (wanted.double().log() / config.temperature).softmax(1).float()
    share = None if weights is None else torch.from_numpy((weights / weights.mean()).astype(np.float32))
    plain = used is images and share is None and config.labels == "hard" and quantity is None
    if quantity is None:
        facts = [[fact.get(WEIGHT), fact.get(SOFT_LABEL) if config.labels == "soft" else None] for fact in images.facts]
    else:
        facts = [[fact.get(WEIGHT), fact.get(quantity.fact), fact.get(SOFT_VALUE)] for fact in images.facts]
    targets = Targets(wanted, share, config.temperature, numbers=quantity is not None)
    return used, targets, None if plain else digest_of(facts)


def _weights(images: ImageSet) -> NDArray[np.float64] | None:
    found = [fact.get(WEIGHT) for fact in images.facts]
    if all(value is None for value in found):
        return None
    try:
        weights = np.array(found, np.float64)
    except (TypeError, ValueError):
        weights = np.array([np.nan])
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.max() == 0:
        raise UserError(f"{images.root}: each image needs a weight of at least 0, and at least one a weight above 0")
    return weights


def soft_labels(images: ImageSet) -> NDArray[np.float32]:
    """The soft labels ``[n, k]`` of a set.

    Raises:
        UserError: soft labels that are missing for some image, or are not probabilities.
    """
    values = np.empty((len(images), images.num_classes), np.float32)
    for row, (fact, file) in enumerate(zip(images.facts, images.files, strict=True)):
        if wrong := _wrong_label(fact.get(SOFT_LABEL), images.num_classes):
            raise UserError(
                f"{images.root}, {file}: its soft label {wrong}; it should be {images.num_classes} probabilities that "
                "sum to 1: make them with roadstill.agents.soften"
            )
        values[row] = fact[SOFT_LABEL]
    return values


def _wrong_label(found: Any, count: int) -> str | None:
    """What is wrong with one image's soft label, in words; None if it is one."""
    if found is None:
        return "is missing"
    if not isinstance(found, (list, tuple)) or not all(type(value) in (int, float) for value in found):
        return "is no list of numbers"
    if len(found) != count:
        return f"has {len(found)} values for {count} classes"
    values = np.array(found, np.float64)
    if not np.isfinite(values).all():
        return "holds NaN or infinity"
    total = float(values.sum())
    if abs(total) < 1e-3 and values.min() < 0:
        return "is centred (its values sum to 0)"
    if values.min() < 0 or values.max() > 1 + 1e-3:
        return "holds logits (values below 0 or above 1), which take a softmax first"
    if abs(total - 1) > 1e-3:
        return f"sums to {total:.4g}"
    return None


def soften(images: ImageSet, teacher: Agent) -> ImageSet:
    """The same images with a teacher's probabilities as the fact ``soft_label``.

    Of a teacher that predicts numbers they are the fact ``soft_value``, which stands in where a picture has none of its
    own, as generated ones. The pictures are not copied; ``soften(...).save(folder)`` writes a separate set. The teacher
    is then not needed for training; `roadstill.evaluation.set_bytes` counts the bytes of the labels.

    Args:
        images: any set.
        teacher: agent, usually trained on all training frames.

    Raises:
        UserError: the teacher has other classes, was trained on pictures of another size, or gives no finite numbers.
    """
    same_classes(teacher.class_names, images.class_names, of="the teacher", to=images.root)
    numbers = teacher.config.target != "class"
    found = teacher.values_set(images) if numbers else teacher.predict_set(images)
    if not np.isfinite(found).all():
        raise UserError(f"{images.root}: the teacher's answers are not finite; train the teacher again")
    rows = found.tolist()
    name = SOFT_VALUE if numbers else SOFT_LABEL
    facts = [{**fact, name: row} for fact, row in zip(images.facts, rows, strict=True)]
    return replace(images, facts=facts, about={**images.about, "soft_labels": {"teacher": teacher.digest}})
