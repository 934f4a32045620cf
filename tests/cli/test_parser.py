"""Help in plain words, and mistakes put right in one line."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Optional

import pytest

from roadstill.cli import VERBS, main
from roadstill.cli.parser import metavar_of, words_of
from roadstill.networks.kinds import NetworkConfig, SongUNetConfig


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_no_type_of_python(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    text = capsys.readouterr().out
    python = r"Optional|Union|Literal|<class|\b(?:Path|Mapping|tuple|dict|str|int|float|null)\b|SUPPRESS|`|type:"
    assert not re.findall(python, text)


def test_help_says_what_a_value_may_be_and_what_it_is_if_not_given(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    text = capsys.readouterr().out
    assert text.startswith("usage: roadstill generate out [options]\n")
    for shown in ("--codec PATH ", "--per_class N ", "--which {ema,trained}\n", "--class_names TEXT ...\n"):
        assert shown in text
    assert re.search(r"--sampling.guidance_interval NUMBER NUMBER\n.*\(default: 0.0 1.0\)", text)
    assert re.search(r"--sampling.from_class_mean \[\{true,false\}\]\n.*\(default: false\)", text)


@pytest.mark.parametrize(
    ("hint", "metavar", "words"),
    [
        (int, "N", "a whole number"),
        (Optional[float], "NUMBER", "a number"),  # noqa: UP045
        (Path | None, "PATH", "a path"),
        (str, "TEXT", "text"),
        (Literal["a", "b", "c"] | None, "{a,b,c}", "a, b or c"),
        (list[Path] | None, "PATH ...", "a list of paths"),
        (tuple[int, ...], "N ...", "a list of whole numbers"),
        (tuple[float, float], "NUMBER NUMBER", "2 numbers"),
        (Mapping[str, float], "JSON", "a JSON object"),
        (dict[str, Any] | None, "JSON", "a JSON object"),
        (NetworkConfig | SongUNetConfig | None, "JSON", "a NetworkConfig or a SongUNetConfig"),
    ],
)
def test_a_type_in_plain_words(hint, metavar, words):
    assert (metavar_of(hint), words_of(hint)) == (metavar, words)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a mistake that passed for none would write there


def mistake(capsys, *arguments: str) -> str:
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line.removeprefix("roadstill: ")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["generate", "out", "--per_clas", "3"], "there is no option --per_clas; did you mean --per_class?"),
        (["generate", "out", "--per-clas=3"], "there is no option --per-clas; did you mean --per_class?"),
        (["compare", "a", "--self-tst"], "there is no option --self-tst; did you mean --self_test?"),
        (["finetune", "a", "b", "--tuning.stepz=3"], "there is no option --tuning.stepz; did you mean --tuning.steps?"),
        (["generate", "out", "--guidance", "3"], "there is no option --guidance; did you mean --sampling.guidance?"),
        (
            ["finetune", "a", "b", "--tuning.network", "NetworkConfig", "--tuning.network.patch_sise", "3"],
            "there is no option --tuning.network.patch_sise; did you mean --tuning.network.patch_size?",
        ),
        (["generate", "out", "--zzz"], "there is no option --zzz; see roadstill generate --help"),
        (["generate", "out", "more"], "'more' is one argument too many; see roadstill generate --help"),
    ],
)  # fmt: skip
def test_a_misspelt_option_is_put_right(typed, meant, capsys):
    assert mistake(capsys, *typed) == meant


def test_a_misspelt_option_in_a_file_is_put_right(capsys, tmp_path):
    (tmp_path / "a.yaml").write_text("sampling:\n  stepz: 3\n")
    line = mistake(capsys, "generate", "out", "--config", str(tmp_path / "a.yaml"))
    assert line == "there is no option --sampling.stepz; did you mean --sampling.steps?"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["generate", "out", "--per_class=2.5"], "--per_class is 2.5; it must be a whole number"),
        (["generate", "out", "--which", "fast"], "--which is fast; it must be ema or trained"),
        (["generate", "out", "--label-rows", "1,x"], "--label_rows is 1 x; it must be a list of whole numbers"),
        (["generate", "out", "--sampling.steps", "x"], "--sampling.steps is x; it must be a whole number"),
        (["index", "a", "b", "--shares", "1", "2"], "--shares is 1.0 2.0; it must be 3 numbers"),
        (["prepare", "a", "b", "--hook-settings", "x"], "--hook_settings is x; it must be a JSON object"),
        (["pretrain", "agent", "a", "b"], "part is agent; it must be codec or denoiser"),
        (["finetune", "a", "b", "--tuning.adapters=lora"], "--tuning.adapters is lora; it must be a list of Adapters"),
        (
            ["finetune", "a", "b", "--tuning.network.patch_size", "x"],
            "--tuning.network.patch_size is x; it must be a whole number",
        ),
        (["train", "a", "b", "--agent", "dcc"],
         "--agent is dcc; it must be dc, dsa, mtt, idc, datm, ncfm, author, dsa-200, author-200, head or a YAML or "
         "JSON file"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_answered_in_plain_words(typed, said, capsys):
    assert mistake(capsys, *typed) == f"{said}; see roadstill {typed[0]} --help"


def test_a_file_of_options_that_is_missing_is_named(capsys):
    line = mistake(capsys, "generate", "out", "--config", "nowhere.yaml")
    assert re.fullmatch(r"there is no file .*nowhere\.yaml; see roadstill generate --help", line)
