"""Several processes: a mistake is said once and last, and nobody is left behind by a killed launcher."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from made import picture_set

from roadstill.cli import main
from roadstill.cli.launch import processes, told_launcher
from roadstill.errors import UserError

SIZES = {"depth": 1, "hidden_size": 8, "num_heads": 1}
SCRATCH = [
    "--tuning.network",
    json.dumps({"class_path": "roadstill.networks.kinds.NetworkConfig", "init_args": SIZES}),
    "--tuning.adapters",
    '[{"class_path": "roadstill.adapters.Full"}]',
    "--tuning.steps",
    "2",
]
SAID = "roadstill: batch_size 5 does not divide into 2 parts over all processes"


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("latents")
    picture_set(folder / "set", 8)
    assert main(["encode", str(folder / "set"), str(folder / "latents"), "--codec", "pixels"]) == 0
    return str(folder / "latents")


def test_a_mistake_in_two_processes_is_one_line(latents, tmp_path, capfd):
    words = ["finetune", latents, str(tmp_path / "out"), *SCRATCH, "--tuning.batch_size"]
    assert main([*words, "5", "--processes", "2"]) == 2
    assert capfd.readouterr().err.splitlines() == [SAID]
    assert main([*words, "4", "--processes=2"]) == 0
    assert capfd.readouterr().out.splitlines() == [str(tmp_path / "out")]
    assert (tmp_path / "out" / "trained.safetensors").is_file()


def test_under_torchrun_a_mistake_stands_once_and_last(latents, tmp_path):
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
    words = ["finetune", latents, str(tmp_path / "out"), *SCRATCH, "--tuning.batch_size", "5"]
    done = subprocess.run([*launcher, *words], capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert [line for line in lines if SAID in line] == [f"  traceback : {SAID}"]
    assert lines[-2] == f"  traceback : {SAID}"
    assert set(lines[-1]) == {"="}
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["out"], (["out"], None)),
        (["out", "--processes", "2", "--seed", "1"], (["out", "--seed", "1"], 2)),
        (["--processes=3"], ([], 3)),
    ],
    ids=str,
)
def test_the_number_of_processes(words, found):
    assert processes(words) == found


@pytest.mark.parametrize("given", [["0"], ["-1"], ["two"], ["1.5"], [""], []])
def test_a_number_that_is_none(given):
    with pytest.raises(UserError, match=r"--processes is .*; it must be a whole number, at least 1"):
        processes(["--processes", *given])


def test_what_works_in_one_process_says_so(capsys, monkeypatch):
    assert main(["doctor", "--processes", "2"]) == 2
    assert "--processes is for pretrain, finetune, generate; leave it out with doctor" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["generate", "out", "--processes", "2"]) == 2
    assert "torchrun has started the processes already" in capsys.readouterr().err


def test_the_first_process_speaks(tmp_path, monkeypatch, capsys):
    assert not told_launcher("said")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    assert main(["no-such-verb"]) == 2
    assert capsys.readouterr().err == ""
    message = json.loads((tmp_path / "error.json").read_text())["message"]
    assert message["message"].startswith("there is no verb 'no-such-verb'")
    assert message["extraInfo"]["py_callstack"] == f"roadstill: {message['message']}"
    monkeypatch.delenv("TORCHELASTIC_ERROR_FILE")
    monkeypatch.setenv("RANK", "1")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == ""


LAUNCHER = """
import subprocess, sys, time
worker = "import time; from roadstill.cli.launch import follow_launcher as follow; follow(); print(flush=True)"
worker += "; time.sleep(600)"
print(subprocess.Popen([sys.executable, "-c", worker]).pid, flush=True)
time.sleep(600)
"""


def test_processes_end_with_a_killed_launcher(tmp_path):
    environment = os.environ | {"TORCHELASTIC_ERROR_FILE": str(tmp_path / "error.json")}
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        worker = int(launcher.stdout.readline())
        launcher.stdout.readline()  # it follows
        os.kill(worker, 0)
    finally:
        launcher.send_signal(signal.SIGKILL)
        launcher.wait()
        launcher.stdout.close()
    until = time.monotonic() + 30
    while running(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not running(worker)


def running(process):
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
