"""The records of a set's folder as types: ``set.json``, and the lines of ``metadata.jsonl`` one at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from roadstill.errors import UserError
from roadstill.imagesets.pictures import REMEDY, check_folder
from roadstill.runs import (
    Count,
    Digest,
    Record,
    WithClasses,
    folder_name,
    read_record,
    read_rows,
    require_folder,
    typed,
)

FORMAT = "roadstill-imageset-1"
METADATA = "metadata.jsonl"
SOURCE_IMAGE = "source_image"
"""Fact that names the picture which a picture of the set was made from."""
_ITS_OLD_NAME = "image"  # where other libraries put the decoded picture, and so found a text
_Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]  # no picture of more than 2^24 pixels is read
_Name = Annotated[str, msgspec.Meta(max_length=1000)] | int | float | None
_Number = int | float | None


class SetRecord(WithClasses, kw_only=True, frozen=True):
    """``set.json``."""

    size_px: _Side
    num_images: Count
    digest: Digest
    metadata: Digest | None = None
    values: Digest | None = None
    about: dict[str, Any] = msgspec.field(default_factory=dict)


class _Row(Record, kw_only=True, frozen=True):
    """A line of ``metadata.jsonl``: a picture and its facts, of which sets may hold more than stand here."""

    file_name: str
    label: Count
    digest: Digest
    crc32: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] | msgspec.UnsetType = msgspec.UNSET
    token: _Name = None
    log: _Name = None
    drive: _Name = None
    image: _Name = None
    source_image: _Name = None
    command: _Name = None
    location: _Name = None
    town: _Name = None
    light: _Name = None
    weather: _Name = None
    cause: _Name = None
    timestamp_us: _Number = None
    speed_mps: _Number = None
    accel_mps2: _Number = None
    weight: _Number = None
    soft_label: list[float] | None = None
    soft_value: list[float] | None = None
    future: list[float] | None = None

    def __post_init__(self) -> None:
        try:
            for part in self.file_name.split("/"):
                folder_name(part, "part")
        except UserError:
            raise ValueError(f"{self.file_name[:200]!a} leaves the folder") from None


def class_folder(label: int, name: str) -> str:
    """``0_not_brake``: the number keeps label order in loaders that sort names."""
    return f"{label}_{name}"


def renamed(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a picture with those that have another name today under that one, in the same order."""
    if _ITS_OLD_NAME not in facts or SOURCE_IMAGE in facts:
        return facts
    return {SOURCE_IMAGE if name == _ITS_OLD_NAME else name: value for name, value in facts.items()}


def read_set(folder: Path) -> SetRecord:
    """The record of a set's folder.

    Raises:
        UserError: missing or empty folder, foreign or damaged ``set.json``, a class folder that is a link out of it.
    """
    root = require_folder(folder, "an image set (a folder with set.json, made by prepare, select or generate)")
    record = read_record(root / "set.json", SetRecord, REMEDY, format=FORMAT)
    for label, name in enumerate(record.class_names):
        check_folder(root, class_folder(label, name))
    return record


def read_facts(root: Path, record: SetRecord) -> Iterator[dict[str, Any]]:
    """The facts of every picture, checked, one in memory at a time.

    Raises:
        UserError: damaged ``metadata.jsonl``, labels out of range, a file name that leaves the class's folder, another
            number of lines than the record has.
    """
    folders = [class_folder(label, name) for label, name in enumerate(record.class_names)]
    number = 0
    for facts in read_rows(root / METADATA, dict[str, Any], REMEDY):
        number += 1
        where = f"{root / METADATA}, line {number}"
        row = typed(facts, _Row, where, REMEDY)
        if row.label >= len(folders):
            raise UserError(f"{where}: label {row.label} is not in 0..{len(folders) - 1}; {REMEDY}")
        if row.file_name.rpartition("/")[0] != folders[row.label]:
            raise UserError(
                f"{where}: label {row.label} is {record.class_names[row.label]!r}, but {row.file_name!r} does not lie "
                f"in the folder {folders[row.label]}; {REMEDY}"
            )
        yield renamed(facts)
    if number != record.num_images:
        raise UserError(f"{root}: set.json counts {record.num_images} images, metadata.jsonl {number}; {REMEDY}")
