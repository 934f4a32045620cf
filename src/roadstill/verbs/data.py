"""Verbs from logs to pictures: world, index, prepare."""

from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Literal

from roadstill.data.indexing import IndexConfig, hook_defaults, index_data
from roadstill.data.picture_store import PictureConfig
from roadstill.data.privacy import NamedHook, hook_of
from roadstill.data.sources import NAVSIM, SetRequest, looks_like, open_pictures_of, write_sets
from roadstill.distil.declared import PtConfig
from roadstill.errors import UserError
from roadstill.frames import BrakeLabel
from roadstill.frames.filters import FrameFilter, SceneFilter
from roadstill.frames.splits import SPLITS, open_index
from roadstill.names import Settings
from roadstill.parallel import Shard
from roadstill.protocols import ProtocolName
from roadstill.runs import holding
from roadstill.runs.kinds import product_in
from roadstill.sources.csv.config import CsvConfig
from roadstill.sources.folder import require_pictures
from roadstill.sources.pt import SUFFIXES
from roadstill.verbs.telling import first_line, sets_told, told, verified


@holding()
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
        out: folder to make; a second call with the same settings draws the pictures that are missing.
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


@holding(shared_by="shard")
def index(
    data: Path,
    out: Path,
    *,
    source: str = "navsim",
    source_settings: Settings | None = None,
    csv: CsvConfig = CsvConfig(),  # noqa: B008
    preset: str = "all",
    navsim_config: Path | None = None,
    scenes: SceneFilter = SceneFilter(),  # noqa: B008  frozen; the command line shows its fields
    filter: FrameFilter = FrameFilter(),  # noqa: B008
    label: BrakeLabel = BrakeLabel(),  # noqa: B008
    split_seed: int = 0,
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15),
    split: str | None = None,
    doubtful: Literal["leave_out", "keep"] = "leave_out",
    protocol: ProtocolName = "honest",
    expect: str | None = None,
    verify: bool = False,
    verify_decode: bool = False,
    sensors: Path | None = None,
    archives: list[Path] | None = None,
    shard: str | None = None,
    workers: int = 2,
) -> str:
    """Reads driving logs into a table of frames, filters them and splits them by drive.

    Args:
        data: folder of NAVSIM logs and sensors (or of the built-in world), a table of camera frames (.csv), or whatever
            your own source reads.
        out: folder to make: frames/log=.../ (all), train / dev / test.parquet (filtered), funnel.json, problems.txt.
        source: navsim, csv for a table of camera frames (a file that ends in .csv needs no word), or the dotted path of
            your own source, such as my_sources.Recordings.
        source_settings: settings of that source, as '{"camera": "front"}'.
        csv: how a table of camera frames is read.
        preset: all, mini, navmini, navtrain, navtrain-train, navtrain-val or navtest, as navsim's own lists have them.
        navsim_config: folder of a navsim checkout, which holds those lists.
        scenes: rules by which a frame counts as a scene.
        filter: rules by which a scene shows a clear decision.
        label: rule by which frames get their labels.
        split_seed: seed by which drives are assigned to train, dev and test.
        shares: shares of train, dev and test; 0 leaves a part out.
        split: name of the folder of logs, if there are several (trainval, test, mini); by default the preset's.
        doubtful: what happens to logs whose velocities are sideways, or whose accelerations contradict the speed:
            leave_out or keep; they are named either way.
        protocol: honest; thesis-honest (a tenth of what is not test is dev); thesis or literature (no dev part).
        expect: source of expected counts to print beside yours; thesis is the only one.
        verify: whether to check the wanted pictures; lacking.txt then lists those that are missing or truncated.
        verify_decode: whether that check decodes them, which also finds damage inside a file; else only its beginning
            and end are read.
        sensors: folder of the pictures to verify, if it is not beside the logs.
        archives: archives of sensor files (.tgz) to verify without unpacking them.
        shard: share i/n of the logs to read, for several machines; a call without it joins all shares.
        workers: number of processes that read logs.
    """
    from roadstill.data.thesis_counts import beside_thesis

    if expect not in (None, "thesis"):
        raise UserError(f"expect {expect!r} is unknown; the only one is 'thesis'")
    share = Shard.parse(shard) if shard else None
    config = IndexConfig(preset, navsim_config, scenes, filter, label, split_seed, shares, split, doubtful)
    if source == NAVSIM and data.suffix.lower() == ".csv" and not data.is_dir():
        source = "csv"
    if source != NAVSIM and (expect or share):
        raise UserError(f"expect and shard are for NAVSIM logs; leave them out with source {source}")
    found = index_data(
        data,
        out,
        config,
        source=source,
        settings=_csv_settings(data, source, csv, source_settings),
        protocol=protocol,
        shard=share,
        workers=workers,
    )
    if found is None:
        return f"{out}: the logs of shard {shard} were read; when all shards are done, run index without --shard"
    lines = [*found.notes, str(found.motion), str(found.funnel)]
    if found.expected is not None:
        count = found.funnel.rows[found.funnel.scenes].left
        lines.append(f"{preset}: {count:,} scenes, {found.expected:,} expected of the full data "
                     f"({count - found.expected:+,})")  # fmt: skip
    if expect:
        lines.append(beside_thesis(found.funnel, preset))
    lacking = False
    if verify:
        checked = verified(out, found.frames, sensors or found.sensors, archives or [], verify_decode)
        lines += checked
        lacking = (out / "lacking.txt").stat().st_size > 0
    broken = found.counts["broken_logs"]
    if broken:
        lines.append(f"{broken} of {found.counts['logs']} logs cannot be read")
    if found.faulty:
        lines.append(f"{found.faulty:,} of {found.counts['entries']:,} frames or rows have something wrong")
    if found.problems:
        lines.append(f"{len(found.problems)} problems, see {out / 'problems.txt'}")
    parts = ", ".join(f"{count:,} {name}" for name, count in found.frames.items())
    problems = found.problems if broken + found.faulty else [first_line(out / "lacking.txt")] if lacking else []
    return told([*lines, f"{out}: {parts}"], partly=lacking or broken + found.faulty > 0, problems=problems)


