"""The tour: every command says how long it takes, and all of it runs as it is written, in order, in one folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from made_cifar import binary
from pages import ROOT, blocks

TOUR = ROOT / "docs" / "tour.md"
# Stands for the command, and notes what each call took.
COMMAND = """#!{python}
import json, os, resource, subprocess, sys, time
began = time.monotonic()
code = subprocess.run([sys.executable, "-m", "roadstill", *sys.argv[1:]]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
row = {{"words": sys.argv[1:], "code": code, "seconds": round(time.monotonic() - began, 1),
        "processor_s": round(used.ru_utime + used.ru_stime, 1)}}
with open({log!r}, "a") as file:
    file.write(json.dumps(row) + "\\n")
sys.exit(code)
"""


def lines() -> list[str]:
    """The commands of the tour, with their comments."""
    found = [line.strip() for block in blocks(TOUR, "bash") for line in block.splitlines()]
    return [line for line in found if line.startswith("roadstill ")]


@pytest.mark.parametrize("line", lines())
def test_every_command_says_how_long_it_takes(line):
    assert re.search(r"  # (about )?\d+ (s|min)\b", line), line


def run(folder: Path) -> list[dict]:
    """Runs all blocks of commands, one after another, and gives what each command took."""
    log, command = folder / "log.jsonl", folder / "bin" / "roadstill"
    command.parent.mkdir()
    command.write_text(COMMAND.format(python=sys.executable, log=str(log)))
    command.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"
    }  # fmt: skip
    rows: list[dict] = []
    binary(folder / "tour" / "cifar-10-batches-bin")
    for block in blocks(TOUR, "bash"):
        done = subprocess.run(
            ["bash", "-e", "-c", block],
            cwd=folder / "tour",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        rows += (new := [json.loads(row) for row in log.read_text().splitlines()[len(rows) :]])
        assert done.stderr.count("· took ") == len(new), done.stderr
    return rows


@pytest.mark.slow
def test_the_tour_runs_as_it_is_written(tmp_path, capsys):
    rows = run(tmp_path)
    with capsys.disabled():
        for row in rows:
            print(f"{row['seconds']:8.1f} s, {row['processor_s']:8.1f} s of a processor: {' '.join(row['words'])}")  # noqa: T201
    assert len(rows) >= len(lines())
    assert (tmp_path / "tour" / "work" / "comparison.json").is_file()
