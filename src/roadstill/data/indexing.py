"""From a data source to an index: all frames, the filtered train / dev / test tables, the funnel, what went wrong.

An index folder::

    index.json  frames/log=<log>/frames.parquet  {train,dev,test}.parquet  funnel.json  motion.json  problems.txt
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from roadstill.data.sources import NAVSIM, find_source, open_frames_of, taken
from roadstill.data.storing import TablesSource
from roadstill.data.watching import Watch, one_class
from roadstill.errors import UserError
from roadstill.frames import BrakeLabel
from roadstill.frames.filters import FrameFilter, Funnel, SceneFilter
from roadstill.frames.motion import Motion
from roadstill.frames.splits import SPLITS, Cut, write_index
from roadstill.frames.store import FrameStore
from roadstill.parallel import Shard
from roadstill.protocols import PROTOCOLS, ProtocolName
from roadstill.runs import check_ranges, holding, later, renewed_parts, require_own, write_json
from roadstill.runs.progress import counter
from roadstill.sources.base import Stored, StoringSource

_OF_SOURCES = ("preset", "navsim_config", "scenes", "split")  # fields of `IndexConfig` that a source may accept


@dataclass(frozen=True)
class IndexConfig:
    """Contents of an index.

    Attributes:
        preset: name of a selection of NAVSIM: all, mini, navmini, navtrain, navtrain-train, navtrain-val, navtest.
        navsim_config: checkout of navsim, which lists the scenes of the presets.
        scenes: rules that make a frame a scene.
        filter: rules that keep scenes with a clear decision.
        label: rule that labels the frames.
        split_seed: seed that decides which drives go to train, dev and test.
        shares: shares of train, dev and test, 0 to leave a part out; with the preset navtrain the test part is fixed
            (dev, if the share of test is 0), and the others share the rest.
        split: folder of logs to read, if there are several (trainval, test, mini); by default the preset's.
        doubtful: what happens to logs whose motion contradicts itself, so that labels cannot be right: leave_out or
            keep; either way they are named.
    """

    preset: str = "all"
    navsim_config: Path | None = None
    scenes: SceneFilter = field(default_factory=SceneFilter)
    filter: FrameFilter = field(default_factory=FrameFilter)
    label: BrakeLabel = field(default_factory=BrakeLabel)
    split_seed: int = 0
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15)
    split: str | None = None
    doubtful: Literal["leave_out", "keep"] = later("leave_out")

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Index:
    """An index on disk.

    Attributes:
        folder: folder of the index.
        sensors: folder that the pictures' paths are relative to; None if there is none.
        frames: number of frames in each part.
        funnel: number of frames that each rule left.
        problems: one line for each problem.
        counts: numbers of logs, broken logs, entries and broken entries.
        expected: number of scenes of this preset in the full data; None if unknown.
        notes: remarks for the user, such as defaults that were chosen automatically.
        motion: what the frames say about their own motion.
        faulty: number of entries (frames of a log, rows of a table) with something wrong.
    """

    folder: Path
    sensors: Path | None
    frames: dict[str, int]
    funnel: Funnel
    problems: list[str]
    counts: dict[str, int]
    expected: int | None
    notes: list[str] = field(default_factory=list)
    motion: Motion = field(default_factory=Motion)
    faulty: int = 0


@holding(shared_by="shard")
def index_data(
    data: Path,
    out: Path,
    config: IndexConfig,
    *,
    source: str = NAVSIM,
    settings: Mapping[str, Any] | None = None,
    protocol: ProtocolName = "honest",
    shard: Shard | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Index | None:
    """Reads the frames of a data set that were not read before, filters all and splits them by drive.

    Args:
        data: input of the source: a folder of NAVSIM logs and sensors, a table of camera frames, ...
        out: folder of the index.
        config: contents of the index.
        source: name of a source, or dotted path of your own, see `roadstill.data.sources`.
        settings: the source's own settings.
        protocol: protocol that decides which parts exist, see `Protocol.shares`.
        shard: share of the logs to read, without writing the index; a call without it joins all shares.
        workers: processes; the result does not depend on it.
        progress: callback for (done, total): logs, or bytes of a table; by default they are shown as all progress is.

    Returns:
        The index; None for a shard.

    Raises:
        UserError: the source has nothing to read, or settings that belong to another; motion that contradicts itself;
            a rule that removed every frame; too few drives.
    """
    require_own(out, own="index.json")
    reader = _reader(source, data, config, settings)
    stored = reader.store(
        out / "frames",
        shard=shard,
        workers=workers,
        progress=progress or counter("bytes" if source == "csv" else "logs"),
    )
    if shard:
        return None
    shares = PROTOCOLS[protocol].shares(config.shares)
    cut = reader.cut(Cut(decisions=config.filter, label=config.label, shares=shares, seed=config.split_seed))
    watch = Watch(FrameStore(out / "frames"), stored.logs, keep=config.doubtful == "keep")
    # A part that another protocol had must not remain, and a half-made index not pass as the finished one from before.
    with renewed_parts(out, record="index.json", instead=[f"{name}.parquet" for name in SPLITS]) as new:
        frames, funnel = _write_parts(watch, stored, new, cut)
        sensors = None if reader.sensors is None else Path(reader.sensors)
        notes = [*reader.notes, *watch.notes(), *one_class(funnel, new, frames)]
        counts = stored.counts | {"broken_logs": stored.counts["broken_logs"] + watch.left_out}
        about = {
            "data": os.path.abspath(data),
            "sensors": str(sensors or ""),
            "frames": frames,
            "counts": counts,
            "config": replace(config, filter=cut.decisions),
        }
        write_json(new / "index.json", about | dict(reader.about) | ({"notes": notes} if notes else {}))
    problems = [*stored.problems, *watch.problems]
    return Index(out, sensors, frames, funnel, problems, counts, reader.expected, notes, watch.motion, stored.faulty)


def _reader(source: str, data: Path, config: IndexConfig, settings: Mapping[str, Any] | None) -> StoringSource:
    """The source, with those settings of the index that it takes by name; others are refused if set."""
    offered = {name: getattr(config, name) for name in _OF_SOURCES}
    ours = taken(find_source(source), offered)
    usual = IndexConfig()
    if foreign := [name for name in offered if name not in ours and offered[name] != getattr(usual, name)]:
        raise UserError(f"{', '.join(foreign)}: settings that are for NAVSIM logs; leave them out with source {source}")
    if twice := sorted(set(ours) & set(settings or {})):
        raise UserError(f"{twice[0]} is a setting of the index; give it there, not among those of the source")
    made = open_frames_of(source, data, settings, offered)
    return made if isinstance(made, StoringSource) else TablesSource(made, source, settings)


def _write_parts(watch: Watch, stored: Stored, out: Path, cut: Cut) -> tuple[dict[str, int], Funnel]:
    try:
        frames, funnel = write_index(watch.tables(), out, cut)
    except UserError as error:
        lost = stored.counts["broken_logs"] + watch.left_out
        problems = [*watch.problems, *stored.problems]
        if not lost or watch.left_out == stored.counts["logs"]:
            raise
        raise UserError(f"{error} ({lost} of {stored.counts['logs']} logs were left out: {problems[0]})") from None
    lines = "".join(line + "\n" for line in [*stored.problems, *watch.problems])
    (out / "problems.txt").write_text(lines, encoding="utf-8")
    return frames, funnel


def hook_defaults(known: dict[str, Any]) -> dict[str, Any]:
    """Settings of a hook that an index provides by itself: the folder of its NAVSIM logs, as ``logs``."""
    return {"logs": known["logs"]} if known.get("logs") and "source" not in known else {}
