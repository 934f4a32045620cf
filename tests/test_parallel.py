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
import os, time
from roadstill.parallel import Workers

class Slow:
    def work(self, path):
        with open(path, "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)

if __name__ == "__main__":
    import sys
    with Workers(2, Slow()) as workers:
        list(workers.each("work", [(path,) for path in sys.argv[1:]]))
"""


def test_workers_end_with_a_killed_parent(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    notes = [tmp_path / "a", tmp_path / "b"]
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", *notes])
    try:
        until(lambda: parent.poll() is not None or all(note.is_file() and note.read_text() for note in notes))
        workers = [int(note.read_text()) for note in notes]
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    until(lambda: not any(runs(worker) for worker in workers))


def until(holds):
    """Waits; a minute is far more than it takes, so that what never comes fails instead of hanging."""
    last = time.monotonic() + 60
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
