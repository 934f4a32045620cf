"""Evaluating an agent while it trains: which step would have been chosen; the last one is what counts."""

import copy

import numpy as np
from torch import Tensor

from roadstill.agents.agent import probabilities
from roadstill.agents.features import FeatureCache, Inputs
from roadstill.agents.quantities import Reading
from roadstill.agents.staged import StagedNetwork
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet


class DevWatch:
    """Measures a network on dev at evenly spaced steps and keeps the best state; training is not affected.

    Args:
        dev: dev part; the test part only with ``peek``.
        network: network that trains.
        image_px: side of the pictures, see `AgentConfig`.
        steps: length of the training.
        looks: number of evaluations; the last one is after the last step.
        cache: cache for the frozen stages' output on dev.
        peek: whether the test part is allowed, as in the protocols "thesis" and "literature"; the chosen step is then
            an oracle.
        reading: how the network's outputs are read; as logits of classes by default.

    Attributes:
        looks: step and balanced accuracy of each evaluation.
        best: step and balanced accuracy of the best one, the first of equals.
        found: probabilities ``[n, k]`` at the latest evaluation.

    Raises:
        UserError: a test part, a class without an image, or looks below 1.
    """

    def __init__(
        self,
        dev: ImageSet,
        network: StagedNetwork,
        image_px: int | None,
        *,
        steps: int,
        looks: int,
        cache: FeatureCache,
        peek: bool = False,
        reading: Reading | None = None,
    ) -> None:
        if dev.about.get("split") == "test" and not (peek and "test_opening" in dev.about):
            raise UserError(
                f"{dev.root} is the test part; choose a step on dev, or, in a protocol that peeks, on a part from "
                "open_test(...)"
            )
        if not all(dev.counts().values()) or looks < 1:
            raise UserError(f"{dev.root}: choosing a step needs an image of every class and looks of at least 1")
        self.network, self.labels, self.reading = network, dev.labels, reading or Reading()
        self.inputs = Inputs(dev, network, image_px, cache)
        self.at = {-(-steps * number // looks) for number in range(1, looks + 1)}
        self.looks: list[tuple[int, float]] = []
        self.best: tuple[int, float] = (0, -1.0)
        self.found = np.empty((0, 0), np.float32)
        self._state: dict[str, Tensor] = {}

    def after(self, steps: int) -> float | None:
        """Evaluates, if it is due after this many steps, and returns the mean cross-entropy.

        Of equally good steps the first is kept.
        """
        if steps not in self.at:
            return None
        self.network.eval()
        found = self.found = probabilities(self.network, self.inputs, self.reading)
        self.network.train()
        right = found.argmax(1) == self.labels
        share = float(np.mean([right[self.labels == label].mean() for label in np.unique(self.labels)]))
        self.looks.append((steps, share))
        if share > self.best[1]:
            self.best = (steps, share)
            self._state = {name: value.clone() for name, value in self.network.state_dict().items()}
        return float(-np.log(found[np.arange(len(found)), self.labels].clip(1e-12)).mean())

    def chosen(self) -> StagedNetwork:
        """A separate network in the best state, in evaluation mode."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(self._state)
        return network.eval()
