"""What selectors take from agents: a teacher's probabilities and features, small students, counts of forgetting."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from roadstill.agents.agent import Agent
from roadstill.agents.config import AgentConfig
from roadstill.agents.features import FeatureCache
from roadstill.agents.training import train_agent
from roadstill.imagesets import ImageSet
from roadstill.selection.features import CachedFeatures, Features
from roadstill.selection.learnability import Student
from roadstill.selection.uncertainty import RememberingTeacher


class ForgettingCounts:
    """Trains an agent on a set and counts how often each image turns from right to wrong (Toneva et al. 2019).

    An image is evaluated when it is in a batch, so at most once per epoch; one training serves all calls with a set.

    Args:
        config: settings of the agent; its steps should make many epochs.
        seed: seed of its start and of the order of the images.
        cache: cache as in `train_agent`.
    """

    def __init__(self, config: AgentConfig, *, seed: int = 0, cache: FeatureCache | None = None) -> None:
        self.config, self.seed, self.cache = config, seed, cache
        self._kept: dict[str, NDArray[np.int64]] = {}

    def __call__(self, images: ImageSet) -> NDArray[np.int64]:
        """Number of turns of each image, ``[n]``; errors as `train_agent`."""
        if images.digest not in self._kept:
            watch = Turns(images.labels)
            train_agent(images, config=self.config, seed=self.seed, cache=self.cache, watch=watch)
            self._kept = {images.digest: watch.counts}
        return self._kept[images.digest]


class Turns:
    """Counts turns from right to wrong, batch by batch.

    Args:
        labels: labels of all images, ``[n]``.

    Attributes:
        counts: turns so far, ``[n]``.
    """

    def __init__(self, labels: NDArray[np.int64]) -> None:
        self.labels = labels
        self.counts = np.zeros(len(labels), np.int64)
        self._right = np.zeros(len(labels), np.bool_)

    def __call__(self, indices: NDArray[np.int64], logits: Tensor) -> None:
        """Takes the logits ``[b, k]`` of the images with these indices, each at most once."""
        right = logits.argmax(1).cpu().numpy() == self.labels[indices]
        self.counts[indices] += self._right[indices] & ~right
        self._right[indices] = right


def student_of(config: AgentConfig, cache: FeatureCache | None = None) -> Student:
    """Trains agents of this configuration, for `Learnability`."""

    def student(images: ImageSet, seed: int) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
        return train_agent(images, config=config, seed=seed, cache=cache).predict

    return student


def selector_tools(
    teacher: Callable[[], Agent] | None,
    *,
    named: str,
    student: AgentConfig,
    watched: AgentConfig,
    features: Callable[[], Features] | None = None,
    cache: FeatureCache | None = None,
) -> dict[str, Callable[[], Any]]:
    """The tools of `make_selector`: everything that selectors may need, each built on first use.

    Args:
        teacher: function that opens the trained agent; ``None`` without a teacher.
        named: description of teacher and features in records.
        student: settings of the agents that learnability trains.
        watched: settings of the agent whose forgetting is counted.
        features: function that builds a feature network; by default the teacher's backbone.
        cache: cache that all agents share.
    """
    tools: dict[str, Callable[[], Any]] = {
        "teacher": lambda: named,
        "student": lambda: student_of(student, cache),
        "forgetting": _once(lambda: ForgettingCounts(watched, cache=cache)),
    }
    if teacher is not None:
        asked = teacher
        tools["predict"] = _once(lambda: RememberingTeacher(asked().predict))
        features = features or (lambda: teacher().features)
    if features is not None:
        found = features
        tools["features"] = _once(lambda: CachedFeatures(found()))
    return tools


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    """A function that builds the object at its first call and returns it at every call."""
    kept: list[Any] = []

    def get() -> Any:
        if not kept:
            kept.append(make())
        return kept[0]

    return get
