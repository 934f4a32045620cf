"""The protocols of selectors, and `select`, whose result has the same type as a generated set.

A `Selector` chooses among the images of one class, a `JointSelector` among all classes at once, and a `Maker` makes new
pictures from real ones.
"""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError, one_line
from roadstill.imagesets import ImageSet
from roadstill.names import path_of
from roadstill.runs import plain, seed_of


class Facts(Protocol):
    """Anything with facts by name, such as an `ImageSet` or the frames of an index: all that some selectors need."""

    def column(self, name: str) -> Sequence[Any] | NDArray[Any]:
        """One fact of every row, ``[n]``."""
        ...


@runtime_checkable
class Selector(Protocol):
    """Chooses among the images of one class."""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Returns ``count`` different values of ``rows`` (image indices of one class, at least ``count`` of them)."""
        ...


@runtime_checkable
class JointSelector(Protocol):
    """Chooses for all classes at once, because what is good for one depends on the choice for the others."""

    def choose_all(
        self,
        images: ImageSet,
        rows: Sequence[NDArray[np.int64]],
        *,
        count: int,
        rngs: Sequence[np.random.Generator],
    ) -> list[NDArray[np.int64]]:
        """Returns ``count`` different values of each class's ``rows``; one generator per class, as in `Selector`."""
        ...


@runtime_checkable
class Maker(Protocol):
    """Makes new pictures from real ones."""

    def make(self, images: ImageSet, *, per_class: int, seed: int, out: Path) -> ImageSet:
        """Makes a set of ``per_class`` pictures of each class in the folder ``out``.

        Raises:
            UserError: a class has too few images.
        """
        ...


Method: TypeAlias = Selector | JointSelector
Picker: TypeAlias = Selector | JointSelector | Maker


def pick(images: ImageSet, method: Picker, *, per_class: int, seed: int, out: Path) -> ImageSet:
    """A set of ``per_class`` images of each class by any method; only a `Maker` writes it to ``out``.

    Raises:
        UserError: a class has too few images.
    """
    if isinstance(method, Maker):
        return method.make(images, per_class=per_class, seed=seed, out=out)
    return select(images, method, per_class=per_class, seed=seed)


def select(images: ImageSet, method: Method, *, per_class: int, seed: int) -> ImageSet:
    """The same number of images of each class, picked by ``method``.

    Every class has its own random generator, so adding a class changes none of the others (except with methods that
    weigh the classes against each other).

    Raises:
        UserError: a class has fewer than ``per_class`` images.
    """
    chosen = pick_rows(
        images, images.labels, images.class_names, method, per_class=per_class, seed=seed, where=str(images.root)
    )
    return images.subset(np.concatenate(chosen), **record(images, method, per_class=per_class, seed=seed))


def pick_rows(
    images: Any,
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    method: Method,
    *,
    per_class: int,
    seed: int,
    where: str,
) -> list[NDArray[np.int64]]:
    """The picked rows of each class, ``[per_class]`` each.

    Args:
        images: `ImageSet`, or only `Facts` for a method that needs no more.
        labels: labels int64 ``[n]``.
        class_names: names of the classes, one per label.
        method: selector of the rows.
        per_class: rows per class.
        seed: seed of the draws.
        where: name of the source in error messages.

    Raises:
        UserError: a class has fewer than ``per_class`` rows, or a user's own selector fails or chooses other than
            ``per_class`` different rows of each class.
    """
    if per_class < 1:
        raise UserError(f"per_class is {per_class}; it must be at least 1")
    rows = [np.flatnonzero(labels == label) for label in range(len(class_names))]
    for name, its in zip(class_names, rows, strict=True):
        if len(its) < per_class:
            raise UserError(
                f"{where}: {per_class} images per class were requested, but class {name!r} has {len(its)}; "
                f"lower per_class or loosen the filters"
            )
    rngs = [np.random.default_rng(seed_of("select", seed, label)) for label in range(len(rows))]
    kind, ours = type(method), _is_ours(method)
    try:
        chosen = choose_each(method, images, rows, count=per_class, rngs=rngs)
        for its, picked in zip(rows, chosen, strict=True):
            assert len(picked) == per_class, f"picked {len(picked)} images, not {per_class}"
            assert len(np.unique(picked)) == per_class, "picked an image twice"
            assert np.isin(picked, its).all(), "picked from another class"
    except Exception as error:
        if ours or isinstance(error, UserError):
            raise
        said = f"{type(error).__name__}: {error}" if not isinstance(error, AssertionError) else str(error)
        raise UserError(f"selector {kind.__module__}.{kind.__qualname__} failed: {one_line(said)}") from error
    return chosen


def choose_each(
    method: Method,
    images: Any,
    rows: Sequence[NDArray[np.int64]],
    *,
    count: int,
    rngs: Sequence[np.random.Generator],
) -> list[NDArray[np.int64]]:
    """The rows that the method picks of each class, for either kind of selector."""
    if isinstance(method, JointSelector):
        return [np.asarray(picked) for picked in method.choose_all(images, rows, count=count, rngs=rngs)]
    return [np.asarray(method.choose(images, its, count=count, rng=rng)) for its, rng in zip(rows, rngs, strict=True)]


def record(images: ImageSet, method: object, *, per_class: int, seed: int) -> dict[str, Any]:
    """The entries of a picked set in ``set.json``; the number of candidates of each class is for later updates."""
    return {
        "method": describe(method),
        "per_class": per_class,
        "seed": seed,
        "selected_from": images.digest,
        "selected_among": list(images.counts().values()),
    } | ({} if _is_ours(chooser := getattr(method, "method", method)) else {"own_selector": path_of(type(chooser))})


def _is_ours(method: object) -> bool:
    return type(method).__module__.partition(".")[0] == "roadstill"


def describe(method: object) -> dict[str, Any]:
    """A method's type and settings.

    The settings of a dataclass are its fields except those marked ``repr=False`` (weights, other sets); those of
    another class, the plain attributes that are named as a parameter of its constructor.
    """
    if is_dataclass(method):
        shown = {one.name: getattr(method, one.name) for one in fields(method) if one.repr}
    else:
        found = {name: getattr(method, name, None) for name in signature(type(method)).parameters}
        shown = {name: value for name, value in found.items() if isinstance(value, (bool, int, float, str, list))}
    described = {name: describe(value) if is_dataclass(value) else plain(value) for name, value in shown.items()}
    return {"type": type(method).__name__} | described


def lowest(rows: NDArray[np.int64], score: NDArray[Any], *, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The ``count`` rows with the lowest scores, lowest first; equal ones in random order."""
    return rows[np.lexsort((rng.random(len(rows)), score))[:count]]
