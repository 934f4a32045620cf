"""Proof that the verdicts are honest: the referee judges simulated results, in which the truth is known.

Logs differ in difficulty, a training changes all frames of a log together, and seeds differ: neither frames nor runs
are independent, as on real data. Two equal arms must seldom be called different; an arm that was made better by a
known amount must be found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np

from roadstill.evaluation.compare import compare
from roadstill.evaluation.metrics import score
from roadstill.evaluation.runs import Run
from roadstill.runs import seed_of
from roadstill.runs.progress import track

NAMES = ("not_brake", "brake")


@dataclass(frozen=True)
class Simulation:
    """How simulated results vary; the defaults give runs of one arm a standard deviation of some 4 points.

    Attributes:
        logs: logs in the test part.
        images_per_log: frames of each log.
        log_sd: standard deviation of the logs' difficulty (in units in which 0.19 is some 4 points of accuracy).
        seed_sd: standard deviation of a training's effect on all frames.
        log_by_seed_sd: standard deviation of a training's effect on one log.
    """

    logs: int = 40
    images_per_log: int = 25
    log_sd: float = 0.5
    seed_sd: float = 0.15
    log_by_seed_sd: float = 0.4


class World:
    """One simulated test part.

    Args:
        simulation: parameters of how results vary.
        seed: seed of this world.
    """

    def __init__(self, simulation: Simulation, seed: int) -> None:
        self.simulation, self.rng = simulation, np.random.default_rng(seed_of("referee", seed))
        self.log = np.repeat(np.arange(simulation.logs), simulation.images_per_log)
        count = len(self.log)
        self.labels = (self.rng.random(count) < 0.6).astype(np.int64)
        self.labels[:2] = 0, 1
        own = self.rng.normal(0, 0.7, count)
        self.ease = self.rng.normal(1.0, simulation.log_sd, simulation.logs)[self.log] + own
        self.clusters = {"log": np.char.add("log", self.log.astype(str))}

    def runs(self, arm: str, seeds: Sequence[int], shift: float = 0.0) -> list[Run]:
        """Results of trainings with these seeds; ``shift`` makes every frame easier."""
        simulation, runs = self.simulation, []
        for seed in seeds:
            moved = self.rng.normal(0, simulation.seed_sd)
            by_log = self.rng.normal(0, simulation.log_by_seed_sd, simulation.logs)[self.log]
            right = self.rng.normal(self.ease + moved + by_log + shift, 0.5) > 0
            brake = np.where(right == (self.labels == 1), 0.8, 0.2)
            probabilities = np.stack([1 - brake, brake], 1).astype(np.float32)
            runs.append(Run(arm, seed, score(probabilities, self.labels, NAMES, images="simulated"), self.clusters))
        return runs


@dataclass(frozen=True)
class Proof:
    """The referee's verdicts on simulated arms.

    Attributes:
        trials_alike: comparisons of two equal arms.
        better: number of these that were called better.
        worse: number of these that were called worse.
        trials_planted: comparisons with an arm that was made better.
        gain: mean measured gain of those arms, as a fraction.
        found: number of them that were called better.
        run_sd: mean standard deviation of the runs of one arm, as a fraction.
        seeds: paired seeds in each comparison.
    """

    trials_alike: int
    better: int
    worse: int
    trials_planted: int
    gain: float
    found: int
    run_sd: float
    seeds: int

    @property
    def passed(self) -> bool:
        """At most 7 % of equal arms called better and as many worse, and at least 80 % of planted gains found."""
        few = 0.07 * self.trials_alike
        return self.better <= few and self.worse <= few and self.found >= 0.8 * self.trials_planted

    def __str__(self) -> str:
        alike, planted = max(1, self.trials_alike), max(1, self.trials_planted)
        return "\n".join(
            [
                f"simulated arms, {self.seeds} paired seeds, runs of one arm with a standard deviation of "
                f"{100 * self.run_sd:.1f} points",
                f"two arms alike, {self.trials_alike} comparisons: better {100 * self.better / alike:.1f} %, "
                f"worse {100 * self.worse / alike:.1f} % (at most 7 % each)",
                f"an arm that is {100 * self.gain:.1f} points better, {self.trials_planted} comparisons: found "
                f"{100 * self.found / planted:.0f} % (at least 80 %)",
                "the referee holds" if self.passed else "the referee does NOT hold",
            ]
        )


def prove(
    simulation: Simulation | None = None,
    *,
    alike: int = 200,
    planted: int = 50,
    seeds: int = 20,
    shift: float = 0.19,
    draws: int = 1000,
) -> Proof:
    """Lets the referee judge simulated arms.

    Args:
        simulation: parameters of how results vary.
        alike: number of comparisons of equal arms.
        planted: number of comparisons with a better arm.
        seeds: paired seeds in each comparison.
        shift: advantage of the better arm; 0.19 is some 4 points.
        draws: number of bootstrap draws.
    """
    simulation = simulation or Simulation()
    words, gains, found, spreads = [], [], 0, []
    for trial in track(range(alike + planted), "pairs of arms"):
        world = World(simulation, trial)
        is_planted = trial >= alike
        arms = {
            "random": world.runs("random", range(seeds)),
            "other": world.runs("other", range(seeds), shift if is_planted else 0.0),
        }
        spreads.append(stdev(run.evaluation.balanced_accuracy for run in arms["random"]))
        verdict = compare(arms, baseline="random", draws=draws).verdicts["other"]
        if is_planted:
            gains.append(verdict.difference)
            found += verdict.word == "better"
        else:
            words.append(verdict.word)
    return Proof(
        trials_alike=alike,
        better=words.count("better"),
        worse=words.count("worse"),
        trials_planted=planted,
        gain=mean(gains) if gains else 0.0,
        found=found,
        run_sd=mean(spreads),
        seeds=seeds,
    )
