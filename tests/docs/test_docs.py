"""What the documents promise: commands parse, examples run, functions exist, links lead somewhere."""

import importlib
import inspect
import keyword
import re
import shlex
from pathlib import Path
from typing import get_type_hints

import pytest
from pages import PAGES, ROOT, blocks

import roadstill
from roadstill.cli import VERBS, completed, completion, displays, launch, trust, verb_function
from roadstill.cli.launch import processes
from roadstill.cli.spelling import hint_at
from roadstill.moved import MOVED

OF_OTHERS = {"--no-python", "--nproc_per_node", "--build-arg"}  # of torchrun and docker
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))


def commands() -> list[str]:
    texts = [block.replace("\\\n", " ") for page in PAGES for block in blocks(page, "bash")]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [line for line in lines if line.startswith("roadstill ")]


def test_there_are_commands_for_every_verb():
    assert {line.split()[1] for line in commands()} == set(VERBS)


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_command_fits_its_verb(line):
    _, verb, *words = shlex.split(line, comments=True)
    if (verb, words) == ("distil", ["--list"]):
        return
    words, count = processes(word for word in words if word != trust.FLAG)
    assert count is None or verb in launch.VERBS
    words = completed(verb_function(verb), words)
    parameters = inspect.signature(verb_function(verb)).parameters
    required = [name for name, given in parameters.items() if given.default is inspect.Parameter.empty]
    options = [word for word in words if word.startswith("--")]
    assert {option[2:].split(".")[0] for option in options} <= set(parameters) - set(required)
    assert [option for option in options if not taken_by(verb, option)] == []
    values = [word for word in words if not word.startswith("--")]
    assert len(values) == len(required) + len(options)


def taken_by(verb: str, option: str) -> bool:
    """Whether a verb has an option, be it one within a configuration such as ``--tuning.labels.rows``."""
    name = option.removeprefix("--").replace("-", "_")
    name = f"{name}_" if keyword.iskeyword(name) else name
    return name in ("help", "config") or hint_at(name, get_type_hints(verb_function(verb))) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_the_text_exist(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    spans = [span for span in re.findall(r"`([^`]+)`", text) if span.startswith(("--", "roadstill "))]
    options = {option for span in spans for option in re.findall(r"--[a-z][\w.-]*", span)}
    options -= {trust.FLAG, launch.FLAG, *displays.HELP, completion.FLAG, *OF_OTHERS}
    assert [option for option in options if not any(taken_by(verb, option) for verb in VERBS)] == []


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = "\n".join(block for page in PAGES for block in blocks(page, "(?:bash)?"))
    named = set(re.findall(r"^make (\w+)", text, flags=re.M))
    assert all(re.search(rf"^{name}:", makefile, flags=re.M) for name in named)
    assert {"demo", "test"} <= named


def named(page: Path) -> set[str]:
    """The dotted paths of the package on a page: in its text, its commands, and what its examples import."""
    text = page.read_text(encoding="utf-8")
    imports = re.findall(r"^from (roadstill[\w.]*) import ([\w, ]+)$", text, flags=re.M)
    imported = {f"{module}.{name}" for module, names in imports for name in names.split(", ")}
    return imported | set(re.findall(r"\broadstill(?:\.\w+)+", text))


@pytest.mark.parametrize("page", [*PAGES, *REFERENCE], ids=lambda page: page.name)
def test_every_name_on_a_page_exists_where_it_says(page):
    for path in named(page):
        find(path)


def test_method_names_a_function_for_every_equation():
    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    tables = text.split("## Where the sources disagree")[0]
    rows = [
        line for line in tables.splitlines() if line.startswith("|") and not line.startswith(("|---", "| equation"))
    ]
    assert len(rows) > 30
    assert [row for row in rows if not re.search(r"`roadstill\.[\w.]+` \|$", row)] == []


def find(path: str) -> object:
    """What a dotted path names; a name of an earlier layout of the package is refused, though Python imports it."""
    moved = [new for old, new in MOVED.items() if f"{path}.".startswith(f"{old}.")]
    assert not moved or path.removeprefix("roadstill.") in roadstill.__all__, f"{path} lies in {moved[0]} now"
    found: object = roadstill
    names = path.split(".")
    for count, name in enumerate(names[1:], start=2):
        if not hasattr(found, name):
            importlib.import_module(".".join(names[:count]))
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("path", ["roadstill.folders", "roadstill.folders.import_folder", "roadstill.adapters.Lora"])
def test_a_path_that_is_out_of_date_is_found(path):
    with pytest.raises((AssertionError, ModuleNotFoundError)):
        find(path)


def test_the_reference_has_every_public_name_once():
    texts = [page.read_text(encoding="utf-8") for page in REFERENCE]
    named = [name for text in texts for name in re.findall(r"^::: roadstill\.(.+)$", text, flags=re.M)]
    assert sorted(name for name in named if "." not in name) == sorted(roadstill.__all__)
    assert all(find(f"roadstill.{name}") is not None for name in named)


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                aim = page.parent / target if target else page
                assert aim.exists(), f"{page.name}: {target}"
                assert not anchor or anchor in anchors(aim), f"{page.name}: {target}#{anchor}"
