"""Minimax criteria as a selection (Gu et al. 2024; thesis eq. 3.11, 3.12): near real images, far from chosen ones."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.selection.features import Features, own_and_known, unit


@dataclass(frozen=True)
class Minimax:
    """Adds, one by one, the image with the largest representativeness minus similarity to the chosen images.

    Representativeness is the smallest cosine to a memory of real features of the class, similarity the largest cosine
    to an image that is already chosen: the two criteria that fine-tune a generator, here without any training.

    Attributes:
        features: feature network, see `Features`.
        memory_size: real images in the memory, drawn at random; at most the whole class.
        representativeness: weight of the first term.
        diversity: weight of the second.
        reference: set that the memory is drawn from; the images themselves if not given.
        teacher: description of the features' origin in records.
    """

    features: Features = field(repr=False)
    memory_size: int = 64
    representativeness: float = 1.0
    diversity: float = 1.0
    reference: ImageSet | None = field(default=None, repr=False)
    teacher: str = ""

    def __post_init__(self) -> None:
        if self.memory_size < 1:
            raise UserError(f"memory_size is {self.memory_size}; it must be at least 1")

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`; the seed decides the memory, and the earlier of equal images is taken."""
        own, known = (unit(each) for each in own_and_known(self.features, images, rows, self.reference))
        memory = known[rng.permutation(len(known))[: self.memory_size]]
        worth = self.representativeness * (own @ memory.T).min(1)
        closest = np.full(len(rows), -np.inf)
        picked = np.empty(count, np.int64)
        score = worth.copy()
        for step in range(count):
            picked[step] = best = int(np.argmax(score))
            closest = np.maximum(closest, own @ own[best])
            worth[best] = -np.inf
            score = worth - self.diversity * closest
        return rows[picked]
