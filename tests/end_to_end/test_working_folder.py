"""Files in the working folder stand in for no module: not for the command, not for ``python -m``."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import roadstill

# Modules of Python and libraries that a run imports. What `python -m` itself
# imports before any of ours runs (runpy, importlib, warnings, ...) is not among them: docs/security.md.
SHADOWS = ("typing", "dataclasses", "numpy", "torch", "yaml", "msgspec", "PIL", "pickle", "socket", "selectors",
           "multiprocessing", "jsonargparse", "pyarrow", "tqdm", "inert_module")  # fmt: skip
COMMANDS = {
    "module": [sys.executable, "-m", "roadstill"],
    "module in one word": [sys.executable, "-mroadstill"],
    "command": [sys.executable, "{bin}/roadstill"],
}
SCRIPT = "import sys\nfrom roadstill.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"


@pytest.fixture
def here(tmp_path):
    """A folder with a file for each of these modules, which leaves a mark when it is imported."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / name)!r} + '.mark', 'w').close()\nthing = None\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "roadstill").write_text(SCRIPT)
    return folder


def run(folder, command, *words):
    """Exit code, what it said, and the modules of the folder that were imported."""
    given = [part.replace("{bin}", str(folder.parent / "bin")) for part in COMMANDS[command]]
    environment = os.environ | {"PYTHONPATH": str(Path(roadstill.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(
        [*given, *map(str, words)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    marks = sorted(path.stem for path in folder.parent.glob("*.mark"))
    for path in folder.parent.glob("*.mark"):
        path.unlink()
    return done.returncode, done.stderr, marks


@pytest.mark.parametrize("command", COMMANDS)
def test_no_file_in_the_working_folder_is_imported(here, command):
    assert run(here, command, "--version")[::2] == (0, [])
    code, said, marks = run(here, command, "index", "nowhere", "out", "--source", "inert_module.thing")
    assert (code, marks) == (2, []), said
    assert "No module named 'inert_module'" in said
    code, said, marks = run(here, command, "index", "nowhere", "out", "--source", "inert_module.thing", "--trust")
    assert (code, marks) == (2, ["inert_module"]), said  # and it stands in for nothing even then


def test_a_path_of_the_users_stays(here):
    shutil.copy(here / "inert_module.py", here.parent / "bin")
    code, said, marks = run(here, "command", "index", "nowhere", "out", "--source", "inert_module.thing")
    assert (code, marks) == (2, ["inert_module"]), said  # the folder of the command itself, as an installed module
