"""`share`: a copy of a set in a layout that other programs open, with card, description and manifest."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import msgspec

from roadstill.errors import UserError
from roadstill.imagesets.card import Layout, Portrait, card_of, hub_split, without_places
from roadstill.imagesets.sources import SOURCES, UNKNOWN, licences_of, require_sources, sources_of
from roadstill.imagesets.streams import SetStream, stream_imageset
from roadstill.runs import atomic_path, holding, plain, require_own
from roadstill.sharing import coco, croissant, fiftyone, imagefolder, manifest, parquet, pt, webdataset
from roadstill.sharing.evaluated import results_of
from roadstill.sharing.signing import sign

Format: TypeAlias = Literal["imagefolder", "parquet", "webdataset", "fiftyone", "coco", "pt"]
FORMATS: tuple[str, ...] = get_args(Format)
"""Names of the layouts."""
_OF_FILES = {"imagefolder": imagefolder.write, "fiftyone": fiftyone.write, "pt": pt.write}
_OF_SHARDS = {"parquet": parquet.write, "webdataset": webdataset.write}
_DESCRIBED = ("imagefolder", "parquet")  # Croissant's reader takes one picture a file, or tables
_WITH_VALUES = ("imagefolder", "pt")
_SHARD_BYTES = 2**28
_DATE = re.compile(r"\d{4}-[01]\d-[0-3]\d")


@dataclass(frozen=True)
class Published:
    """What card and description say of a publication.

    Attributes:
        name: name of the set.
        creators: who publishes it.
        url: its page.
        date: day of publication, as 2026-11-30.

    Raises:
        UserError: a date of another form.
    """

    name: str = ""
    creators: tuple[str, ...] = ()
    url: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        if self.date and not _DATE.fullmatch(self.date):
            raise UserError(f"date {self.date[:40]!r} should be a day such as 2026-11-30")


@dataclass(frozen=True)
class Shared:
    """What was written.

    Attributes:
        images: number of pictures.
        licences: licences whose conditions hold together; "unknown" where one is not known.
        notes: what the user should read.
    """

    images: int
    licences: list[str]
    notes: list[str] = field(default_factory=list)


@holding()
def share(
    images: Path,
    out: Path,
    *,
    format: Format = "imagefolder",
    logs: Path | None = None,
    sources: Sequence[str] = (),
    published: Published = Published(),
    key: Path | None = None,
    shard_bytes: int = _SHARD_BYTES,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Shared:
    """Copies a set into a folder of its own, picture by picture, whatever its size.

    Args:
        images: folder of the set.
        out: folder to write; it appears only when all is done.
        format: layout of the copy.
        logs: folder of the logs' pickles, whose boxes the layout ``coco`` holds; for no other layout.
        sources: names of what the set stems from (`roadstill.imagesets.sources.KNOWN`), instead of what it records.
        published: what card and description say of the publication.
        key: minisign secret key without a password that signs the manifest.
        shard_bytes: size of a file of many pictures, about.
        watch: function that is called with the number of pictures so far, and of all.

    Raises:
        UserError: no set, or a damaged one; a folder that holds other things; options that do not go together.
    """
    _check(format, logs, sources, shard_bytes)
    require_own(out, manifest.FILE)
    stream = _opened(images, sources, watch)
    with atomic_path(out, record=manifest.FILE) as folder:
        folder.mkdir()
        layout = _write(stream, folder, format, logs, shard_bytes)
        portrait = _portrait(stream, published, layout)
        (folder / "README.md").write_text(card_of(portrait), encoding="utf-8")
        if format in _DESCRIBED:
            croissant.write_croissant(folder, portrait, url=published.url, date=published.date)
        parameters = {"format": format, "sources": list(sources), "published": plain(published)}
        made_from = {"digest": stream.record.digest, "about": stream.record.about}
        manifest.write_manifest(folder, parameters, made_from)
        if key is not None:
            sign(folder / manifest.FILE, key, f"roadstill set {stream.record.digest}")
    return Shared(len(stream.tally), licences_of(sources_of(stream.record.about)), _notes(stream, format))


def _check(format: str, logs: Path | None, sources: Sequence[str], shard_bytes: int) -> None:
    if format not in FORMATS:
        raise UserError(f"format {format!r} is unknown; choose one of {', '.join(FORMATS)}")
    if format == "coco" and logs is None:
        raise UserError("format coco holds the boxes of the logs; name their folder with --logs")
    if format != "coco" and logs is not None:
        raise UserError("logs belong to format coco")
    if shard_bytes < 1:
        raise UserError(f"shard_bytes is {shard_bytes}; it must be at least 1")
    require_sources(sources)


def _opened(images: Path, sources: Sequence[str], watch: Callable[[int, int], None]) -> SetStream:
    """The set, with what it stems from as the user says it, and without folders of this machine."""
    stream = stream_imageset(images)
    about = without_places(stream.record.about) | ({SOURCES: list(sources)} if sources else {})
    return replace(stream, record=msgspec.structs.replace(stream.record, about=about), watch=watch)


def _portrait(stream: SetStream, published: Published, layout: Layout) -> Portrait:
    results = results_of(stream.root, stream.record.digest)
    return Portrait(
        stream.tally,
        stream.record.about,
        stream.record.size_px,
        layout,
        results or ["None is known: this set does not stand in a run that was evaluated."],
        published.name,
        published.creators,
    )


def _write(stream: SetStream, folder: Path, format: str, logs: Path | None, shard_bytes: int) -> Layout:
    if logs is not None:
        return coco.write(stream, folder, logs)
    if format in _OF_FILES:
        return _OF_FILES[format](stream, folder)
    return _OF_SHARDS[format](stream, folder, hub_split(stream.record.about), shard_bytes)


def _notes(stream: SetStream, format: str) -> list[str]:
    notes = []
    if UNKNOWN in licences_of(sources_of(stream.record.about)):
        notes.append("the licence of its sources is not known; name them with --sources, or ask their owners first")
    if stream.record.values is not None and format not in _WITH_VALUES:
        notes.append(
            "its numbers behind the pictures (values.safetensors) are copied by formats imagefolder and pt alone"
        )
    if format == "pt":
        notes.append(
            "facts of the pictures (logs, frames, labels that are numbers) stay behind, and with them what tells that "
            "a set shares frames with a test part; format imagefolder keeps them"
        )
    return notes
