"""All facts together: each part examined separately, names of user and machine replaced, and put into words."""

import getpass
import platform
import re
import shutil
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from roadstill.errors import one_line

SECONDS = 10.0  # for each part, since a disk may be on a network that does not respond
_DATA = "OPENSCENE_DATA_ROOT"
_MAPS = "NUPLAN_MAPS_ROOT"


def examine(data: Path | None = None) -> dict[str, Any]:
    """Facts about this machine and the driving data on it, without the names of user, home folder and machine.

    Args:
        data: folder of driving data, in addition to those that environment variables name.
    """
    facts: dict[str, Any] = {
        "versions": _look("software", "versions"),
        "too_old": _look("software", "too_old"),
        "machine": _look("software", "machine"),
        "accelerators": _look("software", "accelerators", seconds=None),  # importing PyTorch may take long
        "weights": {"shipped": _look("weights", "shipped_weights"), "hub": _look("weights", "hub_weights")},
        "free_gib_here": _within(SECONDS, lambda: round(shutil.disk_usage(".").free / 2**30, 1)),
        "environment": _look("data", "environment"),
        "data": {},
    }
    roots = {"--data": data} if data is not None else {}
    named = {name: Path(at["path"]) for name, at in _dicts(facts["environment"]) if "path" in at}
    if _DATA in named:
        roots[_DATA] = named[_DATA]
    for name, root in roots.items():
        facts["data"][name] = _look("data", "root_facts", root)
    maps = named.get(_MAPS) or next((root / "maps" for root in roots.values() if _is_folder(root / "maps")), None)
    if maps is not None:
        facts["maps"] = _look("mapfacts", "map_facts", maps)
    for _, about in _dicts(facts["data"]):
        if splits := about.get("splits"):
            facts |= _inside(splits[0])
            break
    facts["needs"] = _look("needs", "missing", facts)
    found: dict[str, Any] = blotted(facts, _names())
    return found


def _inside(split: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of the first log and the first picture of a split."""
    log = _look("logfacts", "log_facts", Path(split["logs_path"]))
    images = log.pop("images", [])
    found = {"log": log}
    if images and "sensors_path" in split:
        found["picture"] = _look("picturefacts", "picture_facts", Path(split["sensors_path"]), images)
    return found


def _dicts(facts: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(name, part) for name, part in facts.items() if isinstance(part, dict)]


def _is_folder(path: Path) -> bool:
    return _within(SECONDS, lambda: path.is_dir()) is True


def _look(module: str, function: str, *arguments: Any, seconds: float | None = SECONDS) -> Any:
    """One part's facts; its module is imported only here, so that a broken package affects no other part."""
    return _within(seconds, lambda: getattr(import_module(f"roadstill.doctor.{module}"), function)(*arguments))


def _within(seconds: float | None, work: Callable[[], Any]) -> Any:
    """The work's result; after an error or a timeout, a fact that states it."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # a broken package may raise anything, SystemExit too
            reason = " ".join(str(error).split())[:200]
            found.append({"state": f"cannot be examined ({type(error).__name__}: {reason})"})

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else {"state": f"no answer within {seconds:g} seconds"}


# ---- replacing names


def _names() -> list[tuple[re.Pattern[str], str]]:
    """Patterns that must not be in a bug report, and their replacements."""
    end, start = r"(?![\w.-])", r"(?<![\w.-])"
    found = [(re.compile(r"[^\s/:@]+:[^\s/@]+@"), "<login>@")]  # in an address
    for look in (Path.home, lambda: Path.home().resolve()):
        try:
            home = str(look())
        except (OSError, RuntimeError):  # no home folder, or no user of that number
            continue
        if len(home) > 1:
            found.append((re.compile(re.escape(home) + end), "~"))
    try:
        if user := getpass.getuser():
            found.append((re.compile(rf"(?<=[/\\]){re.escape(user)}{end}"), "<user>"))
    except (ImportError, KeyError, OSError):
        pass
    if len(node := platform.node()) > 2:
        names = {node, node.partition(".")[0]} - {"localhost"}
        found += [(re.compile(start + re.escape(name) + end), "<host>") for name in names if len(name) > 2]
    return found


def blotted(facts: Any, names: list[tuple[re.Pattern[str], str]]) -> Any:
    """The facts as JSON values, with each of these names replaced in every text; keys are our own."""
    if isinstance(facts, Mapping):
        return {str(key): blotted(value, names) for key, value in facts.items()}
    if isinstance(facts, (list, tuple)):
        return [blotted(value, names) for value in facts]
    if facts is None or isinstance(facts, (bool, int, float)):
        return facts
    text = one_line(str(facts))
    for pattern, instead in names:
        text = pattern.sub(instead, text)
    return text


# ---- in words


def as_text(facts: Mapping[str, Any], started: float | None = None) -> str:
    """The facts for a person: which verbs can start, what the others need, then everything by part."""
    needs = facts["needs"]
    lines = []
    if all(isinstance(lacks, list) for lacks in needs.values()):
        lines.append(f"can start: {', '.join(verb for verb, lacks in needs.items() if not lacks) or 'nothing'}")
        alike: dict[str, list[str]] = {}
        for verb, lacks in needs.items():
            if lacks:
                alike.setdefault("; ".join(lacks), []).append(verb)
        lines += [f"{', '.join(verbs)}: needs {lacks}" for lacks, verbs in alike.items()]
    else:
        lines += _lines("needs", needs, 0)
    for name, part in facts.items():
        if name != "needs":
            lines += _lines(name, _brief(part), 0)
    if started is not None:
        lines.append(f"examined in {time.monotonic() - started:.1f} s; nothing was downloaded or changed")
    return "\n".join(lines)


def _brief(part: Any) -> Any:
    """The facts with only the number of a log's keys and a map's layers, which would not fit on a screen."""
    if not isinstance(part, dict):
        return part
    long = {name: each for name, each in part.items() if name in ("keys", "layers") and isinstance(each, dict)}
    return part | {name: f"{len(each)}, see --json" for name, each in long.items()}


def _lines(name: str, value: Any, depth: int) -> Iterator[str]:
    title = f"{'  ' * depth}{name if depth else name.replace('_', ' ')}:"
    parts = dict(enumerate(value, 1)) if isinstance(value, list) else value
    if not isinstance(parts, dict):
        yield f"{title} {_word(parts)}"
    elif any(isinstance(part, (dict, list)) for part in parts.values()):
        yield title
        for key, part in parts.items():
            yield from _lines(str(key), part, depth + 1)
    else:
        bare = isinstance(value, list)
        said = [_word(part) if bare or key == "state" else f"{key} {_word(part)}" for key, part in parts.items()]
        text = f"{title} {', '.join(said) or 'none'}"
        yield from textwrap.wrap(text, 118, subsequent_indent="  " * (depth + 2), break_on_hyphens=False)


def _word(value: Any) -> str:
    return "none" if value is None else str(value)
