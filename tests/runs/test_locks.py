"""Outputs: one process at a time, nothing left of a killed one, and never a file that is somebody else's."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from roadstill.errors import UserError
from roadstill.runs import atomic_path, held, hold, holding, locks, scratch_folder, share

# Holds its first argument and says so; ends when its input ends.
HOLDER = """
import sys
from pathlib import Path
from roadstill.runs import hold
from roadstill.runs.leftovers import unfinished

with hold(Path(sys.argv[1]), shared="shared" in sys.argv):
    for name in sys.argv[2:]:
        if name != "shared":
            path = unfinished(Path(name))
            path.mkdir() if name.endswith("folder") else path.touch()
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other():
    """``other(path, ...)``: starts a process that holds a path, with half-written files of the names given."""
    started = []

    def start(path, *names):
        words = [sys.executable, "-c", HOLDER, str(path), *map(str, names)]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end(process, how):
    if how == "kill":
        process.send_signal(signal.SIGKILL)
    process.communicate()


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_lock_lies_beside_its_output_and_is_gone_with_it(tmp_path):
    out = tmp_path / "above" / "out"
    with hold(out):
        assert names(tmp_path) == ["above", "above/.out.roadstill-lock"]
        out.mkdir()
        with hold(out), hold(out / "part"), atomic_path(out / "file") as path:
            assert not any(name.endswith("lock") for name in names(out))
            path.touch()
    assert names(tmp_path) == ["above", "above/out", "above/out/file"]
    assert held() == ()


def test_nothing_stays_where_nothing_was_written(tmp_path):
    with hold(tmp_path / "a" / "b" / "out"):
        pass
    assert names(tmp_path) == []


def test_a_second_process_is_refused_and_told_of_the_first(tmp_path, other):
    out = tmp_path / "out"
    first = other(out)
    for way in (hold, atomic_path):
        with pytest.raises(UserError, match=f"out is being written by process {first.pid} on .*; wait until"), way(out):
            pass
    end(first, "quietly")
    assert names(tmp_path) == []
    with hold(out):
        pass


@pytest.mark.parametrize("name", ["./out", "link"])
def test_an_output_has_one_lock_by_whatever_name(tmp_path, other, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("link").symlink_to("out")
    other(tmp_path / "out")
    with pytest.raises(UserError, match="is being written"), hold(Path(name)):
        pass


def test_a_killed_process_leaves_no_lock_and_what_it_had_begun_is_removed(tmp_path, other):
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    killed = other(out, out, out / "deep" / "file", out / "a folder")
    end(killed, "kill")
    assert len(names(tmp_path)) == 6
    with hold(out):
        pass
    assert names(tmp_path) == ["out", "out/deep"]


def test_what_a_living_process_writes_inside_is_kept(tmp_path, other):
    out = tmp_path / "out"
    (out / "inner").mkdir(parents=True)
    other(out / "inner", out / "inner", out / "inner" / "file")
    before = names(tmp_path)
    with hold(out):
        pass
    assert names(tmp_path) == before


def test_shards_share_and_the_whole_waits_for_them(tmp_path, other):
    out = tmp_path / "out"
    shard = other(out, "shared")
    with hold(out, shared=True):
        pass
    assert names(tmp_path) == [".out.roadstill-lock"]
    with pytest.raises(UserError, match="is being written"), hold(out):
        pass
    end(shard, "quietly")
    other(out)
    with pytest.raises(UserError, match="is being written"), hold(out, shared=True):
        pass


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    out, taken = tmp_path / "out", []
    flock = locks.fcntl.flock

    def removed(descriptor, how):
        if not taken:  # the holder before lets go between opening and locking
            (tmp_path / ".out.roadstill-lock").unlink()
        taken.append(how)
        flock(descriptor, how)

    monkeypatch.setattr(locks.fcntl, "flock", removed)
    with hold(out):
        assert len(taken) == 2
        assert names(tmp_path) == [".out.roadstill-lock"]
    assert names(tmp_path) == []


def test_without_locks_the_work_goes_on(tmp_path, monkeypatch):
    def none(descriptor, how):
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr(locks.fcntl, "flock", none)
    leftover = tmp_path / ".out.12345678.part"
    leftover.touch()
    with atomic_path(tmp_path / "out") as path:
        path.touch()
    assert names(tmp_path) == [leftover.name, "out"]  # perhaps a living process's


def test_a_folder_of_ones_own_below_one_that_cannot_be_written_is_locked_itself(tmp_path, monkeypatch):
    out, opened = tmp_path / "out", os.open
    out.mkdir()

    def denied(path, flags, *mode):
        if str(path).endswith("-lock"):
            raise PermissionError(errno.EACCES, "denied", str(path))
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", denied)
    with hold(out):
        second = locks._Lock(out)
        with pytest.raises(UserError, match="out is being written by another process"):
            second.take()
        second.release()


@pytest.mark.parametrize("rank", ["1", "3"])
def test_of_several_processes_the_first_holds_for_all(tmp_path, other, monkeypatch, rank):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", rank)
    other(tmp_path / "out")  # its environment says that it is the first, or alone
    with hold(tmp_path / "out"), atomic_path(tmp_path / "out" / "file") as path:
        path.touch()
    assert (tmp_path / "out" / "file").exists()


def test_what_the_holder_has_started_may_write_too(tmp_path, other, monkeypatch):
    other(tmp_path / "out")
    monkeypatch.setattr(locks, "_held", set())
    share((tmp_path / "out",))
    with atomic_path(tmp_path / "out" / "file") as path:
        path.touch()
    assert names(tmp_path / "out") == ["file"]


def test_a_function_holds_its_output_while_it_runs(tmp_path, other):
    @holding("to", shared_by="part")
    def write(text, to=None, *, part=None):
        """Writes."""
        assert (to in held()) == (to is not None)
        return text

    assert write("x") == "x"
    assert write("x", tmp_path / "out") == "x"
    assert (write.__name__, write.__doc__) == ("write", "Writes.")
    other(tmp_path / "out", "shared")
    with pytest.raises(UserError, match="is being written"):
        write("x", tmp_path / "out")
    assert write("x", to=tmp_path / "out", part=1) == "x"


def test_the_root_of_the_file_system_is_no_output():
    with pytest.raises(UserError, match=r"^/ cannot be an output"), hold(Path("/")):
        pass


def test_scratch_folders_of_killed_processes_are_removed(tmp_path, monkeypatch, other):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, alive = tmp_path / "roadstill-dead", tmp_path / "roadstill-alive"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "file").touch()
    end(other(dead), "kill")
    other(alive)
    (tmp_path / "roadstill-else").mkdir()  # nobody's lock: perhaps not ours
    with scratch_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").touch()
    assert names(tmp_path) == [".roadstill-alive.roadstill-lock", "roadstill-alive", "roadstill-alive/file",
                               "roadstill-else"]  # fmt: skip
