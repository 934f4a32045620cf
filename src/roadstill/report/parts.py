"""Reads the parts of a run folder for the page. A missing part is returned as ``None``."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.evaluation import LEDGER, RECORDS, chain, read_book, read_ledger, unentered
from roadstill.frames import CLASS_NAMES
from roadstill.frames.filters import Funnel, FunnelRow
from roadstill.report import curves
from roadstill.report.drawing import colour_of
from roadstill.report.records import REMEDY, MotionRecord, PartAbout, StageRecord
from roadstill.runs import parse_yaml, read_metrics, read_record
from roadstill.runs.records import read_text
from roadstill.runs.yamls import MOST_BYTES
from roadstill.schedules import linear, spoon_cosine


def recipe_text(run: Path) -> str | None:
    """The text of the resolved recipe."""
    path = run / "recipe.yaml"
    return read_text(path, MOST_BYTES) if path.exists() else None


def recipe_fields(run: Path) -> dict[str, Any]:
    """The recipe's fields; empty without a recipe."""
    fields = parse_yaml(recipe_text(run) or "{}", "recipe.yaml")
    if not isinstance(fields, dict):
        raise UserError("recipe.yaml contains no recipe; run `roadstill run` again")
    return fields


def recipe_labels(run: Path) -> dict[str, str]:
    """The arms' names on the page, as far as a recipe gives them."""
    arms = recipe_fields(run).get("arms")
    given = arms.items() if isinstance(arms, dict) else ()
    return {str(name): str(arm.get("label", name)) for name, arm in given if isinstance(arm, dict)}


def is_synthetic(run: Path) -> bool:
    """Whether the frames come from the built-in world, by the sets' or comparison's record, or a ``world.json``."""
    for place in ("sets/train/set.json", "sets/dev/set.json", "sets/test/set.json", "comparison.json"):
        path = run / place
        if path.is_file() and "synthetic" in (about := read_record(path, PartAbout, REMEDY).about):
            return bool(about["synthetic"])
    return (run / "world.json").is_file() or (run / "world" / "world.json").is_file()


def from_frames(run: Path) -> bool:
    """Whether the run's pictures are frames of an index, and not pictures that are taken as they are."""
    return recipe_fields(run).get("source", "navsim") == "navsim" or (run / "index").is_dir()


def in_order(class_names: Iterable[str]) -> list[str]:
    """The classes as tables show them: the hardest brake first, since a missed brake is the worse mistake."""
    names = list(class_names)
    if names and names[-1].startswith("below_"):
        return names[::-1]
    return sorted(reversed(names), key=lambda name: name != "brake") if "brake" in names else names