def _csv_settings(data: Path, source: str, csv: CsvConfig, settings: dict[str, Any] | None) -> dict[str, Any] | None:
    """The settings of the source; those of a table are given one by one, as ``--csv.time``, or together."""
    given = {name: value for name, value in vars(csv).items() if value != getattr(CsvConfig(), name)}
    if not given:
        return settings
    if source != "csv":
        raise UserError(f"{data} is no .csv file, so the csv settings are not for it; add --source csv if it holds one")
    return given | (settings or {})


@holding(shared_by="shard")
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
    futures: bool = False,
    source: str | None = None,
    source_settings: Settings | None = None,
    group: str | None = None,
    hook: str | None = None,
    hook_settings: Settings | None = None,
    shard: str | None = None,
    dev_images: int | None = None,
    pt: PtConfig = PtConfig(),  # noqa: B008
    workers: int = 2,
    engine: Literal["processes", "ray"] = "processes",
) -> str:
    """Crops and resizes the wanted pictures: one image set each for train, dev and test.

    Args:
        index: folder made by index; or any folder of class folders, or of train, dev and test with class folders; or
            CIFAR-10: cifar-10-batches-bin, cifar-10-batches-py (folder or .tar.gz), or the hub's Parquet folder; or a
            distilled set in a file of tensors (.pt).
        out: folder to make, with train, dev and test in it; of a file of tensors one set.
        size_px: side of the square pictures: 64, 128 (the default) or 256; those of CIFAR-10 stay 32.
        decode: fast lets the JPEG decoder shrink large pictures while it decodes; full decodes every pixel.
        sensors: folder of the pictures, if it is not where index found it.
        from_archive: archives (.tgz) to take the pictures from instead, without unpacking the rest; calls add up.
        max_per_class: largest number of pictures of a class in each part.
        label: label of the classes: brake (brake, not brake) or location; class folders have their own.
        futures: whether pictures get the vehicle's poses in the next 4 s, for agents with target poses; frames without
            are left out.
        source: cifar10, folder, or the dotted path of your own source of pictures; by default what index looks like.
        source_settings: settings of that source.
        group: for class folders, a regular expression with one group that finds in each path what is not to be cut, as
            a drive.
        hook: dotted path of a step of your choice on every full picture, such as roadstill.data.privacy.BlurBoxes,
            which blurs vehicles and people by the boxes of the logs; every pixel is decoded for it.
        hook_settings: settings of that step, such as '{"missing": "leave_out"}'; logs, if taken, are the index's.
        shard: share i/n of the logs whose pictures are made; a call without it writes the sets.
        dev_images: number of CIFAR-10's training pictures that become dev: 5000 by default, 0 for none.
        pt: how a file of tensors is read, and what training on it needs.
        workers: number of processes that draw and decode.
        engine: what decodes: processes of this machine, or workers of Ray on all machines of a cluster (extra ray).
    """
    if index.suffix.lower() in SUFFIXES and not index.is_dir():
        return _prepared_tensors(index, out, pt, locals())
    if pt != PtConfig():
        raise UserError(f"{index} is no file of tensors (.pt), so the pt settings are not for it")
    if hook is None and hook_settings:
        raise UserError("hook_settings are for a hook; name it with --hook")
    source = source or looks_like(index)
    if (found := product_in(index, "index.json")) is not None:
        way = "index it first" if found == "a world" else "the other verbs take it as it is"
        raise UserError(f"{index} holds {found}, which is neither an index nor folders of pictures: {way}")
    for_index = bool(sensors or from_archive or shard or label != "brake" or futures or engine == "ray")
    if source == "cifar10" and (size_px not in (None, 32) or decode != "fast" or hook or group or for_index):
        raise UserError(f"{index} is CIFAR-10, whose pictures stay as they are; only max_per_class and dev_images are "
                        "for it")  # fmt: skip
    if source != "cifar10" and dev_images is not None:
        raise UserError("dev_images is for CIFAR-10; other data are split by drive or group")
    size_px = 128 if size_px is None else size_px
    if source is not None:
        if for_index:
            raise UserError(f"{index} is no index but holds pictures; sensors, from_archive, shard, label, futures and "
                            "engine are for an index")  # fmt: skip
        settings = {"group": group, "dev_images": dev_images}
        given = {key: value for key, value in settings.items() if value is not None} | (source_settings or {})
        config = PictureConfig(size_px, decode, _hook(hook, hook_settings, {}))
        return _prepared_pictures(source, index, given, out, config, max_per_class, workers)
    if engine == "ray":
        from roadstill.data.on_ray import require_ray

        if from_archive:
            raise UserError("an archive is read from its beginning by one process; leave out --engine ray")
        require_ray()
    if group is not None:
        raise UserError("group is for folders of pictures; an index knows its drives")
    if source_settings:
        raise UserError("source_settings are for a source of pictures; name it with --source")
    if index.is_file():
        require_pictures(index)
    return _prepared_frames(
        index,
        sensors,
        out,
        lambda known: PictureConfig(size_px, decode, _hook(hook, hook_settings, known)),
        archives=from_archive or [],
        shard=Shard.parse(shard) if shard else None,
        max_per_class=max_per_class,
        label=label,
        futures=futures,
        workers=workers,
        engine=engine,
    )


