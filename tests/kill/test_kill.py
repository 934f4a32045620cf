"""Some kills of some verbs; `make verify` kills all of them at ten moments each."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import killing

import roadstill

PACKAGE = Path(roadstill.__file__).parent
HARNESS = Path(killing.__file__).with_name("kill_cases.py")


def test_commands_go_on_where_they_were_killed_and_never_meet(tmp_path):
    record = tmp_path / "rows.json"
    command = [sys.executable, HARNESS, tmp_path / "work", "--short", "--kills", "1", "--json", record]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(record.read_text())
    assert list(rows) == ["finetune", "generate"]
    for row in rows.values():
        assert row["slowest_end_s"] < 5
        assert {name: row[name] for name in ("killed", "equal", "left", "orphans", "two_at_once")} == {
            "killed": 1, "equal": 1, "left": [], "orphans": 0, "two_at_once": "refused",
        }  # fmt: skip


# Who may ask what time it is: the ledger says when; the launcher is asked for a date; a cache in memory sees whether a
# file was written anew.
CLOCK = {"evaluation/ledger.py", "cli/launch.py", "sources/navsim/lookup.py"}


def test_nothing_depends_on_the_clock_which_may_go_back():
    asking = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and (
                ast.unparse(node) in ("time.time", "datetime.now", "datetime.utcnow", "date.today", "time.time_ns")
                or node.attr in ("st_mtime", "st_mtime_ns", "st_ctime", "st_ctime_ns", "getmtime", "getctime")
            ):
                asking.add(path.relative_to(PACKAGE).as_posix())
    assert asking <= CLOCK


def test_the_harness_sees_what_it_is_for(tmp_path):
    """Files of its own accord: times do not count, everything else does."""
    for name, seconds, digest in (("a", 1.5, "x"), ("b", 2.5, "x"), ("c", 1.5, "y")):
        (tmp_path / name / "tmp").mkdir(parents=True)
        record = {"seconds": seconds, "digest": digest, "at": str(tmp_path / name / "out")}
        (tmp_path / name / "record.json").write_text(json.dumps(record))
        (tmp_path / name / "test_ledger.jsonl").write_text(name)
    a, b, c = (killing.contents(tmp_path / name) for name in "abc")
    assert a == b != c
    (tmp_path / "b" / "tmp" / "left").touch()
    assert killing.contents(tmp_path / "b").keys() - a.keys() == {"tmp/left"}