def funnels(run: Path) -> dict[str, list[dict[str, Any]]] | None:
    """Rows of the filter funnels by title: rule, frames left, and name, count, share and colour of each class.

    Shares are in percent of the largest row's frames. A test part that was selected separately has its own funnel.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for title, folder in (("Filter funnel", "index"), ("Filter funnel of the test part", "index-test")):
        path = run / folder / "funnel.json"
        if path.is_file():
            rows = Funnel.load(path).rows
            most = max([1, *(row.left for row in rows)])
            found[title] = [{"rule": row.rule, "left": row.left, "classes": _classes(row, most)} for row in rows]
    return found or None


def _classes(row: FunnelRow, most: int) -> list[dict[str, Any]]:
    return [
        {
            "name": name.replace("_", " "),
            "count": row.classes[name],
            "share": 100 * row.classes[name] / most,
            "colour": colour_of(place),
        }
        for place, name in enumerate(in_order(row.classes))
    ]


def problems(run: Path, show: int = 8) -> tuple[int, list[str]] | None:
    """Number of problems that the index step recorded, and the first few lines."""
    path = run / "index" / "problems.txt"
    if not path.is_file():
        return None
    lines = read_text(path).splitlines()
    return len(lines), lines[:show]


def heatmap(run: Path) -> str | None:
    """Heatmap of speed and acceleration of all scenes; the outer cells include what lies beyond."""
    path = run / "index" / "motion.json"
    if not path.is_file():
        return None
    counts = np.array(read_record(path, MotionRecord, REMEDY).counts, np.int64)
    index = recipe_fields(run).get("index")
    asked = index.get("filter") if isinstance(index, dict) else None
    asked = asked if isinstance(asked, dict) else {}
    least_accel, least_speed = asked.get("min_abs_accel_mps2", 1.0), asked.get("min_speed_mps", 3.0)
    funnel = run / "index" / "funnel.json"
    names = next((set(row.classes) for row in Funnel.load(funnel).rows), None) if funnel.is_file() else None
    braking = names in (None, set(CLASS_NAMES))
    return curves.motion_heatmap(counts, least_accel or 0.0, least_speed or 0.0, names_areas=braking)


def schedules() -> tuple[str, str]:
    """Curves of the linear schedule and of Scos^6 ... Scos^2, which do not depend on the run."""
    betas = {"linear": linear().numpy()}
    betas |= {f"spoon, power {power}": spoon_cosine(power=power).numpy() for power in (6, 5, 4, 3, 2)}
    return curves.schedule_curves(betas)


def training(run: Path, labels: Mapping[str, str]) -> list[tuple[str, str]] | None:
    """Pairs (title, figure) of the loss and of every criterion term, over all fine-tunings of the run."""
    found = {path.parent.name: read_metrics(path) for path in sorted(run.glob("finetune/*/metrics.jsonl"))}
    titles = {name: labels.get(name, name) for name in found}
    if len(set(titles.values())) < len(titles):
        titles = {name: name for name in found}
    logs = {titles[name]: rows for name, rows in found.items() if rows}
    if not logs:
        return None
    skip = {"step", "seconds", "lr", "progress", "grad_norm", "epoch"}
    seen = {key for rows in logs.values() for key, value in rows[-1].items() if isinstance(value, (int, float))}
    drawn = []
    for metric in ["loss", *sorted(seen - skip - {"loss"})]:
        runs = {name: curve for name, rows in logs.items() if len((curve := _curve(rows, metric))[0])}
        if runs:
            drawn.append((metric, curves.metric_curves(f"metric-{metric}", metric.replace("_", " "), runs, list(logs))))
    return drawn


def _curve(
    rows: Sequence[Mapping[str, Any]], metric: str, most: int = 200
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and values of one metric, averaged in blocks so that at most ``most`` points are left."""
    kept = [(row["step"], row[metric]) for row in rows if isinstance(row.get(metric), (int, float)) and "step" in row]
    points = np.array(kept, float).reshape(-1, 2)
    block = -(-len(points) // most) or 1
    cuts = np.arange(0, len(points), block)
    sums = np.add.reduceat(points, cuts) if len(points) else points
    means = sums / np.diff([*cuts, len(points)])[:, None] if len(points) else points
    return means[:, 0], means[:, 1]


def stages(records: Mapping[str, StageRecord]) -> tuple[list[tuple[str, int, float]], dict[str, str]] | None:
    """Rows (stage, number, seconds), stages that differ only in the seed in one row; versions of the software used."""
    if not records:
        return None
    counts: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    versions: dict[str, str] = {}
    for name, record in sorted(records.items(), key=lambda item: _place_of(item[0])):
        stem = re.sub(r"-\d+$", "", name)
        counts[stem] += 1
        seconds[stem] += record.seconds
        versions |= record.versions
    return [(stem, count, seconds[stem]) for stem, count in counts.items()], dict(sorted(versions.items()))


_STAGES = ("world", "index", "sets", "encode", "pretrain", "finetune", "teacher", "set", "agent")


def _place_of(stage: str) -> tuple[int, str]:
    """Where a stage stands in a run, by its name, whatever the clock said when it was done."""
    kind = stage.partition("-")[0]
    return (_STAGES.index(kind) if kind in _STAGES else len(_STAGES)), stage


def ledger(run: Path, show: int = 12) -> dict[str, Any] | None:
    """Number of openings of the test part, by configuration, and the last openings."""
    path = run / LEDGER
    if not path.is_file():
        return None
    rows = read_ledger(path)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    configs = Counter(str(row.get("config", "not named")) for row in rows)
    cells = [[row.get(column, "") for column in columns] for row in rows[-show:]]
    unchained = chain.read(path).unchained
    return {"count": len(rows), "columns": columns, "rows": cells, "configs": dict(configs), "unchained": unchained}


def edited(run: Path) -> dict[str, list[str]]:
    """What the chains of a run's records show: broken places, files that were edited, that are gone, or unknown."""
    book = read_book(run / RECORDS)
    broken = list(dict.fromkeys([*book.broken, *chain.read(run / LEDGER).faults]))
    return {"broken": broken, "changed": book.changed, "removed": book.removed, "unknown": unentered(run, book)}
