"""`NavsimSource`: NAVSIM logs, or those of the built-in world, as a source of frames."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from roadstill.errors import UserError, one_line
from roadstill.frames import FrameTable
from roadstill.frames.filters import SceneFilter
from roadstill.frames.splits import Cut
from roadstill.frames.store import FrameStore
from roadstill.parallel import Shard
from roadstill.runs import digest_of
from roadstill.sources.base import Stored
from roadstill.sources.navsim.logs import LogFiles, count_logs, find_data, index_logs, list_logs, read_log
from roadstill.sources.navsim.presets import chosen_scenes, preset_of
from roadstill.sources.pickles.unpickle import BrokenLog


class NavsimSource:
    """The scenes of a folder of NAVSIM logs.

    Args:
        data: folder of logs and sensors, see `find_data`.
        preset: name of a selection of NAVSIM.
        navsim_config: checkout of navsim, which lists the scenes of the presets.
        scenes: rules that make a frame a scene.
        split: folder of logs to read, if there are several; by default the preset's.

    Raises:
        UserError: no logs, missing lists of a preset, or none of the wanted logs.
    """

    def __init__(
        self,
        data: Path,
        *,
        preset: str = "all",
        navsim_config: Path | None = None,
        scenes: SceneFilter = SceneFilter(),  # noqa: B008  frozen
        split: str | None = None,
    ) -> None:
        named = preset_of(preset)
        self.expected = named.scenes
        self._scenes = chosen_scenes(named, scenes, navsim_config)
        folders = find_data(data, split or named.split)
        self.sensors = folders.sensors
        self._files = list_logs(folders.logs)
        self._logs, self._odd = _wanted_logs(self._files, self._scenes.logs)
        self.notes: list[str] = []

    @property
    def about(self) -> dict[str, Any]:
        """Where the logs lie, and which scenes are wanted."""
        tokens = self._scenes.tokens
        return {"logs": os.path.abspath(self._files.folder), "tokens": None if tokens is None else digest_of(tokens)}

    def tables(self) -> Iterator[FrameTable]:
        """All readable frames, log by log; a broken log adds one of the notes."""
        for log in self._logs:
            try:
                frames, _ = read_log(self._files.folder / f"{log}.pkl")
            except BrokenLog as error:
                self.notes.append(str(error))
            else:
                yield frames

    def store(
        self,
        folder: Path,
        *,
        shard: Shard | None = None,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> Stored:
        """Reads the logs that are not in the folder yet.

        Raises:
            UserError: none of the logs can be read.
        """
        store, logs = FrameStore(folder), shard.of(self._logs) if shard else self._logs
        index_logs(self._files, store, only=logs, workers=workers, progress=progress)
        counts, found = count_logs(store, logs)
        if not shard and counts["broken_logs"] == counts["logs"]:
            raise UserError(
                f"{self._files.folder}: none of the {counts['logs']} logs can be read; the first: {found[0]}"
            )
        problems = [*found, *self._odd]
        if strangers := sorted(set(store.logs()) - set(self._logs)):
            problems.append(f"{store.root} holds {len(strangers)} logs of another selection or of missing files, which "
                            f"were left out; the first: {strangers[0]}")  # fmt: skip
        return Stored(logs, counts, problems, counts["broken_entries"])

    def cut(self, wanted: Cut) -> Cut:
        """The cut with the rules that make a frame a scene, and the logs that the preset keeps for the last part."""
        windows = self._scenes.windows
        rules = windows.rules(tokens=self._scenes.tokens)
        return replace(wanted, scenes=rules, windows=windows, test_logs=self._scenes.test_logs)


def _wanted_logs(files: LogFiles, names: list[str] | None) -> tuple[list[str], list[str]]:
    """Names of the logs to read, and the problems of the folder."""
    problems = [
        f"{one_line(name)}: not a file, or with a name that no log has" for name in files.ignored if _is_pkl(name)
    ]
    if others := [name for name in files.ignored if not _is_pkl(name)]:
        some = one_line(", ".join(others[:3]))
        problems.append(f"{len(others)} entries of the folder are not *.pkl logs and were left out: {some}")
    if names is None:
        return files.names, problems
    there = set(files.names)
    if missing := [name for name in names if name not in there]:
        problems.append(f"{len(missing)} of the {len(names)} wanted logs are missing; the first: {missing[0]}.pkl")
    if len(missing) == len(names):
        raise UserError(f"{files.folder}: none of the {len(names)} wanted logs was found; the first: {names[0]}.pkl")
    return sorted(there & set(names)), problems


def _is_pkl(name: str) -> bool:
    return name.endswith(".pkl")
