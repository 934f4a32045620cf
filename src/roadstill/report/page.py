"""Writes ``report.html`` from the parts of a run that are on disk: one file, no network requests.

The page works without scripts; its own script, which a digest in the page's policy names, adds sorting, filters,
enlarged pictures and values under the pointer.
"""

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pyarrow import ArrowException

from roadstill.errors import UserError, one_line
from roadstill.report import figures, parts, sheets, tables, verdicts, wording
from roadstill.report.costs import minutes, stage_records
from roadstill.report.drives import drives
from roadstill.report.failures import failures
from roadstill.report.lens import Lens, teacher_of, training_part
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
    "failures",
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

    from_frames = part("source", lambda: parts.from_frames(run))
    synthetic = part("source", lambda: parts.is_synthetic(run))
    stages = part("stages", lambda: stage_records(run)) or {}
    compared = part("comparison", lambda: verdicts.comparisons(run, minutes(stages)))
    labels = {**(part("recipe", lambda: parts.recipe_labels(run)) or {}), **(compared[0]["labels"] if compared else {})}
    last = compared[-1] if compared else None
    lens = Lens(part("real frames", lambda: training_part(run)), part("teacher", lambda: teacher_of(run)))
    shown, left = part("pictures", lambda: sheets.contact_sheets(run, labels, lens)) or ([], 0)
    return {
        "name": run.resolve().name,
        "from_frames": from_frames,
        "synthetic": synthetic,
        "comparisons": compared,
        "overview": tables.overview(compared) if compared else None,
        "curves": _curves(compared) if compared else [],
        "drives": part("drives", lambda: drives(run)),
        "sheets": shown or None,
        "sheets_left": left,
        "searched": None if lens.real is None else (len(lens.real.rows), len(lens.real.images)),
        "failures": part("failures", lambda: _failures(run, labels, last)),
        "funnels": part("funnel", lambda: parts.funnels(run)),
        "problems": part("problems", lambda: parts.problems(run)),
        "heatmap": part("frames", lambda: parts.heatmap(run)),
        "schedules": part("schedules", parts.schedules),
        "noising": part("noising", lambda: _noising(run)),
        "training": part("training", lambda: parts.training(run, labels)),
        "recipe": part("recipe", lambda: parts.recipe_text(run)),
        "stages": parts.stages(stages),
        "ledger": part("test ledger", lambda: parts.ledger(run)),
        "edited": part("records", lambda: parts.edited(run)),
        "damaged": list(dict.fromkeys(damaged)),
    }


def _failures(run: Path, labels: dict[str, str], last: dict[str, Any] | None) -> Any:
    """The failures of the largest budget's agents."""
    return failures(run, labels, last["about"].get("protocol") if last else None, last["small"] if last else None)


def _curves(compared: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The name of each kind of agent with several budgets, and its figure."""
    return [
        (agent, figures.learning_curves(points, bounds, compared[0]["chance"], f"learning{place}"))
        for place, (agent, points, bounds) in enumerate(tables.curves(compared))
    ]


def _noising(run: Path) -> list[tuple[str, Any]] | None:
    path = run / "figures" / "noising.json"
    return sheets.noising_rows(run, read_record(path, NoisingRecord, REMEDY).rows) if path.is_file() else None


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("roadstill.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= wording.FILTERS | {"drawing": Markup}
    script = _own("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals |= {"style": Markup(_own("page.css")), "script": Markup(script), "script_digest": digest}
    return environment


@cache
def _own(name: str) -> str:
    """A file of this package as it stands in the page."""
    return files("roadstill.report").joinpath(name).read_text(encoding="utf-8")
