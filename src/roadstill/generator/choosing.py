"""Which state of a refinement is kept: the one that serves its worst network best, on dev."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roadstill.errors import UserError
from roadstill.generator.matching import Matched, ridge_fit, spread_rows
from roadstill.generator.refinement import Refinement
from roadstill.imagesets import ImageSet
from roadstill.runs import same_classes


class Choice:
    """Holds states of a small set against each other on dev and keeps the best, the first of equals.

    The judge of a state is cheap: a ridge regression per network on its frozen features of the state's pictures.

    Args:
        dev: part that chooses, never the test part.
        images: the small set at the start, which is the first state.
        networks: networks that judge, by name.
        config: see `Refinement`.

    Attributes:
        looks: step and balanced accuracy by network of each state.
        pixels: pictures of the best state, uint8 ``[n, s, s, 3]``.
        step: step after which it was reached, 0 for the start.

    Raises:
        UserError: the test part, other classes, or a class without an image.
    """

    def __init__(self, dev: ImageSet, images: ImageSet, networks: Mapping[str, Matched], config: Refinement) -> None:
        check_dev(dev, images)
        rows = spread_rows(dev, config.real_images)
        self.dev, self.networks, self.config = dev, networks, config
        self.labels, self.dev_labels, self.num_classes = images.labels, dev.labels[rows], dev.num_classes
        self.known = {name: each.features_of(dev, rows) for name, each in networks.items()}
        self.looks: list[tuple[int, dict[str, float]]] = []
        self.step, self.pixels = 0, images.pixels()
        self.look(0, self.pixels)

    def look(self, step: int, pixels: NDArray[np.uint8]) -> None:
        """Judges one more state and keeps it if it is the best so far."""
        scores = {name: self._score(name, torch.from_numpy(pixels)) for name in self.networks}
        best = max((min(its.values()) for _, its in self.looks), default=-1.0)
        self.looks.append((step, scores))
        if min(scores.values()) > best:
            self.step, self.pixels = step, pixels

    def _score(self, name: str, pixels: Tensor) -> float:
        from sklearn.metrics import balanced_accuracy_score

        matched, labels = self.networks[name], torch.from_numpy(self.labels.copy())
        ours = matched.in_batches(pixels, self.config.batch_size).cpu()
        targets = F.one_hot(labels, self.num_classes)
        fit = ridge_fit(ours, targets, self.known[name], matched.known, self.config.ridge)
        return float(balanced_accuracy_score(self.dev_labels, fit.argmax(1).numpy()))

    def record(self) -> dict[str, Any]:
        """What was chosen from what, as the set's record tells it."""
        return {
            "step": self.step,
            "from": [{"step": step, "balanced_accuracy": scores} for step, scores in self.looks],
        }


def check_dev(dev: ImageSet, images: ImageSet) -> None:
    """Refuses what cannot choose.

    Raises:
        UserError: the test part, or other classes.
    """
    if dev.about.get("split") == "test":
        raise UserError(f"{dev.root} is the test part, which chooses nothing; give the dev part")
    same_classes(dev.class_names, images.class_names, of=dev.root, to=images.root)
