"""Which of the wanted pictures are present and whole, per log and per archive; they are decoded only if asked."""

import io
import json
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from roadstill.data.archives import wanted_members
from roadstill.errors import UserError
from roadstill.frames import leaves_folder
from roadstill.images import BrokenImage, read_image
from roadstill.runs import Record, append_line, atomic_path, digest_of, read_rows, write_json
from roadstill.sources.navsim.folders import elsewhere

LOUD_SHARE = 0.1
_TAIL = 4096


@dataclass(frozen=True)
class Presence:
    """How many wanted pictures one place holds.

    Attributes:
        name: name of the log or archive.
        wanted: number of pictures of that log that the index wants; for an archive, of those that it holds.
        present: number of whole ones.
        truncated: number of files that end early, are not pictures or, where pictures are decoded, are damaged.
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

    def summary(self) -> list[str]:
        """What the table means, a line each."""
        unfetched = [row.name for row in self.logs if row.wanted == row.missing]
        holed = [row.name for row in self.logs if row.present < row.wanted and row.wanted > row.missing]
        found = [
            f"{len(names):,} of {len(self.logs):,} logs {what}: {', '.join(names[:3])}{' ...' * (len(names) > 3)}"
            for names, what in (
                (unfetched, "have no picture at all (not fetched?)"),
                (holed, "lack some of theirs (holes)"),
            )
            if names
        ]
        return found + lacks(len(self.lacking), sum(row.wanted for row in self.logs))

    def save(self, folder: Path) -> None:
        """Writes ``pictures.json`` (counts) and ``lacking.txt`` (one path a line)."""
        rows = {name: [asdict(row) for row in getattr(self, name)] for name in ("logs", "archives")}
        write_json(folder / "pictures.json", rows | {"lacking": len(self.lacking), "problems": self.problems})
        with atomic_path(folder / "lacking.txt") as path:
            path.write_text("".join(line + "\n" for line in self.lacking), encoding="utf-8")


def lacks(count: int, wanted: int) -> list[str]:
    """A loud line if more than a tenth of the wanted pictures is missing."""
    if count <= LOUD_SHARE * wanted:
        return []
    return [f"WARNING: {count:,} of {wanted:,} wanted pictures ({count / wanted:.0%}) are missing or damaged"]


def none_there(sensors: Path | None, image: str, count: int, others: Sequence[Path] = ()) -> str:
    """That not one picture is there, the first path that was tried, and where a file of that name lies instead.

    Args:
        sensors: the sensor folder; None if none is known.
        image: path of the first picture.
        count: number of pictures.
        others: sensor folders that could be meant.
    """
    if sensors is None:
        hint = f" (there is {others[0]})" if others else ""
        return f"none of the {count:,} pictures was found; name their folder with --sensors{hint}"
    said = f"none of the {count:,} pictures was found; the first: {sensors / image}"
    if (place := elsewhere(sensors, image)) is None:
        return f"{said}; name the folder that this path is relative to with --sensors"
    if place.as_posix().endswith(f"/{image}"):
        return f"{said}; it lies in {place.as_posix().removesuffix(image)}: name that folder with --sensors"
    return f"{said}; a file of that name is {place}: put the pictures into folders as the path has them"


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
    decode: bool = False,
) -> Verification:
    """Checks every wanted picture; an interrupted check resumes where it stopped.

    Of a file only the beginning and the end are read, unless it is decoded; so damage between them is not seen.

    Logs that were complete are noted in ``verified.jsonl`` and not checked again.

    Args:
        images: paths of the wanted pictures below the sensor folder, all of a log (their first folder) in a row.
        sensors: the sensor folder; None checks the archives only.
        folder: folder of those notes.
        archives: archives of sensor files that are not unpacked.
        decode: whether to decode the pictures of the sensor folder, JPEGs at an eighth of their size.

    Raises:
        UserError: a file that is not an archive.
    """
    notes = _Notes(folder / "verified.jsonl")
    logs: list[Presence] = []
    lacking: list[str] = []
    for log, group in groupby(images, key=lambda image: image.split("/", 1)[0]):
        names = list(group)
        key = digest_of([log, names, str(sensors), *(["decoded"] if decode else [])])
        if (known := notes.get(key)) is not None:
            logs.append(known)
            continue
        states = [_state(sensors, image) for image in names]
        if decode and sensors is not None:
            states = [
                "truncated" if state == "present" and not _decodes(sensors / image) else state
                for image, state in zip(names, states, strict=True)
            ]
        row = Presence(log, len(names), *(states.count(state) for state in ("present", "truncated", "missing")))
        if row.present == row.wanted:
            notes.add(key, row)
        lacking += [image for image, state in zip(names, states, strict=True) if state != "present"]
        logs.append(row)
    rows, found, problems = _look_into(archives, set(lacking))
    return Verification(logs, rows, [image for image in lacking if image not in found], problems)


def _decodes(path: Path) -> bool:
    try:
        read_image(path, at_least_px=1)
    except BrokenImage:
        return False
    return True


def _state(sensors: Path | None, image: str) -> str:
    if sensors is None or leaves_folder(image):
        return "missing"
    path = sensors / image
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for without end
            return "truncated"
        with path.open("rb") as file:
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


class _Note(Record, kw_only=True, frozen=True):
    key: str
    presence: Presence


class _Notes:
    """What earlier checks found complete: a line each, so that a killed check keeps what it had."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = dict(self._lines())

    def _lines(self) -> Iterator[tuple[str, Presence]]:
        if not self._path.is_file():
            return
        with suppress(UserError):  # a line that was cut off by a kill
            for row in read_rows(self._path, _Note, "verify again"):
                yield row.key, row.presence

    def get(self, key: str) -> Presence | None:
        return self._known.get(key)

    def add(self, key: str, row: Presence) -> None:
        append_line(self._path, json.dumps({"key": key, "presence": asdict(row)}))
