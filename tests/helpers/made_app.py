"""A generator for run folders that draws pictures of 8 px at once, and the page of a run as a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from weightfiles import tiny_dit

from roadstill.denoisers.base import Origin
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.generator.attributes import renew_attributes
from roadstill.generator.checkpoints import write_base
from roadstill.schedules import linear

VOCABULARY = {"light": ("day", "night"), "weather": ("clear", "rain")}
ARMS = "arms:\n  tuned: {label: Tuned}\n  random: {label: Random frames}\n"


def add_base(run: Path) -> Path:
    """Writes a base generator beside a run, which knows attributes, and a recipe that names it."""
    run.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    network = tiny_dit(num_classes=2, in_channels=3, input_size=8)
    renew_attributes(network, 4)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.2, generator=generator)
    denoiser = DiTDenoiser.of(network, linear(40), {})
    denoiser.origin = Origin(class_names=("not_brake", "brake"), codec="pixels", attributes=VOCABULARY)
    base = write_base(denoiser, run.parent / "base.safetensors", torch.float32)
    (run / "recipe.yaml").write_text(f"base: {base}\ncodec: pixels\n{ARMS}")
    return base


@dataclass(frozen=True)
class Served:
    """A page that is up.

    Attributes:
        process: the command.
        port: its port.
    """

    process: "subprocess.Popen[str]"
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def stop(self) -> tuple[int, str, str]:
        """Ctrl-C: exit code, and what the command said since then."""
        self.process.send_signal(signal.SIGINT)
        said, complained = self.process.communicate(timeout=120)
        return self.process.returncode, said, complained


@contextmanager
def served(run: Path, folder: Path) -> Iterator[Served]:
    """The command `app` on any free port, started in a folder."""
    command = [sys.executable, "-m", "roadstill", "app", str(run), "--port", "0", "--quiet"]
    process = subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"http://127\.0\.0\.1:(\d+) \(Ctrl-C ends it\)", line)
        assert found, (line, process.communicate(timeout=120))
        yield Served(process, int(found[1]))
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
