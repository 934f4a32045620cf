"""Networks with their pretrained weights whose features are matched, and which may choose among states on dev."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents import Agent, AgentConfig, FeatureCache
from roadstill.agents.augment import siamese
from roadstill.agents.features import prepare_pixels
from roadstill.agents.staged import StagedNetwork
from roadstill.agents.training import build_network
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.learning.loops import evenly
from roadstill.runs import same_classes


class Change(NamedTuple):
    """The augmentation of one step, the same for real and synthetic pictures.

    Attributes:
        seed: seed of its random numbers.
        mirrors: whether it may mirror pictures.
    """

    seed: int
    mirrors: bool


@dataclass
class Seeing:
    """One network whose features are matched.

    Attributes:
        agent: settings of the agent that begins as this network.
        network: the network, in evaluation mode.
        known: features of the real images that are looked at, ``[m, d]``, on the CPU.
        cache: frozen stages' output on whole sets.
    """

    agent: AgentConfig
    network: StagedNetwork
    known: Tensor
    cache: FeatureCache

    @classmethod
    def of(
        cls, agent: AgentConfig, real: ImageSet, rows: NDArray[np.int64], seed: int, device: torch.device,
        cache: FeatureCache,
    ) -> "Seeing":  # fmt: skip
        """The untrained agent, and its features of these rows of the real images."""
        network = build_network(agent, real.num_classes, seed, real.size_px).to(device).eval().requires_grad_(False)
        made = cls(agent, network, torch.empty(0), cache)
        made.known = made.features_of(real, rows)
        return made

    def features_of(self, images: ImageSet, rows: NDArray[np.int64]) -> Tensor:
        """Features of rows of an image set as it is, ``[n, d]``, on the CPU."""
        whole = Agent(self.agent, self.network, images.class_names, images.size_px, {}, cache=self.cache)
        return torch.from_numpy(whole.features(images, rows))

    def features(self, pictures: Tensor, change: Change | None = None) -> Tensor:
        """Features ``[n, d]`` of pictures, with gradient.

        Args:
            pictures: uint8 ``[n, s, s, 3]`` or float in [0, 1] ``[n, 3, s, s]``.
            change: augmentation; None leaves the pictures as they are.
        """
        prepared = prepare_pixels(self.network, pictures, self.agent.image_px)
        if change is not None:
            prepared = siamese(prepared, change.seed, mirrors=change.mirrors)
        return self.network.features(self.network.trunk(prepared))

    @torch.no_grad()
    def in_batches(self, pictures: Tensor, batch_size: int, change: Change | None = None) -> Tensor:
        """The same for many pictures, a few at a time and without gradient."""
        device = self.network.head.weight.device
        return torch.cat([self.features(part.to(device), change) for part in pictures.split(batch_size)])


def spread_rows(real: ImageSet, limit: int) -> NDArray[np.int64]:
    """At most ``limit`` rows, evenly from every class.

    Raises:
        UserError: a class without an image.
    """
    share = max(1, limit // real.num_classes)
    rows = [np.flatnonzero(real.labels == label) for label in range(real.num_classes)]
    if not all(map(len, rows)):
        raise UserError(f"{real.root}: a class has no image; real images of each are needed")
    return np.concatenate([evenly(of, share) for of in rows])


def ridge_fit(ours: Tensor, targets: Tensor, theirs: Tensor, usual: Tensor, ridge: float) -> Tensor:
    """Predictions on ``theirs`` of the ridge regression that ``ours`` determine, ``[m, k]``, near +1 for the class.

    Args:
        ours: features of the small set, ``[n, d]``.
        targets: probabilities of the small set, ``[n, k]``.
        theirs: features that predictions are for, ``[m, d]``.
        usual: features of real images, whose mean and spread normalise all, ``[r, d]``.
        ridge: share of the kernel's mean diagonal.
    """
    middle = usual.mean(0)
    spread = (usual - middle).square().sum(1).mean().sqrt()
    # The column of ones is the regression's constant.
    a, b = (F.pad((part - middle) / spread, (0, 1), value=1.0) for part in (ours, theirs))
    kernel = a @ a.T
    loaded = kernel + ridge * kernel.diagonal().mean() * torch.eye(len(a), device=a.device)
    return b @ (a.T @ torch.linalg.solve(loaded, 2.0 * targets - 1))


class Judge(Protocol):
    """What tells features of pictures; see `Seeing`."""

    known: Tensor

    def features_of(self, images: ImageSet, rows: NDArray[np.int64]) -> Tensor: ...  # noqa: D102

    def in_batches(self, pictures: Tensor, batch_size: int) -> Tensor: ...  # noqa: D102


class Choice:
    """Holds states of a small set against each other on dev and keeps the best, the first of equals.

    The judge of a state is cheap: a ridge regression per network on its frozen features of the state's pictures; what
    counts is the worst network.

    Args:
        dev: part that chooses, never the test part.
        targets: targets of the small set's pictures ``[n, k]``.
        start: pictures of the first state, as `look` takes them.
        networks: networks that judge, by name.
        limit: most images of dev that are looked at.
        ridge: ridge of the regression.

    Attributes:
        looks: step and balanced accuracy by network of each state.
        pictures: the best state's pictures.
        step: step after which it was reached, 0 for the start.

    Raises:
        UserError: the test part, or a class without an image.
    """

    def __init__(
        self, dev: ImageSet, targets: Tensor, start: Tensor, networks: Mapping[str, Judge], *, limit: int, ridge: float
    ) -> None:
        check_dev(dev, dev.class_names)
        rows = spread_rows(dev, limit)
        self.dev, self.networks, self.ridge, self.targets = dev, networks, ridge, targets
        self.dev_labels = dev.labels[rows]
        self.known = {name: each.features_of(dev, rows) for name, each in networks.items()}
        self.looks: list[tuple[int, dict[str, float]]] = []
        self.step, self.pictures = 0, start
        self.look(0, start)

    def look(self, step: int, pictures: Tensor) -> None:
        """Judges one more state, pictures in [0, 1] or uint8, and keeps it if it is the best so far."""
        scores = {name: self._score(name, pictures) for name in self.networks}
        best = max((min(its.values()) for _, its in self.looks), default=-1.0)
        self.looks.append((step, scores))
        if min(scores.values()) > best:
            self.step, self.pictures = step, pictures

    def _score(self, name: str, pictures: Tensor) -> float:
        from sklearn.metrics import balanced_accuracy_score

        network = self.networks[name]
        ours = network.in_batches(pictures, _BATCH).cpu()
        fit = ridge_fit(ours, self.targets, self.known[name], network.known, self.ridge)
        return float(balanced_accuracy_score(self.dev_labels, fit.argmax(1).numpy()))

    def state(self) -> dict[str, Tensor]:
        """What a resumed run must know of the looks so far."""
        scores = [[step, *its.values()] for step, its in self.looks]
        return {"choice/looks": torch.tensor(scores, dtype=torch.float64), "choice/pictures": self.pictures,
                "choice/step": torch.tensor(self.step)}  # fmt: skip

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what `state` gave."""
        rows = state["choice/looks"].tolist()
        self.looks = [(int(step), dict(zip(self.networks, scores, strict=True))) for step, *scores in rows]
        self.pictures, self.step = state["choice/pictures"], int(state["choice/step"])

    def record(self) -> dict[str, Any]:
        """What was chosen from what, as the set's record tells it."""
        return {
            "step": self.step,
            "from": [{"step": step, "balanced_accuracy": scores} for step, scores in self.looks],
        }


_BATCH = 32


def check_dev(dev: ImageSet, class_names: Sequence[str]) -> None:
    """Refuses what cannot choose.

    Raises:
        UserError: the test part, or other classes.
    """
    if dev.about.get("split") == "test":
        raise UserError(f"{dev.root} is the test part, which chooses nothing; give the dev part")
    same_classes(dev.class_names, class_names, of=dev.root, to="the small set")
