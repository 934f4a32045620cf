"""Prepared pictures on their way into a set: a folder of small PNGs that several runs, machines and archives can fill.

Every picture is written once, whole or not at all, under its own path (`<log>/CAM_F0/<name>.jpg.png`), so an
interrupted job resumes where it stopped and the result does not depend on who made which part.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from roadstill.data.archives import wanted_members
from roadstill.data.privacy import Hook, apply_hook, describe
from roadstill.errors import UserError
from roadstill.frames import PICTURE_FACTS, leaves_folder
from roadstill.images import BrokenImage, centre_square, encode_png, read_image
from roadstill.parallel import Workers
from roadstill.runs import atomic_path, plain, read_json, remove, write_json
from roadstill.runs.progress import counter

FactsOf: TypeAlias = Callable[[str], Mapping[str, Any]]

_BATCH = 16  # pictures per job: enough to make sending it cheap
_HELD = 256 * _BATCH  # pictures whose facts are in memory at a time


@dataclass(frozen=True)
class PictureConfig:
    """How a camera picture becomes a small square one.

    Attributes:
        size_px: side of the square.
        decode: way of decoding: ``fast`` lets the JPEG decoder shrink by 2, 4 or 8 while it decodes, as long as the
            result stays at least as large as wanted; ``full``, always used with a hook, decodes every pixel.
        hook: step that every full picture passes before it is cropped and resized, see `roadstill.data.privacy`.

    Raises:
        UserError: a size below 1, or another way of decoding.
    """

    size_px: int
    decode: str = "fast"
    hook: Hook | None = None

    def __post_init__(self) -> None:
        if self.size_px < 1:
            raise UserError(f"size_px {self.size_px} should be at least 1")
        if self.decode not in ("fast", "full"):
            raise UserError(f"decode {self.decode!r} is unknown; choose 'fast' or 'full'")
        if self.hook is not None:
            object.__setattr__(self, "decode", "full")

    @property
    def about(self) -> dict[str, Any]:
        """What a store or a set records of it; a hook only if there is one."""
        about: dict[str, Any] = {"size_px": self.size_px, "decode": self.decode}
        return about if self.hook is None else about | {"hook": describe(self.hook)}

    def square(self, file: Path | io.BytesIO, facts: Mapping[str, Any] | None = None) -> Image.Image:
        """The small picture.

        Args:
            file: the camera's picture.
            facts: facts that the hook receives, see `apply_hook`.

        Raises:
            BrokenImage: missing, truncated or not an image, or the hook leaves it out.
            UserError: the hook failed.
        """
        picture = read_image(file, at_least_px=self.size_px if self.decode == "fast" else None)
        if self.hook is not None:
            picture = apply_hook(self.hook, picture, facts or {})
        return centre_square(picture, self.size_px)

    def png(self, file: Path | io.BytesIO, facts: Mapping[str, Any] | None = None) -> bytes:
        """The small picture as PNG; arguments and errors as for `square`."""
        return encode_png(np.asarray(self.square(file, facts)))


class PictureStore:
    """The folder of small pictures.

    Args:
        root: the folder; it is created if needed.
        config: settings that pictures are made with.

    Raises:
        UserError: the folder was begun with another configuration, even if it is empty: another process may be
            starting.
    """

    def __init__(self, root: Path, config: PictureConfig) -> None:
        self.root, self.config = root, config
        self.about = about = plain(config.about)  # once, as a hook's attributes may change while it works
        if not (root / "config.json").is_file():
            write_json(root / "config.json", about)
        elif (known := read_json(root / "config.json")) != about:
            known = known if isinstance(known, dict) else {}
            names = [name for name in sorted({*known, *about}) if known.get(name) != about.get(name)]
            began, asked = ({name: each.get(name) for name in names} for each in (known, about))
            raise UserError(f"{root} was begun with {began}, not {asked}; finish it with those settings, or remove it")

    def path(self, image: str) -> Path:
        """Where the small picture of an image lies; the name cannot leave the folder.

        Raises:
            BrokenImage: the image's path would.
        """
        if leaves_folder(image):
            raise BrokenImage(f"{image!r}: leaves the sensor folder")
        return self.root / f"{image}.png"

    def has(self, image: str) -> bool:
        """Whether the picture exists."""
        return not leaves_folder(image) and self.path(image).is_file()

    def put(self, image: str, file: Path | io.BytesIO, facts: Mapping[str, Any] | None = None) -> None:
        """Makes one picture; the hook receives those of the facts that `PICTURE_FACTS` names.

        Raises:
            BrokenImage: missing, truncated or not an image, or the hook leaves it out.
            UserError: the hook failed.
        """
        told = {name: facts[name] for name in PICTURE_FACTS if name in facts} if facts else {}
        path, png = self.path(image), self.config.png(file, told | {"image": image})
        with atomic_path(path) as temporary:
            temporary.write_bytes(png)

    def note(self, image: str, why: str) -> None:
        """Records why a picture is missing, for a time when its file is no longer at hand."""
        with atomic_path(self.path(image).with_suffix(".txt")) as temporary:
            temporary.write_text(why, encoding="utf-8")

    def noted(self, image: str) -> str | None:
        """The reason that `note` recorded; ``None`` if there is none."""
        path = None if leaves_folder(image) else self.path(image).with_suffix(".txt")
        return path.read_text(encoding="utf-8") if path and path.is_file() else None

    def remove(self) -> None:
        """Removes the folder and its contents."""
        remove(self.root)

    def __enter__(self) -> "PictureStore":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Removes the folder if the work was refused before one picture was made."""
        if kind is not None and issubclass(kind, UserError) and next(self.root.rglob("*.png"), None) is None:
            self.remove()


