"""Draws the pictures of a written world: only those that are asked for and missing, in several processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from roadstill.errors import UserError
from roadstill.parallel import Workers
from roadstill.runs import atomic_path, hold
from roadstill.runs.progress import counter
from roadstill.world.logs import SPLIT, namings_of, read_world, scenes_of

Progress = Callable[[int, int], None]


def draw_pictures(
    root: Path,
    images: Sequence[str] | None = None,
    *,
    workers: int = 1,
    quality: int = 92,
    progress: Progress | None = None,
) -> int:
    """Draws the missing pictures of a world; the files do not depend on ``workers`` or on what was drawn before.

    Args:
        root: folder of a written world.
        images: paths relative to ``sensor_blobs/mini``, as in the logs; all of the world if not given.
        workers: number of processes; 1 draws in this one.
        quality: quality of the JPEG files, 1 to 95.
        progress: function that is called with the numbers of pictures drawn so far and to draw; by default they
            are shown as all progress is, see `roadstill.runs.progress`.

    Returns:
        The number of pictures drawn.

    Raises:
        UserError: if this world does not have an image, or a number is out of range.
    """
    if workers < 1 or not 1 <= quality <= 95:
        raise UserError(f"workers {workers}, quality {quality}: take at least one worker and a quality from 1 to 95")
    tasks = _missing(root, images)
    progress = progress or counter("pictures drawn")
    total, done = sum(len(names) for names in tasks.values()), 0
    if not tasks:
        return 0
    # Several calls may each draw their share, as the shards of prepare do.
    with hold(root, shared=True), Workers(min(workers, len(tasks)), _Painter(root, quality)) as pool:
        longest_first = sorted(tasks.items(), key=lambda task: -len(task[1]))
        for _, names in pool.each("draw", longest_first):
            done += len(names)
            progress(done, total)
    return done


@dataclass(frozen=True)
class _Painter:
    """What draws, in each process."""

    root: Path
    quality: int

    def draw(self, index: int, names: Sequence[str]) -> None:
        """Draws the named pictures of one drive; its roads are built once, its logs in their order."""
        from roadstill.world.render import Renderer

        world, wanted = read_world(self.root), set(names)
        logs = {Path(name).parts[0] for name in names}
        renderer = Renderer(world.width_px, world.height_px)
        try:
            for name, scene in scenes_of(self.root, drives={index}, logs=logs):
                if name in wanted:
                    write_jpeg(self.root / "sensor_blobs" / SPLIT / name, renderer.draw(scene), self.quality)
        finally:
            renderer.close()


def write_jpeg(path: Path, pixels: NDArray[np.uint8], quality: int) -> None:
    """Writes a picture ``[h, w, 3]`` atomically, colours at full resolution: small red lamps must stay red."""
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, "JPEG", quality=quality, subsampling=0)


def _missing(root: Path, images: Sequence[str] | None) -> dict[int, list[str]]:
    """The wanted pictures that do not exist, by drive, in the order of the world."""
    wanted = None if images is None else set(images)
    tasks: dict[int, list[str]] = {}
    for spec in read_world(root).specs():
        for naming in namings_of(spec):
            for name in (naming.image(frame) for frame in range(naming.count)):
                if wanted is not None and name not in wanted:
                    continue
                if wanted is not None:
                    wanted.discard(name)
                if not (root / "sensor_blobs" / SPLIT / name).exists():
                    tasks.setdefault(spec.index, []).append(name)
    if wanted:
        raise UserError(
            f"{root}: no picture {min(wanted)!r} in this world ({len(wanted)} unknown); take names from its logs"
        )
    return tasks
