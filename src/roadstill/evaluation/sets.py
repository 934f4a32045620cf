"""Judging finished image sets, whoever made them: agents are trained on each, paired by seed, and compared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from roadstill.agents import AgentConfig, FeatureCache, train_agent
from roadstill.errors import UserError
from roadstill.evaluation.compare import MIN_SEEDS, Comparison, compare
from roadstill.evaluation.ledger import LEDGER, note_outcome, open_test
from roadstill.evaluation.metrics import evaluate
from roadstill.evaluation.runs import Run, run_of
from roadstill.imagesets import open_imageset


def compare_sets(
    sets: Sequence[Path],
    test: Path,
    *,
    dev: Path | None = None,
    config: AgentConfig | None = None,
    seeds: int = 20,
    baseline: str | None = None,
    bounds: Sequence[str] = (),
    cluster_by: Literal["log", "drive"] = "log",
) -> Comparison:
    """Trains agents on each set with the same seeds and judges the sets.

    Each set is one sample of whatever made it, so the verdict speaks of these sets, not of methods.

    Args:
        sets: folders of image sets; their names become the arms'.
        test: image set that all agents are measured on, after the last step; its opening goes to the ledger beside it.
        dev: image set on which thresholds are chosen.
        config: of the agents.
        seeds: agents per set.
        baseline: name of the set that the others are held against; the first by default.
        bounds: names of sets with another budget.
        cluster_by: what the interval draws anew.

    Raises:
        UserError: fewer than 2 sets or 3 seeds, sets of one name, other classes, no such baseline.
    """
    config = config or AgentConfig()
    if seeds < MIN_SEEDS:
        raise UserError(f"seeds is {seeds}; a verdict needs at least {MIN_SEEDS}")
    opened = {path.resolve().name: open_imageset(path) for path in sets}
    if len(opened) < max(2, len(sets)):
        raise UserError(f"two or more sets with different names are needed, not {', '.join(map(str, sets))}")
    baseline = baseline or next(iter(opened))
    calm = None if dev is None else open_imageset(dev)
    judged = open_imageset(test)
    for name, images in opened.items():
        if images.class_names != judged.class_names:
            raise UserError(f"{name} has the classes {images.class_names}, but {test} has {judged.class_names}")
        if images.digest == judged.digest:
            raise UserError(f"{name} is the test part itself")
    ledger = test.parent / LEDGER
    config_of = {"agent": config, "seeds": seeds, "sets": {name: images.digest for name, images in opened.items()}}
    judged = open_test(judged, ledger=ledger, config=config_of, what=f"compare {', '.join(opened)}")
    cache = FeatureCache()
    arms: dict[str, list[Run]] = {name: [] for name in opened}
    for seed in range(seeds):
        for name, images in opened.items():
            agent = train_agent(images, config=config, seed=seed, cache=cache)
            on_dev = None if calm is None else evaluate(agent, calm)
            arms[name].append(run_of(name, seed, evaluate(agent, judged), judged, set_seed=0, dev=on_dev))
    found = compare(arms, baseline=baseline, bounds=bounds, cluster_by=cluster_by)
    words = {name: verdict.word for name, verdict in found.verdicts.items()}
    note_outcome(judged, ledger=ledger, outcome=words)
    return found
