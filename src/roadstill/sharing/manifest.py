"""``manifest.intoto.jsonl``: SHA-256 of every file of a shared set and what made it, as in-toto statements.

Each line is a statement (in-toto Statement v1 with SLSA provenance v1) on some thousand files, sorted by path, so that
a set of millions of pictures is written and read line by line. The manifest itself and its signature are in none.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from roadstill.errors import UserError, one_line
from roadstill.runs import Record, read_rows, require_folder, require_within, sha256_file, versions
from roadstill.runs.progress import track

FILE = "manifest.intoto.jsonl"
SIGNATURE = f"{FILE}.minisig"
_PER_LINE = 5000
_STATEMENT, _PREDICATE = "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"
_AGAIN = "get the set again, or take its manifest off (then nothing tells what was changed)"
_HIDDEN = "."  # what programs leave behind, as .DS_Store; nothing that a reader of sets opens


class _Sums(Record, kw_only=True, frozen=True):
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _Subject(Record, kw_only=True, frozen=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    digest: _Sums

    def __post_init__(self) -> None:
        require_within(self.name)


class _Statement(Record, kw_only=True, frozen=True):
    kind: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(name="_type")
    subject: Annotated[list[_Subject], msgspec.Meta(min_length=1, max_length=100_000)]


@dataclass(frozen=True)
class Finding:
    """A file that is not as the manifest says.

    Attributes:
        file: path below the set.
        says: "changed", "missing" or "extra".
    """

    file: str
    says: Literal["changed", "missing", "extra"]

    def __str__(self) -> str:
        return f"{one_line(self.file)}: {self.says}"


def write_manifest(folder: Path, parameters: Mapping[str, Any], made_from: Mapping[str, Any]) -> None:
    """Writes the manifest of all files of a folder.

    Args:
        folder: folder, complete but for the manifest.
        parameters: what the user asked for.
        made_from: record of the set that the files were made from.
    """
    predicate = {
        "buildDefinition": {
            "buildType": "urn:roadstill:share:1",
            "externalParameters": dict(parameters),
            "internalParameters": {"set": dict(made_from)},
        },
        "runDetails": {"builder": {"id": "urn:roadstill", "version": {"roadstill": versions()["roadstill"]}}},
    }
    with (folder / FILE).open("w", encoding="utf-8") as lines:
        subjects: list[dict[str, Any]] = []
        for name in _files(folder):
            subjects.append({"name": name, "digest": {"sha256": sha256_file(folder / name)}})
            if len(subjects) == _PER_LINE:
                lines.write(_line(subjects, predicate))
                subjects = []
        if subjects:
            lines.write(_line(subjects, predicate))


def examine(folder: Path) -> tuple[int, list[Finding]]:
    """Reads all files of a shared set, and holds them against its manifest.

    Returns:
        The number of files in the manifest, and what is changed, missing or extra, by path.

    Raises:
        UserError: no such folder; no manifest, or one of another form.
    """
    require_folder(folder, "a shared set (made by share)")
    found: list[Finding] = []
    there = _files(folder)
    count, next_there = 0, next(there, None)
    for name, sha256 in track(_told(folder / FILE), "files"):
        count += 1
        while next_there is not None and _key(next_there) < _key(name):
            found.append(Finding(next_there, "extra"))
            next_there = next(there, None)
        if next_there != name:
            found.append(Finding(name, "missing"))
            continue
        if not _is_as_told(folder, name, sha256):
            found.append(Finding(name, "changed"))
        next_there = next(there, None)
    while next_there is not None:
        found.append(Finding(next_there, "extra"))
        next_there = next(there, None)
    return count, found


def _told(path: Path) -> Iterator[tuple[str, str]]:
    """Name and digest of every file in a manifest."""
    before: tuple[str, ...] = ()
    for statement in read_rows(path, _Statement, _AGAIN):
        for subject in statement.subject:
            if (key := _key(subject.name)) <= before:
                raise UserError(f"{path}: {one_line(subject.name)!r} stands twice or out of order; {_AGAIN}")
            before = key
            yield subject.name, subject.digest.sha256


def _is_as_told(folder: Path, name: str, sha256: str) -> bool:
    path = folder / name
    # A link is not what was shared, whatever it leads to; a pipe would be waited for without end.
    return not path.is_symlink() and path.is_file() and sha256_file(path) == sha256


def _files(folder: Path) -> Iterator[str]:
    """Paths of all files below a folder, sorted by their parts, but for hidden ones, manifest and signature."""

    def below(at: Path, above: str) -> Iterator[str]:
        for name in sorted(os.listdir(at)):
            place = f"{above}{name}"
            if name.startswith(_HIDDEN) or place in (FILE, SIGNATURE):
                continue
            if (at / name).is_dir() and not (at / name).is_symlink():
                yield from below(at / name, f"{place}/")
            else:
                yield place

    return below(folder, "")


def _key(name: str) -> tuple[str, ...]:
    return tuple(name.split("/"))


def _line(subjects: list[dict[str, Any]], predicate: Mapping[str, Any]) -> str:
    told = {"_type": _STATEMENT, "subject": subjects, "predicateType": _PREDICATE, "predicate": predicate}
    return json.dumps(told) + "\n"
