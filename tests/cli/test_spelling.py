"""Options as people type them."""

import json

import pytest

from roadstill.cli import main, verb_function
from roadstill.cli.spelling import completed


def said(verb: str, *words: str) -> list[str]:
    return completed(verb_function(verb), words)


@pytest.mark.parametrize("spelt", ["--self-test", "--self_test"])
@pytest.mark.parametrize("value", [[], ["true"], ["yes"]])
def test_a_flag_is_spelt_either_way_and_needs_no_value(spelt, value):
    assert said("compare", "a", spelt, *value) == ['["a"]', "--self_test", *(value or ["true"])]


def test_hyphens_spell_options_within_a_configuration_too():
    assert said("generate", "out", "--sampling.batch-size=2") == ["out", "--sampling.batch_size=2"]
    assert said("generate", "out", "--sampling.from-class-mean", "--per-class", "3") == [
        *["out", "--sampling.from_class_mean", "true"],
        *["--per_class", "3"],
    ]


def test_what_is_no_option_stays_as_it_was_typed():
    assert said("generate", "out", "--no-such", "a-b") == ["out", "--no-such", "a-b"]


@pytest.mark.parametrize("typed", [["0.5", "1"], ["0.5,1"], ["0.5, 1"], ["[0.5, 1]"]], ids=str)
def test_a_list_may_be_words_commas_or_json(typed):
    words = said("generate", "out", "--sampling.guidance-interval", *typed)
    assert words[:2] == ["out", "--sampling.guidance_interval"]
    assert words[2] in ("[0.5, 1.0]", "[0.5, 1]")


def test_a_list_may_follow_an_equals_sign():
    assert said("generate", "out", "--label-rows=5,7", "--seed=1") == ["out", "--label_rows=[5, 7]", "--seed=1"]
    assert said("index", "a", "b", "--shares=0.5,0,0.5") == ["a", "b", "--shares=[0.5, 0.0, 0.5]"]


def test_lists_are_typed_as_people_type_them_whether_or_not_they_may_be_left_out():
    words = said("generate", "out", "--label_rows", "5", "7", "--class_names", "a", "b")
    assert words == ["out", "--label_rows", "[5, 7]", "--class_names", '["a", "b"]']
    assert said("generate", "out", "--class-names", "a,b")[2] == '["a", "b"]'


def test_commas_belong_to_paths():
    assert said("prepare", "a", "b", "--from-archive", "x,y.tgz")[3] == '["x,y.tgz"]'


def test_all_spellings_reach_the_verb(capsys):
    for typed in (
        ["--adapters", "difffit,lora:8"],
        ["--adapters", "difffit", "lora:8"],
        ['--adapters=["difffit","lora:8"]'],
    ):
        assert main(["params", "--backbone", "DiT-XL/2", *typed, "--json"]) == 0
        assert "3287840" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "now"),
    [
        (["--tuning.ema-decay", "0.5"], ["--tuning.ema.decay", "0.5"]),
        (["--tuning.ema=off"], ["--tuning.ema.mode=off"]),
        (["--tuning.ema", '{"mode": "off"}'], ["--tuning.ema", '{"mode": "off"}']),
        (["--tuning.label_rows", "3", "5"], ["--tuning.labels.rows", "[3, 5]"]),
        (["--tuning.diversity", "16"], ["--tuning.minimax.diversity", "16"]),
        (["--tuning.minimax.diversity", "16"], ["--tuning.minimax.diversity", "16"]),
    ],
)
def test_settings_in_a_group_are_found_under_their_old_names(typed, now):
    assert said("finetune", "in", "out", *typed) == ["in", "out", *now]


def test_files_of_settings_that_are_older_than_their_groups_are_read(tmp_path):
    whole, tuning = tmp_path / "all.yaml", tmp_path / "tuning.yaml"
    whole.write_text("seed: 3\ntuning: {steps: 1, ema: reference, diversity: 0.5}\n")
    tuning.write_text("{steps: 1, labels: {dropout: 0.2}, label_rows: [1, 0]}\n")
    words = said("finetune", "in", "out", "--config", str(whole), "--tuning", str(tuning))
    assert json.loads(words[3]) == {
        "seed": 3,
        "tuning": {"steps": 1, "ema": {"mode": "reference"}, "minimax": {"diversity": 0.5}},
    }
    assert json.loads(words[5]) == {"steps": 1, "labels": {"dropout": 0.2, "rows": [1, 0]}}
    tuning.write_text("{steps: 1, labels: {dropout: 0.2}}\n")
    assert said("finetune", "in", "out", f"--tuning={tuning}")[2:] == [f"--tuning={tuning}"]
    assert said("finetune", "in", "out", "--config", "nowhere.yaml")[2:] == ["--config", "nowhere.yaml"]
