"""Can the built-in world be solved by a shortcut? Prints the scores of models that see too little to drive.

    python tools/world_shortcuts.py work/sets --facts data/world/facts.parquet --agents

Each view of the pictures is learned by boosted trees and by logistic regression (its strength chosen within the train
part, by groups of drives) on at most 1,000 pictures of the train part, and measured on all pictures of dev and test.
The better of the two models counts. With ``--facts`` boosted trees learn what can be seen in numbers, which tells how
much there is to be read at all, and with ``--agents`` networks learn the whole pictures. The exit code is 1 if a view
tells more than it may, or if what should be learned is not.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from roadstill.agents import AgentConfig, train_agent
from roadstill.evaluation import evaluate, open_test
from roadstill.imagesets import ImageSet, open_imageset

MOST_PICTURES = 1_000
LEAST_BY_FACTS = 92
_LITE = AgentConfig(network="efficientnet-lite0", batch_norm="fixed", head_init="zero")
_ALL = replace(_LITE, steps=400, batch_size=64, learning_rate=5e-4, freeze=6)
AGENTS: dict[str, tuple[int, int, AgentConfig, float, float]] = {
    "random 10 per class": (10, 10, replace(_LITE, steps=40, batch_size=20, learning_rate=2.5e-4, freeze=12), 55, 66),
    "random 250 per class": (250, 3, replace(_LITE, steps=125, batch_size=32, learning_rate=1e-3, freeze=12), 74, 84),
    "all training frames": (0, 1, _ALL, 86, 93),
    "all training frames at 64 px": (0, 1, replace(_ALL, image_px=64), 50, 88),
}
"""Images per class (0: all), seeds, training, and the range for the mean; at 64 px the range ends 5 points below."""
Pixels = NDArray[np.uint8]
Row = NDArray[np.float32]


def excess(picture: Pixels, channel: int) -> Row:
    """How much more of a channel each pixel has than of the stronger one of the others ``[h, w]``, 0..1."""
    levels = picture.astype(np.float32) / 255
    return np.maximum(levels[..., channel] - np.delete(levels, channel, -1).max(-1), 0)


def small(part: NDArray[np.generic], width: int, height: int) -> Row:
    """A picture as so many means over boxes."""
    channels = part[..., None] if part.ndim == 2 else part
    boxed = [
        np.asarray(Image.fromarray(channels[..., c].astype(np.float32)).resize((width, height), Image.Resampling.BOX))
        for c in range(channels.shape[-1])
    ]
    return np.stack(boxed, -1).ravel()


def strong(channel: int) -> Callable[[Pixels], Row]:
    """The share of pixels that are strongly red or green."""
    return lambda picture: np.array([(excess(picture, channel) > 0.25).mean()], np.float32)


def total(channel: int) -> Callable[[Pixels], Row]:
    """The mean excess of red or green."""
    return lambda picture: np.array([excess(picture, channel).mean()], np.float32)


def noise(picture: Pixels) -> Row:
    """The median difference of neighbouring pixels: that of the camera's noise, where little else is to be seen."""
    levels = picture.astype(np.float32).mean(-1)
    return np.array([np.median(np.abs(np.diff(levels, axis=axis))) for axis in (0, 1)], np.float32)


def gradients(picture: Pixels, cell: int = 8, bins: int = 9) -> Row:
    """Histograms of oriented gradients (HOG, Dalal and Triggs 2005), without the norm over blocks of cells."""
    grey = np.sqrt(picture.astype(np.float32).mean(-1) / 255)
    down, right = np.gradient(grey)
    size, angle = np.hypot(down, right), np.arctan2(down, right) % np.pi
    place = angle / np.pi * bins
    low = np.floor(place).astype(int)
    share = place - low
    rows, columns = (np.arange(side) // cell for side in grey.shape)
    cells = rows[:, None] * (columns[-1] + 1) + columns
    found = np.zeros(((rows[-1] + 1) * (columns[-1] + 1), bins), np.float32)
    for which, weight in ((low % bins, 1 - share), ((low + 1) % bins, share)):
        np.add.at(found, (cells, which), size * weight)
    return (found / np.sqrt((found**2).sum(1, keepdims=True) + 0.01)).ravel()


def rows(share_from: float, share_to: float, width: int, height: int) -> Callable[[Pixels], Row]:
    """A strip from the left to the right edge."""
    return lambda p: small(p[round(share_from * len(p)) : round(share_to * len(p))], width, height)


def columns(share_from: float, share_to: float, width: int, height: int) -> Callable[[Pixels], Row]:
    """A strip from the top to the bottom."""
    return lambda p: small(p[:, round(share_from * p.shape[1]) : round(share_to * p.shape[1])], width, height)


VIEWS: dict[str, tuple[Callable[[Pixels], Row], float]] = {
    "strongly red pixels": (strong(0), 58),
    "strongly green pixels": (strong(1), 58),
    "red in all": (total(0), 58),
    "green in all": (total(1), 58),
    "mean colour": (lambda picture: picture.reshape(-1, 3).mean(0), 60),
    "noise level": (noise, 60),
    "sky (top 30 rows of 128)": (rows(0, 30 / 128, 32, 8), 60),
    "lowest 15 rows of 128": (rows(113 / 128, 1, 32, 4), 60),
    "left fifth": (columns(0, 0.2, 6, 32), 60),
    "right fifth": (columns(0.8, 1, 6, 32), 60),
    "8 x 8 thumbnail": (lambda picture: small(picture, 8, 8), 68),
    "8 x 8 map of red": (lambda picture: small(excess(picture, 0), 8, 8), 68),
    "8 x 8 map of green": (lambda picture: small(excess(picture, 1), 8, 8), 68),
    "16 x 16 thumbnail": (lambda picture: small(picture, 16, 16), 72),
    "HOG, cells of 8 px": (gradients, 76),
}
"""Each view with the greatest balanced accuracy that it may have, in percent."""


def scores(
    train: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.generic],
    held: NDArray[np.float32], wanted: NDArray[np.int64],
) -> tuple[float, float]:  # fmt: skip
    """Balanced accuracy of boosted trees and of logistic regression on held-out rows, in percent."""
    linear = LogisticRegressionCV(
        Cs=np.logspace(-5, 0, 6), cv=list(GroupKFold(5).split(train, labels, groups)), max_iter=2000,
        scoring="balanced_accuracy", class_weight="balanced", l1_ratios=(0,), use_legacy_attributes=False,
    )  # fmt: skip
    trees = HistGradientBoostingClassifier(random_state=0, class_weight="balanced")
    models = (trees, make_pipeline(StandardScaler(), linear))
    return tuple(100 * balanced_accuracy_score(wanted, model.fit(train, labels).predict(held)) for model in models)


