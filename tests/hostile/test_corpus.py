"""The corpus of bad inputs as a whole."""

import importlib.util
from pathlib import Path


def test_the_corpus_is_large():
    total = 0
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.name != Path(__file__).name:
            spec = importlib.util.spec_from_file_location(f"corpus_{path.stem}", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            total += len(module.CASES)
    assert total >= 300
