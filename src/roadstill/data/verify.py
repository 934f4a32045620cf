"""Which of the wanted pictures are present and whole, per log and per archive, without decoding any."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from roadstill.data.archives import wanted_members
from roadstill.frames import leaves_folder
from roadstill.runs import append_line, atomic_path, digest_of, write_json

_TAIL = 4096


@dataclass(frozen=True)
class Presence:
    """How many wanted pictures one place holds.

    Attributes:
        name: name of the log or archive.
        wanted: number of pictures of that log that the index wants; for an archive, of those that it holds.
        present: number of whole ones.
        truncated: number of files that end early or are not pictures.
        missing: number of absent ones; 0 for an archive.
    """

    name: str
    wanted: int
    present: int
    truncated: int
    missing: int

    def __str__(self) -> str:
        return f"{self.name:<48} {self.wanted:>9,} {self.present:>9,} {self.truncated:>9,} {self.missing:>9,}"


@dataclass(frozen=True)
class Verification:
    """What a check of the pictures found.

    Attributes:
        logs: one entry per log.
        archives: one entry per archive.
        lacking: pictures that are missing or truncated everywhere.
        problems: one line for each archive that breaks off.
    """

    logs: list[Presence]
    archives: list[Presence]
    lacking: list[str]
    problems: list[str]

    def __str__(self) -> str:
        head = f"{'':<48} {'wanted':>9} {'present':>9} {'truncated':>9} {'missing':>9}"
        odd = [row for row in self.logs if row.present < row.wanted]
        total = Presence(f"all {len(self.logs):,} logs", *(sum(getattr(row, name) for row in self.logs) for name in (
            "wanted", "present", "truncated", "missing")))  # fmt: skip
        more = [f"... and {len(odd) - 20:,} more logs with missing pictures"] if len(odd) > 20 else []
        return "\n".join([head, *map(str, odd[:20]), *more, str(total), *map(str, self.archives), *self.problems])

    def save(self, folder: Path) -> None:
        """Writes ``pictures.json`` (counts) and ``lacking.txt`` (one path a line)."""
        rows = {name: [asdict(row) for row in getattr(self, name)] for name in ("logs", "archives")}
        write_json(folder / "pictures.json", rows | {"lacking": len(self.lacking), "problems": self.problems})
        with atomic_path(folder / "lacking.txt") as path:
            path.write_text("".join(line + "\n" for line in self.lacking), encoding="utf-8")


def is_whole(file: BinaryIO) -> bool:
    """Whether a JPEG or PNG begins and ends as such a file does; a torn download ends early, or in zeros.

    Of other image formats only the beginning is checked.
    """
    head = file.read(8)
    file.seek(0, io.SEEK_END)
    file.seek(max(0, file.tell() - _TAIL))
    tail = file.read().rstrip(b"\0")
    if head[:3] == b"\xff\xd8\xff":
        return tail.endswith(b"\xff\xd9")
    if head == b"\x89PNG\r\n\x1a\n":
        return tail.endswith(b"IEND\xae\x42\x60\x82")
    return head.startswith((b"BM", b"RIFF", b"II*\0", b"MM\0*", b"P5", b"P6"))


def verify_pictures(
    images: Iterable[str],
    sensors: Path | None,
    folder: Path,
    *,
    archives: Sequence[Path] = (),
) -> Verification:
    """Checks every wanted picture; an interrupted check resumes where it stopped.

    Logs that were complete are noted in ``verified.jsonl`` and not checked again.

    Args:
        images: paths of the wanted pictures below the sensor folder, all of a log (their first folder) in a row.
        sensors: the sensor folder; None checks the archives only.
        folder: folder of those notes.
        archives: archives of sensor files that are not unpacked.

    Raises:
        UserError: a file that is not an archive.
    """
    notes = _Notes(folder / "verified.jsonl")
    logs: list[Presence] = []
    lacking: list[str] = []
    for log, group in groupby(images, key=lambda image: image.split("/", 1)[0]):
        names = list(group)
        key = digest_of([log, names, str(sensors)])
        if (known := notes.get(key)) is not None:
            logs.append(known)
            continue
        states = [_state(sensors, image) for image in names]
        row = Presence(log, len(names), *(states.count(state) for state in ("present", "truncated", "missing")))
        if row.present == row.wanted:
            notes.add(key, row)
        lacking += [image for image, state in zip(names, states, strict=True) if state != "present"]
        logs.append(row)
    rows, found, problems = _look_into(archives, set(lacking))
    return Verification(logs, rows, [image for image in lacking if image not in found], problems)


def _state(sensors: Path | None, image: str) -> str:
    if sensors is None or leaves_folder(image):
        return "missing"
    try:
        with (sensors / image).open("rb") as file:
            return "present" if is_whole(file) else "truncated"
    except OSError:
        return "missing"


def _look_into(archives: Sequence[Path], lacking: set[str]) -> tuple[list[Presence], set[str], list[str]]:
    """Counts per archive, the pictures found whole in one of them, and problems."""
    rows: list[Presence] = []
    found: set[str] = set()
    problems: list[str] = []
    for archive in archives:
        whole: set[str] = set()
        torn: set[str] = set()
        for image, file in wanted_members(archive, lacking, problems.append):
            (whole if is_whole(file) else torn).add(image)
        found |= whole
        torn -= whole
        rows.append(Presence(archive.name, len(whole) + len(torn), len(whole), len(torn), 0))
    return rows, found, problems


class _Notes:
    """What earlier checks found complete: a line each, so that a killed check keeps what it had."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = dict(self._lines())

    def _lines(self) -> Iterator[tuple[str, Presence]]:
        if not self._path.is_file():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                row: Mapping[str, object] = json.loads(line)
                yield str(row["key"]), Presence(**row["presence"])  # type: ignore[arg-type]
            except (ValueError, KeyError, TypeError):
                continue  # a line that was cut off by a kill

    def get(self, key: str) -> Presence | None:
        return self._known.get(key)

    def add(self, key: str, row: Presence) -> None:
        append_line(self._path, json.dumps({"key": key, "presence": asdict(row)}))
