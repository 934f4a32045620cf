"""NAVSIM's own selections of scenes by name, read from the user's checkout of navsim; lists of logs and tokens.

The lists are not shipped. A preset states which files of the checkout name its scenes, and how many there should be.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.frames.filters import SceneFilter
from roadstill.runs import read_yaml, require_folder
from roadstill.runs.records import read_text

MAX_LIST_BYTES = 64 * 2**20
MOST_NAMES = 2**21
_SPLIT_FILE = "default_train_val_test_log_split.yaml"


@dataclass(frozen=True)
class Preset:
    """A selection of scenes.

    Attributes:
        split: folder of logs that it reads.
        scene_filter: name of navsim's scene filter file; None takes all scenes.
        part: key of navsim's training log split that cuts it further.
        test_part: key of that split whose logs make up the test part.
        scenes: number of scenes in the full data; None if unknown.
    """

    split: str | None = None
    scene_filter: str | None = None
    part: str | None = None
    test_part: str | None = None
    scenes: int | None = None


# The thesis' "navtest" is navtrain-val (18,179 scenes); the benchmark's own navtest is another set.
PRESETS = {
    "all": Preset(),
    "mini": Preset("mini"),
    "navmini": Preset("mini", "navmini", scenes=396),
    "navtrain": Preset("trainval", "navtrain", test_part="val_logs", scenes=103_288),
    "navtrain-train": Preset("trainval", "navtrain", "train_logs", scenes=85_109),
    "navtrain-val": Preset("trainval", "navtrain", "val_logs", scenes=18_179),
    "navtest": Preset("test", "navtest", scenes=12_146),
}


@dataclass(frozen=True)
class Scenes:
    """A selection made concrete.

    Attributes:
        windows: definition of a scene.
        logs: names of the logs to keep; None keeps all.
        tokens: tokens of the scenes to keep; None keeps all.
        test_logs: logs whose drives make up the test part; None lets shares decide.
    """

    windows: SceneFilter
    logs: list[str] | None = None
    tokens: list[str] | None = None
    test_logs: frozenset[str] | None = None


def preset_of(name: str) -> Preset:
    """The preset of this name.

    Raises:
        UserError: no such preset.
    """
    if name not in PRESETS:
        raise UserError(f"preset {name!r} is unknown; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def chosen_scenes(preset: Preset, windows: SceneFilter, navsim_config: Path | None) -> Scenes:
    """The scenes of a preset, cut further by the lists that ``windows`` names.

    Args:
        preset: one of `PRESETS`.
        windows: definition of a scene; a preset with a scene filter takes it from navsim's file instead.
        navsim_config: navsim checkout, or any folder below it that holds the files.

    Raises:
        UserError: files missing, damaged or without the lists that they should hold.
    """
    logs = tokens = test_logs = None
    if preset.scene_filter:
        if navsim_config is None:
            raise UserError(
                f"the scenes are listed in navsim's {preset.scene_filter}.yaml; name your checkout of navsim with "
                "--navsim_config (git clone https://github.com/autonomousvision/navsim)"
            )
        record = _yaml(_find(navsim_config, f"{preset.scene_filter}.yaml"))
        windows = _windows(record, windows, preset.scene_filter)
        logs, tokens = (_names(record, key, f"{preset.scene_filter}.yaml") for key in ("log_names", "tokens"))
        if key := preset.part or preset.test_part:
            part = _names(_yaml(_find(navsim_config, _SPLIT_FILE)), key, _SPLIT_FILE) or []
            logs = _both(logs, part) if preset.part else logs
            test_logs = frozenset(part) if preset.test_part else None
    if windows.logs is not None:
        logs = _both(logs, read_names(windows.logs, "log_names"))
    if windows.tokens is not None:
        tokens = _both(tokens, read_names(windows.tokens, "tokens"))
    return Scenes(windows, logs, tokens, test_logs)


def _both(first: list[str] | None, second: list[str] | None) -> list[str] | None:
    if first is None or second is None:
        return second if first is None else first
    wanted = set(second)
    return [name for name in first if name in wanted]


def read_names(path: Path, key: str) -> list[str]:
    """A list of names: one per line, or YAML (a list, or a mapping with ``key``).

    Raises:
        UserError: the file is missing, too large, or not a list of names.
    """
    if path.suffix not in (".yaml", ".yml"):
        names = [line.strip() for line in read_text(path, MAX_LIST_BYTES).splitlines()]
        names = [name for name in names if name and not name.startswith("#")]
    else:
        record = _yaml(path)
        names = _names({key: record} if isinstance(record, list) else record, key, str(path)) or []
    if not names:
        raise UserError(f"{path} names nothing; it should hold {key}, one per line")
    return names


def _windows(record: Any, windows: SceneFilter, name: str) -> SceneFilter:
    def number(key: str, default: int | None) -> int | None:
        value = record.get(key, default) if isinstance(record, dict) else default
        if isinstance(value, str) and value.isdecimal() and len(value) < 10:
            return int(value)
        if value is not None and type(value) is not int:
            raise UserError(f"{name}.yaml: {key} is {str(value)[:40]!r}, not a number of frames")
        return value

    if number("max_scenes", None) is not None:
        raise UserError(f"{name}.yaml: max_scenes would keep the first few scenes of an unsorted folder; remove it")
    history, future = number("num_history_frames", 4) or 4, number("num_future_frames", 10) or 0
    return replace(
        windows,
        history_frames=history,
        future_frames=future,
        interval=number("frame_interval", None) or history + future,
        needs_route=record.get("has_route", True) is not False,
    )


def _names(record: Any, key: str, file: str) -> list[str] | None:
    if not isinstance(record, dict) or key not in record:
        raise UserError(f"{file} holds no {key}")
    if (names := record[key]) is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{file}: {key} should be a list of names")
    return names


def _find(folder: Path, name: str) -> Path:
    folder = require_folder(folder, "your checkout of navsim")
    found = next(_walk(folder, name, depth=8), None)
    if found is None:
        raise UserError(f"{folder}: no {name} in it or below; it should be your checkout of navsim")
    return found


def _walk(folder: Path, name: str, depth: int) -> Iterator[Path]:
    if (folder / name).is_file():
        yield folder / name
    if depth:
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
                yield from _walk(path, name, depth - 1)


def _yaml(path: Path) -> Any:
    # Some tokens look like numbers, such as 12345678901234e5.
    return read_yaml(path, most_bytes=MAX_LIST_BYTES, most_values=MOST_NAMES, numbers=False)
