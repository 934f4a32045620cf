"""Real images that stand for their class: those nearest to the centres of its clusters (DREAM; Liu et al. 2023)."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from roadstill.agents import AgentConfig
from roadstill.agents.training import build_network
from roadstill.distil.task import Real
from roadstill.runs import seed_of

_RENEWED = 10  # steps after which clusters are made anew, as published
_CANDIDATES = 16  # images that clusters are made of, for each that is wanted


def clustered(agent: AgentConfig, seed: int) -> Callable[[Real, int, int, int], NDArray[np.int64]]:
    """A way of choosing real images of a class: k-means of features, and the image nearest to each centre.

    Args:
        agent: network of the features, with fresh weights whenever clusters are made anew.
        seed: seed of the weights and of k-means.
    """

    @lru_cache(maxsize=256)
    def chosen(label: int, count: int, round_: int, key: int) -> NDArray[np.int64]:
        from sklearn.cluster import MiniBatchKMeans

        real = known[key]
        own = real.groups[label]
        rng = np.random.default_rng(seed_of("clusters", seed, label, round_))
        rows = np.sort(rng.permutation(own)[: count * _CANDIDATES])
        if len(rows) <= count:
            return rows
        network = build_network(agent, real.num_classes, seed_of("clusters", seed, round_), real.images.size_px)
        network = network.to(real.device).eval()
        with torch.no_grad():
            parts = [network.features(network.trunk(real.pictures(part))).flatten(1).cpu().numpy()
                     for part in np.array_split(rows, -(-len(rows) // 64))]  # fmt: skip
        features = np.concatenate(parts)
        found = MiniBatchKMeans(count, n_init=1, random_state=int(rng.integers(2**31))).fit(features)
        nearest = np.unique(found.transform(features).argmin(0))
        return rows[nearest]

    known: dict[int, Real] = {}

    def choose(real: Real, label: int, count: int, step: int) -> NDArray[np.int64]:
        known[id(real)] = real
        return chosen(label, count, step // _RENEWED, id(real))

    return choose
