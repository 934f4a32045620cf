"""Real images that stand for their class: those nearest to the centres of its clusters (DREAM; Liu et al. 2023)."""

import numpy as np
import torch
from numpy.typing import NDArray

from roadstill.agents import AgentConfig
from roadstill.agents.training import build_network
from roadstill.distil.task import Real
from roadstill.runs import seed_of

_RENEWED = 10  # steps after which clusters are made anew, as published
_CANDIDATES = 16  # images that clusters are made of, for each that is wanted


class Clustered:
    """A way of choosing real images of a class: k-means of features, and the image nearest to each centre.

    Args:
        agent: network of the features, with fresh weights whenever clusters are made anew.
        seed: seed of the weights and of k-means.
    """

    def __init__(self, agent: AgentConfig, seed: int) -> None:
        self.agent, self.seed = agent, seed
        self._kept: dict[int, tuple[tuple[int, int], NDArray[np.int64]]] = {}  # of each class those of the last steps

    def __call__(self, real: Real, label: int, count: int, step: int) -> NDArray[np.int64]:
        """At most ``count`` rows of a class for a step."""
        key = count, step // _RENEWED
        known, rows = self._kept.get(label, (None, np.empty(0, np.int64)))
        if known != key:
            rows = self._chosen(real, label, *key)
            self._kept[label] = key, rows
        return rows

    def _chosen(self, real: Real, label: int, count: int, age: int) -> NDArray[np.int64]:
        from sklearn.cluster import MiniBatchKMeans

        rng = np.random.default_rng(seed_of("clusters", self.seed, label, age))
        rows = np.sort(rng.permutation(real.groups[label])[: count * _CANDIDATES])
        if len(rows) <= count:
            return rows
        seed = seed_of("clusters", self.seed, age)
        network = build_network(self.agent, real.num_classes, seed, real.images.size_px).to(real.device).eval()
        with torch.no_grad():
            parts = [network.features(network.trunk(real.pictures(part))).flatten(1).cpu().numpy()
                     for part in np.array_split(rows, -(-len(rows) // 64))]  # fmt: skip
        features = np.concatenate(parts)
        found = MiniBatchKMeans(count, n_init=1, random_state=int(rng.integers(2**31))).fit(features)
        return rows[np.unique(found.transform(features).argmin(0))]
