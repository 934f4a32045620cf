"""The comparison as the page shows it: arms with labels and the thesis' figures, verdicts, headline."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from roadstill.errors import UserError
from roadstill.evaluation.verdicts import FEW_SEEDS, head
from roadstill.protocols import PROTOCOLS
from roadstill.report import figures, strata
from roadstill.report.costs import Minutes
from roadstill.report.parts import in_order, recipe_fields
from roadstill.report.records import REMEDY, ComparisonRecord
from roadstill.runs import read_json, typed

_MOST_CLASSES = 4  # more classes get no columns and bars
WORDS = ("better", "worse", "cannot be told apart")
Costs = Mapping[tuple[str, str], Minutes]


def comparisons(run: Path, spent: Costs = MappingProxyType({})) -> list[dict[str, Any]] | None:
    """Every ``comparison*.json``, one for each budget and agent, the smallest first; ``None`` without any.

    Args:
        run: the run folder.
        spent: minutes of its arms, as `roadstill.report.costs.minutes` gives them.
    """
    found = [_comparison(run, path, spent) for path in sorted(run.glob("comparison*.json"))]
    return sorted(found, key=lambda each: (each["small"], each["about"].get("agent") or "")) or None


def _comparison(run: Path, path: Path, spent: Costs) -> dict[str, Any]:
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
    verdicts = [verdict_named(verdict, labels) for verdict in found["verdicts"].values()]
    thesis = about.get("thesis", {})
    small = {count for name in found["arms"] if (count := budgets.get(name)) is not None}
    for arm in arms:
        own = [verdict for verdict in verdicts if verdict["arm"] == arm["name"]]
        arm |= {"verdict": own[0] if own else None, "thesis": thesis.get(arm["name"])}
        kinds = [
            (f"{arm['name']}@{arm['per_class']}", about.get("agent") or ""),
            (arm["name"], about.get("agent") or ""),
        ]
        arm["minutes"] = next((spent[kind] for kind in kinds if kind in spent), None)
    suffix = path.stem.removeprefix("comparison")
    title = [f"{min(small)} images per class"] if len(small) == 1 else []
    title += [f"agent {about['agent']}"] if about.get("agent") else []
    sure = [arm for arm in arms if arm["reliability"]]
    return found | {
        "about": about,
        "thesis": thesis,
        "part": about.get("judged_on", "test"),
        "caveats": [named(caveat, labels) for caveat in found.get("caveats", [])],
        "small": min(small, default=0),
        "suffix": suffix,
        "title": ", ".join(title),
        "protocol": PROTOCOLS.get(str(about.get("protocol"))),
        "scores": sorted({name for scores in about.get("ranking", {}).values() for name in scores}),
        "arms": arms,
        "class_names": shown,
        "classes": max(2, len(names)),
        "errors": [verdict_named(verdict, labels) for verdict in (found.get("errors") or {}).values()],
        "braking": all(arm["brake_recall"] and arm["brake_false_alarm_rate"] for arm in arms),
        "rates": list(arms[0].get("miss_rate") or {}) if arms else [],
        "strata": strata.tables(arms),
        "confusions": _confusions(arms, names),
        "chance": chance,
        "verdicts": verdicts,
        "labels": labels,
        "headline": headline(verdicts, labels),
        "dots": figures.seed_dots(arms, chance, f"dots{suffix}"),
        "bars": figures.class_bars(arms, shown, f"classes{suffix}") if shown else "",
        "differences": figures.differences(verdicts, labels, f"differences{suffix}") if verdicts else "",
        "reliability": figures.reliability(sure, f"reliability{suffix}") if sure else "",
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
    per_class = budgets.get(name)
    if name in budgets:
        words = ("all images" if per_class is None else f"{per_class} images a class") + ", " + words
    empty = dict.fromkeys(
        (
            "budget",
            "chosen",
            "brake_recall",
            "brake_false_alarm_rate",
            "mae",
            "rmse",
            "mae_by_fifth",
            "hard_brake_recall",
            "confusion",
            "reliability",
        )
    )
    whole = name in budgets and per_class is None
    own = {"name": name, "label": labels.get(name, name), "words": words, "per_class": per_class, "whole": whole}
    return {**empty, **arm, **own}


def verdict_named(verdict: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """A verdict that speaks of arms by their labels, and the number of seeds if these are a weak basis."""
    seeds = len(verdict.get("seeds") or ())
    sentence = verdict["sentence"]
    if "arm" in verdict and "baseline" in verdict:
        arm, baseline = verdict["arm"], verdict["baseline"]
        begins = head(verdict["word"], arm, baseline)
        if sentence.startswith(begins):
            ours = head(verdict["word"], labels.get(arm, arm), labels.get(baseline, baseline))
            sentence = ours + sentence.removeprefix(begins)
    return {**verdict, "sentence": sentence, "weak": seeds if 0 < seeds < FEW_SEEDS else 0}


def named(text: str, labels: Mapping[str, str]) -> str:
    """A sentence that begins with an arm's name, with its label instead."""
    begins = next((name for name in labels if re.match(re.escape(name) + r"[ :]", text)), "")
    return labels[begins] + text.removeprefix(begins) if begins else text


def _confusions(arms: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Arms that record their answers by class: rows of a true class, its answers in the tables' order of classes."""
    tables = []
    for arm in arms:
        if not arm["confusion"]:
            continue
        known = list(arm["class_accuracy"])
        order = [known.index(name) for name in names if name in known]
        rows = [[arm["confusion"][true][said] for said in order] for true in order]
        shown = [known[place].replace("_", " ") for place in order]
        tables.append({"label": arm["label"], "names": shown, "rows": list(zip(shown, rows, strict=True))})
    return tables


def headline(verdicts: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> list[tuple[str, list[str], str, int]]:
    """Groups (baseline, arms, verdict, seeds) in a fixed order, so that every outcome has the same prominence.

    The number of seeds is 0 unless it is so small that the basis is weak. A bound (all images) is left out: it has
    another budget, so it does not compete.
    """
    groups: dict[tuple[str, str, int], list[str]] = {}
    for verdict in verdicts:
        if verdict["word"] == "bound":
            continue
        key = (labels.get(verdict["baseline"], verdict["baseline"]), verdict["word"], verdict.get("weak", 0))
        groups.setdefault(key, []).append(labels.get(verdict["arm"], verdict["arm"]))
    order = {word: place for place, word in enumerate(WORDS)}
    rows = [(baseline, arms, word, weak) for (baseline, word, weak), arms in groups.items()]
    return sorted(rows, key=lambda row: (row[0], order.get(row[2], len(order)), row[3]))
