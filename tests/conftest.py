"""Fixtures that many rooms share."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from safetensors.torch import load_file
from torch import Tensor

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

    def check(self, name: str, ours: Tensor) -> None:
        stored, facts = self.tensors[name], self.item["tensors"][name]
        assert list(ours.shape) == facts["shape"], name
        distance = (ours.detach().double() - stored.double()).abs()
        allowed = facts["atol"] + facts["rtol"] * stored.double().abs()
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
