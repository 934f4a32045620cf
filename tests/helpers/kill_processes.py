"""Kills one of two processes that share a training or a drawing, or their launcher, and calls them again."""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import kill_cases
import killing
from killing import Count

TUNING = ("--tuning.batch_size", "4", "--tuning.log_every", "2", "--tuning.save_every", "1", "--tuning.steps", "12")
COMMANDS = {
    "finetune": ("finetune", "{inputs}/latents", "tuned", *TUNING),
    "generate": ("generate", "made", "--per_class", "8", "--sampling.steps", "4", "--sampling.batch_size", "1"),
}
VICTIMS = ("rank 0", "rank 1", "launcher")


def start(words: tuple[str, ...], folder: Path) -> subprocess.Popen[bytes]:
    """Starts a command in two processes, in a session of its own."""
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "roadstill",
    ]
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    said = folder.with_name(f"{folder.name}.said.txt").open("ab")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(folder / "tmp")}
    return subprocess.Popen(
        [*launcher, *words],
        cwd=folder,
        stdout=said,
        stderr=said,
        start_new_session=True,
        env=environment,
    )


def living(folder: Path) -> dict[int, bytes]:
    """Processes that were started for a command in a folder, whatever their session, and their environments."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes()
            dead = (path / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if f"TMPDIR={folder / 'tmp'}".encode() in environment.split(b"\0") and not dead:
            found[int(path.name)] = environment
    return found


def wait_for_work(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Returns when the first process holds its output, after all imports, or has ended."""
    while process.poll() is None and not list(folder.glob(".*.roadstill-lock")):
        time.sleep(0.01)


def find(process: subprocess.Popen[bytes], folder: Path, victim: str) -> int | None:
    """The number of the process to kill, if it is there already."""
    if victim == "launcher":
        return process.pid
    rank = b"RANK=" + victim[-1:].encode()
    return next((number for number, environment in living(folder).items() if rank in environment.split(b"\0")), None)


def wait_for_orphans(folder: Path) -> tuple[int, float]:
    """As `killing.wait_for_orphans`, in any session."""
    began = time.monotonic()
    while (left := living(folder)) and time.monotonic() - began < killing.ORPHANS_WITHIN_S:
        time.sleep(0.05)
    for number in left:
        os.kill(number, signal.SIGKILL)
    return len(left), time.monotonic() - began


def contents(folder: Path) -> dict[str, str]:
    """As `killing.contents`, without what torchrun leaves among the temporary files."""
    return {name: digest for name, digest in killing.contents(folder).items() if not name.startswith("tmp")}


def kill(name: str, words: tuple[str, ...], work: Path, kills: int, rng: random.Random) -> dict[str, Count]:
    """Kills each of the processes so many times."""
    whole = work / "whole"
    process = start(words, whole)
    wait_for_work(process, whole)
    began = time.monotonic()
    assert process.wait() == 0, (work / "whole.said.txt").read_text()
    seconds, made = time.monotonic() - began, contents(whole)
    rows = {f"{name}, {victim}": Count(two_at_once="not tried") for victim in VICTIMS}
    for victim in VICTIMS * (2 * kills):
        row, folder = rows[f"{name}, {victim}"], work / "killed"
        if row.killed == kills:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        (work / "killed.said.txt").unlink(missing_ok=True)
        process = start(words, folder)
        wait_for_work(process, folder)
        moment = rng.uniform(0, seconds)
        time.sleep(moment)
        number = find(process, folder, victim)
        if number is None or process.poll() is not None:
            process.wait()
            continue
        os.kill(number, signal.SIGKILL)
        row.killed += 1
        orphans, took = wait_for_orphans(folder)
        process.wait()
        row.orphans += orphans
        row.slowest_end_s = max(row.slowest_end_s, round(took, 2))
        code = start(words, folder).wait()
        again = contents(folder)
        row.left += sorted(again.keys() - made.keys())
        different = sorted(each for each in made if again.get(each) != made[each])
        if code == 0 and not different:
            row.equal += 1
        else:
            said = (work / "killed.said.txt").read_text(errors="replace").splitlines()[-40:]
            line = [each for each in said if "roadstill:" in each][-1:]
            row.faults.append(f"{moment:.2f} s: exit {code}, {line}, differ: {different}")
    return rows


def main() -> int:
    """Runs the harness; see --help."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="folder to work in")
    parser.add_argument("--kills", type=int, default=10, help="kills of each process")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    work, rows = given.work.absolute(), {}
    killing.import_all()
    inputs = work / "inputs"
    if not inputs.is_dir():
        kill_cases.make_latents(inputs)
    for name, words in COMMANDS.items():
        filled = tuple(word.replace("{inputs}", str(inputs)) for word in words)
        rows |= kill(name, filled, work / name, given.kills, random.Random(f"{given.seed} {name}"))
        print(killing.table(rows), flush=True)
    return not all(row.equal == row.killed == given.kills and not row.left and not row.orphans for row in rows.values())


if __name__ == "__main__":
    sys.exit(main())
