"""CIFAR-10 -> `ImageSet`: train, dev and test as their authors cut them, dev taken from the training part."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.data.sources import SetRequest
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.runs import renewed_parts, seed_of
from roadstill.sources.cifar10.batch import SIDE_PX
from roadstill.sources.cifar10.parts import OFFICIAL, Cifar10, open_cifar10

DEV_IMAGES = 5000
_LEFT_OUT, _TRAIN, _DEV = 0, 1, 2


@dataclass(frozen=True)
class Cifar10Sets:
    """Sets that were made from a copy of CIFAR-10.

    Attributes:
        sets: image sets by part.
        notes: remarks on the copy for the user.
    """

    sets: dict[str, ImageSet]
    notes: list[str]


class Cifar10Source:
    """CIFAR-10 as a source of pictures, whose size stays 32 px.

    Args:
        data: folder or archive, see `prepare_cifar10`.
        dev_images: number of pictures that dev takes from the training part; by default 5,000, or the cap per class
            times ten if that is fewer.
    """

    def __init__(self, data: Path, *, dev_images: int | None = None) -> None:
        self._path, self._dev_images = data, dev_images
        self.notes: list[str] = []

    def sets(self, out: Path, request: SetRequest) -> Mapping[str, ImageSet]:
        """Writes the sets; raises what `prepare_cifar10` raises."""
        dev_images = self._dev_images
        if dev_images is None:
            most = 10 * (request.max_per_class or DEV_IMAGES)
            dev_images = min(DEV_IMAGES, most) if "dev" in request.parts else 0
        made = prepare_cifar10(
            self._path, out, dev_images=dev_images, max_per_class=request.max_per_class, seed=request.seed
        )
        self.notes = made.notes
        return made.sets


def prepare_cifar10(
    path: Path,
    out: Path,
    *,
    dev_images: int = DEV_IMAGES,
    max_per_class: int | None = None,
    seed: int = 0,
) -> Cifar10Sets:
    """One image set each for train, dev and test; every pixel is kept, and equal copies in any form give equal sets.

    Test is the official test part. Dev is a share of the official training part, equally many of each class, so that
    nothing has to be chosen on test; train is the rest.

    Args:
        path: folder or archive, see `roadstill.sources.cifar10.parts`.
        out: folder of the sets.
        dev_images: number of pictures that dev takes from the training part; 0 makes no dev set.
        max_per_class: cap on the pictures of a class in each part, drawn at random.
        seed: seed of both choices.

    Raises:
        UserError: as `open_cifar10`; an impossible number of dev pictures; a class without pictures.
    """
    copy = open_cifar10(path)
    labels = {part: np.concatenate([batch.labels for batch in read()]) for part, read in copy.parts.items()}
    for part, each in labels.items():
        if not np.bincount(each, minlength=10).all():
            raise UserError(f"{path}: a class of the {part} part has no picture; fetch it again")
    fate = {"train": _cut(labels["train"], dev_images, seed), "test": np.ones(len(labels["test"]), np.int64)}
    _thin(fate, labels, max_per_class, seed)
    if not dev_images and (out / "dev").exists():
        raise UserError(f"{out / 'dev'} comes from an earlier call and would overlap with train; remove it")
    about = {"source": "cifar10", "form": copy.form, "crop": "none", "resize": "none", "missing": 0, "synthetic": False,
             "dev_images": dev_images, "max_per_class": max_per_class, "seed": seed}  # fmt: skip
    names = {"train": {_TRAIN: "train"} | ({_DEV: "dev"} if dev_images else {}), "test": {_TRAIN: "test"}}
    with renewed_parts(out) as new:
        for part, writes in names.items():
            with ExitStack() as stack:
                writers = {
                    number: stack.enter_context(ImageSetWriter(new / name, copy.class_names, SIDE_PX))
                    for number, name in writes.items()
                }
                for number, pixels, label, facts in _rows(copy, part, fate[part]):
                    writers[number].add(pixels, label, facts)
                for number, name in writes.items():
                    writers[number].about.update(about | {"split": name})
    made = {name: open_imageset(out / name) for name in ("train", "dev", "test") if dev_images or name != "dev"}
    return Cifar10Sets(made, [*copy.notes, *(note for part in labels for note in _counted(labels[part], part))])


def _cut(labels: NDArray[np.int64], dev_images: int, seed: int) -> NDArray[np.int64]:
    """Whether each picture of the training part goes to train or to dev, ``[n]``; dev is balanced."""
    least = int(np.bincount(labels, minlength=10).min())
    if dev_images % 10 or not 0 <= dev_images < 10 * least:
        raise UserError(f"dev_images is {dev_images}; choose 0 for no dev set, or a multiple of 10 below "
                        f"{10 * least:,}, so that train keeps some of every class")  # fmt: skip
    fate = np.full(len(labels), _TRAIN)
    for label in range(10):
        rng = np.random.default_rng(seed_of("cifar10 dev", seed, label))
        fate[rng.permutation(np.flatnonzero(labels == label))[: dev_images // 10]] = _DEV
    return fate


def _thin(
    fate: dict[str, NDArray[np.int64]], labels: dict[str, NDArray[np.int64]], max_per_class: int | None, seed: int
) -> None:
    """Leaves out the pictures of a class beyond the cap."""
    if max_per_class is None:
        return
    if max_per_class < 1:
        raise UserError(f"max_per_class {max_per_class} should be at least 1")
    for part, goes in fate.items():
        for number in (_TRAIN, _DEV):
            for label in range(10):
                rng = np.random.default_rng(seed_of("cifar10 thin", seed, part, number, label))
                rows = np.flatnonzero((goes == number) & (labels[part] == label))
                goes[rng.permutation(rows)[max_per_class:]] = _LEFT_OUT


def _rows(
    copy: Cifar10, part: str, fate: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.uint8], int, dict[str, Any]]]:
    """Fate, picture, label and facts of every picture that is kept, in the copy's order."""
    place = 0
    for batch in copy.parts[part]():
        for row, (pixels, label) in enumerate(zip(batch.pixels, batch.labels.tolist(), strict=True)):
            if fate[place] != _LEFT_OUT:
                index = batch.start + row
                image = f"{batch.name}/{index:05d}"
                # Pictures are unrelated, so each is a log, and a cluster of the referee, of its own.
                facts: dict[str, Any] = {
                    "batch": batch.name,
                    "index": index,
                    "image": image,
                    "log": image,
                    "drive": image,
                }
                yield int(fate[place]), np.ascontiguousarray(pixels), label, facts
            place += 1


def _counted(labels: NDArray[np.int64], part: str) -> list[str]:
    """A warning about a part whose classes differ in size from the official ones."""
    counts = np.bincount(labels, minlength=10).tolist()
    if set(counts) == {OFFICIAL[part]}:
        return []
    return [f"WARNING: the official {part} part has {OFFICIAL[part]:,} pictures of each class, this copy has "
            f"{', '.join(f'{count:,}' for count in counts)}"]  # fmt: skip
