"""The public names: one list, cheap to import, known to type checkers, each explained."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import roadstill

TREE = ast.parse(Path(roadstill.__file__).read_text(encoding="utf-8"))


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def imported_for_type_checkers() -> dict[str, str]:
    """Name -> module, as the block under ``if TYPE_CHECKING`` has it."""
    block = next(node for node in TREE.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    found = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: str(node.module) for node in found for alias in node.names}


def test_table_block_and_all_name_the_same_things():
    assert imported_for_type_checkers() == roadstill._MODULE_OF
    assert sorted(roadstill.__all__) == sorted(roadstill._MODULE_OF)
    assert len(set(roadstill.__all__)) == len(roadstill.__all__)
    assert set(roadstill.__all__) <= set(dir(roadstill))


@pytest.mark.parametrize("name", roadstill.__all__)
def test_a_public_name_resolves_to_what_its_module_has_and_is_explained(name):
    found = getattr(roadstill, name)
    home = importlib.import_module(roadstill._MODULE_OF[name])
    assert found is getattr(home, name)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert found.__doc__, name
        return
    source = sys.modules[roadstill._MODULE_OF[name]]
    paths = [path for path in Path(source.__file__).parent.glob("*.py") if f"\n{name}:" in path.read_text("utf-8")]
    lines = ast.parse(paths[0].read_text("utf-8")).body
    at = next(i for i, node in enumerate(lines) if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name)
    assert isinstance(lines[at + 1], ast.Expr), f"{name} has no docstring below it"


def test_importing_the_package_imports_nothing_heavy():
    run(
        "import sys, roadstill; roadstill.__all__, dir(roadstill), roadstill.__version__\n"
        "found = {name for name in sys.modules if name.startswith('roadstill')}\n"
        "assert found == {'roadstill', 'roadstill.moved'}, found\n"
        "heavy = {'torch', 'numpy', 'jsonargparse', 'diffusers', 'pyarrow', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )


def test_an_unknown_name_is_an_error_as_of_any_module():
    with pytest.raises(AttributeError, match="'roadstill' has no attribute 'FrameTabel'"):
        roadstill.FrameTabel  # noqa: B018
    with pytest.raises(ImportError, match="FrameTabel"):
        from roadstill import FrameTabel  # noqa: F401


NEW = "from roadstill import generate; assert inspect.isfunction(generate) and roadstill.generate is generate\n"
OLD = "import roadstill.generate; from roadstill.generate import generate as old, Sampling\n"


@pytest.mark.parametrize("order", [NEW + OLD, OLD + NEW], ids=["function first", "old module first"])
def test_a_public_function_wins_over_the_module_of_the_old_layout(order):
    run(
        "import inspect, warnings, roadstill; warnings.simplefilter('ignore')\n"
        + order
        + "assert old is generate is roadstill.generate is roadstill.generator.generate.generate"
    )


def test_an_old_module_without_a_public_namesake_is_bound_to_the_package():
    run(
        "import warnings; warnings.simplefilter('ignore')\n"
        "import roadstill.folders; from roadstill import import_folder\n"
        "assert roadstill.folders.import_folder is import_folder"
    )
