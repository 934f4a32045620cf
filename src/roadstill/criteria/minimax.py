"""Minimax criteria (Gu et al. 2024; thesis eq. 3.10 to 3.12): close to real latents, far from repeated ones."""

import torch
from torch import Tensor, nn

from roadstill.criteria.memory import ClassMemory
from roadstill.errors import UserError

REDUCTIONS = ("pairs", "samples")


class _MemoryCriterion(nn.Module):
    """What both criteria share: a memory, a reduction of cosines per class, the mean over the batch's classes."""

    sign: float  # +1: the smallest cosine counts, -1: the largest

    def __init__(self, memory_size: int = 64, reduce: str = "pairs", gathered: bool = False) -> None:
        super().__init__()
        if reduce not in REDUCTIONS:
            raise UserError(f"reduce is {reduce!r}; choose one of {', '.join(REDUCTIONS)}")
        self.reduce = reduce
        self.memory = ClassMemory(memory_size, gathered)

    def _extremes(self, estimate: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Extreme cosine per class of the batch ``[k]``, whether it counts ``[k]``, and the number of classes."""
        cosines, held = self.memory.similarity(estimate, label)
        classes, place = label.unique(return_inverse=True)
        # Beyond every cosine, so an empty slot is never the extreme and gets no gradient.
        worst = (self.sign * cosines).masked_fill(~held, 2.0).amin(1)
        empty = worst.new_full((len(classes),), 2.0)
        if self.reduce == "pairs":
            extreme = empty.scatter_reduce(0, place, worst, "amin")
        else:
            extreme = empty.scatter_reduce(0, place, worst, "mean", include_self=False)
        return self.sign * extreme, self.memory.filled[classes] > 0, worst.new_tensor(len(classes))


class Representativeness(_MemoryCriterion):
    """1 - the smallest cosine between estimates and remembered real latents of the class (thesis eq. 3.11).

    ``pairs`` takes one smallest cosine over all pairs of a class, as the reference does; ``samples`` takes one per
    estimate and their mean, as the text has it. Real latents enter the memory after the term is computed, so a batch
    never meets itself; a class met for the first time adds nothing.
    """

    sign = 1.0

    def forward(self, estimate: Tensor, clean: Tensor, label: Tensor) -> Tensor:
        """Estimates and clean latents ``[b, c, h, w]``, labels ``[b]`` -> scalar."""
        with torch.autocast(estimate.device.type, enabled=False):
            smallest, counts, classes = self._extremes(estimate.float().flatten(1), label)
            self.memory.push(clean.float().flatten(1), label)
            return (1 - smallest).masked_fill(~counts, 0.0).sum() / classes


class Diversity(_MemoryCriterion):
    """The largest cosine between estimates and remembered earlier estimates of the class (thesis eq. 3.12).

    ``reduce`` as in ``Representativeness``; the estimates enter the memory without their gradient.
    """

    sign = -1.0

    def forward(self, estimate: Tensor, clean: Tensor, label: Tensor) -> Tensor:
        """Estimates and clean latents ``[b, c, h, w]``, labels ``[b]`` -> scalar."""
        with torch.autocast(estimate.device.type, enabled=False):
            vectors = estimate.float().flatten(1)
            largest, counts, classes = self._extremes(vectors, label)
            self.memory.push(vectors, label)
            return largest.masked_fill(~counts, 0.0).sum() / classes


class MeanAlignment(nn.Module):
    """1 - the cosine between estimates and the mean clean latent of their class in the batch (thesis eq. 3.10).

    The weaker precursor of the minimax terms: it pulls every image to the centre of its class. Kept as the ablation.
    """

    def forward(self, estimate: Tensor, clean: Tensor, label: Tensor) -> Tensor:
        """Estimates and clean latents ``[b, c, h, w]``, labels ``[b]`` -> scalar."""
        with torch.autocast(estimate.device.type, enabled=False):
            classes, place = label.unique(return_inverse=True)
            vectors = clean.float().flatten(1)
            member = nn.functional.one_hot(place, len(classes)).to(vectors.dtype)
            centres = (member.T @ vectors) / member.sum(0)[:, None]
            distance = 1 - nn.functional.cosine_similarity(estimate.float().flatten(1), centres[place])
            return ((member.T @ distance) / member.sum(0)).mean()
