"""Writes ``report.html`` from the parts of a run that are on disk: one file, no scripts, no network requests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pyarrow import ArrowException

from roadstill.errors import UserError, one_line
from roadstill.report import parts, sheets, verdicts
from roadstill.report.drives import drives
from roadstill.report.records import REMEDY, NoisingRecord
from roadstill.runs import atomic_path, read_record, require_folder

_DAMAGED = (UserError, ArrowException, OSError, KeyError, TypeError, ValueError)


def write_report(run: Path, *, say: Callable[[str], None] = lambda line: None) -> Path:
    """Writes ``report.html`` into a run folder from the files in it.

    Every part is optional: a missing one is named together with the verb that makes it, a damaged one together
    with what is wrong. The same files give the same bytes.

    Args:
        run: the run folder.
        say: callback for one line on each damaged part.

    Raises:
        UserError: ``run`` is not a folder, is empty, or contains no part of a run.
    """
    run = require_folder(Path(run), "a run folder (made by roadstill demo or roadstill run)")
    context = gather(run)
    if all(context[name] is None for name in _FROM_DISK) and not context["damaged"]:
        raise UserError(f"{run} contains no part of a run; give the folder that roadstill demo or roadstill run wrote")
    for line in context["damaged"]:
        say(line)
    out = run / "report.html"
    with atomic_path(out) as temporary:
        temporary.write_text(_environment().get_template("page.html").render(context), encoding="utf-8")
    return out


_FROM_DISK = (
    "comparisons",
    "drives",
    "sheets",
    "funnels",
    "heatmap",
    "noising",
    "training",
    "recipe",
    "stages",
    "ledger",
)


def gather(run: Path) -> dict[str, Any]:
    """Everything that the template shows; ``damaged`` lists the parts that are on disk but cannot be read."""
    damaged: list[str] = []

    def part(name: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except _DAMAGED as error:
            reason = " ".join(str(error).split())
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__} "
            damaged.append(f"{name}: {one_line(kind + reason)[:500]}")
            return None

    compared = part("comparison", lambda: verdicts.comparisons(run))
    labels = compared[0]["labels"] if compared else {}
    return {
        "name": run.resolve().name,
        "from_frames": part("source", lambda: parts.from_frames(run)),
        "synthetic": part("source", lambda: parts.is_synthetic(run)),
        "comparisons": compared,
        "drives": part("drives", lambda: drives(run)),
        "sheets": part("pictures", lambda: sheets.contact_sheets(run, labels) or None),
        "funnels": part("funnel", lambda: parts.funnels(run)),
        "problems": part("problems", lambda: parts.problems(run)),
        "heatmap": part("frames", lambda: parts.heatmap(run)),
        "schedules": part("schedules", parts.schedules),
        "noising": part("noising", lambda: _noising(run)),
        "training": part("training", lambda: parts.training(run)),
        "recipe": part("recipe", lambda: parts.recipe_text(run)),
        "stages": part("stages", lambda: parts.stages(run)),
        "ledger": part("test ledger", lambda: parts.ledger(run)),
        "edited": part("records", lambda: parts.edited(run)),
        "damaged": damaged,
    }


def _noising(run: Path) -> list[tuple[str, Any]] | None:
    path = run / "figures" / "noising.json"
    return sheets.noising_rows(run, read_record(path, NoisingRecord, REMEDY).rows) if path.is_file() else None


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("roadstill.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "percent": percent,
        "spread": spread,
        "chance": chance,
        "plainly": plainly,
        "drawing": Markup,
        "cell": cell,
    }
    return environment


def percent(share: float | None) -> str:
    """0.744 -> ``74.4``; a dash for None."""
    return "–" if share is None else f"{100 * share:.1f}"


def spread(score: dict[str, float] | None) -> str:
    """``74.4 ± 2.4``, or only the mean without a standard deviation."""
    if not score or score.get("mean") is None:
        return "–"
    return percent(score["mean"]) + (f" ± {percent(score['sd'])}" if score.get("sd") is not None else "")


def plainly(score: dict[str, float] | None) -> str:
    """``0.74 ± 0.02``: numbers as they are, not in percent."""
    return "–" if not score else f"{score['mean']:.2f} ± {score.get('sd', 0.0):.2f}"


def chance(p: float) -> str:
    """A p value with three digits, or ``p < 0.001``."""
    return f"p\u00a0=\u00a0{p:.3f}" if p >= 0.001 else "p\u00a0<\u00a00.001"


def cell(value: Any) -> str:
    """A value of the ledger as short text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 160 else text[:159] + "…"
