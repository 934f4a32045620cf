"""What the runs of a recipe say: one comparison for each budget and kind of agent."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from roadstill.evaluation import (
    LEDGER,
    RECORDS,
    RUN_FILES,
    Comparison,
    augmentation_robust_score,
    check_runs,
    compare,
    enter,
    label_robust_score,
    number_sets,
    open_run,
    refined_caveat,
    seal,
)
from roadstill.pipeline.road import Road, runs_folder
from roadstill.recipes import Recipe
from roadstill.runs import digest_file, write_json


def judge(road: Road) -> list[Comparison]:
    """Compares all arms of each budget, for each kind of agent; the first is the recipe's own."""
    recipe, found = road.recipe, []
    agents = (None, *sorted(recipe.others))
    bounds = [name for name, arm in recipe.arms.items() if arm.whole]
    budgets = sorted({road.per_class(name) for name in recipe.arms if name not in bounds})
    written: set[Path] = set()
    _enter_runs(road)
    for budget in budgets:
        names = [name for name in recipe.arms if name in bounds or road.per_class(name) == budget]
        compared = {other: _compare(road, names, bounds, other) for other in agents}
        about = {
            "protocol": recipe.protocol,
            "judged_on": recipe.judged_on,
            "synthetic": not recipe.data,
            "labels": {_short(name): recipe.arms[name].label for name in names},
            "per_class": {_short(name): None if name in bounds else budget for name in names},
            "ranking": ranking(recipe, compared, bounds),
            "thesis": _thesis(recipe, budget),
        }
        for other, comparison in compared.items():
            parts = ["comparison", *([str(budget)] if len(budgets) > 1 else []), *([other] if other else [])]
            own = {"agent": other, "network": recipe.agent_of(other).network}
            path = road.folder / f"{'-'.join(parts)}.json"
            write_json(path, comparison.as_dict() | {"about": about | own})
            enter(road.folder / RECORDS, {path: digest_file(path)})
            written.add(path)
            found.append(comparison)
    for old in set(road.folder.glob("comparison*.json")) - written:
        old.unlink()
    return found


def _short(name: str) -> str:
    """Within a comparison an arm goes by its name alone."""
    return name.partition("@")[0]


def _thesis(recipe: Recipe, budget: int) -> dict[str, str]:
    """The thesis' figures at a budget, by arm, with those that have none (all images, the majority line)."""
    return {_short(key): text for key, text in recipe.thesis.items() if key.partition("@")[2] in ("", str(budget))}


def _compare(road: Road, names: Sequence[str], bounds: Sequence[str], other: str | None) -> Comparison:
    folder = road.folder / runs_folder(other) / road.recipe.judged_on
    folders = {name: [folder / name / f"seed{seed}" for its, _, seed in road.runs() if its == name] for name in names}
    notes = check_runs(folder, [path for its in folders.values() for path in its])
    runs = {_short(name): number_sets([open_run(path) for path in its]) for name, its in folders.items()}
    found = compare(runs, baseline=road.recipe.baseline, bounds=bounds, cluster_by=road.recipe.cluster_by)
    network = road.recipe.agent_of(other).network
    refined = {_short(name): its for name in names if (its := road.recipe.refiners(name))}
    found.caveats.extend(notes + [refined_caveat(name, its, network) for name, its in refined.items()])
    return found


def _enter_runs(road: Road) -> None:
    """Enters the runs in the book of records, in the order of the recipe, as they were when each was finished."""
    book = road.folder / RECORDS
    contents: dict[Path, str] = {}
    for name, stage in road.stages.items():
        if name.startswith("agent-"):
            noted = {road.folder / file: its[1] for file, its in stage.noted().items() if its}
            contents |= noted or {file: digest_file(file) for file in _files(road, stage.product)}
    enter(book, contents)
    seal(book, road.folder / LEDGER)


def _files(road: Road, product: Sequence[str]) -> list[Path]:
    """A run's files, whose stage an earlier version finished without noting them."""
    return [road.folder / folder / file for folder in product for file in RUN_FILES]


def ranking(
    recipe: Recipe, compared: Mapping[str | None, Comparison], bounds: Sequence[str]
) -> dict[str, dict[str, float]]:
    """DD-Ranking's scores of every arm that is no bound, as far as the recipe's agents allow.

    LRS takes the full arm, and soft labels where there is an agent that learns them; ARS an agent with augmentation.
    """
    accuracy = {
        other: {name: arm.accuracy.mean for name, arm in found.arms.items()} for other, found in compared.items()
    }
    plain, base = accuracy[None], recipe.baseline
    soft = next((other for other in recipe.others if recipe.agent_of(other).labels == "soft"), None)
    moved = next((other for other in recipe.others if recipe.agent_of(other).augment != "none"), None)
    scores: dict[str, dict[str, float]] = {arm: {} for arm in plain if arm not in bounds}
    for arm, its in scores.items():
        if bounds:
            its["LRS"] = label_robust_score(plain[bounds[0]], plain[arm], accuracy[soft][arm], accuracy[soft][base])
        if moved and recipe.agent.augment == "none":
            its["ARS"] = augmentation_robust_score(accuracy[moved][arm], accuracy[moved][base], plain[arm], plain[base])
    return scores
