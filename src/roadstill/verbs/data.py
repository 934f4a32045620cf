"""Verbs from logs to pictures: world, index, prepare."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from roadstill.data.indexing import IndexConfig
from roadstill.data.picture_store import PictureConfig
from roadstill.errors import PartlyDone, UserError
from roadstill.frames import BrakeLabel
from roadstill.frames.filters import FrameFilter, SceneFilter
from roadstill.imagesets import ImageSet
from roadstill.parallel import Shard
from roadstill.protocols import ProtocolName
from roadstill.sources.csv.config import CsvConfig


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
        seed: seed of everything random; 9000 and above are reserved for confirmation.
        group: name of the towns, lights and weathers: demo or pretrain.
        height_px: height of the pictures, which are 16:9.
        pictures: whether to draw the front camera now; otherwise prepare draws what it needs.
        workers: number of processes that draw.
        reserved: whether a reserved seed is allowed.
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
    source: Literal["navsim", "csv"] = "navsim",
    csv: CsvConfig = CsvConfig(),  # noqa: B008
    preset: str = "all",
    navsim_config: Path | None = None,
    scenes: SceneFilter = SceneFilter(),  # noqa: B008  frozen; the command line shows its fields
    filter: FrameFilter = FrameFilter(),  # noqa: B008
    label: BrakeLabel = BrakeLabel(),  # noqa: B008
    split_seed: int = 0,
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15),
    split: str | None = None,
    protocol: ProtocolName = "honest",
    expect: str | None = None,
    verify: bool = False,
    sensors: Path | None = None,
    archives: list[Path] | None = None,
    shard: str | None = None,
    workers: int = 2,
) -> str:
    """Reads driving logs into a table of frames, filters them and splits them by drive.

    Args:
        data: folder of NAVSIM logs and sensors (or of the built-in world), or a table of camera frames (.csv).
        out: folder to make: frames/log=.../ (all), train / dev / test.parquet (filtered), funnel.json, problems.txt.
        source: navsim, or csv for a table of camera frames; a file that ends in .csv needs no word.
        csv: how a table of camera frames is read.
        preset: all, mini, navmini, navtrain, navtrain-train, navtrain-val or navtest, as navsim's own lists have them.
        navsim_config: folder of a navsim checkout, which holds those lists.
        scenes: rules by which a frame counts as a scene.
        filter: rules by which a scene shows a clear decision.
        label: rule by which frames get their labels.
        split_seed: seed by which drives are assigned to train, dev and test.
        shares: shares of train, dev and test; 0 leaves a part out.
        split: name of the folder of logs, if there are several (trainval, test, mini); by default the preset's.
        protocol: honest; thesis-honest (a tenth of what is not test is dev); thesis or literature (no dev part).
        expect: source of expected counts to print beside yours; thesis is the only one.
        verify: whether to check the wanted pictures; lacking.txt then lists those that are missing or truncated.
        sensors: folder of the pictures to verify, if it is not beside the logs.
        archives: archives of sensor files (.tgz) to verify without unpacking them.
        shard: share i/n of the logs to read, for several machines; a call without it joins all shares.
        workers: number of processes that read logs.
    """
    from roadstill.data.indexing import Index, index_csv, index_data
    from roadstill.data.thesis_counts import beside_thesis

    if expect not in (None, "thesis"):
        raise UserError(f"expect {expect!r} is unknown; the only one is 'thesis'")
    share = Shard.parse(shard) if shard else None
    config = IndexConfig(preset, navsim_config, scenes, filter, label, split_seed, shares, split)
    if source == "csv" or (data.suffix.lower() == ".csv" and not data.is_dir()):
        if expect or share:
            raise UserError("expect and shard are for NAVSIM logs; leave them out with a table of frames")
        found: Index | None = index_csv(data, out, config, csv, protocol=protocol, progress=_bar("bytes"))
    elif csv != CsvConfig():
        raise UserError(f"{data} is no .csv file, so the csv settings are not for it; add --source csv if it holds one")
    else:
        found = index_data(data, out, config, protocol=protocol, shard=share, workers=workers, progress=_bar("logs"))
    if found is None:
        return f"{out}: the logs of shard {shard} were read; when all shards are done, run index without --shard"
    lines = [*found.notes, str(found.funnel)]
    if found.expected is not None:
        count = found.funnel.rows[found.funnel.scenes].left
        lines.append(f"{preset}: {count:,} scenes, {found.expected:,} expected of the full data "
                     f"({count - found.expected:+,})")  # fmt: skip
    if expect:
        lines.append(beside_thesis(found.funnel, preset))
    if verify:
        lines.append(_verified(out, list(found.frames), sensors or found.sensors, archives or []))
    broken = found.counts["broken_logs"]
    if broken:
        lines.append(f"{broken} of {found.counts['logs']} logs cannot be read")
    if found.problems:
        lines.append(f"{len(found.problems)} problems, see {out / 'problems.txt'}")
    parts = ", ".join(f"{count:,} {name}" for name, count in found.frames.items())
    return _told([*lines, f"{out}: {parts}"], partly=broken > 0)


def _told(lines: Sequence[str], *, partly: bool) -> str:
    """The lines as one text; it comes as `PartlyDone` if part of the input could not be read."""
    text = "\n".join(lines)
    if partly:
        raise PartlyDone(text)
    return text


def _bar(what: str) -> Callable[[int, int], None]:
    """A progress bar on a terminal, nothing elsewhere."""
    bar = tqdm(desc=what, disable=None)

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show


def _verified(index: Path, parts: list[str], sensors: Path | None, archives: list[Path]) -> str:
    from roadstill.data.verify import verify_pictures
    from roadstill.frames import stream_frames

    if sensors is None and not archives:
        raise UserError(
            "no sensor folder was found beside the logs; name it with --sensors, or archives with --archives"
        )
    # All pictures of a log in a row: a drive lies in one part, and so does a log.
    images = (
        str(image)
        for name in parts
        for frames in stream_frames(index / f"{name}.parquet")
        for image in frames.column("image")
    )
    found = verify_pictures(tqdm(images, "pictures", disable=None), sensors, index, archives=archives)
    found.save(index)
    lacking = f"{len(found.lacking):,} pictures are missing or truncated, see {index / 'lacking.txt'}"
    return f"{found}\n{lacking if found.lacking else 'no picture is missing'}"


def prepare(
    index: Path,
    out: Path,
    *,
    size_px: int | None = None,
    decode: Literal["fast", "full"] = "fast",
    sensors: Path | None = None,
    from_archive: list[Path] | None = None,
    max_per_class: int | None = None,
    label: str = "brake",
    group: str | None = None,
    hook: str | None = None,
    hook_settings: dict[str, Any] | None = None,
    shard: str | None = None,
    dev_images: int | None = None,
    workers: int = 2,
) -> str:
    """Crops and resizes the wanted pictures: one image set each for train, dev and test.

    Args:
        index: folder made by index; or any folder of class folders, or of train, dev and test with class folders; or
            CIFAR-10: cifar-10-batches-bin, cifar-10-batches-py (folder or .tar.gz), or the hub's Parquet folder.
        out: folder to make, with train, dev and test in it.
        size_px: side of the square pictures: 64, 128 (the default) or 256; those of CIFAR-10 stay 32.
        decode: fast lets the JPEG decoder shrink large pictures while it decodes; full decodes every pixel.
        sensors: folder of the pictures, if it is not where index found it.
        from_archive: archives (.tgz) to take the pictures from instead, without unpacking the rest; calls add up.
        max_per_class: largest number of pictures of a class in each part.
        label: label of the classes: brake (brake, not brake) or location; class folders have their own.
        group: for class folders, a regular expression with one group that finds in each path what is not to be cut, as
            a drive.
        hook: dotted path of a step of your choice on every full picture, such as roadstill.data.privacy.BlurBoxes,
            which blurs vehicles and people by the boxes of the logs; every pixel is decoded for it.
        hook_settings: settings of that step, such as '{"missing": "leave_out"}'; logs, if taken, are the index's.
        shard: share i/n of the logs whose pictures are made; a call without it writes the sets.
        dev_images: number of CIFAR-10's training pictures that become dev: 5000 by default, 0 for none.
        workers: number of processes that draw and decode.
    """
    from roadstill.data.indexing import hook_defaults, open_index
    from roadstill.data.prepare import Incomplete, prepare_splits
    from roadstill.data.privacy import hook_of
    from roadstill.sources.cifar10.parts import find_cifar10
    from roadstill.sources.folder import has_class_folders

    if hook is None and hook_settings:
        raise UserError("hook_settings are for a hook; name it with --hook")
    if find_cifar10(index) is not None:
        others = (
            size_px not in (None, 32),
            decode != "fast",
            label != "brake",
            sensors,
            from_archive,
            group,
            hook,
            shard,
        )
        if any(others):
            raise UserError(f"{index} is CIFAR-10, whose pictures stay as they are; only max_per_class and dev_images "
                            "apply")  # fmt: skip
        return _prepared_cifar10(index, out, dev_images, max_per_class)
    if dev_images is not None:
        raise UserError("dev_images is for CIFAR-10; other data are split by drive or group")
    size_px = 128 if size_px is None else size_px
    if has_class_folders(index):
        if sensors or from_archive or shard or label != "brake":
            raise UserError(f"{index} is a folder of class folders; sensors, from_archive, shard and label are for an "
                            "index, made by index")  # fmt: skip
        config = PictureConfig(size_px, decode, hook_of(hook, hook_settings) if hook else None)
        return _prepared_folder(index, out, config, group, max_per_class, workers)
    if group is not None:
        raise UserError("group is for folders of pictures; an index knows its drives")
    known = open_index(index)
    folder = sensors or (Path(known["sensors"]) if known["sensors"] else None)
    data = Path(known["data"])
    made_sets = prepare_splits(
        index,
        folder,
        out,
        config=PictureConfig(
            size_px, decode, hook_of(hook, hook_settings, defaults=hook_defaults(known)) if hook else None
        ),
        archives=from_archive or [],
        shard=Shard.parse(shard) if shard else None,
        max_per_class=max_per_class,
        label=label,
        workers=workers,
        world=data if (data / "world.json").is_file() else None,
    )
    if isinstance(made_sets, Incomplete):
        ready = f"{out}: {made_sets.ready:,} of {made_sets.wanted:,} wanted pictures are ready"
        more = "give the other archives or shards, or write the sets with what is there by a call without them"
        return _told([*made_sets.problems, f"{ready}; {more}"], partly=bool(made_sets.problems))
    return "\n".join(_sets_told(out, made_sets))


def _prepared_folder(
    folder: Path, out: Path, config: PictureConfig, group: str | None, max_per_class: int | None, workers: int
) -> str:
    from roadstill.data.folders import prepare_folder

    found = prepare_folder(folder, out, config=config, group=group, max_per_class=max_per_class, workers=workers)
    return "\n".join([*found.notes, *_sets_told(out, found.sets)])


def _prepared_cifar10(path: Path, out: Path, dev_images: int | None, max_per_class: int | None) -> str:
    from roadstill.data.cifar10 import DEV_IMAGES, prepare_cifar10

    wanted = DEV_IMAGES if dev_images is None else dev_images
    found = prepare_cifar10(path, out, dev_images=wanted, max_per_class=max_per_class)
    return "\n".join([*found.notes, *_sets_told(out, found.sets)])


def _sets_told(out: Path, made_sets: Mapping[str, ImageSet]) -> list[str]:
    lines = []
    for name, made in made_sets.items():
        counts = ", ".join(f"{count:,} {each}" for each, count in made.counts().items())
        missing = f" ({made.about['missing']:,} pictures missing, see missing.txt)" if made.about["missing"] else ""
        lines.append(f"{out / name}: {counts}{missing}")
    return lines
