"""The package's layout: tests mirror it, its top stays short, and no circle of files knows itself."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE, TESTS = ROOT / "src" / "roadstill", Path(__file__).parent
MOST_AT_THE_TOP = 39
# Folders of tests that are no room: what tests share, reference values, documents, runs of several verbs, bad inputs.
NO_ROOM = {"helpers", "golden", "docs", "end_to_end", "hostile", "fuzz", "kill"}
# Files of tests about no single module; one named after its room (bench/test_bench.py) is about the whole room.
ACROSS_MODULES = {
    "test_floors.py",
    "test_layout.py",
    "test_public.py",
    "data/test_hooks.py",
    "denoisers/test_every_denoiser.py",
    "generator/test_edm_training.py",
    "selection/test_definitions.py",
    "selection/test_everywhere.py",
    "selection/test_properties.py",
    "sources/test_hostile_folder.py",
    "sources/csv/test_fuzz_table.py",
    "sources/navsim/test_fuzz_logs.py",
    "sources/navsim/test_golden_logs.py",
    "sources/pickles/test_attacks.py",
}


def rooms(root: Path) -> set[str]:
    """Paths of the folders that hold Python files, below a root; ``.`` is the root itself."""
    return {path.parent.relative_to(root).as_posix() for path in root.rglob("*.py")}


def module_files() -> dict[str, Path]:
    """Every module's dotted name and file."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ("roadstill", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, modules: set[str]) -> set[str]:
    """Modules of the package that a file names in any import: at its top, in a function, for the type checker."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            # ``from room import module`` names the module, ``from room import function`` the room's __init__.
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (whole & modules) | ({node.module} if whole - modules else set())
    return found & modules


def reachable(start: str, arrows: dict[str, set[str]]) -> set[str]:
    """All that can be reached from a module over at least one arrow."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = arrows[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module, and modules that import themselves."""
    reach = {name: reachable(name, arrows) for name in arrows}
    found = {tuple(sorted(other for other in reach[name] if name in reach[other])) for name in arrows}
    return [list(names) for names in sorted(found) if names]


def test_circles_are_found():
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d", "a"}}
    assert circles(arrows) == [["b", "c"], ["d"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_no_file_imports_itself_through_others():
    files = module_files()
    assert len(files) > 200
    assert circles({name: imported(path, set(files)) for name, path in files.items()}) == []


def test_lazy_imports_and_those_for_the_type_checker_count():
    files = module_files()
    assert "roadstill.distil.refine" in imported(files["roadstill.verbs.distilling"], set(files))
    code = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from roadstill.frames import store, FrameTable\n"
    path = type("File", (), {"read_text": lambda self, encoding: code})()
    assert imported(path, set(files)) == {"roadstill.frames", "roadstill.frames.store"}


def test_the_top_of_the_package_is_short():
    entries = sorted(path.name for path in PACKAGE.iterdir() if path.name != "__pycache__")
    assert len(entries) <= MOST_AT_THE_TOP, entries


def test_every_room_has_its_folder_of_tests():
    # What lies in an inner room may be tested from the outer one's folder.
    top = {room.partition("/")[0] for room in rooms(PACKAGE)}
    assert top - rooms(TESTS) == set()


def test_every_folder_of_tests_has_its_room():
    folders = {folder for folder in rooms(TESTS) if folder.partition("/")[0] not in NO_ROOM}
    assert folders - rooms(PACKAGE) == set()


def test_every_file_of_tests_has_its_module():
    lost = []
    for path in sorted(TESTS.rglob("test_*.py")):
        name, module = path.relative_to(TESTS), path.stem.removeprefix("test_")
        own = PACKAGE / name.parent / f"{module}.py", PACKAGE / name.parent / module / "__init__.py"
        found = any(each.is_file() for each in own) or module == name.parent.name
        if not found and name.parts[0] not in NO_ROOM and name.as_posix() not in ACROSS_MODULES:
            lost.append(name.as_posix())
    assert lost == []


def test_the_list_of_tests_across_modules_is_current():
    assert [name for name in sorted(ACROSS_MODULES) if not (TESTS / name).is_file()] == []
