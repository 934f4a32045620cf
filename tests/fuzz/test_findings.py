"""What fuzzing found once, and where it starts: the targets without the engine."""

from pathlib import Path

import pytest
from targets import all_targets

TARGETS = all_targets()


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_findings(name, tmp_path):
    target = TARGETS[name]
    seeds = list(target.seeds(tmp_path))
    assert seeds
    for path in sorted((Path(__file__).parent / "findings" / name).glob("*")):
        target.read(path.read_bytes(), tmp_path)
    for data in seeds:
        target.read(data, tmp_path)
