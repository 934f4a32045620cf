"""What the verbs on data tell of their work, and how it went on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from roadstill.data.verify import lacks, none_there, verify_pictures
from roadstill.errors import PartlyDone, UserError
from roadstill.frames import stream_frames
from roadstill.frames.splits import open_index
from roadstill.imagesets import ImageSet
from roadstill.runs.progress import track
from roadstill.sources.navsim.folders import sensors_beside


def told(lines: Sequence[str], *, partly: bool, problems: Sequence[str] = ()) -> str:
    """The lines as one text; it comes as `PartlyDone`, with the first problem, if part of the input was not read."""
    text = "\n".join(lines)
    if partly:
        raise PartlyDone(text, ": ".join(["part of the input could not be read", *problems[:1]]))
    return text


def verified(
    index: Path, parts: Mapping[str, int], sensors: Path | None, archives: list[Path], decode: bool
) -> list[str]:
    """Checks the wanted pictures of an index; what to tell of it.

    Args:
        index: folder of the index.
        parts: names of its parts, and their numbers of frames.
        sensors: folder of the pictures; None if there is none.
        archives: archives of sensor files.
        decode: whether pictures are decoded.

    Raises:
        UserError: neither a sensor folder nor an archive.
    """
    if sensors is None and not archives:
        logs = open_index(index).get("logs")
        others = sensors_beside(Path(logs)) if logs else []
        hint = f" (there is {others[0]})" if others else ""
        raise UserError(
            f"no sensor folder was found beside the logs; name it with --sensors{hint}, or archives with --archives"
        )
    # All pictures of a log in a row: a drive lies in one part, and so does a log.
    images = (
        str(image)
        for name in parts
        for frames in stream_frames(index / f"{name}.parquet")
        for image in frames.column("image")
    )
    shown = track(images, "pictures", total=sum(parts.values()))
    found = verify_pictures(shown, sensors, index, archives=archives, decode=decode)
    found.save(index)
    if not found.lacking:
        return [str(found), "no picture is missing"]
    wanted = sum(row.wanted for row in found.logs)
    lines = [str(found), *found.summary()]
    if len(found.lacking) == wanted:
        lines.append(none_there(sensors, found.lacking[0], wanted))
    return [*lines, f"{len(found.lacking):,} pictures are missing or truncated, see {index / 'lacking.txt'}"]


def sets_told(out: Path, made_sets: Mapping[str, ImageSet], notes: Sequence[str]) -> str:
    """What became of the pictures of each part; `PartlyDone` if some could not be read."""
    lines, missing, wanted = list(notes), 0, 0
    listed: list[Path] = []
    for name, made in made_sets.items():
        said = [", ".join(f"{count:,} {each}" for each, count in made.counts().items())]
        for key, what in (("missing", "pictures missing"), ("left_out", "equal pictures left out")):
            if count := int(made.about.get(key, 0)):
                said.append(f"({count:,} {what}, see {key}.txt)")
        if count := int(made.about.get("empty_logs", 0)):
            said.append(f"({count:,} logs have no picture at all: not fetched?)")
        lines.append(f"{out / name}: {' '.join(said)}")
        unread = int(made.about.get("missing", 0)) - int(made.about.get("missing_by_hook", 0))
        missing, wanted = missing + unread, wanted + len(made)
        listed += [out / name / "missing.txt"] * (unread > 0)
    problems = [first_line(path) for path in listed[:1]]
    return told([*lines, *lacks(missing, wanted + missing)], partly=missing > 0, problems=problems)


def first_line(path: Path) -> str:
    """The first line of a list that a verb wrote; empty if there is none."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().rstrip("\n")
    except OSError:
        return ""
