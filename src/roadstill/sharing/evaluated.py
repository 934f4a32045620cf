"""What the run that a set stands in found out about it, as lines for its card."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from roadstill.errors import UserError
from roadstill.imagesets.card import said
from roadstill.report.records import REMEDY, ComparisonRecord
from roadstill.runs import read_json, read_record

_PLACE = re.compile(r"seed(\d+)")
_HEAD = (
    "| agent | judged on | balanced accuracy of this arm | of the baseline | difference (95 % interval) | verdict |",
    "|---|---|---|---|---|---|",
)


def results_of(root: Path, digest: str) -> list[str]:
    """A table with a row for each kind of agent that judged the set's arm; empty where none did.

    Args:
        root: folder of the set, ``<run>/arms/<arm>/seed<k>``.
        digest: digest of the set.

    Raises:
        UserError: a damaged comparison.
    """
    root = root.resolve()
    if not _PLACE.fullmatch(root.name) or root.parent.parent.name != "arms":
        return []
    run, arm, short = root.parents[2], root.parent.name, root.parent.name.partition("@")[0]
    rows: list[str] = []
    remarks: list[str] = []
    for path in sorted(run.glob("comparison*.json")):
        found = read_record(path, ComparisonRecord, REMEDY)
        of_agent = f"runs-{found.about.agent}" if found.about.agent else "runs"
        judged = run / of_agent / found.about.judged_on / arm / root.name / "run.json"
        if short in found.arms and _is_of(judged, digest):
            rows.append(_row(found, short))
            if (verdict := found.verdicts.get(short)) is not None:
                remarks.append(verdict.sentence)
            remarks += found.caveats
    if not rows:
        return []
    return ["\n".join([*_HEAD, *rows]), *_told(remarks)]


def _is_of(path: Path, digest: str) -> bool:
    """Whether a run's record says that its agent was trained on the set of this digest."""
    try:
        about = read_json(path).get("about")
    except (UserError, AttributeError):
        return False
    return isinstance(about, dict) and about.get("set") == digest


def _row(found: ComparisonRecord, arm: str) -> str:
    its, base = found.arms[arm].balanced_accuracy, found.arms.get(found.baseline)
    seeds = len(found.arms[arm].seeds)
    verdict = found.verdicts.get(arm)
    about = found.about
    place = f"{about.judged_on} ({found.num_images:,} images, {found.num_clusters:,} {found.cluster_by}s)"
    difference = "" if verdict is None else (
        f"{100 * verdict.difference:+.1f} ({100 * verdict.low:+.1f} to {100 * verdict.high:+.1f})"
    )  # fmt: skip
    cells = (
        about.network or about.agent or "", place, f"{100 * its.mean:.1f} ± {100 * its.sd:.1f} % ({seeds} seeds)",
        "" if base is None else f"{100 * base.balanced_accuracy.mean:.1f} % ({found.baseline})", difference,
        "baseline" if verdict is None else verdict.word,
    )  # fmt: skip
    return f"| {' | '.join(said(each) for each in cells)} |"


def _told(remarks: Sequence[str]) -> Iterator[str]:
    """Each remark once, as a list."""
    if remarks:
        yield "\n".join(f"- {said(each)}" for each in dict.fromkeys(remarks))
