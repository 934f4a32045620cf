"""A module imports only from floors below its own."""

from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_floors(monkeypatch):
    root = Path(__file__).parent.parent
    monkeypatch.chdir(root)
    assert lint_imports(config_filename=str(root / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS
