"""Verbs from logs to pictures: world, index, prepare."""

from pathlib import Path

from roadstill.errors import UserError
from roadstill.frames import FrameFilter
from roadstill.runs import read_json, write_json


def world(
    out: Path,
    *,
    drives: int = 24,
    seed: int = 0,
    group: str = "demo",
    height_px: int = 144,
    pictures: bool = True,
    workers: int = 2,
    reserved: bool = False,
) -> str:
    """Makes a built-in driving world: synthetic logs, maps and pictures in NAVSIM's layout.

    Args:
        out: folder to make.
        drives: number of drives, several logs each.
        seed: of everything; 9000 and above are reserved for confirmation.
        group: towns, lights and weathers: demo or pretrain.
        height_px: of the pictures, which are 16:9.
        pictures: draw the front camera now; otherwise only logs are written, and prepare draws what it wants.
        workers: processes that draw.
        reserved: allow a reserved seed.
    """
    from roadstill.world.logs import write_world
    from roadstill.world.pictures import draw_pictures

    write_world(out, drives=drives, seed=seed, group=group, height_px=height_px, reserved=reserved)
    drawn = draw_pictures(out, None, workers=workers) if pictures else 0
    return f"{out}: {drives} synthetic drives, {drawn:,} pictures {height_px} pixels high"


def index(
    data: Path,
    out: Path,
    *,
    filter: FrameFilter = FrameFilter(),  # noqa: B008  frozen; the command line shows its fields
    split_seed: int = 0,
    split: str | None = None,
) -> str:
    """Reads driving logs into a table of frames, filters them and splits them by drive.

    Args:
        data: folder of NAVSIM logs and sensors (or of the built-in world).
        out: folder to make: frames.parquet (all), train / dev / test.parquet (filtered), funnel.json, problems.txt.
        filter: which frames count.
        split_seed: decides which drives go to train, dev and test.
        split: which of several NAVSIM splits below the folder (trainval, test, mini).
    """
    from roadstill.sources.navsim import find_data, index_logs
    from roadstill.splits import write_index

    logs, sensors = find_data(data, split)
    found = index_logs(logs)
    counts, funnel = write_index(found, out, filter, split_seed)
    write_json(
        out / "index.json", {"data": str(data), "logs": str(logs), "sensors": str(sensors or ""), "frames": counts}
    )
    parts = ", ".join(f"{counts[name]:,} {name}" for name in ("train", "dev", "test"))
    problems = f"\n{len(found.problems)} problems, see {out / 'problems.txt'}" if found.problems else ""
    return f"{funnel}\n{out}: {parts}{problems}"


def prepare(
    index: Path,
    out: Path,
    *,
    size_px: int = 128,
    sensors: Path | None = None,
    max_per_class: int | None = None,
    label: str = "brake",
    workers: int = 2,
) -> str:
    """Cuts the wanted pictures to size: one image set each for train, dev and test.

    Args:
        index: folder that index made.
        out: folder to make, with train, dev and test in it.
        size_px: side of the square pictures: 64, 128 or 256.
        sensors: folder of the pictures, if it is not where index found it.
        max_per_class: most pictures of a class in each part.
        label: what the classes are: brake (brake, not brake) or location.
        workers: processes that draw, threads that decode.
    """
    from roadstill.splits import prepare_splits

    known = read_json(index / "index.json")
    folder = sensors or (Path(known["sensors"]) if known["sensors"] else None)
    if folder is None:
        raise UserError(f"{index} knows no sensor folder; name it with --sensors")
    data = Path(known["data"])
    made_sets = prepare_splits(
        index,
        folder,
        out,
        size_px=size_px,
        max_per_class=max_per_class,
        label=label,
        workers=workers,
        world=data if (data / "world.json").is_file() else None,
    )
    lines = []
    for name, made in made_sets.items():
        counts = ", ".join(f"{count:,} {each}" for each, count in made.counts().items())
        missing = f" ({made.about['missing']:,} pictures missing, see missing.txt)" if made.about["missing"] else ""
        lines.append(f"{out / name}: {counts}{missing}")
    return "\n".join(lines)
