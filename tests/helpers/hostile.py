"""The corpus of bad inputs: cases made by code, and the one way in which all are judged.

A command that is given one ends in time and within bounds, with the exit code that the case names and one printable
line; nothing is written but what ``writes`` names.
"""

import faulthandler
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from made import picture_set, runs_of_two_arms, tiny_run

from roadstill.cli import main
from roadstill.runs.records import SEAL

MOST_SECONDS, MOST_BYTES = 10, 2**30


@dataclass(frozen=True)
class Case:
    """A bad input.

    Attributes:
        name: unique name in its module.
        command: builder ``(folder, good) -> words``: writes the input into an empty folder, which is the current one,
            and returns the words after ``roadstill``; ``good`` is a folder of whole products, see `make_good`, of
            which a case copies what it breaks.
        says: regular expression that the line fits; it names the file or field at fault.
        code: exit code, 2, or 3 where part was done.
        writes: names in the folder that the command may make.
    """

    name: str
    command: Callable[[Path, Path], Sequence[object]]
    says: str
    code: int = 2
    writes: tuple[str, ...] = ()


def each(cases: Sequence[Case]) -> Any:
    """Parametrises a test by cases."""
    assert len({case.name for case in cases}) == len(cases)
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def check(case: Case, good: Path, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    """Runs a case and judges it; with ROADSTILL_CORPUS=FILE its figures are appended to that file."""
    folder = tmp_path / "deep" / "in" / "here"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    words = [str(word) for word in case.command(folder, good)]
    before = _everything(tmp_path)
    capfd.readouterr()
    faulthandler.dump_traceback_later(6 * MOST_SECONDS, exit=True)  # a hang says where, instead of lasting
    at_start, started = _peak_from_now(), time.perf_counter()
    try:
        code = main(words)
    finally:
        faulthandler.cancel_dump_traceback_later()
    seconds, peak = time.perf_counter() - started, _peak() - at_start
    said = capfd.readouterr().err
    line = said.splitlines()[-1] if said else ""
    assert (code, "Traceback" in said) == (case.code, False), said
    assert line.startswith("roadstill: "), said
    assert line.isprintable(), said
    assert re.search(case.says, line), line
    assert len(line) < 1500, line
    new = {path.relative_to(folder).as_posix().partition("/")[0] for path in _everything(tmp_path) - before}
    assert new <= set(case.writes)
    assert seconds < MOST_SECONDS
    assert peak < MOST_BYTES
    if record := os.environ.get("ROADSTILL_CORPUS"):
        facts = {"case": case.name, "code": code, "seconds": round(seconds, 2), "mib": peak >> 20, "line": line}
        with open(record, "a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")


def make_good(folder: Path) -> Path:
    """Makes whole products, each small, below a folder.

    ``set``, ``other`` and ``judged`` (image sets of 32 px, the last one a test part), ``latents``, ``tuned`` (a
    checkpoint with DiffFit and LoRA), ``agent``,
    ``world`` (logs and pictures), ``index``, ``sets`` (train, dev, test), ``runs`` (what ``evaluate`` writes), ``run``
    (a finished run of a recipe).
    """
    picture_set(folder / "set", 8, px=32)
    picture_set(folder / "other", 8, px=32, seed=1)
    picture_set(folder / "made", 8, px=32, seed=2).subset(range(8), split="test").save(folder / "judged")
    runs_of_two_arms(folder / "runs")
    tiny_run(folder)
    agent = ["--agent.network", "convnet", "--agent.steps", 2]
    tuning = ["--tuning.steps", 2, "--tuning.batch_size", 4]
    for words in (
        ["train", "set", "agent", *agent],
        ["world", "world", "--drives", 4, "--seed", 3, "--height_px", 72, "--pictures", "false"],
        ["index", "world", "index"],
        ["prepare", "index", "sets", "--max_per_class", 4],
        ["encode", "sets/train", "latents"],
        ["finetune", "latents", "tuned", *tuning],
    ):
        verb, *rest = words
        assert (
            main([verb, *(str(folder / word if str(word).partition("/")[0] in _NAMES else word) for word in rest)]) == 0
        ), words
    return folder


_NAMES = {"set", "latents", "tuned", "agent", "world", "index", "sets"}


def copied(good: Path, name: str, folder: Path) -> Path:
    """A copy, below a folder, of one of the whole products."""
    source, target = good / name, folder / name
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
    return target


def edited(path: Path, change: Callable[[Any], Any]) -> Path:
    """A JSON file changed in place, without its seal: by a function that changes the value or returns another one."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(value, dict):
        value.pop(SEAL, None)
    found = change(value)
    path.write_text(json.dumps(value if found is None else found), encoding="utf-8")
    return path


def _everything(folder: Path) -> set[Path]:
    return {Path(at, name) for at, folders, files in os.walk(folder) for name in (*folders, *files)}


def _peak_from_now() -> int:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # sets the peak back to what is held now
    return _peak()


def _peak() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) << 10
