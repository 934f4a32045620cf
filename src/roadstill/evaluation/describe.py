"""Figures of whole sets of pictures, such as generated ones, against real frames, in the features of a network.

`compare` says what a set is worth to an agent that learns from it; these figures say how it differs from real frames.
They are known to be no substitute for the former.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.agents import Agent, AgentConfig
from roadstill.agents.features import FeatureCache
from roadstill.agents.training import build_network
from roadstill.errors import UserError
from roadstill.evaluation.distances import frechet_distance, kernel_distance, kernel_spread
from roadstill.evaluation.metrics import check_fits
from roadstill.evaluation.neighbours import Overlap, nearest, overlap
from roadstill.imagesets import ImageSet
from roadstill.runs import same_classes
from roadstill.selection.features import features_of

ALL = "all"  # the row of all classes together
_SMALLEST_PX = 32  # an EfficientNet halves the side five times
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class ClassFigures:
    """One class of a set against the same class of the real frames, or all classes together.

    Attributes:
        pictures: number of pictures.
        real_frames: number of real frames that they are compared with.
        frechet: Fréchet distance in features (FID); None below two pictures.
        rank: greatest possible rank of the smaller covariance in it: below the number of features the figure is too
            high, by the more the fewer the pictures.
        kernel: unbiased kernel distance in features (KID); None below two pictures.
        kernel_sd: its standard deviation over 50 subsets; None below four pictures.
        kernel_subset: pictures in each subset.
        overlap: precision, recall, density and coverage.
        nearest: quantiles of the cosine distance to the nearest real frame of any class, by share.
        nearer_than_real: share of the pictures that lie nearer to a real frame than 95 % of the real frames do to one
            of another log (to any other one, where no log is known): 0.05 is expected of further real frames.
        read_as_asked: share of the pictures that the agent puts into their class; None without an agent.
        confidence: mean probability that it gives to their class.
    """

    pictures: int
    real_frames: int
    frechet: float | None
    rank: int
    kernel: float | None
    kernel_sd: float | None
    kernel_subset: int
    overlap: Overlap
    nearest: dict[str, float]
    nearer_than_real: float
    read_as_asked: float | None
    confidence: float | None


@dataclass(frozen=True)
class SetFigures:
    """A set of pictures against real frames.

    Attributes:
        digest: digest of the set.
        shared: pictures of the set that are real frames of the reference; these are left out of the reference.
        classes: figures by class name, without classes that lack pictures, and of all together under ``all``.
        pairs: the pictures nearest to a real frame: file, real file and cosine distance, nearest first.
    """

    digest: str
    shared: int
    classes: dict[str, ClassFigures]
    pairs: list[dict[str, Any]]


class RealFrames:
    """Features of real frames, to which sets are compared.

    Attributes:
        agent: agent or network whose features are taken.
        images: the real frames.
        features: their features float32 ``[n, d]``.
        nearest: quantiles of each frame's cosine distance to the nearest other one (``frame``), and to the nearest one
            of another log (``other_log``; not there if no log is known, or only one).
    """

    def __init__(self, agent: Agent, images: ImageSet) -> None:
        if len(images) < 2:
            raise UserError(f"{images.root} has {len(images)} images; at least 2 real frames are needed")
        self.agent, self.images = agent, images
        self.features = _features(agent, images)
        self.centre = self.features.mean(0)
        groups = {"frame": np.arange(len(images))}
        logs = [fact.get("log") for fact in images.facts]
        if all(log is not None for log in logs) and len(set(logs)) > 1:
            groups["other_log"] = np.unique([str(log) for log in logs], return_inverse=True)[1]
        self.nearest: dict[str, dict[str, float]] = {}
        for name, its in groups.items():
            _, distances = nearest(self.features, self.features, centre=self.centre, groups=(its, its))
            self.nearest[name] = quantiles(distances)

    def describe(self, images: ImageSet, *, reader: Agent | None = None, pairs: int = 5, seed: int = 0) -> SetFigures:
        """The figures of one set.

        Args:
            images: pictures of the same classes and size.
            reader: agent that reads the pictures, such as one trained on all real frames.
            pairs: number of nearest pairs to list.
            seed: seed of the subsets.

        Raises:
            UserError: other classes or sizes, an empty set, or too few real frames that are not in the set.
        """
        same_classes(images.class_names, self.images.class_names, of=images.root, to=self.images.root)
        if not len(images):
            raise UserError(f"{images.root} has no images")
        made = _features(self.agent, images)
        own = {fact.get("digest") for fact in images.facts} - {None}
        is_shared = np.array([fact.get("digest") in own for fact in self.images.facts])
        kept = np.flatnonzero(~is_shared)
        if len(kept) < 2:
            raise UserError(f"{images.root} has the pictures of {self.images.root}; name other real frames")
        real, real_labels = self.features[kept], self.images.labels[kept]
        places, distances = nearest(made, real, centre=self.centre)
        closest = np.argsort(distances, kind="stable")[:pairs]
        answers = None if reader is None else _of_own_class(reader, images)
        near = self.nearest.get("other_log", self.nearest["frame"])["0.05"]

        found = {}
        for label, name in [*enumerate(images.class_names), (None, ALL)]:
            rows = np.flatnonzero(images.labels == label) if label is not None else np.arange(len(images))
            others = real[real_labels == label] if label is not None else real
            if not len(rows) or not len(others):
                continue
            enough = len(rows) > 1 and len(others) > 1
            spread, size = kernel_spread(others, made[rows], seed=seed)
            found[name] = ClassFigures(
                pictures=len(rows),
                real_frames=len(others),
                frechet=frechet_distance(others, made[rows]) if enough else None,
                rank=min(len(rows) - 1, len(others) - 1, made.shape[1]),
                kernel=kernel_distance(others, made[rows]) if enough else None,
                kernel_sd=None if np.isnan(spread) else spread,
                kernel_subset=size,
                overlap=overlap(others, made[rows]),
                nearest=quantiles(distances[rows]),
                nearer_than_real=float((distances[rows] < near).mean()),
                read_as_asked=None if answers is None else float(answers[0][rows].mean()),
                confidence=None if answers is None else float(answers[1][rows].mean()),
            )
        listed = [
            {
                "file": images.files[row],
                "real_file": self.images.files[kept[places[row]]],
                "cosine_distance": float(distances[row]),
            }
            for row in closest
        ]
        return SetFigures(images.digest, int(is_shared.sum()), found, listed)


def quantiles(distances: NDArray[Any]) -> dict[str, float]:
    """The minimum, some quantiles and the maximum, by share."""
    return {
        f"{share:g}": float(value) for share, value in zip(QUANTILES, np.quantile(distances, QUANTILES), strict=True)
    }


def feature_network(name: str, images: ImageSet) -> Agent:
    """A network with the weights that it comes with, such as ImageNet's, as the source of features.

    Args:
        name: name as in `AgentConfig`.
        images: set whose pictures it takes.

    Raises:
        UserError: an unknown network, an extra that is missing, one that starts from random weights, or pictures below
            32 px.
    """
    if images.size_px < _SMALLEST_PX:
        raise UserError(
            f"{images.root} has pictures of {images.size_px} px, but features of {name} need {_SMALLEST_PX}; prepare "
            "larger ones, or name a trained agent with --agent"
        )
    config = AgentConfig(network=name)
    network = build_network(config, images.num_classes, 0, images.size_px)
    if not network.pretrained:
        raise UserError(
            f"network {name} starts from random weights, in whose features distances mean little; take "
            "efficientnet-lite0, or name a trained agent with --agent"
        )
    network.freeze(len(network.stages))  # frozen stages compute few pictures at a time, which is faster
    return Agent(config, network.eval(), images.class_names, images.size_px, {"seed": 0}, cache=FeatureCache(0))


def as_record(real: RealFrames, sets: Mapping[Path, SetFigures]) -> dict[str, Any]:
    """All figures as a plain mapping, for JSON."""
    network = real.agent.network
    return {
        "features": {
            "network": real.agent.config.network,
            "weights": network.origin,
            "number": real.features.shape[1],
        },
        "real": {"set": str(real.images.root), "digest": real.images.digest, "pictures": len(real.images),
                 "nearest": real.nearest},
        "sets": {str(path): asdict(figures) for path, figures in sets.items()},
    }  # fmt: skip


def _features(agent: Agent, images: ImageSet) -> NDArray[np.float32]:
    check_fits(agent, images)
    return features_of(agent.features, images, np.arange(len(images)))


def _of_own_class(agent: Agent, images: ImageSet) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Whether the agent puts each picture into its class, and the probability that it gives to it."""
    check_fits(agent, images)
    probabilities = agent.predict_set(images)
    return probabilities.argmax(1) == images.labels, probabilities[np.arange(len(images)), images.labels]
