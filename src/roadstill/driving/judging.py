"""Drives of several arms against a baseline: figures, intervals and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.driving.closed_loop import Outcome
from roadstill.errors import UserError
from roadstill.evaluation.bootstrap import Difference, paired_difference
from roadstill.evaluation.summary import Spread
from roadstill.evaluation.verdicts import MIN_SEEDS, Measure, Verdict, verdicts_of
from roadstill.runs import seed_of

Drives = Mapping[int, Sequence[Outcome]]
"""Outcomes by seed of the agent, the same scenarios in the same order for each."""


@dataclass(frozen=True)
class DrivingSummary:
    """All drives of an arm; figures are fractions, over seeds.

    Attributes:
        arm: name of the arm.
        seeds: seeds of its agents.
        score: mean of `Outcome.score`.
        low: lower end of the score's 95% interval over drives and seeds; None with fewer than 2 of either.
        high: upper end.
        progress: mean of `Outcome.progress`.
        collisions: share of scenarios with a collision at fault.
        red_lights: share of scenarios in which a red light was run.
        off_lane: share of the time.
        comfortable: mean share of comfortable windows.
    """

    arm: str
    seeds: list[int]
    score: Spread
    low: float | None
    high: float | None
    progress: Spread
    collisions: Spread
    red_lights: Spread
    off_lane: Spread
    comfortable: Spread


@dataclass(frozen=True)
class DrivingComparison:
    """All arms and all verdicts.

    Attributes:
        baseline: name of the baseline, if there is one.
        scenarios: number of scenarios.
        groups: number of drives that they are from, which are resampled.
        arms: summaries by name.
        verdicts: verdicts by name, without the baseline.
    """

    baseline: str | None
    scenarios: int
    groups: int
    arms: dict[str, DrivingSummary]
    verdicts: dict[str, Verdict] = field(default_factory=dict)


def compare_drives(
    arms: Mapping[str, Drives], *, baseline: str | None, bounds: Sequence[str] = (), draws: int = 10_000
) -> DrivingComparison:
    """Judges every arm against the baseline by the score of its drives, as `evaluation.compare` does by its accuracy.

    Differences are taken in pairs of equal seeds on equal scenarios; drives and seeds are resampled, since scenarios of
    a drive resemble each other.

    Args:
        arms: drives by name of the arm.
        baseline: one of the names; without it there are no verdicts.
        bounds: names of arms that do not compete, such as controls.
        draws: number of bootstrap draws.

    Raises:
        UserError: an unknown baseline, no drives, other scenarios; with a baseline fewer than 3 paired seeds, or
            scenarios of one drive alone.
    """
    if baseline is not None and baseline not in arms:
        raise UserError(f"the baseline {baseline!r} is none of the arms; choose one of {sorted(arms)}")
    some = _same_scenarios(arms)
    groups, group_of = np.unique([each.group for each in some], return_inverse=True)
    if baseline is not None and len(groups) < 2:
        raise UserError("all scenarios are of one drive; an interval needs at least 2, better 20 or more")
    counts = np.bincount(group_of).astype(np.int64)[:, None]
    rng = np.random.default_rng(seed_of("drives", draws))

    def difference(scores: NDArray[np.float64]) -> Difference:
        gained = np.stack([np.bincount(group_of, weights=row) for row in scores]).astype(np.float64)[..., None]
        return paired_difference(gained, counts, draws=draws, rng=rng)

    verdicts = {}
    if baseline is not None:
        base, found = arms[baseline], {}
        for name, drives in arms.items():
            seeds = sorted(drives.keys() & base.keys())
            if name not in (baseline, *bounds) and len(seeds) < MIN_SEEDS:
                raise UserError(
                    f"arm {name!r} shares {len(seeds)} seeds with the baseline; a verdict needs {MIN_SEEDS}"
                )
            if name != baseline and len(seeds) >= MIN_SEEDS:
                pairs = np.stack([_scores(drives[seed]) - _scores(base[seed]) for seed in seeds])
                found[name] = (difference(pairs), seeds, len(seeds))
        verdicts = verdicts_of(
            found, baseline=baseline, bounds=bounds, cluster_by="drive", measure=Measure("points of driving score")
        )
    summaries = {}
    for name, drives in arms.items():
        own = None
        if len(drives) > 1 and len(groups) > 1:
            own = difference(np.stack([_scores(drives[seed]) for seed in sorted(drives)])).interval()
        summaries[name] = _summary(name, drives, own)
    return DrivingComparison(baseline, len(some), len(groups), summaries, verdicts)


def _same_scenarios(arms: Mapping[str, Drives]) -> Sequence[Outcome]:
    """Any one entrant's outcomes, if all drove the same scenarios."""
    first: Sequence[Outcome] = ()
    for name, drives in arms.items():
        if not drives:
            raise UserError(f"the arm {name!r} has not driven")
        for seed, outcomes in drives.items():
            first = first or outcomes
            if not outcomes or [each.scenario for each in outcomes] != [each.scenario for each in first]:
                raise UserError(f"arm {name!r}, seed {seed}: drove other scenarios than the others; drive all alike")
    return first


def _scores(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    return np.array([each.score for each in outcomes])


def _summary(arm: str, drives: Drives, interval: tuple[float, float] | None) -> DrivingSummary:
    rows = [drives[seed] for seed in sorted(drives)]

    def spread(name: str) -> Spread:
        return Spread.of([float(np.mean([getattr(each, name) for each in row])) for row in rows])

    return DrivingSummary(
        arm=arm,
        seeds=sorted(drives),
        score=spread("score"),
        low=None if interval is None else max(0.0, interval[0]),
        high=None if interval is None else min(1.0, interval[1]),
        progress=spread("progress"),
        collisions=spread("at_fault"),
        red_lights=Spread.of([float(np.mean([each.red_lights > 0 for each in row])) for row in rows]),
        off_lane=Spread.of([sum(each.off_lane_s for each in row) / sum(each.seconds for each in row) for row in rows]),
        comfortable=spread("comfortable"),
    )
