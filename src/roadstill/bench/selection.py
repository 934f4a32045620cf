"""Benchmarks of the selectors: vectorised against a plainly written loop over candidates, on made-up features."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.bench.timing import Row, in_turns, table
from roadstill.imagesets import ImageSet
from roadstill.selection import S3, FacilityLocation, Herding, KCenter, Minimax, MomentGroup
from roadstill.selection.base import Selector, choose_each
from roadstill.selection.distinct import distinct

ROWS, WIDTH, COUNT = 10_000, 512, 10
_TRIED = 500  # candidates for the slow loops; rates are per candidate
Array = NDArray[np.float64]


def bench_select(*, rows: int = ROWS, width: int = WIDTH, count: int = COUNT, rounds: int = 3) -> str:
    """Each selector that has a plain loop, for ``count`` of ``rows`` candidates with ``width`` features.

    Rates count a candidate once for every image that is chosen (or groups, where groups are drawn). The loops of
    facility location and of near-duplicates would take minutes, so they stop after some candidates.
    """
    rng = np.random.default_rng(0)
    modes = rng.normal(0, 1, (50, width))
    features = (modes[rng.integers(0, len(modes), rows)] + rng.normal(0, 1, (rows, width))).astype(np.float32)
    images, every = _no_pictures(rows), np.arange(rows)
    wide = features.astype(np.float64)

    def given(_: ImageSet, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        return features[chosen]

    def ours(method: Selector) -> Callable[[], object]:
        return lambda: method.choose(images, every, count=count, rng=np.random.default_rng(0))

    few, groups = min(_TRIED, rows), 2000
    halves = [np.flatnonzero(images.labels == label) for label in (0, 1)]
    rngs = [np.random.default_rng(label) for label in (0, 1)]
    s3 = S3(given, groups=groups)
    works: dict[str, tuple[Callable[[], object], int, Callable[[], object], int]] = {
        "herding": (ours(Herding(given)), rows * count, lambda: plain_herding(wide, count), rows * count),
        "k_center": (ours(KCenter(given)), rows * count, lambda: plain_k_center(wide, count), rows * count),
        "facility_location": (
            ours(FacilityLocation(given)), rows * count, lambda: plain_facility(wide, 1, few), few,
        ),
        "minimax": (ours(Minimax(given)), rows * count, lambda: plain_minimax(wide, wide[:64], count), rows * count),
        "moment_group": (
            ours(MomentGroup(given, groups=groups)), groups,
            lambda: plain_moments(wide, count, groups // 20), groups // 20,
        ),
        "s3": (
            lambda: choose_each(s3, images, halves, count=count, rngs=rngs), 2 * groups,
            lambda: plain_s3([wide[half] for half in halves], count, groups // 20), 2 * (groups // 20),
        ),
        "near-duplicates out": (
            lambda: distinct(features, 0.9), rows * (rows - 1) // 2, lambda: plain_distinct(wide[: 4 * few], 0.9),
            4 * few * (4 * few - 1) // 2,
        ),
    }  # fmt: skip
    tables = []
    for name, (work, items, loop, loop_items) in works.items():
        seconds = in_turns({"ours": work, "plain loop": loop}, rounds=rounds)
        lines = [Row(f"ours, {np.median(seconds['ours']):.3f} s in all", seconds["ours"], items)]
        lines.append(Row("plain loop", seconds["plain loop"], loop_items))
        tables.append(table(name, lines, unit="candidates"))
    return "\n".join([f"{count} of {rows:,} candidates, {width} features", *tables])


def _no_pictures(rows: int) -> ImageSet:
    labels = np.arange(rows) % 2
    return ImageSet(Path("nowhere"), ("a", "b"), ("",) * rows, labels, [{}] * rows, 8, "bench")


def plain_herding(x: Array, count: int) -> list[int]:
    """Herding by its definition: for each candidate the mean with it, and its distance to the class's mean."""
    mean, chosen = x.mean(0), list[int]()
    total = np.zeros(x.shape[1])
    for step in range(count):
        best, least = -1, np.inf
        for row in range(len(x)):
            distance = float(np.linalg.norm((total + x[row]) / (step + 1) - mean))
            if row not in chosen and distance < least:
                best, least = row, distance
        chosen.append(best)
        total += x[best]
    return chosen


