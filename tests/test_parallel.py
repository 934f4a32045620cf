"""Workers: every job is done once, errors come through, a killed one is named, none outlives a killed parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roadstill.errors import UserError
from roadstill.parallel import Workers
from roadstill.runs import hold, write_json


@pytest.mark.parametrize("count", [1, 2])
def test_every_job_is_done_and_handed_back(tmp_path, count):
    jobs = [(str(tmp_path / name),) for name in "abc"]
    with Workers(count, os.mkdir) as workers:
        assert sorted(workers.each("__call__", jobs)) == jobs
        assert list(workers.each("__call__", [])) == []
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
        with pytest.raises(FileExistsError):
            list(workers.each("__call__", jobs[:1]))


def test_a_killed_process_is_one_clear_line():
    with Workers(2, os._exit) as workers, pytest.raises(UserError, match="--workers 1"):
        list(workers.each("__call__", [(9,)]))


PARENT = """
import ctypes, os, pathlib, sys, time
from roadstill.parallel import Workers

class Slow:
    def __init__(self, how, folder):
        self.how, self.folder = how, folder

    def __setstate__(self, state):
        self.__dict__ |= state
        if self.how == "while it starts":
            self.note()
            time.sleep(600)

    def note(self):
        path = pathlib.Path(self.folder, f"{os.getpid()}.part")
        path.touch()
        path.rename(path.with_suffix(".note"))

    def work(self, name):
        self.note()
        if self.how == "in a call of C":
            ctypes.PyDLL(None).sleep(600)  # keeps the lock of the interpreter, so that no thread runs
        time.sleep(600)

if __name__ == "__main__":
    with Workers(2, Slow(*sys.argv[1:])) as workers:
        list(workers.each("work", [("a",), ("b",)]))
"""


@pytest.mark.parametrize("how", ["at work", "while it starts", "in a call of C"])
def test_workers_end_with_a_killed_parent(tmp_path, how):
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", how, str(tmp_path)])
    try:
        until(lambda: parent.poll() is not None or len(list(tmp_path.glob("*.note"))) == 2)
        workers = [int(note.stem) for note in tmp_path.glob("*.note")]
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert len(workers) == 2
    until(lambda: not any(runs(worker) for worker in workers), within_s=5)


def test_workers_write_what_their_parent_holds(tmp_path):
    with hold(tmp_path / "out"), Workers(2, write_json) as workers:
        list(workers.each("__call__", [(tmp_path / "out", 1), (tmp_path / "out", 1)]))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def until(holds, within_s=60):
    """Waits; a minute is far more than it takes, so that what never comes fails instead of hanging."""
    last = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < last
        time.sleep(0.05)


def runs(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # Where nobody collects orphans, a process that has ended remains as a zombie.
    stat = Path(f"/proc/{process}/stat")
    return not stat.is_file() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
