"""Images that a teacher is least certain about: the three scores of uncertainty sampling (Settles 2009)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.imagesets import ImageSet
from roadstill.selection.base import lowest
from roadstill.selection.features import CachedFeatures, finite_rows

_BATCH = 64
_WHAT = "teacher's probabilities"

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Probabilities ``[n, k]`` of pictures uint8 ``[n, s, s, 3]``, such as `Agent.predict`."""


class RememberingTeacher:
    """A teacher that predicts each image of a set once, for all selectors and seeds.

    Args:
        predict: teacher's probabilities, see `Predict`; called each time for pictures outside a set, such as crops.
    """

    def __init__(self, predict: Predict) -> None:
        self.predict = predict
        self.of_set = CachedFeatures(lambda images, rows: _in_batches(predict, images, rows), what=_WHAT)

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Predict`."""
        return self.predict(pixels)


def probabilities(predict: Predict, images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The teacher's probabilities ``[len(rows), k]``, with few pictures in memory at a time.

    Raises:
        UserError: probabilities that are not finite; names the image.
    """
    if isinstance(predict, RememberingTeacher):
        found = predict.of_set(images, rows)
    else:
        found = _in_batches(predict, images, rows)
    return finite_rows(found, images, rows, _WHAT).astype(np.float64)


def _in_batches(predict: Predict, images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    parts = np.array_split(rows, max(1, -(-len(rows) // _BATCH)))
    return np.concatenate([predict(images.pixels(part)) for part in parts])


def nats(found: NDArray[np.floating]) -> NDArray[np.float64]:
    """The cross-entropy of a probability of the true class; finite at 0."""
    loss: NDArray[np.float64] = -np.log(np.maximum(found.astype(np.float64), np.finfo(np.float32).tiny))
    return loss


def cross_entropy(predict: Predict, images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The teacher's loss on each image, in nats, ``[len(rows)]``."""
    return nats(own_class(probabilities(predict, images, rows), images.labels[rows]))


def own_class(found: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each image's probability ``[n]`` of its own class, from ``[n, k]``."""
    return found[np.arange(len(labels)), labels]


class LowestScore(ABC):
    """A selector of the images with the lowest score of a teacher's probabilities; a subclass defines the score."""

    predict: Predict

    @abstractmethod
    def score(self, found: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score ``[n]`` of probabilities ``[n, k]`` of images with these labels."""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`; equal scores are in random order."""
        found = probabilities(self.predict, images, rows)
        return lowest(rows, self.score(found, images.labels[rows]), count=count, rng=rng)


@dataclass(frozen=True)
class LeastConfidence(LowestScore):
    """The images to whose own class the teacher gives the lowest probability.

    Attributes:
        predict: teacher's probabilities, see `Predict`.
        correct: whether to take those first that the teacher gets right; otherwise mislabelled frames lead.
        teacher: description of the teacher in records.
    """

    predict: Predict = field(repr=False)
    correct: bool = False
    teacher: str = ""

    def score(self, found: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `LowestScore`."""
        own = own_class(found, labels)
        # The right ones come first, then the others, the least wrong first.
        return np.where(own >= found.max(1), own, 2 - own) if self.correct else own


@dataclass(frozen=True)
class Margin(LowestScore):
    """The images whose two most probable classes are nearest to each other (Scheffer et al. 2001).

    Attributes:
        predict: teacher's probabilities, see `Predict`.
        teacher: description of the teacher in records.
    """

    predict: Predict = field(repr=False)
    teacher: str = ""

    def score(self, found: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `LowestScore`."""
        ascending = np.sort(found, axis=1)
        return ascending[:, -1] - ascending[:, -2]


@dataclass(frozen=True)
class Entropy(LowestScore):
    """The images for which the teacher's probabilities are most evenly spread over the classes.

    Attributes:
        predict: teacher's probabilities, see `Predict`.
        teacher: description of the teacher in records.
    """

    predict: Predict = field(repr=False)
    teacher: str = ""

    def score(self, found: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `LowestScore`."""
        certainty: NDArray[np.float64] = -(found * nats(found)).sum(1)
        return certainty