def main(sets: Path, facts: Path | None, *, agents: bool) -> int:
    train: ImageSet = open_imageset(sets / "train")
    test = open_test(sets / "test", ledger=sets / "test_ledger.jsonl", config={}, what="shortcuts of the world")
    held = [open_imageset(sets / "dev"), test]
    chosen = np.random.default_rng(0).permutation(len(train))[:MOST_PICTURES]
    seen, unseen = train.pixels(chosen), np.concatenate([part.pixels() for part in held])
    labels, wanted = train.labels[chosen], np.concatenate([part.labels for part in held])
    groups = np.array(train.column("drive"))[chosen]
    print(f"{len(seen)} of {len(train)} train pictures, {len(unseen)} unseen ones of other drives; balanced accuracy")
    print(f"{'':<26} {'trees':>6} {'linear':>6} {'limit':>6}")
    failed = False
    for name, (view, limit) in VIEWS.items():
        mine, others = (np.stack([view(picture) for picture in pictures]) for pictures in (seen, unseen))
        trees, linear = scores(mine, labels, groups, others, wanted)
        beyond = max(trees, linear) > limit
        failed |= beyond
        print(f"{name:<26} {trees:6.1f} {linear:6.1f} {limit:6.0f}{'  beyond' * beyond}", flush=True)
    if facts is not None:
        rows, names = facts_of(facts)
        mine, others = (np.array([rows[token] for token in tokens]) for tokens in (
            train.column("token"), [token for part in held for token in part.column("token")]
        ))  # fmt: skip
        model = HistGradientBoostingClassifier(
            random_state=0, class_weight="balanced", max_iter=200, learning_rate=0.06
        )
        score = 100 * balanced_accuracy_score(wanted, model.fit(mine, train.labels).predict(others))
        below = "  below" * (score < LEAST_BY_FACTS)
        print(f"{f'{len(names)} visible facts':<26} {score:6.1f} {'':>6} {LEAST_BY_FACTS:>5}+{below}", flush=True)
        failed |= score < LEAST_BY_FACTS
    return int(failed | (agents and judge(train, test)))


def facts_of(path: Path) -> tuple[dict[str, list[float]], list[str]]:
    """What can be seen in each frame, in numbers, by token; and the names of these facts."""
    table = pq.read_table(path)
    names = sorted(name for name in table.column_names if name.startswith("see_"))
    columns = [table[name].to_pylist() for name in names]
    return dict(zip(table["token"].to_pylist(), map(list, zip(*columns, strict=True)), strict=True)), names


def judge(train: ImageSet, test: ImageSet) -> bool:
    """Trains agents on all frames and on random ones; whether any mean is out of its range."""
    wrong, least = False, 0.0
    for name, (per_class, seeds, config, low, high) in AGENTS.items():
        found = []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            rows = [rng.choice(np.flatnonzero(train.labels == label), per_class, replace=False) for label in (0, 1)]
            some = train if per_class == 0 else train.subset(np.concatenate(rows))
            found.append(100 * evaluate(train_agent(some, config=config, seed=seed), test).balanced_accuracy)
        mean = float(np.mean(found))
        if config.image_px is not None:
            high = least - 5.0
        least = mean if per_class == 0 else least
        out = not low <= mean <= high
        print(f"{name:<44} {mean:5.1f} +- {np.std(found):3.1f}   {low:.0f} to {high:.1f}{'  beyond' * out}", flush=True)
        wrong |= out
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, help="folder with train, dev and test")
    parser.add_argument("--facts", type=Path, help="facts.parquet of the world")
    parser.add_argument("--agents", action="store_true", help="train agents, too: an hour and a half on two cores")
    given = parser.parse_args()
    sys.exit(main(given.sets, given.facts, agents=given.agents))
