"""CIFAR-10 in any of its usual forms: finds out which, and reads one batch of pictures after the other.

The authors' archives, packed or unpacked (``cifar-10-batches-bin``, ``cifar-10-batches-py``), or the hub's Parquet
files. At most one batch, 31 MB, is in memory at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from roadstill.errors import UserError
from roadstill.sources.archives import is_archive
from roadstill.sources.cifar10 import parquet
from roadstill.sources.cifar10.batch import CLASS_NAMES, Batch, read_names, read_pickle, read_records
from roadstill.sources.cifar10.files import ArchiveFiles, FolderFiles

TRAIN, TEST = tuple(f"data_batch_{number}" for number in range(1, 6)), ("test_batch",)
CIFAR100 = "CIFAR-100"
OFFICIAL = {"train": 5000, "test": 1000}  # pictures per class


@dataclass(frozen=True)
class _Form:
    folder: str
    ending: str
    names: str
    md5: str
    read: Callable[[bytes, str, str], Batch]


_FORMS = {
    "binary": _Form(
        "cifar-10-batches-bin", ".bin", "batches.meta.txt", "c32a1d4ab5d03f1284b67883e8d87530", read_records
    ),
    "python": _Form("cifar-10-batches-py", "", "batches.meta", "c58f30108f718f92721af3b95e74349a", read_pickle),
}


@dataclass(frozen=True)
class Cifar10:
    """A copy of CIFAR-10.

    Attributes:
        form: "binary", "python" or "parquet".
        class_names: ten names in label order.
        parts: functions by "train" and "test" that read the part batch by batch, anew at every call.
        notes: remarks on this copy for the user.
    """

    form: str
    class_names: tuple[str, ...]
    parts: Mapping[str, Callable[[], Iterator[Batch]]] = field(repr=False)
    notes: list[str] = field(default_factory=list)


def find_cifar10(path: Path) -> str | None:
    """The form of CIFAR-10 that a path looks like by its names, "archive", or "CIFAR-100"; None for anything else."""
    if path.is_file():
        return "archive" if _is_archive(path) else None
    for form, about in _FORMS.items():
        if _folder(path, about) is not None:
            return form
    if parquet.find_parts(path):
        return "parquet"
    return CIFAR100 if _is_cifar100(path) else None


def _is_cifar100(path: Path) -> bool:
    folders = [path / name for name in ("", "cifar-100-python", "cifar-100-binary", "data", "cifar100")]
    return any(
        {"fine_label_names.txt", "train.bin"} <= names
        or {"meta", "train", "test"} <= names
        or any("fine_label" in parquet.columns_of(each / name) for name in names if name.endswith(".parquet"))
        for each in folders
        if each.is_dir()
        for names in [{file.name for file in each.iterdir() if file.is_file()}]
    )


def open_cifar10(path: Path) -> Cifar10:
    """Opens a copy of CIFAR-10; pictures are read when they are asked for.

    Raises:
        UserError: no such copy; a file is missing; an archive that holds something else, or paths that leave it; class
            names that are not plain. Reading raises it for a truncated, damaged or hostile batch or labels above 9.
    """
    found = find_cifar10(path)
    if found == "parquet":
        files = parquet.find_parts(path)
        names = parquet.read_class_names(files["train"][0])
        parts = {part: partial(parquet.read_part, each) for part, each in files.items()}
        return Cifar10("parquet", names, parts, _other_names(names))
    if found == "archive":
        archive = ArchiveFiles(path)
        form = next((name for name, about in _FORMS.items() if archive.has(TRAIN[0] + about.ending)), None)
        if form is None and (archive.has("fine_label_names.txt") or archive.has("meta")):
            found = CIFAR100
        elif form is None:
            raise UserError(
                f"{path} is an archive, but not of CIFAR-10: it holds neither {TRAIN[0]}.bin nor {TRAIN[0]}"
            )
        else:
            return _opened(archive, form, path, [_checksum(archive, form)])
    if found == CIFAR100:
        raise UserError(f"{path} is CIFAR-100, which has 100 classes; only CIFAR-10 is read here. Write its pictures "
                        "into one folder per class, and prepare that")  # fmt: skip
    if found is not None and (folder := _folder(path, _FORMS[found])) is not None:
        return _opened(FolderFiles(folder), found, path, [])
    raise UserError(f"{path} holds no CIFAR-10; give cifar-10-batches-bin or cifar-10-batches-py, as a folder or as "
                    ".tar.gz, or a folder with train-*.parquet and test-*.parquet")  # fmt: skip


def _opened(files: FolderFiles | ArchiveFiles, form: str, path: Path, notes: list[str]) -> Cifar10:
    about = _FORMS[form]
    if lacking := [name + about.ending for name in (*TRAIN, *TEST) if not files.has(name + about.ending)]:
        raise UserError(f"{path} lacks {lacking[0]}; fetch or unpack CIFAR-10 again")
    names = CLASS_NAMES
    if files.has(about.names):
        names = read_names(files.read(about.names), form, files.where(about.names))

    def read(wanted: Sequence[str]) -> Iterator[Batch]:
        for name in wanted:
            file = name + about.ending
            yield about.read(files.read(file), name, files.where(file))

    parts = {"train": partial(read, TRAIN), "test": partial(read, TEST)}
    return Cifar10(form, names, parts, notes + _other_names(names))


def _folder(path: Path, about: _Form) -> Path | None:
    """The folder of the batches: the path itself, or the folder that the authors' archive unpacks to there."""
    first = TRAIN[0] + about.ending
    return next((each for each in (path, path / about.folder) if (each / first).is_file()), None)


def _is_archive(path: Path) -> bool:
    return path.name.endswith((".tar.gz", ".tgz", ".tar")) or is_archive(path)


def _checksum(archive: ArchiveFiles, form: str) -> str:
    found, official = archive.md5(), _FORMS[form].md5
    if found == official:
        return f"{archive.path.name}: MD5 {found}, as its authors give it"
    return (
        f"WARNING: {archive.path.name} has the MD5 {found}, the authors' archive {official}; it may have been repacked"
    )


def _other_names(names: tuple[str, ...]) -> list[str]:
    return [] if names == CLASS_NAMES else [f"WARNING: classes are {', '.join(names)}, not {', '.join(CLASS_NAMES)}"]