# ---- filling it


@dataclass(frozen=True)
class Filler:
    """What each worker does: it makes pictures of a store from the camera's files."""

    store: PictureStore
    sensors: Path

    def fill(self, images: Sequence[str], facts: Sequence[Mapping[str, Any]]) -> None:
        """Makes these pictures; those that cannot be read stay missing."""
        for image, told in zip(images, facts, strict=True):
            try:
                self.store.put(image, self.sensors / image, told)
            except BrokenImage:
                pass  # the writer of the set tries once more and reports the reason


def fill_from_folder(
    store: PictureStore,
    images: Sequence[str],
    sensors: Path,
    *,
    facts: FactsOf | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Makes the pictures that are missing in the store from the camera's files; unreadable ones stay missing.

    Args:
        store: store that takes the pictures.
        images: wanted pictures, paths relative to ``sensors``.
        sensors: the sensor folder.
        facts: function from an image to its facts, for the store's hook; without it the hook receives the path alone.
        workers: processes; the result does not depend on it.
        progress: callback for (pictures done, pictures in total), called now and then; by default they
            are shown as all progress is.

    Raises:
        UserError: the hook failed.
    """
    todo = [image for image in images if not store.has(image)]
    done = len(images) - len(todo)
    progress = progress or counter("pictures")
    told: FactsOf = facts if facts and store.config.hook else lambda image: {}
    # A process takes a second to start, in which another makes some fifty pictures.
    with Workers(workers if len(todo) > 200 else 1, Filler(store, sensors)) as pool:
        for held in _cut(todo, _HELD):
            jobs = [(batch, [told(image) for image in batch]) for batch in _cut(held, _BATCH)]
            for batch, _ in pool.each("fill", jobs):
                done += len(batch)
                progress(done, len(images))


def _cut(images: Sequence[str], length: int) -> Iterator[Sequence[str]]:
    return (images[start : start + length] for start in range(0, len(images), length))


@dataclass(frozen=True)
class Extraction:
    """What one archive yielded.

    Attributes:
        archive: path of the archive.
        found: number of wanted pictures in it, readable or not.
        made: number of new ones among them that were read.
        problems: one line for each picture that could not be read, and for an archive that ends early.
    """

    archive: Path
    found: int
    made: int
    problems: list[str]


def fill_from_archive(
    store: PictureStore, images: Iterable[str], archive: Path, *, facts: FactsOf | None = None
) -> Extraction:
    """Makes wanted pictures straight from a ``.tgz`` or ``.tar`` of the data set; nothing else of it touches the disk.

    Why a picture could not be made is recorded in the store, since its file is not kept.

    Args:
        store: store that takes the pictures.
        images: wanted pictures, paths relative to the sensor folder.
        archive: path of the archive.
        facts: function as for `fill_from_folder`.

    Raises:
        UserError: as `wanted_members`; the hook failed.
    """
    wanted = set(images)
    found, made = 0, 0
    problems: list[str] = []
    for image, file in wanted_members(archive, wanted, problems.append):
        found += 1
        if store.has(image):
            continue
        try:
            store.put(image, file, facts(image) if facts and store.config.hook else None)
        except BrokenImage as error:
            why = " ".join(str(error).split())
            store.note(image, why)
            problems.append(f"{archive.name}: {image}: {why}")
        else:
            made += 1
    return Extraction(archive, found, made, problems)
