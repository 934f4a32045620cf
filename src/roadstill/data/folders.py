"""Folders of pictures that others made -> `ImageSet`: train, dev and test from class folders, or one set as it is."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.data.choosing import choose_rows
from roadstill.data.copies import contents, left_out
from roadstill.data.picture_store import PictureConfig, PictureStore, fill_from_folder
from roadstill.data.set_writing import write_pictures
from roadstill.data.sources import SetRequest
from roadstill.errors import UserError
from roadstill.frames.splits import SHARES, SPLITS, deal_drives
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.runs import holding, renewed_parts, require_own, state_beside
from roadstill.sources.folder import FolderImages, find_parts, groups_of, read_classes, require_pictures


@dataclass(frozen=True)
class FolderSets:
    """Sets that were made from a folder.

    Attributes:
        sets: image sets by part.
        notes: remarks on them for the user.
    """

    sets: dict[str, ImageSet]
    notes: list[str]


@dataclass(frozen=True)
class _Part:
    """Rows of a folder's pictures that make one set."""

    found: FolderImages
    groups: Sequence[str]
    rows: NDArray[np.int64]

    def facts(self) -> Iterator[tuple[dict[str, Any], int]]:
        for row in self.rows.tolist():
            group = self.groups[row]
            yield {"drive": group, "log": group, "image": self.found.images[row]}, int(self.found.labels[row])

    @property
    def images(self) -> list[str]:
        return [self.found.images[row] for row in self.rows.tolist()]

    @property
    def classes(self) -> list[str]:
        return [self.found.class_names[label] for label in self.found.labels[self.rows].tolist()]


class FolderSource:
    """Class folders as a source of pictures.

    Args:
        data: folder of class folders, or of train, dev and test with class folders.
        group: see `prepare_folder`.
    """

    def __init__(self, data: Path, *, group: str | None = None) -> None:
        self._root, self._group = data, group
        self.notes: list[str] = []

    def sets(self, out: Path, request: SetRequest) -> Mapping[str, ImageSet]:
        """Writes the sets; raises what `prepare_folder` raises."""
        if "dev" not in request.parts:
            raise UserError("class folders always get a dev part, which this protocol does not have; choose honest")
        made = prepare_folder(
            self._root,
            out,
            config=request.pictures,
            group=self._group,
            max_per_class=request.max_per_class,
            seed=request.seed,
            workers=request.workers,
        )
        self.notes = made.notes
        return made.sets


@holding()
def prepare_folder(
    root: Path,
    out: Path,
    *,
    config: PictureConfig,
    group: str | None = None,
    max_per_class: int | None = None,
    seed: int = 0,
    workers: int = 2,
) -> FolderSets:
    """One image set each for train, dev and test, from class folders; an interrupted call resumes.

    Parts are the folders train, dev (or val) and test, if they exist; a missing dev part is cut from train. Otherwise
    they are cut 70 / 15 / 15 percent, by group.

    Args:
        root: folder of the pictures.
        out: folder of the sets, not inside ``root``.
        config: size, way of decoding, and a hook, which receives only the image and its group (as log and drive).
        group: regular expression with one group that finds in a picture's path below ``root`` what must not be cut: a
            drive, a video, a place; by default every picture is a group of its own.
        max_per_class: cap on the pictures of a class in each part, spread over the groups.
        seed: seed of the cut and of that choice.
        workers: processes that decode; the result does not depend on it.

    Raises:
        UserError: as `read_classes`, `find_parts` and `groups_of`; too few groups; a part without a class; no
            readable picture.
    """
    root = require_pictures(root)
    _check_outside(out, root)
    if folders := find_parts(root):
        found = {name: read_classes(root, folder) for name, folder in folders.items()}
    else:
        found = {"": read_classes(root)}
    names = next(iter(found.values())).class_names
    groups = {name: _groups(part, group) for name, part in found.items()}
    alone = ["there is one class alone, so nothing can be learnt or measured"] if len(names) == 1 else []
    notes = [*alone, *_ignored(found), *_leaks(groups, group)]
    parts: dict[str, _Part] = {}
    for name, part in found.items():
        if part.class_names != names:
            raise UserError(f"{folders[name]} holds the classes {', '.join(part.class_names)}, but "
                            f"{next(iter(folders.values()))} holds {', '.join(names)}")  # fmt: skip
        cut = (
            [name]
            if name == "test" or "dev" in found
            else [each for each in SPLITS if each not in found or each == name]
        )
        dealt = _deal(part, groups[name], cut, seed)
        parts |= {each: _Part(part, groups[name], np.flatnonzero(dealt == index)) for index, each in enumerate(cut)}
    chosen = {name: _chosen(parts[name], name, max_per_class, seed) for name in SPLITS}
    with PictureStore(out / "pictures", config) as store:
        _fill(store, list(chosen.values()), root, workers)
        unwanted = left_out({name: (part.images, part.classes) for name, part in chosen.items()}, store)
        about = {"source": "folder", "group": group, "max_per_class": max_per_class, "seed": seed, "synthetic": False}
        with renewed_parts(out) as new:
            for name, its in chosen.items():
                _write(its, store, new / name, about | {"split": name}, unwanted[name])
        store.remove()
        return FolderSets({name: open_imageset(out / name) for name in chosen}, notes)


