"""The Dockerfile, as far as it can be checked without a daemon: instructions, copied files, arguments, the command."""

import json
import re
import shlex
from fnmatch import fnmatch

import pytest
from pages import ROOT

from roadstill.cli import VERBS

INSTRUCTIONS = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """Instructions and their words, without comments; lines that a backslash joins are one."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, words) for name, _, words in (line.partition(" ") for line in lines)]


def of(name: str) -> list[str]:
    return [words for each, words in instructions() if each == name]


def copied() -> list[str]:
    return [source for words in of("COPY") for source in shlex.split(words)[:-1]]


def test_every_instruction_is_one_of_dockers():
    assert {name for name, _ in instructions()} <= INSTRUCTIONS
    assert instructions()[0] == ("ARG", "PYTHON=3.12")  # the only one that may stand before the image
    assert len(of("FROM")) == 1


def test_what_is_copied_is_there_and_not_ignored():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    for source in copied():
        assert (ROOT / source).exists(), source
        assert f"!{source}" in rules, source
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(copied())
    assert any(fnmatch("src/x/__pycache__", rule) for rule in rules)


def test_the_package_has_all_that_its_build_reads():
    tomllib = pytest.importorskip("tomllib")  # of Python 3.11
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {project["readme"], *project["license-files"], "src", "pyproject.toml"} <= set(copied())
    (extras,) = [words.removeprefix("EXTRAS=") for words in of("ARG") if words.startswith("EXTRAS=")]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_cuda_is_an_argument_that_the_install_obeys():
    assert "TORCH_INDEX=https://download.pytorch.org/whl/cpu" in of("ARG")
    (torch,) = [words for words in of("RUN") if shlex.split(words)[-1] == "torch"]
    assert '--index-url "${TORCH_INDEX}"' in torch
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+)\}", text))
    assert asked == {words.partition("=")[0] for words in of("ARG")}


@pytest.mark.parametrize("word", ["ENTRYPOINT", "CMD"])
def test_the_command_is_a_list_of_words(word):
    (words,) = of(word)
    assert json.loads(words) == {"ENTRYPOINT": ["roadstill"], "CMD": ["demo"]}[word]
    assert "demo" in VERBS


def test_it_does_not_run_as_root():
    names = [name for name, _ in instructions()]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert of("USER")[-1] != "root"
