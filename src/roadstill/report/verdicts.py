"""The comparison as the page shows it: arms with labels and the thesis' figures, verdicts, headline."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.protocols import PROTOCOLS
from roadstill.report import figures
from roadstill.report.parts import in_order, recipe_fields
from roadstill.report.records import REMEDY, ComparisonRecord
from roadstill.runs import read_json, typed

_MOST_CLASSES = 4  # more classes get no columns and bars
WORDS = ("better", "worse", "cannot be told apart")


def comparisons(run: Path) -> list[dict[str, Any]] | None:
    """Every ``comparison*.json``, one for each budget and agent, the smallest first; ``None`` without any."""
    found = [_comparison(run, path) for path in sorted(run.glob("comparison*.json"))]
    return sorted(found, key=lambda each: (each["small"], each["about"].get("agent") or "")) or None


def _comparison(run: Path, path: Path) -> dict[str, Any]:
    """One comparison with labels, budgets, thesis rows, figures and headline; the suffix makes figure ids unique."""
    if not re.fullmatch(r"comparison(-[a-z0-9]+)*\.json", path.name):
        raise UserError(f"{path.name!a} is no name of a comparison; rename or remove it")
    found = read_json(path)
    typed(found, ComparisonRecord, str(path), REMEDY)
    about = found.get("about", {})
    labels, budgets = _asked(run, about)
    arms = [_arm(name, arm, labels, budgets) for name, arm in found["arms"].items()]
    labels = {arm["name"]: arm["label"] for arm in arms}
    names = in_order(dict.fromkeys(name for arm in arms for name in arm["class_accuracy"]))
    chance = 1 / max(2, len(names))
    shown = names if len(names) <= _MOST_CLASSES else []
    verdicts = list(found["verdicts"].values())
    thesis = about.get("thesis", {})
    for arm in arms:
        arm |= {"verdict": found["verdicts"].get(arm["name"]), "thesis": thesis.get(arm["name"])}
    small = {count for name in found["arms"] if (count := budgets.get(name)) is not None}
    suffix = path.stem.removeprefix("comparison")
    title = [f"{min(small)} images per class"] if len(small) == 1 else []
    title += [f"agent {about['agent']}"] if about.get("agent") else []
    return found | {
        "about": about,
        "thesis": thesis,
        "part": about.get("judged_on", "test"),
        "caveats": found.get("caveats", []),
        "small": min(small, default=0),
        "suffix": suffix,
        "title": ", ".join(title),
        "protocol": PROTOCOLS.get(str(about.get("protocol"))),
        "scores": sorted({name for scores in about.get("ranking", {}).values() for name in scores}),
        "arms": arms,
        "class_names": shown,
        "classes": max(2, len(names)),
        "errors": list((found.get("errors") or {}).values()),
        "braking": all(arm["brake_recall"] and arm["brake_false_alarm_rate"] for arm in arms),
        "rates": list(arms[0].get("miss_rate") or {}) if arms else [],
        "strata": _strata(arms),
        "chance": chance,
        "verdicts": verdicts,
        "labels": labels,
        "headline": headline(verdicts, labels),
        "dots": figures.seed_dots(arms, chance, f"dots{suffix}"),
        "bars": figures.class_bars(arms, shown, f"classes{suffix}") if shown else "",
        "differences": figures.differences(verdicts, labels, f"differences{suffix}") if verdicts else "",
    }


def _asked(run: Path, about: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, int | None]]:
    """Labels and images per class by arm, from the comparison, else from the recipe."""
    recipe = recipe_fields(run)
    arms = recipe.get("arms") or {}
    labels = {name: arm.get("label", name) for name, arm in arms.items()}
    budgets = {name: None if arm.get("kind") == "full" else recipe.get("per_class") for name, arm in arms.items()}
    return labels | about.get("labels", {}), budgets | about.get("per_class", {})


def _arm(
    name: str, arm: Mapping[str, Any], labels: Mapping[str, str], budgets: Mapping[str, int | None]
) -> dict[str, Any]:
    words = f"{len(arm['seeds'])} seeds" if len(arm["seeds"]) != 1 else "1 seed"
    if name in budgets:
        per_class = budgets[name]
        words = ("all images" if per_class is None else f"{per_class} images a class") + ", " + words
    empty = dict.fromkeys(("budget", "chosen", "brake_recall", "brake_false_alarm_rate", "mae", "rmse"))
    return {**empty, **arm, "name": name, "label": labels.get(name, name), "words": words}


def _strata(arms: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of strata by kind, with images and the arms' scores; a kind with a single name is left out."""
    found = arms[0].get("strata") or {} if arms else {}
    return {
        kind: [
            {
                "name": name,
                "images": row["images"],
                "scores": [arm["strata"][kind][name]["balanced_accuracy"] for arm in arms],
            }
            for name, row in sorted(names.items(), key=lambda item: -item[1]["images"])
        ]
        for kind, names in found.items()
        if len(names) > 1
    }


def headline(verdicts: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> list[tuple[str, list[str], str]]:
    """Groups (baseline, arms, verdict) in a fixed order, so that every outcome has the same prominence.

    A bound (all images) is left out: it has another budget, so it does not compete.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        if verdict["word"] == "bound":
            continue
        key = (labels.get(verdict["baseline"], verdict["baseline"]), verdict["word"])
        groups.setdefault(key, []).append(labels.get(verdict["arm"], verdict["arm"]))
    order = {word: place for place, word in enumerate(WORDS)}
    rows = [(baseline, arms, word) for (baseline, word), arms in groups.items()]
    return sorted(rows, key=lambda row: (row[0], order.get(row[2], len(order))))