def plain_k_center(x: Array, count: int) -> list[int]:
    """k-center: for each candidate the distance to the nearest chosen row, kept from step to step."""
    mean = x.mean(0)
    chosen = [min(range(len(x)), key=lambda row: float(np.linalg.norm(x[row] - mean)))]
    near = [np.inf] * len(x)
    for _ in range(1, count):
        for row in range(len(x)):
            near[row] = min(near[row], float(np.linalg.norm(x[row] - x[chosen[-1]])))
        chosen.append(max((row for row in range(len(x)) if row not in chosen), key=near.__getitem__))
    return chosen


def plain_facility(x: Array, count: int, tried: int) -> list[int]:
    """Facility location: for each of the first candidates, its gain in the sum of similarities."""
    rows = x / np.linalg.norm(x, axis=1, keepdims=True)
    covered, chosen = np.zeros(len(x)), list[int]()
    for _ in range(count):
        best, most = -1, -np.inf
        for row in range(tried):
            gain = float(np.maximum((1 + rows @ rows[row]) / 2 - covered, 0).sum())
            if row not in chosen and gain > most:
                best, most = row, gain
        chosen.append(best)
        covered = np.maximum(covered, (1 + rows @ rows[best]) / 2)
    return chosen


def plain_minimax(x: Array, memory: Array, count: int) -> list[int]:
    """Minimax: for each candidate all its cosines, again in each step."""
    rows, real = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (x, memory))
    chosen: list[int] = []
    for _ in range(count):
        best, most = -1, -np.inf
        for row in range(len(x)):
            score = float((real @ rows[row]).min())
            if chosen:
                score -= float((rows[chosen] @ rows[row]).max())
            if row not in chosen and score > most:
                best, most = row, score
        chosen.append(best)
    return chosen


def plain_moments(x: Array, count: int, groups: int) -> NDArray[np.int64]:
    """Moment groups: for each group its mean, deviation and skewness by their definitions."""
    rng = np.random.default_rng(0)
    x = (x - x.mean(0)) / x.std(0)
    skew = (x**3).mean(0)
    best, least = np.empty(0, np.int64), np.inf
    for _ in range(groups):
        group = rng.permutation(len(x))[:count]
        part = x[group]
        mean, std = part.mean(0), part.std(0)
        own = ((part - mean) ** 3).mean(0) / std**3
        distance = float((np.abs(mean) + np.abs(std - 1) + 0.5 * np.abs(own - skew)).mean())
        if distance < least:
            best, least = group, distance
    return best


def plain_s3(classes: list[Array], count: int, groups: int) -> list[Any]:
    """S3: for each group its mean and the cosines to both classes' means."""
    rng = np.random.default_rng(0)
    real = [x.mean(0) for x in classes]
    chosen: list[Any] = []
    for label, x in enumerate(classes):
        best, least = None, np.inf
        for _ in range(groups):
            group = rng.permutation(len(x))[:count]
            mean = x[group].mean(0)
            near, far = (
                float(mean @ real[other] / (np.linalg.norm(mean) * np.linalg.norm(real[other])))
                for other in (label, 1 - label)
            )
            cost = np.log(1 - near) - np.log(1 - far)
            if cost < least:
                best, least = group, cost
        chosen.append(best)
    return chosen


def plain_distinct(x: Array, threshold: float) -> list[int]:
    """Near-duplicates: compares each row with every kept one."""
    rows = x / np.linalg.norm(x, axis=1, keepdims=True)
    kept: list[int] = []
    for row in range(len(rows)):
        if all(float(rows[row] @ rows[other]) <= threshold for other in kept):
            kept.append(row)
    return kept
