"""What fuzzing found once, and where it starts: the harness of ``tests/fuzz`` without its engine."""

import importlib.util
from pathlib import Path

import pytest
from watch import WATCH

FOLDER = Path(__file__).parents[2] / "fuzz"
_spec = importlib.util.spec_from_file_location("fuzz_pickles", FOLDER / "fuzz_pickles.py")
fuzz = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fuzz)


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_seeds_and_findings(target):
    check, seeds = fuzz.TARGETS[target]
    found = [path.read_bytes() for path in sorted((FOLDER / "findings" / target).glob("*"))]
    for data in (given := seeds()):
        check(data)  # what is imported late is not what an input does
    for data in [*given, *found]:
        with WATCH:
            check(data)
        assert WATCH.acts == []
