"""The next command of every verb is one that exists, names what was made and takes nothing's place."""

import shlex
from inspect import Parameter, signature
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from roadstill.cli import VERBS, completed, verb_function
from roadstill.cli.ending import next_of


def given_of(verb, folder, **given):
    """Plausible arguments of a verb: every path that must be given, and the defaults."""
    found = {}
    hints = get_type_hints(verb_function(verb))
    for name, parameter in signature(verb_function(verb)).parameters.items():
        if name in given:
            found[name] = given[name]
        elif parameter.default is not Parameter.empty:
            found[name] = parameter.default
        elif name == "what" and hints[name] == list[Path]:
            found[name] = [folder / "a"]
        else:
            found[name] = folder / name if hints[name] is Path else (get_args(hints[name]) or ["something"])[0]
    return found


def fits(line):
    """Whether a command line has all that its verb needs, and nothing that it does not know."""
    program, verb, *words = shlex.split(line)
    if words == ["--help"]:
        return True
    words = completed(verb_function(verb), words)
    parameters = signature(verb_function(verb)).parameters
    required = [name for name, each in parameters.items() if each.default is Parameter.empty]
    options = [word for word in words if word.startswith("--")]
    assert {option[2:] for option in options} <= set(parameters) - set(required), line
    return program == "roadstill" and len(words) == len(required) + 2 * len(options)


@pytest.mark.parametrize("verb", VERBS)
def test_what_comes_next_is_a_command(verb, tmp_path):
    given = given_of(verb, tmp_path, **({"real": tmp_path / "real"} if verb == "describe" else {}))
    assert fits(next_of(verb, given, str(tmp_path / "run" / "report.html")))


def test_what_comes_next_names_what_was_made(tmp_path):
    out = tmp_path / "our world"
    assert next_of("world", given_of("world", tmp_path, out=out), "") == shlex.join(
        ["roadstill", "index", str(out), str(tmp_path / "index")]
    )


def test_nothing_is_replaced(tmp_path):
    (tmp_path / "index").mkdir()
    (tmp_path / "index-2").mkdir()
    assert next_of("world", given_of("world", tmp_path), "").endswith("index-3")


@pytest.mark.parametrize(
    ("verb", "given", "words"),
    [
        ("demo", {"size": "toy"}, ["demo", "--out"]),
        ("demo", {"size": None}, ["doctor"]),
        ("select", {"from_index": True}, ["prepare"]),
        ("select", {}, ["train"]),
        ("pretrain", {"part": "codec"}, ["encode"]),
        ("pretrain", {"part": "denoiser"}, ["finetune"]),
        ("evaluate", {}, ["evaluate"]),
        ("evaluate", {"out": Path("work/runs/a")}, ["compare", "work/runs"]),
        ("compare", {"test": Path("sets/test")}, ["audit"]),
    ],
)
def test_what_comes_next_depends_on_what_was_asked(verb, given, words, tmp_path):
    line = next_of(verb, given_of(verb, tmp_path, **given), str(tmp_path / "run" / "report.html"))
    assert shlex.split(line)[1 : 1 + len(words)] == words
    assert fits(line)


def test_after_prepare_comes_the_part_to_train_on(tmp_path):
    given = given_of("prepare", tmp_path)
    (tmp_path / "out" / "train").mkdir(parents=True)
    assert shlex.split(next_of("prepare", given, ""))[1:3] == ["encode", str(tmp_path / "out" / "train")]
