"""Several recipes into one table: each runs as usual, and what they found stands side by side with the thesis' figures.

A study folder::

    <recipe>/ (a run folder each)  study.json  study.md  <recipe>[-<images per class>].svg
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.evaluation import Comparison
from roadstill.pipeline import run_recipe
from roadstill.recipes import Recipe, read_recipe, shipped_recipes
from roadstill.report import figures
from roadstill.report.verdicts import comparisons
from roadstill.runs import atomic_path, write_json

_COLOURS = {"var(--ink)": "#1c2330", "var(--line)": "#d5d9e0"}  # of the page that the drawings are made for


@dataclass(frozen=True)
class Row:
    """One arm of one comparison; shares are fractions.

    Attributes:
        recipe: its name.
        per_class: images per class; None for all.
        arm: its name.
        label: how tables name it.
        seeds: number of agents.
        balanced_accuracy: mean and standard deviation.
        accuracy: mean and standard deviation.
        auroc: mean and standard deviation.
        word: the verdict, empty for the baseline.
        difference: to the baseline, with the ends of its interval; None for the baseline.
        thesis: what the thesis has there, in its own words.
    """

    recipe: str
    per_class: int | None
    arm: str
    label: str
    seeds: int
    balanced_accuracy: tuple[float, float]
    accuracy: tuple[float, float]
    auroc: tuple[float, float]
    word: str
    difference: tuple[float, float, float] | None
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


def run_study(
    recipes: Sequence[Recipe], folder: Path, *, say: Callable[[str], None] = lambda line: None, workers: int = 2
) -> list[Row]:
    """Runs every recipe in a folder of its own, goes on where an earlier call stopped, and writes the table."""
    rows: list[Row] = []
    for recipe in recipes:
        say(f"recipe {recipe.name}")
        run = folder / recipe.name
        found = run_recipe(recipe, run, say=say, workers=workers)
        for comparison, shown in zip(found, comparisons(run) or [], strict=True):
            per_class = min(count for count in shown["about"]["per_class"].values() if count is not None)
            rows += _rows(recipe, comparison, shown["labels"], per_class)
            if shown["verdicts"]:
                name = recipe.name if len(found) == 1 else f"{recipe.name}-{per_class}"
                _draw(folder / f"{name}.svg", shown)
        # After each recipe, so that a study that is stopped shows what it has.
        write_json(folder / "study.json", {"rows": [vars(row) for row in rows]})
        with atomic_path(folder / "study.md") as path:
            path.write_text(as_markdown(rows, synthetic=not recipe.data), encoding="utf-8")
    return rows


def _rows(recipe: Recipe, found: Comparison, labels: dict[str, str], per_class: int) -> list[Row]:
    rows = []
    for name, arm in found.arms.items():
        verdict = found.verdicts.get(name)
        bound = verdict is not None and verdict.word == "bound"
        count = None if bound else per_class
        rows.append(
            Row(
                recipe=recipe.name,
                per_class=count,
                arm=name,
                label=labels.get(name, name),
                seeds=len(arm.seeds),
                balanced_accuracy=(arm.balanced_accuracy.mean, arm.balanced_accuracy.sd),
                accuracy=(arm.accuracy.mean, arm.accuracy.sd),
                auroc=(arm.auroc.mean, arm.auroc.sd),
                word="" if verdict is None else verdict.word,
                difference=None if verdict is None else (verdict.difference, verdict.low, verdict.high),
                thesis=recipe.thesis.get(name if count is None else f"{name}@{count}", ""),
            )
        )
    majority = (found.majority_accuracy, 0.0)
    label = f'always "{found.majority_class}"'
    rows.append(Row(recipe.name, per_class, "majority", label, 0, (0.5, 0.0), majority, (0.5, 0.0), "", None, ""))
    return rows


def as_markdown(rows: Sequence[Row], *, synthetic: bool) -> str:
    """The rows as tables, one for each recipe and number of images per class."""
    source = "Synthetic pictures of the built-in world" if synthetic else "Genuine driving data"
    lines = [f"{source}; percent, mean ± standard deviation over seeds, 95 % interval of the difference in brackets."]
    title = None
    for row in rows:
        if row.per_class is not None and title != (title := f"{row.recipe}, {row.per_class} images per class"):
            lines += ["", f"### {title}", "", _HEAD, "|---|---|---|---|---|---|---|"]
        cells = [row.label, str(row.seeds or ""), *map(_spread, (row.balanced_accuracy, row.accuracy, row.auroc))]
        lines.append(f"| {' | '.join([*cells, _against(row), row.thesis])} |")
    return "\n".join(lines) + "\n"


_HEAD = (
    "| trained on | seeds | balanced accuracy | accuracy | AUROC | against the baseline, balanced accuracy | "
    "thesis, accuracy on real NAVSIM |"
)


def _spread(pair: tuple[float, float]) -> str:
    return f"{100 * pair[0]:.1f} ± {100 * pair[1]:.1f}" if pair[1] else f"{100 * pair[0]:.1f}"


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
