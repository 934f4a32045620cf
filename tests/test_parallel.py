"""Workers: every job is done once, errors come through, a killed one is named, none outlives a killed parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import roadstill
from roadstill.errors import UserError
from roadstill.parallel import Workers, spawning
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


BESIDE = """
import os, sys
sys.path.append(os.getcwd())  # as --trust does
from roadstill.parallel import Workers

class Finds:
    def find(self, name):
        __import__(name)

if __name__ == "__main__":
    with Workers(2, Finds()) as workers:
        list(workers.each("find", [("inert_module",), ("inert_module",)]))
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no safe path for the processes it starts")
def test_workers_take_no_file_of_the_working_folder_for_a_module_of_python(tmp_path):
    here, marks = tmp_path / "here", tmp_path / "marks"
    here.mkdir()
    marks.mkdir()
    (tmp_path / "program.py").write_text(BESIDE)
    for name in ("pickle", "socket", "selectors", "multiprocessing", "signal", "warnings", "inert_module"):
        (here / f"{name}.py").write_text(f"open({str(marks / name)!r}, 'w').close()\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    source = str(Path(roadstill.__file__).parent.parent)
    command = [sys.executable, tmp_path / "program.py"]
    done = subprocess.run(command, cwd=here, env=environment | {"PYTHONPATH": source}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in marks.iterdir()] == ["inert_module"]  # which their import path ends with


def test_the_environment_is_as_before_once_workers_run(monkeypatch):
    for before in (None, "", "1"):
        monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
        if before is not None:
            monkeypatch.setenv("PYTHONSAFEPATH", before)
        with spawning() as context:
            assert os.environ["PYTHONSAFEPATH"] == "1"
            assert context.get_start_method() == "spawn"
        assert os.environ.get("PYTHONSAFEPATH") == before


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
