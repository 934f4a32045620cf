"""Kills commands at any moment, calls them again and compares: the harness behind tests/kill and `make verify`.

Commands run in copies of a process that has imported everything, so that the moments fall into their work. Each runs in
a folder of its own, with its own folder for temporary files and a session of its own, by which what it leaves behind is
found.
"""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import time
import traceback
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roadstill.runs.records import SEAL

ORPHANS_WITHIN_S = 5.0
# What tells when or how fast something was done, and so differs between two runs of anything.
OF_THE_CLOCK = {"seconds", "images_per_s", "time"}
# Where a run was called how often, not what it made.
LEDGERS = {"test_ledger.jsonl"}
# What holds digests of those, each with that of the line above.
BOOKS = {"records.jsonl"}
_WRITES = {
    "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree",
    "sqlite3.connect",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A command to kill.

    Attributes:
        name: name in the table.
        words: words after ``roadstill``; they run in a folder of their own.
        inputs: paths that are copied into that folder first, as the command writes there; others are read in place.
        moments: how kills are chosen: ``time`` (uniformly in the command's time), ``event`` (before one of its writes).
        runs: run folders that it makes or changes, whose reports are written again before they are compared.
    """

    name: str
    words: tuple[object, ...]
    inputs: tuple[Path, ...] = ()
    moments: tuple[str, ...] = ("time", "event")
    runs: tuple[str, ...] = ()


@dataclass
class Count:
    """A row of the table.

    Attributes:
        killed: number of kills.
        equal: number of second calls whose products are those of an undisturbed run.
        left: files that an undisturbed run does not leave.
        orphans: number of processes that lived longer than they may.
        slowest_end_s: time in which all others had ended.
        two_at_once: what became of a second process: "refused" is right.
        faults: what was wrong, in words.
    """

    killed: int = 0
    equal: int = 0
    left: list[str] = field(default_factory=list)
    orphans: int = 0
    slowest_end_s: float = 0.0
    two_at_once: str = ""
    faults: list[str] = field(default_factory=list)

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong."""
        return self.equal == self.killed and not self.left and not self.orphans and self.two_at_once == "refused"


def import_all() -> None:
    """Imports what commands need, and computes nothing: a process that has used threads cannot be copied."""
    import diffusers  # noqa: F401
    import panda3d.core  # noqa: F401
    import peft  # noqa: F401
    import torch

    import roadstill.evaluation.audit.membership
    import roadstill.pipeline
    import roadstill.sharing
    import roadstill.verbs.auditing
    import roadstill.verbs.data
    import roadstill.verbs.generator
    import roadstill.verbs.judge
    import roadstill.verbs.picking
    import roadstill.verbs.sharing
    import roadstill.verbs.whole

    for name in roadstill.__all__:
        getattr(roadstill, name)
    torch.set_num_threads(1)


def begin(words: Sequence[object], folder: Path, *, strike: int | None = None, count: Path | None = None) -> int:
    """Starts a command in a copy of this process; returns the number of the copy.

    Args:
        words: words after ``roadstill``.
        folder: working folder; ``said.txt`` beside it takes what is printed.
        strike: number of the write before which the copy kills itself.
        count: file that takes the number of writes at the end.
    """
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    if child := os.fork():
        return child
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        os.environ["TMPDIR"] = str(folder / "tmp")
        said = os.open(folder.with_name(f"{folder.name}.said.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.modules["__main__"] = types.ModuleType("__main__")  # else every worker would import this file
        writes = _Writes(strike)
        if strike or count:
            sys.addaudithook(writes)
        from roadstill.cli import main

        code = main([str(word) for word in words])
        if count:
            count.write_text(str(writes.number))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _Writes:
    """Counts what changes files, as Python tells it, and kills this process before one of them."""

    def __init__(self, strike: int | None) -> None:
        self.number, self.strike, self.process = 0, strike, os.getpid()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _WRITES and not (event == "open" and _writes(arguments)):
            return
        self.number += 1
        if self.number == self.strike and os.getpid() == self.process:
            os.kill(self.process, signal.SIGKILL)


def _writes(arguments: tuple[Any, ...]) -> bool:
    path, mode, flags = arguments
    if isinstance(path, int) or str(path).startswith("/dev/"):
        return False
    return bool(set(mode or "") & set("wax+")) or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def ended(child: int, within_s: float | None = None) -> int | None:
    """Exit code of a copy, negative for a signal; None if it has not ended in time."""
    last = None if within_s is None else time.monotonic() + within_s
    while True:
        process, status = os.waitpid(child, 0 if last is None else os.WNOHANG)
        if process:
            return os.waitstatus_to_exitcode(status)
        assert last is not None
        if time.monotonic() > last:
            return None
        time.sleep(0.002)


def session_of(leader: int) -> list[int]:
    """Processes that live in a session, zombies left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            rest = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(rest[3]) == leader and rest[0] != "Z":
            found.append(int(path.parent.name))
    return found


def wait_for_orphans(leader: int) -> tuple[int, float]:
    """Number of processes that are left when their time is up, which are then ended, and how long the others took."""
    began = time.monotonic()
    while (left := session_of(leader)) and time.monotonic() - began < ORPHANS_WITHIN_S:
        time.sleep(0.02)
    for process in left:
        os.kill(process, signal.SIGKILL)
    return len(left), time.monotonic() - began


def contents(folder: Path, runs: Sequence[str] = ()) -> dict[str, str]:
    """Digest of every file below a folder, and "folder" for folders; without times, speeds and the folder's own place.

    Args:
        folder: folder that a command ran in.
        runs: run folders in it: their reports are written again from what is left without times.
    """
    plain = folder.with_name(f"{folder.name}.plain")
    shutil.rmtree(plain, ignore_errors=True)
    shutil.copytree(folder, plain, symlinks=True)
    shutil.rmtree(plain / "tmp" / "pymp", ignore_errors=True)
    for path in plain.rglob("*.json*"):
        path.write_text(_timeless(path.read_text().replace(str(folder), "FOLDER")))
    for path in plain.rglob("*"):
        if path.name in LEDGERS:
            path.unlink()
        elif path.name in BOOKS:
            path.write_text(re.sub(r'"(before|digest|last)": "[^"]*"', r'"\1": 0', path.read_text()))
    for run in runs:
        _report_again(plain / run, plain.name)
    found = {}
    for path in sorted(plain.rglob("*")):
        name = path.relative_to(plain).as_posix()
        found[name] = "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
    shutil.rmtree(plain)
    return found


def _timeless(text: str) -> str:
    names = "|".join((*OF_THE_CLOCK, SEAL))
    return re.sub(rf'"({names})": ("[^"]*"|[-0-9.e+]+)', r'"\1": 0', text)


def _report_again(run: Path, name: str) -> None:
    child = os.fork()
    if not child:
        try:
            from roadstill.report import write_report

            write_report(run)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    page = run / "report.html"
    page.write_text(page.read_text().replace(name, "FOLDER"))


def prepare(case: Case, folder: Path) -> Path:
    """A fresh folder for a command, with copies of its inputs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in case.inputs:
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        copy(path, folder / path.name)
    return folder


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: what it made, how long it took, how many writes it did."""

    made: dict[str, str]
    seconds: float
    writes: int


def undisturbed(case: Case, work: Path) -> Whole:
    """Runs a command without killing it."""
    folder, count = prepare(case, work / "whole"), work / "count.txt"
    began = time.monotonic()
    code = ended(begin(case.words, folder, count=count))
    seconds = time.monotonic() - began
    assert code == 0, (work / "whole.said.txt").read_text()
    return Whole(contents(folder, case.runs), seconds, int(count.read_text()))


def kill_once(case: Case, work: Path, whole: Whole, row: Count, rng: random.Random, how: str) -> bool:
    """Kills a command once, calls it again and judges; False if it had ended before."""
    folder = prepare(case, work / "killed")
    said = work / "killed.said.txt"
    said.unlink(missing_ok=True)
    if how == "event":
        moment: float = rng.randint(1, whole.writes)
        child = begin(case.words, folder, strike=int(moment))
        code = ended(child)
    else:
        moment = rng.uniform(0, whole.seconds)
        child = begin(case.words, folder)
        if (code := ended(child, moment)) is None:
            os.kill(child, signal.SIGKILL)
            code = ended(child)
    if code != -signal.SIGKILL:
        return False
    row.killed += 1
    orphans, seconds = wait_for_orphans(child)
    row.orphans += orphans
    row.slowest_end_s = max(row.slowest_end_s, round(seconds, 2))
    again = begin(case.words, folder)
    code = ended(again)
    made = contents(folder, case.runs)
    where = f"{how} {moment:.3f}"
    if extra := sorted(made.keys() - whole.made.keys()):
        row.left += [f"{where}: {name}" for name in extra]
    different = sorted(name for name in whole.made if made.get(name) != whole.made[name])
    if code == 0 and not different:
        row.equal += 1
    else:
        last = said.read_text(errors="replace").strip().splitlines()[-1:]
        row.faults.append(f"{where}: exit {code}, {last}, {len(different)} differ: {different[:5]}")
    return True


def kill(case: Case, work: Path, kills: int, seed: int) -> Count:
    """Kills a command at so many moments, in turn of each kind."""
    rng, row = random.Random(f"{seed} {case.name}"), Count()
    work.mkdir(parents=True, exist_ok=True)
    whole = undisturbed(case, work)
    tries = 0
    while row.killed < kills and tries < 4 * kills:
        kill_once(case, work, whole, row, rng, case.moments[tries % len(case.moments)])
        tries += 1
    row.two_at_once = two_at_once(case, work, whole) or "refused"
    shutil.rmtree(work)
    return row


def two_at_once(case: Case, work: Path, whole: Whole) -> str:
    """Calls a command while the same one is at work; returns what is wrong, or nothing."""
    folder, said = prepare(case, work / "both"), work / "both.said.txt"
    first = begin(case.words, folder)
    while not any(_is_named(path) for path in folder.rglob(".*.roadstill-lock")):
        if ended(first, 0.001) is not None:
            return "the first ended before the second began"
    os.kill(first, signal.SIGSTOP)
    before = len(said.read_text())
    code = ended(begin(case.words, folder))
    line = said.read_text()[before:].strip().splitlines()[-1:]
    os.kill(first, signal.SIGCONT)
    own = ended(first)
    if (code, own) != (2, 0) or "is being written by" not in str(line):
        return f"exit {code} and {own}: {line}"
    made = contents(folder, case.runs)
    different = sorted(name for name in made | whole.made if made.get(name) != whole.made.get(name))
    return f"differs: {different}" if different else ""


def _is_named(lock: Path) -> bool:
    """Whether the file of a lock names its holder, so that it has the lock by now."""
    try:
        return bool(lock.read_text())
    except FileNotFoundError:
        return False


def table(rows: dict[str, Count]) -> str:
    """The counts as text."""
    lines = ["verb                  killed  equal  left over  orphans  all ended within  second at once"]
    for name, row in rows.items():
        counts = f"{row.killed:>6}{row.equal:>7}{len(row.left):>11}{row.orphans:>9}{row.slowest_end_s:>14.2f} s"
        lines.append(f"{name:<22}{counts}  {row.two_at_once}")
    return "\n".join([*lines, *(f"{name}: {said}" for name, row in rows.items() for said in (*row.faults, *row.left))])


def as_json(rows: dict[str, Count]) -> str:
    """The counts as JSON."""
    return json.dumps({name: vars(row) for name, row in rows.items()}, indent=1)


Cases = Callable[[Path], list[Case]]
