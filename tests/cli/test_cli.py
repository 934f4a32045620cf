"""The door: quick help, one clear line and exit code 2 for every user's mistake."""

import errno
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from roadstill.cli import VERBS, main, verb_function


def test_help_names_every_verb_and_imports_nothing_heavy():
    code = (
        "import sys; from roadstill.cli import main; main(['--help'])\n"
        "heavy = {'torch', 'numpy', 'jsonargparse', 'diffusers', 'matplotlib', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert f"  {verb} " in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_summary_is_the_first_line_of_the_docstring(verb):
    assert (verb_function(verb).__doc__ or "").splitlines()[0] == VERBS[verb][1]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_its_options(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: roadstill {verb}")
    assert "--config" in text


def one_line(arguments, capsys) -> str:
    """The single line on standard error of a call that must end with exit code 2."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("roadstill: ")
    return lines[0]


def test_a_misspelt_verb_is_put_right(capsys):
    assert "did you mean 'generate'?" in one_line(["genrate"], capsys)


NEEDED: dict[str, list[str]] = {
    "demo": [],
    "run": ["demo"],
    "study": ["demo"],
    "report": ["PATH"],
    "app": ["PATH"],
    "world": ["OUT"],
    "index": ["PATH", "OUT"],
    "prepare": ["PATH", "OUT"],
    "encode": ["PATH", "OUT"],
    "pretrain": ["codec", "PATH", "OUT"],
    "finetune": ["PATH", "OUT"],
    "generate": ["OUT"],
    "export": ["OUT"],
    "refine": ["PATH", "PATH", "OUT"],
    "distil": ["dm", "PATH", "OUT"],
    "experts": ["PATH", "OUT"],
    "params": [],
    "bench": ["encode"],
    "plan": [],
    "select": ["PATH", "OUT"],
    "update": ["PATH", "OUT", "--with", "PATH"],
    "train": ["PATH", "OUT"],
    "evaluate": ["PATH", "PATH"],
    "compare": ["PATH"],
    "describe": ["PATH"],
    "audit": ["PATH"],
    "drive": ["PATH", "OUT"],
    "share": ["PATH", "OUT"],
    "verify": ["PATH"],
    "doctor": [],
}
WRONG_TYPE = {
    "demo": ["--seeds", "many"],
    "run": ["--seeds", "many"],
    "study": ["--seeds", "many"],
    "report": ["--config", "nowhere.yaml"],
    "app": ["--port", "front"],
    "world": ["--drives", "many"],
    "index": ["--split_seed", "x"],
    "prepare": ["--size_px", "big"],
    "encode": ["--batch_size", "x"],
    "pretrain": ["--seed", "x"],
    "finetune": ["--tuning.steps", "x"],
    "generate": ["--per_class", "ten"],
    "export": ["--layout", "keras"],
    "refine": ["--refinement.steps", "x"],
    "distil": ["--per_class", "ten"],
    "experts": ["--training.epochs", "x"],
    "params": ["--json", "perhaps"],
    "bench": ["--rounds", "x"],
    "plan": ["--frames", "many"],
    "select": ["--per_class", "few"],
    "update": ["--min_gain", "much"],
    "train": ["--agent.steps", "x"],
    "evaluate": ["--ledgr", "x"],
    "compare": ["--cluster_by", "colour"],
    "describe": ["--pairs", "few"],
    "audit": ["--frames", "few"],
    "drive": ["--scenarios", "many"],
    "share": ["--format", "pickle"],
    "verify": ["--kay", "x"],
    "doctor": ["--json", "perhaps"],
}


def arguments_of(verb: str, path: Path, out: Path) -> list[str]:
    return [verb, *(str({"PATH": path, "OUT": out}.get(word, word)) for word in NEEDED[verb])]


@pytest.mark.parametrize("verb", VERBS)
def test_a_misspelt_option_is_named(verb, capsys, tmp_path):
    line = one_line([*arguments_of(verb, tmp_path, tmp_path / "out"), "--no-such-option", "3"], capsys)
    assert "no-such-option" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_value_is_named(verb, capsys, tmp_path):
    line = one_line([*arguments_of(verb, tmp_path, tmp_path / "out"), *WRONG_TYPE[verb]], capsys)
    assert WRONG_TYPE[verb][0].lstrip("-").split(".")[-1] in line or WRONG_TYPE[verb][1] in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", [verb for verb, words in NEEDED.items() if "PATH" in words])
@pytest.mark.parametrize("kind", ["missing", "empty", "a file"])
def test_a_wrong_path_is_named_and_nothing_is_left(verb, kind, capsys, tmp_path):
    path = tmp_path / "given"
    if kind == "empty":
        path.mkdir()
    if kind == "a file":
        path.write_text("no folder")
    line = one_line(arguments_of(verb, path, tmp_path / "out"), capsys)
    assert str(path) in line
    assert not (tmp_path / "out").exists()


def test_an_existing_world_is_not_written_over(capsys, tmp_path):
    (tmp_path / "mine").write_text("precious")
    assert str(tmp_path) in one_line(["world", tmp_path], capsys)
    assert (tmp_path / "mine").read_text() == "precious"


def test_an_unknown_recipe_lists_those_that_exist(capsys):
    assert "demo" in one_line(["run", "no-such-recipe"], capsys)


def test_params_prints_the_counts_of_the_thesis(capsys):
    assert main(["params", "--backbone", "DiT-XL/2", "--adapters", "difffit", "lora:8", "--json"]) == 0
    text = capsys.readouterr().out
    assert '"total"' in text
    assert "3287840" in text


# ---- what the system refuses, and outputs that nobody reads


def refusing(error):
    def report(run: Path) -> str:
        """Fails.

        Args:
            run: anything.
        """
        raise error

    return report


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "x"), "roadstill: No space left on device; free some space and run the same command"),
        (OSError(errno.EROFS, "x", "a/b"), "roadstill: a/b: Read-only file system; name another folder"),
        (MemoryError(), "roadstill: there is not enough memory; take smaller batches"),
        (BrokenPipeError(errno.EPIPE, "x"), "roadstill: Broken pipe; see to it and run the same command again"),
    ],
    ids=repr,
)
def test_what_the_system_refuses_is_one_line(error, said, capsys, monkeypatch):
    monkeypatch.setattr("roadstill.cli.verb_function", lambda verb: refusing(error))
    assert one_line(["report", "anything"], capsys).startswith(said)


def test_our_own_faults_keep_their_traceback(monkeypatch):
    monkeypatch.setattr("roadstill.cli.verb_function", lambda verb: refusing(RuntimeError("ours")))
    with pytest.raises(RuntimeError, match="ours"):
        main(["report", "anything"])


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    """Runs ``roadstill`` within a line of shell; the exit code is the command's."""
    call = f"{shlex.quote(sys.executable)} -m roadstill"
    line = f"set -o pipefail; {command.replace('roadstill', call)}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)


def test_the_help_says_all_that_its_docstring_says(capsys):
    with pytest.raises(SystemExit):
        main(["refine", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "The result serves the network of --agent and no other so far; roadstill study frozen-features" in said


@pytest.mark.parametrize("words", ["--help", "report --help"])
def test_nobody_has_to_read_to_the_end(words):
    done = shell(f"roadstill {words} | true")
    assert (done.returncode, done.stderr) == (0, "")


def test_nobody_has_to_read_what_a_verb_says(monkeypatch, capsys):
    def report(run: Path) -> str:
        """Says a lot.

        Args:
            run: anything.
        """
        return 100_000 * "x"

    monkeypatch.setattr("roadstill.cli.verb_function", lambda verb: report)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["report", "anything", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_an_output_that_cannot_be_written_is_said():
    done = shell("roadstill --version > /dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith("roadstill: all is done, but the output cannot be written: No space left on device; ")
    assert done.stderr.count("\n") == 1
    assert shell("roadstill --version >&-").returncode == 0
    done = shell("roadstill no-such-verb 2>&-")
    assert (done.returncode, done.stdout) == (2, "")


def test_letters_that_an_output_lacks_are_spelt():
    done = shell("PYTHONIOENCODING=ascii roadstill report --help")
    assert done.returncode == 0
    done = shell("PYTHONIOENCODING=ascii roadstill --version")
    assert (done.returncode, done.stderr) == (0, "")
