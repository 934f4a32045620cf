"""What the runs of a recipe say: one comparison for each budget and kind of agent."""

from collections.abc import Mapping, Sequence

from roadstill.evaluation import Comparison, Run, compare, label_robust_score, number_sets, open_run
from roadstill.pipeline.road import Road, runs_folder
from roadstill.recipes import Recipe
from roadstill.runs import write_json


def judge(road: Road) -> list[Comparison]:
    """Compares all arms of each budget on the test part, for each kind of agent."""
    recipe = road.recipe
    bounds = [name for name, arm in recipe.arms.items() if arm.kind == "full"]
    budgets = sorted({road.per_class(name) for name in recipe.arms if name not in bounds})
    for old in road.folder.glob("comparison*.json"):
        old.unlink()
    runs: dict[tuple[str | None, str], list[Run]] = {}
    for other in (None, *recipe.others):
        for name, _, seed in road.runs():
            run = open_run(road.folder / runs_folder(other) / "test" / name / f"seed{seed}")
            runs.setdefault((other, name), []).append(run)
    compared: dict[tuple[int, str | None], Comparison] = {}
    for budget in budgets:
        # Within a comparison an arm goes by its name alone.
        names = {
            name: name.partition("@")[0] for name in recipe.arms if name in bounds or road.per_class(name) == budget
        }
        for other in (None, *recipe.others):
            compared[budget, other] = compare(
                {short: number_sets(runs[other, name]) for name, short in names.items()},
                baseline=recipe.baseline,
                bounds=bounds,
                cluster_by=recipe.cluster_by,
            )
        by_agent = {other: compared[budget, other] for other in (None, *recipe.others)}
        shared = {
            "protocol": recipe.protocol,
            "synthetic": not recipe.data,
            "labels": {short: recipe.arms[name].label for name, short in names.items()},
            "per_class": {short: None if name in bounds else budget for name, short in names.items()},
            "ranking": ranking(recipe, by_agent, bounds),
        }
        for other, comparison in by_agent.items():
            parts = ["comparison", *([str(budget)] if len(budgets) > 1 else []), *([other] if other else [])]
            write_json(
                road.folder / f"{'-'.join(parts)}.json",
                comparison.as_dict() | {"about": shared | {"agent": other, "network": recipe.agent_of(other).network}},
            )
    return list(compared.values())


def ranking(
    recipe: Recipe, compared: Mapping[str | None, Comparison], bounds: Sequence[str]
) -> dict[str, dict[str, float]]:
    """DD-Ranking's scores of every arm, as far as its agents allow.

    LRS takes the full arm, and soft labels where there is an agent that learns them.
    """
    accuracy = {
        other: {name: arm.accuracy.mean for name, arm in found.arms.items()} for other, found in compared.items()
    }
    plain, base = accuracy[None], recipe.baseline
    soft = next((other for other in recipe.others if recipe.agent_of(other).labels == "soft"), None)
    scores: dict[str, dict[str, float]] = {}
    for arm in plain:
        if arm in bounds:
            continue
        scores[arm] = {}
        if bounds:
            own = accuracy[soft]
            scores[arm]["LRS"] = label_robust_score(plain[bounds[0]], plain[arm], own[arm], own[base])
    return scores
