"""Any folder of pictures in class folders: lists the pictures with class and group; none is opened."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError, one_line
from roadstill.frames import leaves_folder
from roadstill.runs import folder_name, require_folder
from roadstill.sources.patterns import CONTROL, Finder

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
_HIDDEN = (".", "__", "@eaDir", "$RECYCLE")  # folders that editors, archives and disks leave behind
_TENSORS = {
    ".pt": "PyTorch", ".pth": "PyTorch", ".npy": "NumPy", ".npz": "NumPy", ".safetensors": "safetensors",
    ".pkl": "pickle", ".mat": "MATLAB", ".h5": "HDF5", ".hdf5": "HDF5", ".tfrecord": "TFRecord",
}  # fmt: skip
_PARTS = {"train": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "test": "test"}
_HIDDEN_SAID = "hidden folders, or such as __MACOSX,"
_NUMBERED = re.compile(r"(\d{1,6})_(.+)", re.S)
_AS_PICTURES = "save each picture as PNG (8 bits) into a folder of its class, and give the folder of those"


@dataclass(frozen=True)
class FolderImages:
    """Pictures in class folders.

    Attributes:
        root: folder that the paths are relative to.
        class_names: names in label order.
        images: posix paths, by class, then sorted; ``n`` of them.
        labels: int64 ``[n]``.
        ignored: number of other files, by kind.
    """

    root: Path
    class_names: tuple[str, ...]
    images: list[str]
    labels: NDArray[np.int64]
    ignored: Mapping[str, int] = field(default_factory=dict)


def has_class_folders(root: Path) -> bool:
    """Whether this could be a folder of class folders: it has folders, and nothing of an index."""
    if not root.is_dir() or any((root / name).exists() for name in ("index.json", "frames", "train.parquet")):
        return False
    return any(path.is_dir() and not path.name.startswith(_HIDDEN) for path in root.iterdir())


def require_pictures(path: Path) -> Path:
    """The path itself if it is a folder with something in it; of a file, the message tells its kind.

    Raises:
        UserError: anything else.
    """
    kind = _TENSORS.get(path.suffix.lower())
    if kind is not None and path.is_file():
        raise UserError(f"{path} is a {kind} file of tensors, which is not read; {_AS_PICTURES}")
    return require_folder(path, "a folder of pictures, one folder per class")


def find_parts(root: Path) -> dict[str, Path]:
    """The folders of train, dev (or val) and test below ``root``; empty if ``root`` holds the classes itself.

    Raises:
        UserError: some of them, but no train or no test; two folders of one part; others beside them.
    """
    names = [path.name for path in _folders(root)]
    known = [name for name in names if name in _PARTS]
    others = [name for name in names if name not in _PARTS]
    if not known or (others and (len(known) == 1 or "train" not in known)):
        return {}  # a class may well be called test
    parts: dict[str, Path] = {}
    for name in known:
        if (part := _PARTS[name]) in parts:
            raise UserError(f"{root} holds both {parts[part].name} and {name}; keep one as the part {part}")
        parts[part] = root / name
    if others:
        raise UserError(f"{root} holds {', '.join(known)}, and {others[0]!r} beside them; move that elsewhere")
    if lacking := [part for part in ("train", "test") if part not in parts]:
        raise UserError(
            f"{root} holds {', '.join(known)}, but no {lacking[0]}; rename the folder for that, or give "
            f"{root / known[0]} to cut all parts from it"
        )
    return {part: parts[part] for part in ("train", "dev", "test") if part in parts}


def read_classes(root: Path, at: Path | None = None, class_names: Sequence[str] | None = None) -> FolderImages:
    """The pictures in the class folders of a folder, and below them.

    Names are the folders', sorted; if all begin with a number and ``_``, that gives the order and is dropped.

    Args:
        root: folder that paths are relative to, and that no link may leave.
        at: folder of the class folders, ``root`` by default.
        class_names: required classes in label order; None takes the classes found.

    Raises:
        UserError: no class folder, one without a picture, other classes than required, a name that is not plain, a
            link that leaves ``root`` or leads to a folder, a folder that cannot be read.
    """
    root, at = Path(os.path.abspath(root)), Path(os.path.abspath(at or root))
    folders = _class_folders(at)
    if class_names is not None:
        if sorted(folders) != sorted(class_names):
            raise UserError(f"{at} holds the classes {', '.join(folders)}, but {', '.join(class_names)} are required")
        folders = {name: folders[name] for name in class_names}
    images: list[str] = []
    labels: list[int] = []
    ignored: Counter[str] = Counter()
    if hidden := sum(path.name.startswith(_HIDDEN) and path.is_dir() for path in at.iterdir()):
        ignored[_HIDDEN_SAID] = hidden
    for label, folder in enumerate(folders.values()):
        found = sorted(_images(folder, root, ignored))
        if not found:
            tensors = next(
                (_TENSORS[end] for path in folder.rglob("*") if (end := path.suffix.lower()) in _TENSORS), None
            )
            raise UserError(
                f"{folder} holds no picture ({', '.join(sorted(SUFFIXES))}), but {tensors} files, which are not read; "
                f"{_AS_PICTURES}"
                if tensors
                else f"{folder} holds no picture ({', '.join(sorted(SUFFIXES))}); {at} should be an index, or hold one "
                "folder of pictures for each class"
            )
        images += found
        labels += [label] * len(found)
    return FolderImages(root, tuple(folders), images, np.array(labels, np.int64), dict(ignored))


def _folders(root: Path) -> list[Path]:
    """Folders in a folder, sorted, without hidden ones and others that programs leave behind, such as __MACOSX."""
    try:
        found = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(_HIDDEN))
    except OSError as error:
        raise UserError(f"{root} cannot be read: {error}") from None
    for path in found:
        if path.is_symlink():
            raise UserError(f"{path} is a link to a folder, which is not followed; put the folder itself there")
    return found


def _class_folders(at: Path) -> dict[str, Path]:
    """The class folders by class name, in label order."""
    paths = _folders(at)
    if not paths:
        raise UserError(f"{at} holds no class folders; put the pictures of each class into a folder of its own")
    for path in paths:
        folder_name(path.name, f"{at}: the class folder")
    numbered = [_NUMBERED.fullmatch(path.name) for path in paths]
    matches = [match for match in numbered if match]
    if len(matches) < len(paths) or len({int(match[1]) for match in matches}) < len(paths):
        return {path.name: path for path in paths}
    found: dict[str, Path] = {}
    for match in matches:
        folder_name(match[2], f"{at}: the class of {match[0]!r},")
    for match, path in sorted(zip(matches, paths, strict=True), key=lambda pair: int(pair[0][1])):
        if match[2] in found:
            raise UserError(f"{at} holds two classes {match[2]!r} ({found[match[2]].name}, {path.name}); rename one")
        found[match[2]] = path
    return found


def _images(folder: Path, root: Path, ignored: Counter[str]) -> Iterator[str]:
    """Paths of all pictures below a folder, relative to ``root``, in no particular order."""
    real, above = os.path.realpath(root), len(os.fspath(root).rstrip("/")) + 1
    todo = [os.fspath(folder)]
    while todo:
        at = todo.pop()
        try:
            with os.scandir(at) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name.startswith(_HIDDEN):
                            ignored[_HIDDEN_SAID] += 1
                        else:
                            todo.append(entry.path)
                    elif (why := _why_ignored(entry, real, entry.path[above:])) is None:
                        yield entry.path[above:]
                    else:
                        ignored[why] += 1
        except OSError as error:
            raise UserError(one_line(f"{at} cannot be read: {error.strerror or error}")) from None


def _why_ignored(entry: os.DirEntry[str], real: str, path: str) -> str | None:
    """The kind of a file that is not taken as a picture; None if it is, even if it turns out to be unreadable."""
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if os.path.commonpath([real, target]) != real:
            raise UserError(one_line(f"{entry.path} is a link that leaves {real}; put the file itself there"))
        if os.path.isdir(target):
            raise UserError(
                one_line(f"{entry.path} is a link to a folder, which is not followed; put the folder itself there")
            )
    if entry.name.startswith("."):
        return "hidden files"
    if os.path.splitext(entry.name)[1].lower() not in SUFFIXES:
        return "files of other types"
    if CONTROL.search(path) or leaves_folder(path):
        return "pictures whose names not every file system accepts"
    return None


def groups_of(images: Sequence[str], pattern: str | None) -> list[str]:
    """The group of every picture: what the pattern's group finds in its path, or the path itself.

    Raises:
        UserError: a pattern without exactly one group, or pictures in whose paths it finds nothing.
    """
    if pattern is None:
        return list(images)
    groups = Finder("group", pattern).each(images)
    if missed := groups.count(""):
        raise UserError(f"group {pattern!r} finds nothing in {missed:,} of {len(images):,} paths; the first: "
                        f"{images[groups.index('')]}")  # fmt: skip
    return groups
