"""Verdicts in words: which difference counts, after a correction over all arms that compete."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from roadstill.evaluation.bootstrap import Difference

MIN_SEEDS = 3
FEW_SEEDS, FEW_CLUSTERS = 10, 20
Word = Literal["better", "worse", "cannot be told apart", "bound"]


@dataclass(frozen=True)
class Measure:
    """What a difference is told in.

    Attributes:
        words: unit and name.
        factor: units to one of the difference.
        digits: digits behind the point.
    """

    words: str
    factor: float = 100
    digits: int = 1

    def told(self, value: float) -> str:
        """A difference with its sign, without the words."""
        return f"{self.factor * value:+.{self.digits}f}"


POINTS = Measure("points of balanced accuracy")


@dataclass(frozen=True)
class Verdict:
    """One arm against the baseline, in balanced accuracy (fractions).

    Attributes:
        arm: name of the arm that is judged.
        baseline: name of the baseline.
        word: "better", "worse" or "cannot be told apart", after Holm's correction over all arms that compete; "bound"
            for one that does not.
        difference: arm minus baseline, mean over the paired seeds.
        low: lower end of the 95% interval (for this arm alone, without the correction).
        high: upper end.
        p_value: smallest level at which the interval excludes zero.
        p_holm: p value corrected for the number of arms, which decides ``word``. A bound's is not corrected.
        seeds: paired seeds.
        num_sets: different training sets, on the side that has fewer of them.
        num_clusters: logs or drives that were resampled.
        seeds_needed: estimate of how many paired seeds would tell a difference of this size apart (80% power at 5%);
            None if the test logs limit it.
        sentence: verdict in words, with its numbers.
    """

    arm: str
    baseline: str
    word: Word
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float
    seeds: list[int]
    num_sets: int
    num_clusters: int
    seeds_needed: int | None
    sentence: str


def verdicts_of(
    differences: Mapping[str, tuple[Difference, list[int], int]], *, baseline: str, bounds: Sequence[str] = (),
    cluster_by: str, measure: Measure = POINTS,
) -> dict[str, Verdict]:  # fmt: skip
    """Verdicts from differences, after Holm's correction over those that compete.

    Args:
        differences: by arm: the difference from the baseline, the paired seeds, and the number of different sets on the
            side that has fewer of them.
        baseline: name of the baseline.
        bounds: names of arms that do not compete.
        cluster_by: what was resampled, in one word.
        measure: what is compared; greater is better.
    """
    p_values = {name: found[0].p_value() for name, found in differences.items()}
    competing = holm({name: p_value for name, p_value in p_values.items() if name not in bounds})
    return {
        name: _verdict(name, baseline, *found, p_values[name], competing.get(name), cluster_by, len(competing), measure)
        for name, found in differences.items()
    }


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction: the i-th smallest of m times (m - i), never falling, at most 1."""
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}


def _verdict(
    arm: str,
    baseline: str,
    found: Difference,
    seeds: list[int],
    num_sets: int,
    p_value: float,
    corrected: float | None,
    cluster_by: str,
    num_arms: int,
    measure: Measure,
) -> Verdict:
    low, high = found.interval()
    p_holm = p_value if corrected is None else corrected
    word: Word = "bound" if corrected is None else "cannot be told apart"
    if corrected is not None and corrected <= 0.05:
        word = "better" if found.value > 0 else "worse"
    needed = seeds_needed(found)
    points = f"{measure.told(found.value)} {measure.words} (95% interval {measure.told(low)} to {measure.told(high)})"
    basis = f"{len(seeds)} paired seeds, {found.num_clusters} {cluster_by}s"
    sentence = [f"{head(word, arm, baseline)}: {points}; {basis}."]
    if word == "cannot be told apart":
        if p_value <= 0.05:
            sentence.append(f"The interval leaves out zero, but not after correcting for {num_arms} arms.")
        if needed is None:
            sentence.append(
                f"More seeds alone would not tell a difference of this size: the test needs more {cluster_by}s."
            )
        elif needed > len(seeds):
            sentence.append(f"About {needed} paired seeds would be needed to tell a difference of this size.")
    if len(seeds) < FEW_SEEDS:
        sentence.append(f"Fewer than {FEW_SEEDS} seeds: a weak basis.")
    if found.num_clusters < FEW_CLUSTERS:
        sentence.append(f"Fewer than {FEW_CLUSTERS} {cluster_by}s in the test: the interval is rough.")
    if num_sets < MIN_SEEDS and word != "bound":
        sets = "1 set" if num_sets == 1 else f"{num_sets} sets"
        sentence.append(f"One side was trained on {sets} only: this speaks of the sets, not of the method.")
    return Verdict(
        arm=arm,
        baseline=baseline,
        word=word,
        difference=found.value,
        low=low,
        high=high,
        p_value=p_value,
        p_holm=p_holm,
        seeds=seeds,
        num_sets=num_sets,
        num_clusters=found.num_clusters,
        seeds_needed=needed,
        sentence=" ".join(sentence),
    )


def head(word: str, arm: str, baseline: str) -> str:
    """A verdict's word as the beginning of its sentence, with the names as they are given."""
    if word == "cannot be told apart":
        return f"{arm} and {baseline} cannot be told apart"
    if word == "bound":
        return f"{arm} is a bound of another budget, not judged against {baseline}"
    return f"{arm} is {word} than {baseline}"


def seeds_needed(found: Difference, *, power_z: float = 1.96 + 0.84) -> int | None:
    """Paired units for 80% power at 5% if the measured difference is true; None if clusters alone limit it."""
    target = (found.value / power_z) ** 2 - float(np.var(found.cluster_part))
    if target <= 0:
        return None
    return max(MIN_SEEDS, math.ceil(float(np.var(found.per_unit, ddof=1)) / target))
