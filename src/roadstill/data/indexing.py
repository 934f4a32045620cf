"""From a folder of logs to an index: all frames, the filtered train / dev / test tables, the funnel, what went wrong.

An index folder::

    index.json  frames/log=<log>/frames.parquet  {train,dev,test}.parquet  funnel.json  motion.json  problems.txt
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from roadstill.errors import UserError, one_line
from roadstill.frames import BrakeLabel
from roadstill.frames.filters import FrameFilter, Funnel, SceneFilter
from roadstill.frames.splits import SPLITS, Cut, write_index
from roadstill.frames.store import FrameStore
from roadstill.parallel import Shard
from roadstill.protocols import PROTOCOLS, ProtocolName
from roadstill.runs import atomic_path, digest_of, read_json, write_json
from roadstill.sources.csv.config import CsvConfig
from roadstill.sources.csv.table import CsvRecord, find_csv, read_csv
from roadstill.sources.navsim.logs import LogFiles, count_logs, find_data, index_logs, list_logs
from roadstill.sources.navsim.presets import chosen_scenes, preset_of


@dataclass(frozen=True)
class IndexConfig:
    """What an index holds.

    Attributes:
        preset: a selection of NAVSIM's by name: all, mini, navmini, navtrain, navtrain-train, navtrain-val, navtest.
        navsim_config: the user's checkout of navsim, which lists the scenes of the presets.
        scenes: what makes a frame a scene.
        filter: which scenes show a clear decision.
        label: how frames get their labels.
        split_seed: decides which drives go to train, dev and test.
        shares: of train, dev and test, 0 for a part that there is not to be; with the preset navtrain the test part is
            fixed (dev, if the share of test is 0), and the others share the rest.
        split: which of several folders of logs (trainval, test, mini); by default the preset's.
    """

    preset: str = "all"
    navsim_config: Path | None = None
    scenes: SceneFilter = field(default_factory=SceneFilter)
    filter: FrameFilter = field(default_factory=FrameFilter)
    label: BrakeLabel = field(default_factory=BrakeLabel)
    split_seed: int = 0
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15)
    split: str | None = None


@dataclass(frozen=True)
class Index:
    """An index on disk.

    Attributes:
        folder: where it lies.
        sensors: the sensor folder that belongs to the logs; None if there is none.
        frames: number of frames in each part.
        funnel: what each rule left.
        problems: one line for each thing that is wrong.
        counts: of logs, broken logs, entries and broken entries.
        expected: number of scenes that the full data have by this preset; None if that is not known.
        notes: what the user should know of the choices that were made for him.
    """

    folder: Path
    sensors: Path | None
    frames: dict[str, int]
    funnel: Funnel
    problems: list[str]
    counts: dict[str, int]
    expected: int | None
    notes: list[str] = field(default_factory=list)


def index_data(
    data: Path,
    out: Path,
    config: IndexConfig,
    *,
    protocol: ProtocolName = "honest",
    shard: Shard | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Index | None:
    """Reads the logs of a data set that are not read yet, filters their frames and splits them by drive.

    Args:
        data: folder of NAVSIM logs and sensors, or of the built-in world.
        out: folder of the index.
        config: what it holds.
        protocol: decides which parts there are, see `Protocol.shares`.
        shard: reads only this share of the logs and stops there; a call without it joins all shares.
        workers: processes; the result does not depend on it.
        progress: called with (logs done, logs in all).

    Returns:
        The index; None for a shard.

    Raises:
        UserError: no logs, all broken, a rule that removed every frame, too few drives, missing lists of a preset.
    """
    preset = preset_of(config.preset)
    scenes = chosen_scenes(preset, config.scenes, config.navsim_config)
    folders = find_data(data, config.split or preset.split)
    files = list_logs(folders.logs)
    logs, problems = _wanted_logs(files, scenes.logs)
    store = FrameStore(out / "frames")
    index_logs(files, store, only=shard.of(logs) if shard else logs, workers=workers, progress=progress)
    if shard:
        return None
    counts, found = count_logs(store, logs)
    problems += found
    if counts["broken_logs"] == counts["logs"]:
        raise UserError(f"{folders.logs}: none of the {counts['logs']} logs can be read; the first: {found[0]}")
    if strangers := sorted(set(store.logs()) - set(logs)):
        problems.append(f"{store.root} holds {len(strangers)} logs of another selection or of files that are gone: "
                        f"left out; the first: {strangers[0]}")  # fmt: skip
    cut = Cut(
        scenes.windows.rules(tokens=scenes.tokens),
        scenes.windows,
        config.filter,
        config.label,
        shares=PROTOCOLS[protocol].shares(config.shares),
        seed=config.split_seed,
        test_logs=scenes.test_logs,
    )
    frames, funnel = _write_parts(store, logs, out, cut, problems)
    index = Index(out, folders.sensors, frames, funnel, problems, counts, preset.scenes)
    write_json(out / "index.json", _about(index, data, folders.logs, config, scenes.tokens))
    return index


def _write_parts(
    store: FrameStore, logs: list[str], out: Path, cut: Cut, problems: list[str]
) -> tuple[dict[str, int], Funnel]:
    (out / "index.json").unlink(missing_ok=True)  # a half-made index must never pass as the finished one of before
    for name in SPLITS:  # nor must a part that another protocol had
        (out / f"{name}.parquet").unlink(missing_ok=True)
    frames, funnel = write_index(store.tables(logs), out, cut)
    with atomic_path(out / "problems.txt") as path:
        path.write_text("".join(line + "\n" for line in problems), encoding="utf-8")
    return frames, funnel


def _about(index: Index, data: Path, logs: Path, config: IndexConfig, tokens: list[str] | None) -> dict[str, Any]:
    return {
        "data": os.path.abspath(data),
        "logs": os.path.abspath(logs),
        "sensors": str(index.sensors or ""),
        "frames": index.frames,
        "counts": index.counts,
        "config": config,
        "tokens": None if tokens is None else digest_of(tokens),
    }


def hook_defaults(known: dict[str, Any]) -> dict[str, Any]:
    """Settings of a hook that an index knows by itself: the folder of its NAVSIM logs, as ``logs``."""
    return {"logs": known["logs"]} if known.get("logs") and known.get("source") != "csv" else {}


def open_index(folder: Path) -> dict[str, Any]:
    """What ``index.json`` says.

    Raises:
        UserError: it is missing or damaged.
    """
    known = read_json(folder / "index.json")
    if not isinstance(known, dict) or not {"data", "sensors", "frames"} <= set(known):
        raise UserError(f"{folder / 'index.json'} is not what `roadstill index` writes; index again")
    return known


def _wanted_logs(files: LogFiles, names: list[str] | None) -> tuple[list[str], list[str]]:
    """Names of the logs to read, and what is odd about the folder."""
    problems = [f"{one_line(name)}: no file, or of a name that no log has" for name in files.ignored if _is_pkl(name)]
    if others := [name for name in files.ignored if not _is_pkl(name)]:
        some = one_line(", ".join(others[:3]))
        problems.append(f"{len(others)} entries of the folder are no *.pkl logs and were left out: {some}")
    if names is None:
        return files.names, problems
    there = set(files.names)
    if missing := [name for name in names if name not in there]:
        problems.append(f"{len(missing)} of the {len(names)} wanted logs are not there; the first: {missing[0]}.pkl")
    if len(missing) == len(names):
        raise UserError(f"{files.folder}: not one of the {len(names)} wanted logs is there; the first: {names[0]}.pkl")
    return sorted(there & set(names)), problems


def _is_pkl(name: str) -> bool:
    return name.endswith(".pkl")


# ---- tables of frames


def index_csv(
    data: Path,
    out: Path,
    config: IndexConfig,
    csv: CsvConfig,
    *,
    protocol: ProtocolName = "honest",
    progress: Callable[[int, int], None] | None = None,
) -> Index:
    """The same of a table of camera frames (CSV); a table without commands switches the default rule on them off.

    Args:
        data: the table, or a folder that holds one.
        out: folder of the index.
        config: what it holds; what concerns NAVSIM's scenes must be left alone.
        csv: how the table is read.
        protocol: decides which parts there are, see `Protocol.shares`.
        progress: called with (bytes read, bytes in all).

    Raises:
        UserError: a setting that is for NAVSIM logs; as `read_csv`; a rule that removed every frame, too few drives.
    """
    plain = IndexConfig(filter=config.filter, label=config.label, split_seed=config.split_seed, shares=config.shares)
    if config != plain:
        raise UserError("preset, navsim_config, scenes and split are for NAVSIM logs; leave them out with a .csv")
    table = find_csv(data)
    csv = csv.resolved(table)
    record = read_csv(table, out / "frames", csv, progress=progress)
    (out / "index.json").unlink(missing_ok=True)  # the frames may be others than before
    notes = _csv_notes(record, csv)
    shares = PROTOCOLS[protocol].shares(config.shares)
    if record.drives < len(shares):
        parts = " and ".join(", ".join(shares).rsplit(", ", 1))
        raise UserError(f"{table}: {record.drives} drives cannot fill {parts}: a drive is never cut; name "
                        "them with --csv.drive or --csv.drive_pattern, or cut at shorter pauses with --csv.gap_s, or, "
                        "with near-duplicates at the ends, into --csv.piece_s")  # fmt: skip
    if csv.command is None and config.filter.command == FrameFilter().command:
        notes.append(f"the table has no commands: all are unknown, and the rule `command == {config.filter.command}` "
                     "is switched off")  # fmt: skip
        config = replace(config, filter=replace(config.filter, command=None))
    store = FrameStore(out / "frames")
    cut = Cut(decisions=config.filter, label=config.label, shares=shares, seed=config.split_seed)
    frames, funnel = _write_parts(store, store.logs(), out, cut, record.problems)
    counts = {"logs": record.drives, "broken_logs": 0}
    counts |= {"entries": record.rows, "broken_entries": record.rows - record.frames}
    index = Index(out, csv.root, frames, funnel, record.problems, counts, None, notes)
    about = _about(index, table, table, config, None) | {"source": "csv", "csv": csv, "notes": notes}
    write_json(out / "index.json", about)
    return index


def _csv_notes(record: CsvRecord, csv: CsvConfig) -> list[str]:
    notes = [f"{record.rows:,} rows gave {record.frames:,} frames of {record.drives:,} drives"]
    if csv.names_drives:
        return notes
    how = f"at pauses over {csv.gap_s:g} s" if csv.gap_s else "nowhere"
    also = f" and every {csv.piece_s:g} s, whose ends are near-duplicates" if csv.piece_s else ""
    notes.append(
        f"the table does not name its drives: it was cut {how}{also}; a road that was driven twice may stand in train "
        "and test, so name them with --csv.drive or --csv.drive_pattern for an honest split"
    )
    return notes
