import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from roadstill.runs import (
    digest_file,
    digest_of,
    seed_of,
)


@dataclass
class Config:
    steps: int
    where: Path


@dataclass
class Other:
    steps: int
    where: Path


def test_seeds_depend_on_every_part_and_no_process():
    seeds = {
        seed_of(*parts) for parts in [(), ("a",), ("a", 0), (0, "a"), ("a", 1), ("a0",), ("a", "0", ""), ("a", 0, 0)]
    }
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    code = "from roadstill.runs import seed_of; print(seed_of('generate', 3, 7))"
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert int(other.stdout) == seed_of("generate", 3, 7)


def test_digest_of_content():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of(Config(3, Path("a"))) != digest_of(Config(4, Path("a")))
    assert digest_of(Config(3, Path("a"))) != digest_of(Other(3, Path("a")))
    assert len(digest_of([])) == 16


def test_digest_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_bytes(b"x" * 3_000_000)
    (tmp_path / "c").write_bytes(b"x" * 2_999_999 + b"y")
    assert digest_file(tmp_path / "a") == digest_file(tmp_path / "b") != digest_file(tmp_path / "c")