def _prepared_tensors(file: Path, out: Path, config: PtConfig, given: Mapping[str, Any]) -> str:
    """The set in a file of tensors; ``given`` holds all options of `prepare`, of which no other is for it."""
    from roadstill.agents.recipes import recipe_of
    from roadstill.distil.published import read_published

    options = signature(prepare).parameters
    if others := [
        name for name in options if name not in ("index", "out", "pt") and given[name] != options[name].default
    ]:
        raise UserError(f"{file} holds tensors, which stay as they are; only pt settings are for it, not {others[0]}")
    made = read_published(file, out, config)
    recipe = recipe_of(made)
    told = f"; made to be trained on with {recipe}" if recipe else ""
    return f"{out}: {len(made):,} images of {made.num_classes:,} classes{told}"


def _hook(path: str | None, settings: dict[str, Any] | None, known: dict[str, Any]) -> NamedHook | None:
    """The hook that the user names, if any; it may take what an index knows."""
    return hook_of(path, settings, defaults=hook_defaults(known)) if path else None


def _prepared_frames(
    index: Path,
    sensors: Path | None,
    out: Path,
    config_of: Callable[[dict[str, Any]], PictureConfig],
    **settings: Any,
) -> str:
    from roadstill.data.prepare import Incomplete, prepare_splits

    known = open_index(index)
    folder = sensors or (Path(known["sensors"]) if known["sensors"] else None)
    data = Path(known["data"])
    world = data if (data / "world.json").is_file() else None
    made = prepare_splits(index, folder, out, config=config_of(known), world=world, **settings)
    if isinstance(made, Incomplete):
        ready = f"{out}: {made.ready:,} of {made.wanted:,} wanted pictures are ready"
        more = "give the other archives or shards, or write the sets with what is there by a call without them"
        return told([*made.problems, f"{ready}; {more}"], partly=bool(made.problems))
    return sets_told(out, made, [])


def _prepared_pictures(
    name: str,
    data: Path,
    settings: dict[str, Any],
    out: Path,
    config: PictureConfig,
    max_per_class: int | None,
    workers: int,
) -> str:
    from roadstill.data.cifar10 import DEV_IMAGES

    if name == "cifar10":
        settings = {"dev_images": DEV_IMAGES} | settings  # whatever the largest number of a class
    parts = tuple(part for part in SPLITS if part != "dev" or settings.get("dev_images") != 0)
    source = open_pictures_of(name, data, settings)
    made = write_sets(source, name, out, SetRequest(parts, config, max_per_class, workers=workers))
    return sets_told(out, made, source.notes)
