"""Several recipes into one table: each runs as usual, and what they found stands side by side with the thesis' figures.

A study folder::

    <recipe>/ (a run folder each)  study.json  study.md  <recipe>[-<images per class>].svg
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.evaluation import Comparison
from roadstill.evaluation.networks import footnote, network_table
from roadstill.evaluation.summary import Spread
from roadstill.pipeline import run_recipe
from roadstill.pipeline.changes import require_unchanged
from roadstill.protocols import PROTOCOLS
from roadstill.recipes import Recipe, read_recipe, shipped_recipes
from roadstill.report import figures
from roadstill.report.parts import in_order
from roadstill.report.verdicts import comparisons
from roadstill.runs import atomic_path, holding, write_json

_COLOURS = {"var(--ink)": "#1c2330", "var(--line)": "#d5d9e0"}  # of the page that the drawings are made for


@dataclass(frozen=True)
class Row:
    """One arm of one comparison; shares are fractions.

    Attributes:
        recipe: its name.
        agent: which of the recipe's agents; empty for the one that the headline is of.
        per_class: images per class; None for all.
        arm: its name.
        label: name of the arm in tables.
        seeds: number of agents.
        budget: images, bytes and optimiser steps; None where the runs do not say.
        balanced_accuracy: mean and standard deviation.
        classes: accuracy of each class by name, mean and standard deviation.
        chosen: balanced accuracy at the step that looking on the way would have chosen.
        brakes: brake recall and share of false brakes, each mean and standard deviation; None of sets that tell no
            braking classes.
        errors: mean absolute and root mean square error of agents that predict numbers, each with its standard
            deviation; None of others.
        fifths: mean absolute error in each fifth of the true accelerations, from the hardest braking on.
        hard_brakes: share of hard brakes that are answered as such, mean and standard deviation.
        accuracy: mean and standard deviation.
        auroc: mean and standard deviation.
        word: the verdict, empty for the baseline.
        difference: difference to the baseline, with the ends of its interval; None for the baseline.
        error_word: the verdict on the mean absolute error, empty where there is none.
        error_difference: how much less it is than the baseline's, with the ends of its interval.
        ranking: DD-Ranking's scores by name.
        thesis: the thesis' figure, as it is written there.
    """

    recipe: str
    agent: str
    per_class: int | None
    arm: str
    label: str
    seeds: int
    budget: tuple[int, float, int] | None
    balanced_accuracy: tuple[float, float]
    classes: dict[str, tuple[float, float]]
    chosen: tuple[float, float] | None
    brakes: tuple[tuple[float, float], tuple[float, float]] | None
    errors: tuple[tuple[float, float], tuple[float, float]] | None
    fifths: list[float] | None
    hard_brakes: tuple[float, float] | None
    accuracy: tuple[float, float]
    auroc: tuple[float, float]
    word: str
    difference: tuple[float, float, float] | None
    error_word: str
    error_difference: tuple[float, float, float] | None
    ranking: dict[str, float]
    thesis: str


def recipes_of(study: str, size: Any = None, **overrides: Any) -> list[Recipe]:
    """The recipes of a study: those shipped under its name or under a name that begins with it, or a recipe file.

    Raises:
        UserError: there is none; as `read_recipe`.
    """
    names = [name for name in shipped_recipes() if name == study or name.startswith(f"{study}-")]
    if not names and not Path(study).is_file():
        raise UserError(f"there is no study {study!r}; give a recipe file or one of {', '.join(shipped_recipes())}")
    return [read_recipe(name, size, **overrides) for name in names or [study]]


@holding("folder")
def run_study(
    recipes: Sequence[Recipe],
    folder: Path,
    *,
    say: Callable[[str], None] = lambda line: None,
    workers: int = 2,
    allow_leak: bool = False,
) -> list[Row]:
    """Runs every recipe in a folder of its own, goes on where an earlier call stopped, and writes the table.

    Raises:
        UserError: as `run_recipe`; if it is for a setting that has changed, nothing was done.
    """
    for recipe in recipes:
        require_unchanged(recipe, folder / recipe.name)
    rows: list[Row] = []
    for recipe in recipes:
        say(f"recipe {recipe.name}")
        run = folder / recipe.name
        found = run_recipe(recipe, run, say=say, workers=workers, allow_leak=allow_leak)
        for comparison, shown in zip(found, comparisons(run) or [], strict=True):
            rows += _rows(recipe, comparison, shown)
            if shown["verdicts"]:
                _draw(folder / f"{recipe.name}{shown['suffix']}.svg", shown)
        # After each recipe, so that a study that is stopped shows what it has.
        write_json(folder / "study.json", {"rows": [vars(row) for row in rows]})
        with atomic_path(folder / "study.md") as path:
            path.write_text(as_markdown(rows, recipes), encoding="utf-8")
    return rows


def _rows(recipe: Recipe, found: Comparison, shown: Mapping[str, Any]) -> list[Row]:
    about, rows = shown["about"], []
    per_class = min(count for count in about["per_class"].values() if count is not None)
    for name, arm in found.arms.items():
        verdict, budget = found.verdicts.get(name), arm.budget
        bound = verdict is not None and verdict.word == "bound"
        on_error = (found.errors or {}).get(name)
        count = None if bound else per_class
        rows.append(
            Row(
                recipe=recipe.name,
                agent=about["agent"] or "",
                per_class=count,
                arm=name,
                label=shown["labels"].get(name, name),
                seeds=len(arm.seeds),
                budget=None if budget is None else (budget.images, budget.bytes, budget.steps),
                balanced_accuracy=(arm.balanced_accuracy.mean, arm.balanced_accuracy.sd),
                classes={each: (its.mean, its.sd) for each, its in arm.class_accuracy.items()},
                brakes=_pair(arm.brake_recall, arm.brake_false_alarm_rate),
                errors=_pair(arm.mae, arm.rmse),
                fifths=None if arm.mae_by_fifth is None else [its.mean for its in arm.mae_by_fifth],
                hard_brakes=None if (hard := arm.hard_brake_recall) is None else (hard.mean, hard.sd),
                chosen=None if arm.chosen is None else (arm.chosen.mean, arm.chosen.sd),
                accuracy=(arm.accuracy.mean, arm.accuracy.sd),
                auroc=(arm.auroc.mean, arm.auroc.sd),
                word="" if verdict is None else verdict.word,
                difference=None if verdict is None else (verdict.difference, verdict.low, verdict.high),
                error_word="" if on_error is None else on_error.word,
                error_difference=None if on_error is None else (on_error.difference, on_error.low, on_error.high),
                ranking=about["ranking"].get(name, {}),
                thesis=about["thesis"].get(name, ""),
            )
        )
    chance = 1 / shown["classes"]
    rows.append(
        Row(
            recipe=recipe.name,
            agent=about["agent"] or "",
            per_class=per_class,
            arm="majority",
            label=f'always "{found.majority_class}"' + (", the mean of numbers" if found.mean_errors else ""),
            seeds=0,
            budget=(0, 0.0, 0),
            balanced_accuracy=(chance, 0.0),
            classes={
                each: (float(each == found.majority_class), 0.0)
                for each in next(iter(found.arms.values())).class_accuracy
            },
            brakes=None,
            errors=None if found.mean_errors is None else ((found.mean_errors[0], 0.0), (found.mean_errors[1], 0.0)),
            fifths=None,
            hard_brakes=None,
            chosen=None,
            accuracy=(found.majority_accuracy, 0.0),
            auroc=(0.5, 0.0),
            word="",
            difference=None,
            error_word="",
            error_difference=None,
            ranking={},
            thesis=about["thesis"].get("majority", ""),
        )
    )
    return rows


def _pair(first: Spread | None, second: Spread | None) -> tuple[tuple[float, float], tuple[float, float]] | None:
    return None if first is None or second is None else ((first.mean, first.sd), (second.mean, second.sd))


def as_markdown(rows: Sequence[Row], recipes: Sequence[Recipe]) -> str:
    """The rows as tables, one for each recipe, number of images per class and kind of agent."""
    by_name = {recipe.name: recipe for recipe in recipes}
    tables: dict[tuple[str, str, int], list[Row]] = {}
    count = 0
    for row in rows:  # all images stand in the table of the budget before them
        count = row.per_class or count
        tables.setdefault((row.recipe, row.agent, count), []).append(row)
    lines = ["Percent, mean ± standard deviation over seeds, 95 % interval of the difference in brackets."]
    for (name, agent, per_class), its in tables.items():
        lines += ["", *_table(its, by_name[name], agent, per_class)]
    for recipe in recipes:
        for budget in sorted({count for name, _, count in tables if name == recipe.name and recipe.others}):
            by_agent = {
                agent: its for (name, agent, count), its in tables.items() if (name, count) == (recipe.name, budget)
            }
            lines += ["", *_across(by_agent, recipe, budget)]
    return "\n".join(lines) + "\n"


def _across(tables: Mapping[str, Sequence[Row]], recipe: Recipe, per_class: int) -> list[str]:
    """The arms by each of a recipe's agents, in one table."""
    titles = {agent: agent or f"{recipe.agent.network} (the recipe's agent)" for agent in tables}
    networks = {title: recipe.agent_of(agent or None).network for agent, title in titles.items()}
    figures = {
        titles[agent]: {row.label: row.balanced_accuracy for row in its if row.seeds} for agent, its in tables.items()
    }
    refiners = {arm.label: its for name, arm in recipe.arms.items() if (its := recipe.refiners(name))}
    head, *rows = network_table(figures, networks, refiners)
    lines = [f"### {recipe.name}, {per_class} images per class, by agent", "", f"| {' | '.join(head)} |"]
    lines += [f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return [*lines, "", footnote(refiners)] if refiners else lines


def _table(rows: Sequence[Row], recipe: Recipe, agent: str, per_class: int) -> list[str]:
    protocol = PROTOCOLS[recipe.protocol]
    source = recipe.pictures
    title = f"### {recipe.name}, {per_class} images per class" + (f", agent {agent}" if agent else "")
    scores = sorted({name for row in rows for name in row.ranking})
    classes = in_order(rows[0].classes)
    classes = classes if len(classes) < 4 else []  # of ten classes each would have a column of its own
    shown: dict[str, Callable[[Row], str]] = {
        "trained on": lambda row: row.label,
        "seeds": lambda row: str(row.seeds or ""),
        "images": lambda row: f"{row.budget[0]:,}" if row.budget else "",
        "kB": lambda row: f"{row.budget[1] / 1000:,.0f}" if row.budget else "",
        "steps": lambda row: f"{row.budget[2]:,}" if row.budget else "",
        "balanced accuracy": lambda row: _spread(row.balanced_accuracy),
        **{each.replace("_", " "): lambda row, each=each: _spread(row.classes[each]) for each in classes},  # type: ignore[misc]
        "brake recall": lambda row: _spread(row.brakes[0]) if row.brakes else "",
        "false brakes": lambda row: _spread(row.brakes[1]) if row.brakes else "",
        "mean error": lambda row: _plainly(row.errors[0]) if row.errors else "",
        "RMS error": lambda row: _plainly(row.errors[1]) if row.errors else "",
        "mean error by fifths, hardest braking first": lambda row: ", ".join(f"{its:.2f}" for its in row.fifths or ()),
        "found below -3 m/s2": lambda row: _spread(row.hard_brakes) if row.hard_brakes else "",
        "accuracy": lambda row: _spread(row.accuracy),
        "AUROC": lambda row: _spread(row.auroc),
        protocol.chosen: lambda row: _spread(row.chosen) if row.chosen else "",
        "against the baseline, balanced accuracy": _against,
        "against the baseline, mean error": _error_against,
    }
    for given, columns in (
        ("brakes", ("brake recall", "false brakes")),
        ("errors", ("mean error", "RMS error", "against the baseline, mean error")),
        ("fifths", ("mean error by fifths, hardest braking first",)), ("hard_brakes", ("found below -3 m/s2",)),
    ):  # fmt: skip
        if not any(getattr(row, given) for row in rows):
            shown = {name: tell for name, tell in shown.items() if name not in columns}
    shown |= {name: lambda row, name=name: f"{row.ranking[name]:.3f}" if name in row.ranking else "" for name in scores}  # type: ignore[misc]
    if any(row.thesis for row in rows):
        shown["thesis, accuracy"] = lambda row: row.thesis
    if recipe.judged_on == "dev":
        source += "; measured on dev, to choose: no result"
    lines = [title, "", f"Protocol {protocol.name} ({protocol.says}); {source}.", ""]
    lines += [f"| {' | '.join(shown)} |", f"|{'---|' * len(shown)}"]
    return lines + [f"| {' | '.join(tell(row) for tell in shown.values())} |" for row in rows]


def _spread(pair: tuple[float, float]) -> str:
    return f"{100 * pair[0]:.1f} ± {100 * pair[1]:.1f}" if pair[1] else f"{100 * pair[0]:.1f}"


def _plainly(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.2f} ± {pair[1]:.2f}" if pair[1] else f"{pair[0]:.2f}"


def _error_against(row: Row) -> str:
    if row.error_difference is None:
        return "(baseline)" if row.seeds else ""
    less, low, high = row.error_difference
    return f"{row.error_word}: {less:+.2f} less ({low:+.2f} to {high:+.2f})"


def _against(row: Row) -> str:
    if row.difference is None:
        return "" if row.arm == "majority" else "(baseline)"
    value, low, high = (100 * part for part in row.difference)
    return f"{row.word}: {value:+.1f} points ({low:+.1f} to {high:+.1f})"


def _draw(path: Path, shown: dict[str, Any]) -> None:
    svg = figures.differences(shown["verdicts"], shown["labels"])
    for name, colour in _COLOURS.items():
        svg = svg.replace(name, colour)
    with atomic_path(path) as temporary:
        temporary.write_text(svg, encoding="utf-8")
