"""Fixtures that many rooms share."""

import fcntl
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from safetensors.torch import load_file
from torch import Tensor

from roadstill.names import trusting

# Times vary on a shared machine, and a run must be repeatable.
settings.register_profile("roadstill", deadline=None, derandomize=True)
settings.load_profile("roadstill")

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Golden:
    """One item of golden.json: its parameters, its tensors, and the comparison at the stated tolerance."""

    item: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def parameters(self) -> dict[str, Any]:
        return self.item["parameters"]

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def weights(self, prefix: str) -> dict[str, Tensor]:
        inputs = (name for name, facts in self.item["tensors"].items() if facts["role"] == "input")
        return {name.removeprefix(prefix): self.tensors[name] for name in inputs if name.startswith(prefix)}

    def check(self, name: str, ours: Tensor, atol: float | None = None) -> None:
        stored, facts = self.tensors[name], self.item["tensors"][name]
        assert list(ours.shape) == facts["shape"], name
        distance = (ours.detach().double() - stored.double()).abs()
        allowed = (facts["atol"] if atol is None else atol) + facts["rtol"] * stored.double().abs()
        worst = (distance / allowed.clamp(min=1e-300)).nan_to_num(torch.inf).max().item() if distance.any() else 0.0
        assert worst <= 1, f"{name}: off by {distance.max().item():.3g}, {worst:.2f} times the tolerance"


@cache
def _golden(name: str) -> Golden:
    item = json.loads((GOLDEN / "golden.json").read_text())["items"][name]
    return Golden(item, load_file(GOLDEN / item["file"]))


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """``golden("tiny_dit")``: values of the reference implementations."""
    return _golden


@pytest.fixture(scope="session")
def ledgers() -> dict[str, Any]:
    """Exact parameter counts."""
    return json.loads((GOLDEN / "ledgers.json").read_text())


@pytest.fixture(scope="session")
def in_two_processes() -> Callable[..., None]:
    """``in_two_processes(script, ...)``: runs a Python file by torchrun."""

    def run(script: Path, *arguments: Any) -> None:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        command = [*launcher, str(script), *map(str, arguments)]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})  # pytest shows what it said

    return run


@pytest.fixture
def by_one_and_by_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_two_processes: Callable[..., None]
) -> Callable[..., tuple[Path, Path]]:
    """``by_one_and_by_two(code, ...)``: the two folders that a script, whose last argument says where, made in this
    process and in two of torchrun."""

    def run(code: str, *arguments: Any) -> tuple[Path, Path]:
        script, one, two = (tmp_path / name for name in ("script.py", "one", "two"))
        script.write_text(code)
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments), str(one)])
        runpy.run_path(str(script), run_name="__main__")
        in_two_processes(script, *arguments, two)
        return one, two

    return run


@pytest.fixture
def trusted() -> Iterator[None]:
    """Whatever is named may be imported, as with ``--trust``."""
    with trusting():
        yield


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole products that tests copy and break (see `hostile.make_good`), made once for all processes of a session."""
    from hostile import make_good

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "good"
    with (folder.parent / "good.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            make_good(folder)
            (folder / "done").touch()
    return folder
