"""Scripts by which shells complete verbs, options and choices."""

import subprocess
import sys

import pytest

from roadstill.cli import VERBS, main
from roadstill.cli.completion import parser_of

SUMMARIES = {verb: summary for verb, (_, summary) in VERBS.items()}
TRY = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_shtab_roadstill
echo "${{COMPREPLY[@]}}"
"""


def test_the_parser_knows_verbs_options_choices_and_paths():
    verbs = parser_of(SUMMARIES, {"complete": "file"})._subparsers._group_actions[0].choices
    assert list(verbs) == list(VERBS)
    known = verbs["generate"]._option_string_actions
    assert known["--which"].choices == ["ema", "trained"]
    assert known["--checkpoint"].complete == "file"
    assert not hasattr(known["--per_class"], "complete")
    assert {"--config", "--trust", "--quiet", "--log-json", "--processes", "--sampling.noise.eta"} <= set(known)


def test_without_shtab_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--completion", "bash"]) == 2
    assert capsys.readouterr().err == (
        "roadstill: completion needs the package shtab: pip install 'roadstill[completion]'\n"
    )


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("roadstill gen", "generate"),
        ("roadstill generate out --per", "--per_class"),
        ("roadstill generate out --which e", "ema"),
        ("roadstill doctor --rep", "--repair"),
    ],
)
def test_bash_completes(words, found, tmp_path, capsys):
    pytest.importorskip("shtab")
    assert main(["--completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    line = TRY.format(script=tmp_path / "script", words=words)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [found], done.stderr


def test_what_is_printed_is_the_script_as_it_is(capsys):
    shtab = pytest.importorskip("shtab")
    for shell in shtab.SUPPORTED_SHELLS:
        assert main(["--completion", shell]) == 0
        assert capsys.readouterr().out == shtab.complete(parser_of(SUMMARIES, {"complete": shtab.FILE}), shell) + "\n"


def test_other_shells_are_named(capsys):
    pytest.importorskip("shtab")
    assert main(["--completion", "elvish"]) == 2
    assert "--completion is for bash, zsh" in capsys.readouterr().err
