"""What the documents promise: commands parse, examples run, functions exist, links lead somewhere."""

import importlib
import inspect
import re
import shlex

import pytest
from pages import PAGES, ROOT, blocks

import roadstill
from roadstill.cli import VERBS, completed, verb_function


def commands() -> list[str]:
    texts = [block.replace("\\\n", " ") for page in PAGES for block in blocks(page, "bash")]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [line for line in lines if line.startswith("roadstill ")]


def test_there_are_commands_for_every_verb():
    assert {line.split()[1] for line in commands()} == set(VERBS)


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_command_fits_its_verb(line):
    _, verb, *words = shlex.split(line, comments=True)
    words = completed(verb_function(verb), words)
    parameters = inspect.signature(verb_function(verb)).parameters
    required = [name for name, given in parameters.items() if given.default is inspect.Parameter.empty]
    options = [word for word in words if word.startswith("--")]
    assert {option[2:].split(".")[0] for option in options} <= set(parameters) - set(required)
    values = [word for word in words if not word.startswith("--")]
    assert len(values) == len(required) + len(options)


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = "\n".join(block for page in PAGES for block in blocks(page, "(?:bash)?"))
    named = set(re.findall(r"^make (\w+)", text, flags=re.M))
    assert all(re.search(rf"^{name}:", makefile, flags=re.M) for name in named)
    assert {"demo", "test"} <= named


def test_method_names_functions_that_exist():
    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    paths = re.findall(r"`(roadstill\.[\w.]+)`", text)
    assert len(paths) > 15
    for path in paths:
        find(path)


def find(path: str) -> object:
    names = path.split(".")
    for cut in range(len(names), 0, -1):
        try:
            found = importlib.import_module(".".join(names[:cut]))
        except ModuleNotFoundError:
            continue
        for name in names[cut:]:
            found = getattr(found, name)
        return found
    raise AssertionError(path)


def test_the_reference_has_every_public_name_once():
    texts = [page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "reference").glob("*.md"))]
    named = [name for text in texts for name in re.findall(r"^::: roadstill\.(.+)$", text, flags=re.M)]
    assert sorted(named) == sorted(roadstill.__all__)


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
