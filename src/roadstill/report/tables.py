"""One table of all arms of a run: verdict, accuracy and cost side by side, whatever budgets and agents there are."""

from collections.abc import Mapping, Sequence
from typing import Any


def overview(comparisons: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The rows of all comparisons and which columns they need.

    Arms of all images are the same in the comparisons of every budget, so they get one row for each kind of agent, at
    the end.

    Args:
        comparisons: what `roadstill.report.verdicts.comparisons` gives.
    """
    rows: list[Mapping[str, Any]] = []
    whole: dict[tuple[str, str], Mapping[str, Any]] = {}
    for comparison in comparisons:
        agent = comparison["about"].get("agent") or ""
        for arm in comparison["arms"]:
            row = arm | {"agent": agent or "the recipe’s own"}
            if arm["whole"]:
                whole.setdefault((agent, arm["name"]), row)
            else:
                rows.append(row)
    rows += whole.values()
    first = comparisons[0]
    feet = {
        (each["majority_class"], each["majority_accuracy"], each["chance"]): {
            "name": each["majority_class"].replace("_", " "),
            "chance": each["chance"],
            "accuracy": each["majority_accuracy"],
            "mean_errors": each.get("mean_errors"),
            "thesis": next((c["thesis"]["majority"] for c in comparisons if "majority" in c["thesis"]), None),
        }
        for each in comparisons
    }
    return {
        "rows": rows,
        "feet": list(feet.values()),
        "caveats": _caveats(comparisons),
        "class_names": first["class_names"],
        "judged": any(each["verdicts"] for each in comparisons),
        "agents": len({row["agent"] for row in rows}) > 1,
        "braking": all(each["braking"] for each in comparisons),
        "errors": any(each["errors"] for each in comparisons),
        "hard_brakes": any(row["hard_brake_recall"] for row in rows),
        "thesis": any(each["thesis"] for each in comparisons),
        "budget": any(row["budget"] for row in rows),
        "minutes": any(row["minutes"] for row in rows),
        "weak": sorted({row["verdict"]["weak"] for row in rows if row["verdict"] and row["verdict"]["weak"]}),
    }


def _caveats(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    """What has to be said with the figures, once; of some comparisons only with their titles."""
    titles: dict[str, list[str]] = {}
    for comparison in comparisons:
        for caveat in comparison["caveats"]:
            titles.setdefault(caveat, []).append(comparison["title"])
    return [caveat if len(its) == len(comparisons) else f"{'; '.join(its)}: {caveat}" for caveat, its in titles.items()]


def curves(comparisons: Sequence[Mapping[str, Any]]) -> list[tuple[str, dict[str, Any], dict[str, float]]]:
    """Balanced accuracy over images per class, for each kind of agent that has several budgets.

    Returns:
        The agent's name, scores by label as pairs (images per class, score), and means of arms of all images by label.
    """
    agents: dict[str, tuple[dict[str, list[tuple[int, Any]]], dict[str, float]]] = {}
    for comparison in comparisons:
        points, bounds = agents.setdefault(comparison["about"].get("agent") or "", ({}, {}))
        for arm in comparison["arms"]:
            twice = sum(other["label"] == arm["label"] for other in comparison["arms"]) > 1
            label = arm["name"] if twice else arm["label"]
            if arm["whole"]:
                bounds[label] = arm["balanced_accuracy"]["mean"]
            elif arm["per_class"]:
                points.setdefault(label, []).append((arm["per_class"], arm["balanced_accuracy"]))
    return [
        (agent, points, bounds)
        for agent, (points, bounds) in agents.items()
        if len({count for its in points.values() for count, _ in its}) > 1
    ]
