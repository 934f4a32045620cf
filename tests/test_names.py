"""Names from files are imported only if that is trusted; nothing else in the package imports by name."""

import ast
import contextlib
import sys
from pathlib import Path

import pytest

import roadstill
from roadstill import moved
from roadstill.errors import UserError
from roadstill.names import Trust, Untrusted, allowing, dotted, path_of, restricted_parser, trusting
from roadstill.parallel import Workers

PACKAGE = Path(roadstill.__file__).parent
SHIPPED = {"roadstill.errors.UserError"}


@pytest.fixture
def inert(tmp_path, monkeypatch):
    """``inert()``: whether the module ``inert_module``, which can be found, was imported since the last call."""
    mark = tmp_path / "mark"
    (tmp_path / "inert_module.py").write_text(f"open({str(mark)!r}, 'w').close()\n\n\ndef thing(*_):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)

    def ran() -> bool:
        sys.modules.pop("inert_module", None)
        found = mark.exists()
        mark.unlink(missing_ok=True)
        return found

    yield ran
    sys.modules.pop("inert_module", None)


def test_the_packages_own_needs_no_trust_by_whatever_path():
    assert dotted("roadstill.errors.UserError", "error", SHIPPED) is UserError
    assert dotted("roadstill.UserError", "error", SHIPPED) is UserError
    assert dotted("roadstill.names.UserError", "error", SHIPPED) is UserError


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "inert_module.thing",
        "inert_module.nothing",
        "roadstill.cli.main",
        "roadstill.errors.PartlyDone",
        "roadstill.errors.os",
        "roadstill.data.privacy.pickle",
        "roadstill.__main__.main",
        "roadstill_other.thing",
    ],
)
def test_anything_else_is_refused_and_not_imported(path, inert):
    with pytest.raises(Untrusted) as refused:
        dotted(path, "hook", SHIPPED)
    assert str(refused.value).startswith(f"hook {path!r} is not one of roadstill's own; importing it runs its code, ")
    assert "--trust" in str(refused.value)
    assert not inert()


@pytest.mark.parametrize("path", ["roadstill.runs.os.system", "roadstill.errors.os.system", "roadstill.errors.No"])
def test_what_a_module_of_ours_imports_has_no_path_through_it(path):
    with pytest.raises(ValueError, match=f"no '{path}'"):
        dotted(path, "hook", SHIPPED)


@pytest.mark.parametrize("path", ["", "nowhere", ".UserError"])
def test_what_is_no_path_is_nothing(path):
    for trust in (Trust(), Trust(everything=True)):
        with allowing(trust), pytest.raises(ValueError, match=f"no {path!r}") as refused:
            dotted(path, "hook", SHIPPED)
        assert not isinstance(refused.value, UserError)


def test_what_is_trusted_or_was_typed_is_imported(inert):
    with trusting():
        assert dotted("inert_module.thing", "hook") is sys.modules["inert_module"].thing
        assert dotted("roadstill.cli.main", "hook").__name__ == "main"
    assert inert()
    with allowing(Trust(typed=frozenset({"inert_module.thing"}))):
        assert dotted("inert_module.thing", "hook").__name__ == "thing"
        with pytest.raises(Untrusted):
            dotted("inert_module.other", "hook")
    assert inert()
    with pytest.raises(Untrusted):
        dotted("inert_module.thing", "hook")


def test_a_trusted_module_that_fails_is_told_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "failing_module.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with trusting(), pytest.raises(ValueError, match=r"no 'failing_module\.thing': ZeroDivisionError: div"):
        dotted("failing_module.thing", "hook")


def test_an_old_path_leads_to_the_same_and_no_further():
    new = "roadstill.data.privacy.BlurBoxes"
    assert moved.present("roadstill.privacy.BlurBoxes") == new
    assert path_of(dotted("roadstill.privacy.BlurBoxes", "hook", {new})) == new
    with pytest.raises(Untrusted, match=r"'roadstill\.privacy\.hook_of'"):
        dotted("roadstill.privacy.hook_of", "hook", {new})


def test_trust_ends_with_its_block():
    with contextlib.suppress(KeyError), trusting():
        raise KeyError
    with pytest.raises(Untrusted):
        dotted("os.system", "hook")


class Finds:
    """Holds nothing, as the objects that workers get: trust is no part of them."""

    def find(self, path):
        dotted(path, "hook")


@pytest.mark.parametrize("count", [1, 2])
def test_workers_trust_what_their_parent_trusts(count):
    jobs = [("os.getcwd",), ("os.getpid",)]
    with allowing(Trust(typed=frozenset({"os.getcwd", "os.getpid"}))), Workers(count, Finds()) as workers:
        assert sorted(workers.each("find", jobs)) == jobs
        with pytest.raises(UserError, match=r"hook 'os\.getppid'"):
            list(workers.each("find", [("os.getppid",)]))
    with Workers(count, Finds()) as workers, pytest.raises(UserError, match=r"hook 'os\.getcwd'"):
        list(workers.each("find", jobs[:1]))


# ---- the option parser, which imports by itself


def test_the_parser_imports_the_classes_of_settings_and_nothing_else(inert):
    from jsonargparse import ArgumentError, ArgumentParser, _common

    from roadstill.generator.config import FinetuneConfig

    before = dict(_common.parsing_settings)
    for path, refused in [
        ("roadstill.adapters.LoRA", False),
        ("inert_module.thing", True),
        ("os.system", True),
        ("roadstill.generator.checkpoints.adapter_of", True),
        ("roadstill.__main__.main", True),
    ]:
        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(FinetuneConfig, "config")
        given = {"config": {"adapters": [{"class_path": path}]}}
        wanted = pytest.raises(ArgumentError, match="not allowed") if refused else contextlib.nullcontext()
        with wanted, restricted_parser(FinetuneConfig):
            parser.instantiate(parser.parse_object(given))
        assert not inert()
        assert _common.parsing_settings == before  # other code of the process may use it, too


# ---- the rest of the package

KNOWN = {  # constant names: the package's own modules when they are first asked for, and
    "__init__.py": {"importlib"},
    "moved.py": {"importlib"},
    "names.py": {"importlib"},
    "cli/__init__.py": {"importlib"},
    "doctor/report.py": {"importlib"},
    "agents/lite0.py": {"importlib"},  # one of three packages of weights
    "parallel.py": {"ctypes"},  # a call to the system
}
BUILTINS = {"__import__", "exec", "eval", "compile"}
MODULES = {"runpy", "imp", "pkgutil", "ctypes", "subprocess", "marshal", "shelve", "joblib", "code"}


def by_name(path: Path) -> set[str]:
    """What a file takes into its hands that imports or runs what a text names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and node.id in BUILTINS:
            found.add(node.id)
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        found |= {name for name in modules if name == "importlib" or name.partition(".")[0] in MODULES}
    return found


def test_only_a_few_modules_import_by_name():
    paths = sorted(PACKAGE.rglob("*.py"))
    assert len(paths) > 200
    assert {path.relative_to(PACKAGE).as_posix(): by_name(path) for path in paths if by_name(path)} == KNOWN


@pytest.mark.parametrize("code", ["eval('1')", "import runpy", "from importlib import import_module as load"])
def test_another_one_would_be_found(code, tmp_path):
    (tmp_path / "file.py").write_text(code)
    assert by_name(tmp_path / "file.py")
