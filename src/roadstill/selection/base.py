"""`Selector`: anything that picks real frames; `select` gives the picked set the type that generation has too."""

from dataclasses import fields, is_dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.runs import plain, seed_of


@runtime_checkable
class Selector(Protocol):
    """Chooses among the images of one class."""

    def choose(
        self, images: ImageSet, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """``count`` different values of ``rows`` (image indices of one class, at least ``count`` of them)."""
        ...


def select(images: ImageSet, method: Selector, *, per_class: int, seed: int) -> ImageSet:
    """The same number of images of each class, picked by ``method``.

    Every class draws from a generator of its own, so adding a class changes none of the others.

    Raises:
        UserError: a class has fewer than ``per_class`` images.
    """
    if per_class < 1:
        raise UserError(f"per_class is {per_class}; it must be at least 1")
    chosen: list[NDArray[np.int64]] = []
    for label, name in enumerate(images.class_names):
        rows = np.flatnonzero(images.labels == label)
        if len(rows) < per_class:
            raise UserError(
                f"{images.root}: {per_class} images per class are asked for, but class {name!r} has {len(rows)}; "
                f"lower per_class or loosen the filters"
            )
        rng = np.random.default_rng(seed_of("select", seed, label))
        picked = np.asarray(method.choose(images, rows, count=per_class, rng=rng))
        assert len(np.unique(picked)) == per_class, f"{type(method).__name__} picked an image twice"
        assert np.isin(picked, rows).all(), f"{type(method).__name__} picked from another class"
        chosen.append(picked)
    # What a record does not show (weights, other sets) is marked repr=False.
    shown: list[str] = [one.name for one in fields(method) if one.repr] if is_dataclass(method) else []
    named = {"type": type(method).__name__} | {name: plain(getattr(method, name)) for name in shown}
    about = {"method": named, "per_class": per_class, "seed": seed, "selected_from": images.digest}
    return images.subset(np.concatenate(chosen), **about)