@holding()
def import_folder(
    root: Path | str,
    out: Path | str,
    config: PictureConfig,
    *,
    class_names: Sequence[str] | None = None,
    group: str | None = None,
    workers: int = 1,
    about: Mapping[str, Any] | None = None,
) -> ImageSet:
    """A set of pictures that others made, unchanged: every class folder is a class, nothing is cut or left out.

    Args:
        root: folder of the class folders.
        out: folder to write, not inside ``root``; it appears only when all is done.
        config: size and way of decoding; pictures that have the size already keep every pixel.
        class_names: required classes in label order, as another set has them; None takes the classes found.
        group: see `prepare_folder`.
        workers: processes that decode; the result does not depend on it.
        about: further contents of ``set.json``.

    Raises:
        UserError: as `read_classes` and `groups_of`; several parts; no readable picture.
    """
    root, out = require_pictures(Path(root)), Path(out)
    _check_outside(out, root)
    require_own(out, "set.json")
    if parts := find_parts(root):
        raise UserError(f"{root} holds the parts {', '.join(parts)}; give one, such as {next(iter(parts.values()))}")
    found = read_classes(root, class_names=class_names)
    part = _Part(found, groups_of(found.images, group), np.arange(len(found.images)))
    with PictureStore(state_beside(out, "pictures"), config) as store:
        _fill(store, [part], root, workers)
        made = _write(part, store, out, {"source": "folder", "group": group} | dict(about or {}))
        store.remove()
        return made


def _fill(store: PictureStore, parts: Sequence[_Part], root: Path, workers: int) -> None:
    images = [image for part in parts for image in part.images]
    facts = {fact["image"]: fact for part in parts for fact, _ in part.facts()} if store.config.hook else {}
    fill_from_folder(store, images, root, facts=facts.__getitem__, workers=workers)


def _write(
    part: _Part, store: PictureStore, out: Path, about: Mapping[str, Any], unwanted: Mapping[str, str] | None = None
) -> ImageSet:
    about = {"labels": "class folders"} | dict(about)
    names, root = part.found.class_names, part.found.root
    return write_pictures(part.facts(), store, root, out, class_names=names, about=about, left_out=unwanted)


def _groups(found: FolderImages, pattern: str | None) -> Sequence[str]:
    """The group of every picture; without a pattern, equal pictures are one group, so that they stay in one part."""
    groups = groups_of(found.images, pattern)
    if pattern is None:
        return [groups[row] for row in contents([found.root / image for image in found.images]).tolist()]
    return groups


def _check_outside(out: Path, root: Path) -> None:
    if out.resolve().is_relative_to(root.resolve()):
        raise UserError(
            f"{out} lies inside {root}, where the next call would take it for a class; choose another folder"
        )


def _deal(part: FolderImages, groups: Sequence[str], names: Sequence[str], seed: int) -> NDArray[np.int64]:
    """The part of every picture, ``[n]``, as an index into the names; groups stay whole."""
    if len(names) == 1:
        return np.zeros(len(groups), np.int64)
    counts = Counter(zip(groups, part.labels.tolist(), strict=True))
    if (there := len(set(groups))) < len(names):
        raise UserError(
            f"{part.root}: {there} groups cannot fill {len(names)} parts ({', '.join(names)}), since a group is never "
            "cut; give more pictures, or a --group that tells more apart"
        )
    dealt = deal_drives(counts, {name: SHARES[name] for name in names}, seed)
    return np.array([dealt[group] for group in groups], np.int64)


def _chosen(part: _Part, name: str, max_per_class: int | None, seed: int) -> _Part:
    """The part with at most ``max_per_class`` pictures of each class.

    Raises:
        UserError: a class has none.
    """
    labels = part.found.labels[part.rows]
    there = np.bincount(labels, minlength=len(part.found.class_names))
    if not there.all():
        lacking = part.found.class_names[int(there.argmin())]
        raise UserError(
            f"{part.found.root}: the class {lacking!r} has no picture in the part {name}, since a group is never cut; "
            "give more pictures, or a --group that tells more apart"
        )
    if max_per_class is None:
        return part
    groups = np.array(part.groups, object)[part.rows]
    return _Part(part.found, part.groups, part.rows[choose_rows(labels, groups, max_per_class, seed)])


def _ignored(found: Mapping[str, FolderImages]) -> list[str]:
    total: Counter[str] = Counter()
    for part in found.values():
        total.update(part.ignored)
    return [f"{count:,} {what} were left out" for what, count in sorted(total.items())]


def _leaks(groups: Mapping[str, Sequence[str]], pattern: str | None) -> list[str]:
    """A warning for every way in which near-duplicates may end up in two parts."""
    if pattern is None:
        return ["every picture is a group of its own, so near-duplicates (neighbouring frames of a video) may be in "
                "both train and test; name what belongs together with --group"]  # fmt: skip
    sets = [set(part) for part in groups.values()]
    shared = sum(map(len, sets)) - len(set().union(*sets))
    return [f"{shared:,} groups are in more than one of the folders {', '.join(groups)}"] if shared else []
