"""Runs on disk: read within bounds, checked field by field, and held against their book of records."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from roadstill.errors import UserError, one_line
from roadstill.evaluation.metrics import score
from roadstill.evaluation.records import Book, check_records
from roadstill.evaluation.runs import ACCELS, FILES, FORMAT, Run, by_arm
from roadstill.runs import Count, Record, WithClasses, folder_name, read_json, read_record

Fraction: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
Seed: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
_REMEDY = "evaluate again"
_ERROR = re.compile(r"miss\d{1,3}")
_MOST_ROWS, _MOST_BYTES = 10_000_000, 2**29


class _Scores(WithClasses, kw_only=True, frozen=True):
    images: Annotated[str, msgspec.Meta(max_length=100)]
    brakes: Count = 0
    unit: Annotated[str, msgspec.Meta(max_length=20)] = ""
    mean_errors: tuple[_Amount, _Amount] | None = None


class _Chosen(Record, kw_only=True, frozen=True):
    step: Count
    accuracy: Fraction
    balanced_accuracy: Fraction


class _About(Record, kw_only=True, frozen=True):
    """What the referee uses of ``about``; runs may keep more."""

    set: Annotated[str, msgspec.Meta(max_length=100)] | msgspec.UnsetType = msgspec.UNSET
    num_images: Count | msgspec.UnsetType = msgspec.UNSET
    bytes: _Amount | msgspec.UnsetType = msgspec.UNSET
    steps: Count | msgspec.UnsetType = msgspec.UNSET
    chosen: _Chosen | None = None
    caveat: Annotated[str, msgspec.Meta(max_length=2000)] = ""


class _RunRecord(Record, kw_only=True, frozen=True):
    """``run.json``."""

    arm: str
    seed: Seed
    set_seed: Seed
    evaluation: _Scores
    clusters: tuple[Literal["log", "drive"], ...] = ()
    strata: tuple[Annotated[str, msgspec.Meta(max_length=100)], ...] = ()
    thresholds: dict[str, float] = msgspec.field(default_factory=dict)
    about: _About = msgspec.field(default_factory=_About)

    def __post_init__(self) -> None:
        arm_name(self.arm)
        if wrong := [rate for rate in self.thresholds if not _is_rate(rate)]:
            raise ValueError(f"thresholds: {wrong[0][:80]!a} is no share of false alarms")


def arm_name(name: str) -> str:
    """The name itself, if an arm may have it: a folder's name, or one with ``@<images per class>`` behind it.

    Raises:
        UserError: anything else.
    """
    for part in name.split("@", 1):
        folder_name(part, "arm")
    return name


def open_run(folder: Path) -> Run:
    """Opens a run that `Run.save` wrote; the scores are computed again from the probabilities.

    Raises:
        UserError: missing, foreign or damaged files.
    """
    record = read_record(folder / "run.json", _RunRecord, _REMEDY, format=FORMAT)
    about = read_json(folder / "run.json").get("about", {})
    names = record.evaluation.class_names
    columns = ["label", *(f"p{label}" for label in range(len(names))), *record.clusters, *record.strata]
    try:
        table = _read_predictions(folder / "predictions.parquet", columns, errors=bool(record.evaluation.unit))
        probabilities = np.stack([table[f"p{label}"].to_numpy() for label in range(len(names))], 1)
        labels = table["label"].to_numpy().astype(np.int64)
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(names):
            raise UserError(f"labels are not in 0..{len(names) - 1}")
        clusters, strata = ({name: _names(table[name]) for name in kind} for kind in (record.clusters, record.strata))
        scores = record.evaluation
        evaluation = score(probabilities.astype(np.float32), labels, names, images=scores.images, brakes=scores.brakes)
        if scores.unit:
            misses = _columns(table, [name for name in table.column_names if _ERROR.fullmatch(name)])
            accels = _columns(table, ACCELS) if {*ACCELS} <= {*table.column_names} else None
            evaluation = replace(
                evaluation, misses=misses, unit=scores.unit, accels_mps2=accels, mean_errors=scores.mean_errors
            )
    except (OSError, LookupError, TypeError, ValueError, ArithmeticError, pa.ArrowException) as error:
        said = one_line(" ".join(str(error).split())[:300])
        raise UserError(f"{folder / 'predictions.parquet'} is damaged ({said}); {_REMEDY}") from None
    thresholds = dict(record.thresholds)
    return Run(record.arm, record.seed, evaluation, clusters, record.set_seed, strata, thresholds, about)


def _read_predictions(path: Path, columns: Sequence[str], *, errors: bool) -> pa.Table:
    """The columns of a table, with all of errors if asked, if it says that it is small enough to be read."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        meta = file.metadata
        size = sum(meta.row_group(group).total_byte_size for group in range(meta.num_row_groups))
        if meta.num_rows > _MOST_ROWS or size > _MOST_BYTES:
            raise UserError(f"it has {meta.num_rows:,} rows of {size:,} bytes, more than any set that can be judged")
        there = file.schema_arrow.names
        if missing := [name for name in (*columns, *["miss0"] * errors) if name not in there]:
            raise UserError(f"it has no column {missing[0]!r}")
        more = [name for name in there if errors and (_ERROR.fullmatch(name) or name in ACCELS)]
        return file.read(columns=[*columns, *more])


def _columns(table: pa.Table, names: Sequence[str]) -> NDArray[np.float32]:
    found = np.stack([table[name].to_numpy() for name in names], 1).astype(np.float32)
    if not np.isfinite(found).all():
        raise UserError("an error or acceleration is not finite")
    return found


def _names(column: pa.ChunkedArray) -> NDArray[np.str_]:
    """A column of names; each differs little in length from the others, or it would be no name."""
    if column.null_count:
        raise UserError("a cluster or stratum has no name")
    encoded = column.combine_chunks()
    encoded = encoded if pa.types.is_dictionary(encoded.type) else encoded.dictionary_encode()
    names = np.asarray([str(name) for name in encoded.dictionary.to_pylist()] or [""])
    if names.itemsize * len(column) > _MOST_BYTES:
        raise UserError("a cluster's or stratum's name is longer than any name")
    return names[encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)]


def _is_rate(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def open_runs(folder: Path) -> dict[str, list[Run]]:
    """All runs anywhere under a folder, by arm, in order of seed.

    Raises:
        UserError: no run was found, one of them is damaged, or one was edited after it was written.
    """
    folders = list_runs(folder)
    check_runs(folder, folders)
    return by_arm([open_run(path) for path in folders])


def list_runs(folder: Path) -> list[Path]:
    """Folders of all runs anywhere under a folder; errors as `open_runs`."""
    folders = [path.parent for path in sorted(folder.rglob("run.json"))]
    if not folders:
        raise UserError(f"{folder}: no run.json was found in it or below; make runs with `roadstill evaluate`")
    return folders


def unentered(folder: Path, book: Book) -> list[str]:
    """Files of runs and comparisons in a run folder that its book of records does not name, relative to the folder."""
    runs = [path.with_name(file) for path in folder.glob("runs*/**/run.json") for file in FILES]
    names = (path.relative_to(folder).as_posix() for path in [*folder.glob("comparison*.json"), *runs])
    return sorted(set(names) - book.known)


def check_runs(below: Path, runs: Sequence[Path]) -> list[str]:
    """Holds runs against their book of records; see `check_records`."""
    return check_records(below, runs, FILES)
