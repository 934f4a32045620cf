"""Prepared pictures on their way into a set: a folder of small PNGs that several runs, machines and archives can fill.

Every picture is written once, whole or not at all, under its own path (`<log>/CAM_F0/<name>.jpg.png`), so an
interrupted job goes on where it stopped and the result does not depend on who made which part.
"""

import io
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from roadstill.archives import wanted_members
from roadstill.errors import UserError
from roadstill.frames import leaves_folder
from roadstill.images import BrokenImage, centre_square, encode_png, read_image
from roadstill.parallel import Workers
from roadstill.runs import atomic_path, read_json, write_json

_BATCH = 16  # pictures per job: enough to make its journey cheap


@dataclass(frozen=True)
class PictureConfig:
    """How a camera picture becomes a small square one.

    Attributes:
        size_px: side of the square.
        decode: ``fast`` lets the JPEG decoder shrink by 2, 4 or 8 while it decodes, as long as the result stays at
            least as large as wanted; ``full`` decodes every pixel.
    """

    size_px: int
    decode: str = "fast"

    def __post_init__(self) -> None:
        if self.size_px < 1:
            raise UserError(f"size_px {self.size_px} should be at least 1")
        if self.decode not in ("fast", "full"):
            raise UserError(f"decode {self.decode!r} is unknown; choose 'fast' or 'full'")

    def square(self, file: Path | io.BytesIO) -> Image.Image:
        """The small picture.

        Raises:
            BrokenImage: missing, truncated or no picture.
        """
        picture = read_image(file, at_least_px=self.size_px if self.decode == "fast" else None)
        return centre_square(picture, self.size_px)

    def png(self, file: Path | io.BytesIO) -> bytes:
        """The small picture as PNG; errors as `square`."""
        return encode_png(np.asarray(self.square(file)))


class PictureStore:
    """The folder of small pictures.

    Args:
        root: the folder; it is made if need be.
        config: how pictures are made.

    Raises:
        UserError: the folder was begun with another configuration.
    """

    def __init__(self, root: Path, config: PictureConfig) -> None:
        self.root, self.config = root, config
        about = asdict(config)
        if (root / "config.json").is_file():
            if (known := read_json(root / "config.json")) != about:
                raise UserError(f"{root} was begun with {known}, not {about}; finish it so, or remove it")
        else:
            write_json(root / "config.json", about)

    def path(self, image: str) -> Path:
        """Where the small picture of an image lies; the name cannot leave the folder.

        Raises:
            BrokenImage: the image's path would.
        """
        if leaves_folder(image):
            raise BrokenImage(f"{image!r}: leaves the sensor folder")
        return self.root / f"{image}.png"

    def has(self, image: str) -> bool:
        """Whether the picture is made."""
        return not leaves_folder(image) and self.path(image).is_file()

    def put(self, image: str, file: Path | io.BytesIO) -> None:
        """Makes one picture.

        Raises:
            BrokenImage: missing, truncated or no picture.
        """
        png = self.config.png(file)
        with atomic_path(self.path(image)) as temporary:
            temporary.write_bytes(png)

    def remove(self) -> None:
        """Removes the folder and all in it."""
        shutil.rmtree(self.root)


# ---- filling it


@dataclass(frozen=True)
class _Filler:
    store: PictureStore
    sensors: Path

    def fill(self, images: Sequence[str]) -> None:
        for image in images:
            try:
                self.store.put(image, self.sensors / image)
            except BrokenImage:
                pass  # who takes the picture out of the store tries once more and tells the reason


def fill_from_folder(
    store: PictureStore,
    images: Sequence[str],
    sensors: Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Makes the pictures that the store lacks from the camera's files; unreadable ones stay lacking.

    Args:
        store: takes the pictures.
        images: wanted pictures, paths relative to ``sensors``.
        sensors: the sensor folder.
        workers: processes; the result does not depend on it.
        progress: called with (pictures done, pictures in all) now and then.
    """
    todo = [image for image in images if not store.has(image)]
    jobs = [(todo[start : start + _BATCH],) for start in range(0, len(todo), _BATCH)]
    done = len(images) - len(todo)
    # A process takes a second to start, in which one makes some fifty pictures.
    with Workers(workers if len(todo) > 200 else 1, _Filler(store, sensors)) as pool:
        for (batch,) in pool.each("fill", jobs):
            done += len(batch)
            if progress:
                progress(done, len(images))


@dataclass(frozen=True)
class Extraction:
    """What one archive gave.

    Attributes:
        archive: its file.
        found: wanted pictures in it, readable or not.
        made: new ones among them that were read.
        problems: one line for each picture that could not be read, and for an archive that ends early.
    """

    archive: Path
    found: int
    made: int
    problems: list[str]


def fill_from_archive(store: PictureStore, images: Iterable[str], archive: Path) -> Extraction:
    """Makes wanted pictures straight from a ``.tgz`` or ``.tar`` of the data set; nothing else of it touches the disk.

    Raises:
        UserError: as `wanted_members`.
    """
    wanted = set(images)
    found, made = 0, 0
    problems: list[str] = []
    for image, file in wanted_members(archive, wanted, problems.append):
        found += 1
        if store.has(image):
            continue
        try:
            store.put(image, file)
        except BrokenImage as error:
            problems.append(f"{archive.name}: {image}: {error}")
        else:
            made += 1
    return Extraction(archive, found, made, problems)
