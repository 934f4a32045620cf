"""Criteria: scalar terms of the loss on (estimate of the clean latents, clean latents, labels)."""

from roadstill.criteria.base import Criterion
from roadstill.criteria.minimax import Diversity, MeanAlignment, Representativeness

__all__ = ["Criterion", "Diversity", "MeanAlignment", "Representativeness"]
