"""torchrun over two hosts, each a network namespace with an address of its own; one is killed, and the work resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import killing
import pytest
from made import picture_set

from roadstill.cli import main

STEPS = 60
SIZES = {"depth": 1, "hidden_size": 8, "num_heads": 1}
WORDS = [
    "--tuning.network", json.dumps({"class_path": "roadstill.networks.kinds.NetworkConfig", "init_args": SIZES}),
    "--tuning.adapters", '[{"class_path": "roadstill.adapters.Full"}]', "--tuning.batch_size", "4",
    "--tuning.log_every", "2", "--tuning.save_every", "1", "--tuning.steps", str(STEPS),
]  # fmt: skip
PORT = 29_571


@dataclass(frozen=True)
class Host:
    """A network namespace with one end of a cable."""

    name: str
    cable: str
    address: str

    def run(self, command, **options):
        """A process on this host."""
        return subprocess.Popen(["ip", "netns", "exec", self.name, *map(str, command)], **options)

    def die(self):
        """Ends all processes of the host at once, as a power cut would."""
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True)
        for number in found.stdout.split():
            os.kill(int(number), signal.SIGKILL)


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


@pytest.fixture
def hosts():
    """Two hosts with a cable between them, where this user may make them."""
    both = [Host(f"roadstill{os.getpid()}{end}", f"rs{os.getpid() % 10**6}{end}", f"10.213.7.{number}")
            for number, end in enumerate("ab", 1)]  # fmt: skip
    try:
        made = [ip("netns", "add", host.name) for host in both]
        made.append(ip("link", "add", both[0].cable, "type", "veth", "peer", "name", both[1].cable))
        if failed := [each.stderr.strip() for each in made if each.returncode]:
            pytest.skip(f"network namespaces are not allowed here: {failed[0]}")
        for host in both:
            for words in (
                ("link", "set", host.cable, "netns", host.name),
                ("-n", host.name, "addr", "add", f"{host.address}/24", "dev", host.cable),
                ("-n", host.name, "link", "set", host.cable, "up"),
                ("-n", host.name, "link", "set", "lo", "up"),
            ):
                assert ip(*words).returncode == 0, words
        yield both
    except FileNotFoundError:
        pytest.skip("network namespaces need the program ip (iproute2)")
    finally:
        for host in both:
            try:
                host.die()
            except (OSError, subprocess.CalledProcessError):
                pass
            try:
                ip("netns", "del", host.name)
            except FileNotFoundError:
                pass


def start(hosts, latents, folder):
    """One torchrun on each host; both work on one folder, as on a file system that they share."""
    folder.mkdir(exist_ok=True)
    processes = []
    for rank, host in enumerate(hosts):
        meeting = ["--nnodes", 2, "--node_rank", rank, "--master_addr", hosts[0].address, "--master_port", PORT]
        launcher = [sys.executable, "-m", "torch.distributed.run", *meeting, "--nproc_per_node", 1, "-m", "roadstill"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": host.cable}
        command = [*launcher, "finetune", latents, "tuned", *WORDS]
        with folder.with_name(f"{folder.name}-{rank}.txt").open("ab") as told:
            processes.append(host.run(command, cwd=folder, env=environment, stdout=told, stderr=told))
    return processes


def said(folder):
    return "\n".join(folder.with_name(f"{folder.name}-{rank}.txt").read_text() for rank in (0, 1))


@pytest.mark.slow
def test_a_host_that_dies_costs_no_more_than_the_steps_since_the_last_save(hosts, tmp_path):
    picture_set(tmp_path / "set", 16)
    latents = tmp_path / "latents"
    assert main(["encode", str(tmp_path / "set"), str(latents), "--codec", "pixels"]) == 0
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert [each.wait() for each in start(hosts, latents, whole)] == [0, 0], said(whole)

    first, second = start(hosts, latents, torn)
    while not list((torn / "tuned").glob("resume-1*.safetensors")) and first.poll() is None:
        time.sleep(0.005)
    hosts[1].die()
    second.wait()
    assert first.wait() != 0, "the other host notices"

    assert [each.wait() for each in start(hosts, latents, torn)] == [0, 0], said(torn)
    assert killing.contents(torn) == killing.contents(whole)
