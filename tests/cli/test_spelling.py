"""Options as people type them."""

import json

import pytest

from roadstill.cli import main, verb_function
from roadstill.cli.spelling import completed, loaded
from roadstill.errors import UserError


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
    assert json.loads(words[1]) == {
        "seed": 3,
        "tuning": {"steps": 1, "ema": {"mode": "reference"}, "minimax": {"diversity": 0.5}},
    }
    assert json.loads(words[5]) == {"steps": 1, "labels": {"dropout": 0.2, "rows": [1, 0]}}
    tuning.write_text("{steps: 1, labels: {dropout: 0.2}}\n")
    (word,) = said("finetune", "in", "out", f"--tuning={tuning}")[2:]
    assert json.loads(word.removeprefix("--tuning=")) == {"steps": 1, "labels": {"dropout": 0.2}}
    assert said("finetune", "in", "out", "--config", "nowhere.yaml") == ["--config", "nowhere.yaml", "in", "out"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 3\nseed: 5\n", r"all\.yaml, line 2: 'seed' stands twice"),
        ("tuning: {steps: 1, steps: 2}\n", r"all\.yaml, line 1: 'steps' stands twice"),
        (
            "a: &a [1]\nb: &b [*a, *a]\n" + "".join(f"c{n}: &c{n} [*b, *b]\n" for n in range(3)) + "d: &d [*d]\n",
            "line 6",
        ),
        ("[1, 2]\n", "holds no settings"),
        ("seed: [\n", "cannot be read as YAML"),
        ("!!python/object/apply:os.system [ls]\n", "cannot be read as YAML"),
    ],
)
def test_files_of_options_are_read_within_bounds(tmp_path, text, says):
    (tmp_path / "all.yaml").write_text(text)
    with pytest.raises(UserError, match=says):
        said("finetune", "in", "out", "--config", str(tmp_path / "all.yaml"))


def test_values_are_read_by_yaml_1_2():
    assert [loaded(text) for text in ("no", "off", "010", "1e-3", "{a: 1}", "[1, 2]")] == [
        "no", "off", 10, 0.001, {"a": 1}, [1, 2],
    ]  # fmt: skip
    assert [loaded(text) for text in ("{a,b}", "x:", '{"x": null}')] == ["{a,b}", "x:", {"x": None}]


def test_a_configuration_as_json_is_read_without_its_groups_too():
    words = said("finetune", "in", "out", "--tuning", '{"steps": 2, "ema_decay": 0.5, "minimax": null}')
    assert json.loads(words[3]) == {"steps": 2, "ema": {"decay": 0.5}}


def test_a_file_of_options_may_name_a_file_of_settings(tmp_path):
    (tmp_path / "tuning.yaml").write_text("{ema: off, label_init: mean}\n")
    (tmp_path / "all.yaml").write_text("{seed: 3, tuning: tuning.yaml}\n")
    words = said("finetune", "in", "out", "--config", str(tmp_path / "all.yaml"))
    assert json.loads(words[1]) == {"seed": 3, "tuning": {"ema": {"mode": "off"}, "labels": {"init": "mean"}}}


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["--tuning", '{"ema_decay": 0.5, "ema": {"decay": 0.3}}'], "ema.decay is given twice, once without its group"),
        (["--tuning", '{"labels": [1, 0]}'], "labels is [1, 0]; it holds settings by name: balanced, rows, init"),
        (["--tuning.steps.x", "1"], "there is no option --tuning.steps.x; did you mean --tuning.steps?"),
    ],
)
def test_groups_that_are_none_are_refused_in_one_line(typed, says, capsys):
    assert main(["finetune", "in", "out", *typed]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("text", ["001", "off", "null", "1e3", "yes"])
def test_a_text_among_a_users_settings_stays_a_text(text, tmp_path, capsys):
    settings = json.dumps({"drive": text})
    (tmp_path / "t.csv").write_text("image,time,speed\n")
    assert main(["index", str(tmp_path / "t.csv"), str(tmp_path / "out"), "--source_settings", settings]) == 2
    assert f"no column {text!r}" in capsys.readouterr().err


def test_words_of_yaml_1_1_stay_what_was_typed(tmp_path, capsys):
    config = tmp_path / "agent.yaml"
    config.write_text("agent: {network: convnet, mixed_precision: no, steps: 2}\n")
    assert main(["train", str(tmp_path / "none"), str(tmp_path / "out"), "--config", str(config)]) == 2
    assert "none does not exist" in capsys.readouterr().err  # the options were all read


def test_a_first_option_may_be_given_as_a_word():
    assert said("doctor", "runs/demo", "--repair") == ["--run", "runs/demo", "--repair", "true"]
    assert said("doctor", "--json") == ["--json", "true"]
