"""Train, dev and test as whole: an index split by drive, and the prepared pictures of its three parts."""

from collections.abc import Callable
from pathlib import Path

from roadstill.frames import FrameFilter, Funnel, apply_filters, open_frames, split_by_drive
from roadstill.imagesets import ImageSet
from roadstill.prepare import prepare, wanted_images
from roadstill.runs import atomic_path
from roadstill.sources.navsim import Index

SPLITS = ("train", "dev", "test")


def write_index(index: Index, folder: Path, rules: FrameFilter, split_seed: int) -> tuple[dict[str, int], Funnel]:
    """Filters and splits an index and writes ``frames`` (all), ``train``, ``dev``, ``test`` and the funnel.

    Returns:
        Number of frames in each table, and the funnel.

    Raises:
        UserError: a filter removed every frame, or there are too few drives for three parts.
    """
    kept, funnel = apply_filters(index.frames, rules)
    tables = {"frames": index.frames, **split_by_drive(kept, seed=split_seed)}
    with atomic_path(folder) as path:
        path.mkdir()
        for name, table in tables.items():
            table.save(path / f"{name}.parquet")
        funnel.save(path / "funnel.json")
        (path / "problems.txt").write_text("".join(line + "\n" for line in index.problems), encoding="utf-8")
    return {name: len(table) for name, table in tables.items()}, funnel


def prepare_splits(
    index: Path,
    sensors: Path,
    out: Path,
    *,
    size_px: int,
    max_per_class: int | None = None,
    label: str = "brake",
    workers: int = 2,
    world: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, ImageSet]:
    """One image set for each of train, dev and test, of the frames that `write_index` wrote.

    Args:
        index: folder of the frame tables.
        sensors: folder of the pictures.
        out: folder of the sets.
        size_px: side of the square pictures.
        max_per_class: most pictures of a class in each part.
        label: what the classes are, see `prepare`.
        workers: processes that draw, threads that decode.
        world: a built-in world, whose missing pictures are drawn first.
        say: takes one line of progress.
    """
    splits = {name: open_frames(index / f"{name}.parquet") for name in SPLITS}
    if world is not None:
        from roadstill.world.pictures import draw_pictures

        wanted = [image for part in splits.values() for image in wanted_images(part, max_per_class)]
        say(f"drawing {len(wanted):,} pictures")
        draw_pictures(world, wanted, workers=workers)
    return {
        name: prepare(
            frames,
            sensors,
            out / name,
            size_px=size_px,
            workers=workers,
            max_per_class=max_per_class,
            label=label,
            about={"split": name, "synthetic": world is not None},
        )
        for name, frames in splits.items()
    }
