"""A folder of good logs, every hostile one, and what is no file at all, through ``roadstill index``."""

import os
import pickle
import re
from pathlib import Path

import pytest
from attacks import FIELDS, PICKLES
from made_logs import make_frame
from watch import WATCH

from roadstill.cli import main
from roadstill.errors import one_line
from roadstill.frames.store import FrameStore

DRIVES, FRAMES = 6, 24
ODD_NAMES = ["a\nb", "a\x1b[2Jb", "a\u202eb", "a\udcffb", "\u4e2d" * 80, "x" * 245, "CON", " ", "log=x", "a%2Fb", "..a"]


def log_name(drive):
    return f"2021.05.{drive + 1:02d}.10.00.00_veh-35_00001_00002"


def good_log(drive):
    def frame(index):
        state = [4.0 + index / 8, 0.0, 1.5 if index % 3 else -1.5, 0.0]
        token = f"{drive:08x}{index:08x}"
        return make_frame(index, 1, log_name(drive), token=token, ego_dynamic_state=state)

    return pickle.dumps([frame(index) for index in range(FRAMES)], 4)


def tree(folder):
    return sorted(os.fsencode(path.relative_to(folder)) for path in Path(folder).rglob("*"))


@pytest.mark.skipif(os.name != "posix", reason="POSIX files and names")
def test_the_good_logs_are_indexed_and_the_others_cost_a_line_each(tmp_path, monkeypatch, capsys):
    logs, out = tmp_path / "logs", tmp_path / "index"
    logs.mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for drive in range(DRIVES):
        (logs / f"{log_name(drive)}.pkl").write_bytes(good_log(drive))
    hostile = [f"attack-{number:04d}" for number in range(len(PICKLES))]
    for name, data in zip(hostile, PICKLES.values(), strict=True):
        (logs / f"{name}.pkl").write_bytes(data)
    for number, (field, value) in enumerate(FIELDS.values()):
        name = f"field-{number:04d}"
        frame = make_frame(0, 0, name, **{field: value})
        (logs / f"{name}.pkl").write_bytes(pickle.dumps([frame], 4))
        hostile.append(name)
    for name in ODD_NAMES:
        (logs / f"{name}.pkl").write_bytes(good_log(0))  # a copy of a log under another name
        hostile.append(name)
    with (logs / "sparse.pkl").open("wb") as file:
        file.truncate(2**40)
    os.mkfifo(logs / "pipe.pkl")
    (logs / "zeros.pkl").symlink_to("/dev/zero")
    (logs / "nowhere.pkl").symlink_to("/nowhere")
    (logs / "folder.pkl").mkdir()
    (logs / "no log\n\x1b[2J\udcff").touch()
    hostile += ["sparse", "pipe", "zeros", "nowhere", "folder"]
    before = tree(tmp_path)

    with WATCH:
        # One process: the hook does not see what others do, and a pool talks to them in pickles of its own.
        assert main(["index", str(logs), str(out), "--workers", "1", "--quiet"]) == 3
    told, line = capsys.readouterr()
    assert re.fullmatch(r"roadstill: part of the input could not be read: .+\.pkl: .+; the rest is on disk\n", line)
    assert line[:-1].isprintable()
    assert all(part.isprintable() for part in told.splitlines())

    problems = (out / "problems.txt").read_text(encoding="utf-8").split("\n")
    assert problems.pop() == ""
    assert all(problem.isprintable() for problem in problems)
    named = [problem.partition(".pkl: ")[0] for problem in problems if ".pkl: " in problem]
    assert sorted(named) == sorted(map(one_line, hostile))
    assert len(problems) == len(hostile) + 1  # what is no *.pkl, in one line

    store = FrameStore(out / "frames")
    for drive in range(DRIVES):
        assert len(store.read(log_name(drive))) == FRAMES
    assert sum(len(store.read(name)) for name in store.logs()) == DRIVES * FRAMES
    assert [path for path in tree(tmp_path) if not path.startswith(b"index")] == before
    assert {path.name for path in out.iterdir()} == {
        *("index.json", "frames", "funnel.json", "motion.json", "problems.txt", "train.parquet", "dev.parquet"),
        "test.parquet",
    }
    assert [act for act in WATCH.acts if act[0].startswith(("os.system", "subprocess", "pickle"))] == []
