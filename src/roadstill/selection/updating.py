"""Keeping a selected set current: the same selector, the same budget, further frames, and as few changes as it takes.

The selector chooses anew among the old set's pictures and the new frames. That choice only proposes: a picture of the
old set goes for one of the proposal as long as an exchange lowers the selector's own cost by a given share. If the
exchanges end where the proposal is still better by more than that share, the proposal is taken as it is. So the result
is never worse than choosing anew by more than the share, and never changes more than choosing anew does.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.imagesets.records import SOURCE_IMAGE
from roadstill.runs import seed_of
from roadstill.selection.base import Method, Selector, pick_rows
from roadstill.selection.costs import Cost, cost_of
from roadstill.selection.distinct import Distinct, around_mean, distinct
from roadstill.selection.features import features_of
from roadstill.selection.offered import Candidates, candidates_of, weighing
from roadstill.selection.per_drive import PerDriveRandom
from roadstill.selection.random import Random
from roadstill.selection.recorded import Made

MIN_GAIN = 0.01
CHANCE, RANKED, EXCHANGED, ANEW = "drawn", "ranked", "exchanged", "anew"
WHY = {
    CHANCE: "drawn, so that every frame ever offered had the same chance",
    RANKED: "ranked above those that went",
    EXCHANGED: "exchanged, one by one, as long as the cost fell",
    ANEW: "taken all at once, as single exchanges did not reach the choice made anew",
}
"""Why pictures changed, in words."""
_TINY = 1e-12


@dataclass(frozen=True)
class Change:
    """One picture that went and the one that came.

    Attributes:
        label: label of both.
        out: name of the picture that went: its token, its path in the source, or its digest.
        came: name of the one that came.
        cost: selector's cost after this change; None where it has none.
    """

    label: int
    out: str
    came: str
    cost: float | None = None


@dataclass(frozen=True)
class Class:
    """What became of a class.

    Attributes:
        name: its name.
        new: number of new frames of it.
        why: why pictures changed, one of `WHY`.
        changes: what went and what came.
        before: cost of the old pictures among all candidates; None where the selector has no cost.
        after: cost of the updated ones.
        anew: cost of a choice made anew.
    """

    name: str
    new: int
    why: str
    changes: tuple[Change, ...]
    before: float | None = None
    after: float | None = None
    anew: float | None = None


@dataclass(frozen=True)
class Updated:
    """An updated set, over the files where they lie, and what became of each class."""

    images: ImageSet
    classes: tuple[Class, ...]

    @property
    def changed(self) -> int:
        """Number of pictures that changed."""
        return sum(len(each.changes) for each in self.classes)


def update(
    images: ImageSet,
    new: ImageSet,
    made: Made,
    method: Method,
    *,
    before: Sequence[ImageSet] = (),
    min_gain: float = MIN_GAIN,
) -> Updated:
    """The set with those pictures exchanged for new frames that its selector gains from.

    Args:
        images: selected set of real frames.
        new: further frames of the same classes and size; those that are known already are left out.
        made: how the set was selected, see `made_by`.
        method: that selector.
        before: sets that it was selected from, all of them. Without them each picture of the set stands for an even
            share of the frames that it was selected from.
        min_gain: share of the old pictures' cost by which an exchange must lower it.

    Raises:
        UserError: sets that do not fit each other, an unknown number of frames behind the set, no new frame.
    """
    if not 0 <= min_gain < 1:
        raise UserError(f"min_gain is {min_gain:g}; it must be at least 0 and below 1")
    found = candidates_of(images, new, before)
    if isinstance(method, Distinct):
        kept = [its[distinct(around_mean(features_of(method.features, found.images, its)), method.threshold)]
                for its in found.rows]  # fmt: skip
        # What is near-equal to an earlier one is out, but never a picture of the set, which comes first.
        kept = [np.union1d(left, its[found.old[its]]) for left, its in zip(kept, found.rows, strict=True)]
        found, method = replace(found, rows=kept), method.method
    if isinstance(method, (Random, PerDriveRandom)):
        classes, chosen = _drawn(found, made, method)
    else:
        classes, chosen = _exchanged(found, made, weighing(method, found, complete=bool(before)), min_gain)
    record = _record(images, new, found, classes, min_gain)
    return Updated(found.images.subset(np.concatenate(chosen), **record), tuple(classes))


def _drawn(found: Candidates, made: Made, method: Selector) -> tuple[list[Class], list[NDArray[np.int64]]]:
    """A reservoir: as many old pictures stay as a draw among all frames ever offered would have left, by chance."""
    classes, chosen = [], []
    for label, its in enumerate(found.rows):
        old, new = its[found.old[its]], its[found.new[its]]
        rng = np.random.default_rng(seed_of("update", made.seed, label, found.seen[label], len(new)))
        stay = int(rng.hypergeometric(found.seen[label], len(new), len(old))) if len(new) else len(old)
        kept = _chosen(method, found.images, old, stay, rng)
        came = _chosen(method, found.images, new, len(old) - stay, rng)
        changes = _changes(found.images, label, np.setdiff1d(old, kept), came)
        classes.append(Class(found.images.class_names[label], len(new), CHANCE, changes))
        chosen.append(np.concatenate([kept, came]))
    return classes, chosen


def _chosen(
    method: Selector, images: ImageSet, rows: NDArray[np.int64], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    return np.sort(method.choose(images, rows, count=count, rng=rng)) if count else np.empty(0, np.int64)


def _exchanged(
    found: Candidates, made: Made, method: Method, min_gain: float
) -> tuple[list[Class], list[NDArray[np.int64]]]:
    images = found.images
    offered = np.full(len(images), -1)
    for label, its in enumerate(found.rows):
        offered[its] = label
    wanted = pick_rows(
        images, offered, images.class_names, method, per_class=made.per_class, seed=made.seed, where=str(images.root)
    )
    classes, chosen = [], []
    for label, its in enumerate(found.rows):
        old = its[found.old[its]]
        others = found.rows[:label] + found.rows[label + 1 :]
        cost = cost_of(method, images, its, others, np.random.default_rng(seed_of("select", made.seed, label)))
        result = _class(found, label, old, np.sort(wanted[label]), cost, min_gain)
        classes.append(result[0])
        chosen.append(result[1])
    return classes, chosen


def _class(
    found: Candidates,
    label: int,
    old: NDArray[np.int64],
    wanted: NDArray[np.int64],
    cost: Cost | None,
    min_gain: float,
) -> tuple[Class, NDArray[np.int64]]:
    images, its = found.images, found.rows[label]
    name, new = images.class_names[label], int(found.new[its].sum())
    out, came = np.setdiff1d(old, wanted), np.setdiff1d(wanted, old)
    if not new:
        out, came = out[:0], came[:0]
    if cost is None or not len(came):
        kept = np.concatenate([np.setdiff1d(old, out), came])
        number = None if cost is None else cost(np.searchsorted(its, old))
        return Class(name, new, RANKED, _changes(images, label, out, came), number, number, number), kept

    def costs(rows: NDArray[np.int64]) -> float:
        return cost(np.searchsorted(its, rows))

    before, anew = costs(old), costs(wanted)
    least = min_gain * max(abs(before), _TINY)
    now, value = old, before
    changes: list[Change] = []
    while len(came):
        more = [costs(np.append(now, row)) for row in came]
        new_row = came[int(np.argmin(more))]
        less = [costs(np.append(now[now != row], new_row)) for row in out]
        old_row = out[int(np.argmin(less))]
        if value - min(less) <= least:
            break
        now, value = np.append(now[now != old_row], new_row), min(less)
        changes += _changes(images, label, [old_row], [new_row], value)
        out, came = out[out != old_row], came[came != new_row]
    why = EXCHANGED
    if value - anew > least:
        out, came = np.setdiff1d(old, wanted), np.setdiff1d(wanted, old)
        now, value, why = np.concatenate([np.setdiff1d(old, out), came]), anew, ANEW
        changes = list(_changes(images, label, out, came, anew))
    return Class(name, new, why, tuple(changes), before, value, anew), now


def _changes(
    images: ImageSet, label: int, out: Sequence[int] | NDArray[np.int64], came: Sequence[int] | NDArray[np.int64],
    cost: float | None = None,
) -> tuple[Change, ...]:  # fmt: skip
    pairs = zip(out, came, strict=True)
    return tuple(Change(label, _name(images, int(gone)), _name(images, int(new)), cost) for gone, new in pairs)


def _name(images: ImageSet, row: int) -> str:
    facts = images.facts[row]
    return str(next(facts[key] for key in ("token", SOURCE_IMAGE, "digest") if facts.get(key) is not None))


def _record(
    images: ImageSet, new: ImageSet, found: Candidates, classes: Sequence[Class], min_gain: float
) -> dict[str, Any]:
    """The entries of the updated set in ``set.json``."""
    before = images.about.get("updated")
    behind = list(before.get("with", ())) if isinstance(before, dict) else []
    return {
        "selected_among": [seen + each.new for seen, each in zip(found.seen, classes, strict=True)],
        "updated": {
            "from": [images.digest],
            "with": [*behind, new.digest],
            "min_gain": min_gain,
            "changed": sum(len(each.changes) for each in classes),
        },
        "changes": [asdict(each) for each in classes],
    }
