"""A module imports only from floors below its own."""

import subprocess
import sys
from pathlib import Path

CODE = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports('pyproject.toml', no_cache=True))"


def test_floors():
    # In a process of its own: the linter configures logging and silences every logger that exists by then.
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", CODE], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
