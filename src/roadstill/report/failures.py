"""What the agents of a run got wrong most often: frames with their causes, from the predictions that runs keep.

Frames of the dev part are shown, so that nobody chooses by looking at the test part; of a protocol that looks at the
test part anyway, and so has no dev part, those of the test part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.evaluation import Run, open_run
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.protocols import PROTOCOLS
from roadstill.report.captions import Tile, class_of, lines_of, motion_of, picture
from roadstill.report.records import REMEDY

TILES = 5  # of a cause
_MOST_CAUSES = 6  # of a class
_MOST_CLASSES = 4
_MOST_RUNS = 400
_KINDS = ("cause", "light", "weather", "location", "town", "command")  # the first that differs between frames


@dataclass(frozen=True)
class Cause:
    """Frames of one class and cause.

    Attributes:
        name: the cause, or another fact where no causes are known; empty if there is none.
        frames: number of its frames.
        wrong: share of wrong answers on them, over all agents.
        tiles: frames that most agents got wrong, the worst first.
    """

    name: str
    frames: int
    wrong: float
    tiles: list[Tile]


@dataclass(frozen=True)
class Failures:
    """What the agents got wrong.

    Attributes:
        part: "dev" or "test".
        kind: fact that the frames are grouped by.
        arms: label of each arm by the mark of its tiles.
        agents: number of agents.
        classes: causes of each class, the class with most wrong answers first, the same of causes.
    """

    part: str
    kind: str
    arms: dict[str, str]
    agents: int
    classes: dict[str, list[Cause]]


@dataclass(frozen=True)
class _Arm:
    """The answers of an arm's agents: class ``[runs, n]``, and mean probability of the true class ``[n]``."""

    label: str
    answers: NDArray[np.int64]
    sure: NDArray[np.float64]


def failures(run: Path, labels: Mapping[str, str], protocol: str | None, budget: int | None) -> Failures | None:
    """The frames that agents of the recipe's own kind got wrong; None if the run keeps no predictions of a part.

    Args:
        run: the run folder.
        labels: labels of the arms.
        protocol: name of the protocol, as the comparison tells it.
        budget: images per class of the arms that are looked at, where the run has several.

    Raises:
        UserError: damaged runs or sets, predictions of another set.
    """
    part = _part(run, protocol)
    if part is None:
        return None
    images = open_imageset(run / "sets" / part)
    arms = _arms(run / "runs" / part, images, labels, budget)
    if not arms:
        return None
    wrong = np.stack([(arm.answers != images.labels).mean(0) for arm in arms]).mean(0)
    sure = np.mean([arm.sure for arm in arms], axis=0)
    kind = next((each for each in _KINDS if len({str(fact.get(each)) for fact in images.facts}) > 1), "")
    classes: dict[str, list[Cause]] = {}
    shares = {label: float(wrong[images.labels == label].mean()) for label in set(images.labels.tolist())}
    for label in sorted(shares, key=lambda each: (-shares[each], -each))[:_MOST_CLASSES]:
        rows = np.flatnonzero(images.labels == label)
        names = np.array([str(images.facts[row].get(kind) or "") for row in rows.tolist()])
        causes = [_cause(images, name, rows[names == name], wrong, sure, arms) for name in sorted(set(names.tolist()))]
        causes = sorted((each for each in causes if each.tiles), key=lambda each: -each.wrong * each.frames)
        if causes:
            classes[images.class_names[label].replace("_", " ")] = causes[:_MOST_CAUSES]
    named = {f"arm{place}": arm.label for place, arm in enumerate(arms)}
    return Failures(part, kind, named, sum(len(arm.answers) for arm in arms), classes)


def _part(run: Path, protocol: str | None) -> str | None:
    """The part whose frames may be shown."""
    known = PROTOCOLS.get(str(protocol))
    parts = ["dev", "test"] if known is not None and known.watched == "test" else ["dev"]
    has = (part for part in parts if (run / "runs" / part).is_dir() and (run / "sets" / part / "set.json").is_file())
    return next(has, None)


def _arms(folder: Path, images: ImageSet, labels: Mapping[str, str], budget: int | None) -> list[_Arm]:
    found, left, order = [], _MOST_RUNS, list(labels)
    there = sorted(path.name for path in folder.iterdir() if path.is_dir())
    there.sort(key=lambda name: order.index(arm) if (arm := name.partition("@")[0]) in order else len(order))
    for name in there:
        arm, _, count = name.partition("@")
        if count and count != str(budget):
            continue
        paths = sorted(path.parent for path in (folder / name).glob("seed*/run.json"))[:left]
        left -= len(paths)
        runs = [open_run(path) for path in paths]
        if runs:
            found.append(_answers(labels.get(arm, arm), runs, images))
    return found


def _answers(label: str, runs: Sequence[Run], images: ImageSet) -> _Arm:
    for run in runs:
        if run.evaluation.images != images.digest or len(run.evaluation.labels) != len(images):
            raise UserError(f"predictions of {label}, seed {run.seed}, are not of {images.root}; {REMEDY}")
    rows = np.arange(len(images))
    return _Arm(
        label=label,
        answers=np.stack([run.evaluation.probabilities.argmax(1) for run in runs]),
        sure=np.mean([run.evaluation.probabilities[rows, images.labels] for run in runs], axis=0),
    )


def _cause(
    images: ImageSet, name: str, rows: NDArray[np.int64], wrong: NDArray[np.float64], sure: NDArray[np.float64],
    arms: Sequence[_Arm],
) -> Cause:  # fmt: skip
    """The frames of a cause; of equally often wrong ones those first whose class was given least probability."""
    worst = rows[np.lexsort((rows, sure[rows], -wrong[rows]))]
    tiles = [_tile(images, int(row), arms) for row in worst[:TILES] if wrong[row] > 0]
    return Cause(name.replace("_", " "), len(rows), float(wrong[rows].mean()), tiles)


def _tile(images: ImageSet, row: int, arms: Sequence[_Arm]) -> Tile:
    label = int(images.labels[row])
    given = np.concatenate([arm.answers[:, row] for arm in arms])
    most = int(np.bincount(given[given != label]).argmax())
    answer = images.class_names[most].replace("_", " ")
    count = f"{int((given != label).sum())} of {len(given)}"
    lines = [("label", class_of(images, row)), ("wrong answers", f"{count}, mostly {answer}")]
    for arm in arms:
        missed = int((arm.answers[:, row] != label).sum())
        lines.append((arm.label, f"{missed} of {len(arm.answers)} wrong, gives its class {arm.sure[row]:.2f}"))
    lines += lines_of(images.facts[row])
    marks = tuple(f"arm{place}" for place, arm in enumerate(arms) if (arm.answers[:, row] != label).mean() >= 0.5)
    uri, size_px = picture(images, row)
    caption = f"{count} wrong" + (f", {motion}" if (motion := motion_of(images.facts[row])) else "")
    alt = f"{class_of(images, row)}, {count} answers wrong, mostly {answer}"
    return Tile(uri, size_px, alt, caption, tuple(lines), None, marks)
