"""Numbers out of range on the command line, files of options that lead elsewhere, and what is no place to write to."""

import os

import pytest
from hostile import Case, check, copied, each

from roadstill.cli import main

VERBS = {
    "world": ("world", "out"),
    "index": ("index", "world", "out"),
    "prepare": ("prepare", "index", "out"),
    "encode": ("encode", "set", "out", "--codec", "pixels"),
    "generate": ("generate", "out"),
    "select": ("select", "set", "out"),
    "train": ("train", "set", "out", "--agent.network", "convnet", "--dev", "other"),
    "compare": ("compare", "set", "other", "--test", "judged"),
    "audit": ("audit", "set", "--against", "other", "--out", "out"),
    "share": ("share", "set", "out"),
    "run": ("run", "demo", "--size", "toy", "--out", "out"),
}


def placed(folder, good):
    for name in ("world", "index", "set", "other", "judged", "agent", "latents"):
        if not (folder / name).exists():
            copied(good, name, folder)


def number(verb, option, value, *, says=None):
    """A case of an option's value, once typed and once from a file of options."""
    says = says or rf"--{option} is .*; it must be"

    def typed(folder, good):
        placed(folder, good)
        return *VERBS[verb], f"--{option}", *value.split()

    def from_file(folder, good):
        placed(folder, good)
        listed = f"[{', '.join(value.split())}]" if " " in value else value
        (folder / "theirs.yaml").write_text(f"{option}: {listed}\n")
        return *VERBS[verb], "--config", "theirs.yaml"

    name = f"{verb}-{option}-{value}"
    return [Case(name, typed, says), Case(f"{name}-from-file", from_file, says)]


def elsewhere(name, text, *words):
    """A case of a file of options that says where to write."""

    def command(folder, good):
        placed(folder, good)
        (folder / "theirs.yaml").write_text(text)
        return *words, "--config", "theirs.yaml"

    return Case(f"elsewhere-{name}", command, r"^roadstill: theirs\.yaml: (out|ledger) '.*' lies outside the working")


def options(name, text, says, *words):
    """A case of a file of options that holds this."""

    def command(folder, good):
        placed(folder, good)
        (folder / "theirs.yaml").write_text(text)
        return *words, "--config", "theirs.yaml"

    return Case(f"options-{name}", command, rf"^roadstill: theirs\.yaml.*{says}")


def output(name, says, *words, make=lambda folder: None):
    def command(folder, good):
        placed(folder, good)
        make(folder)
        return words

    return Case(f"output-{name}", command, says)


def precious(folder):
    """A folder with things of the user's, one of which has the name of a set's record."""
    (folder / "home").mkdir()
    (folder / "home" / "set.json").write_text("{}")
    (folder / "home" / "thesis.tex").write_text("years")


def script(folder):
    (folder / "setup.py").write_text("print()")


def leads_out(folder):
    (folder / "out").mkdir()
    (folder / "out" / "pictures").symlink_to(folder / "set")


def sets_in(folder):
    (folder / "sets").mkdir()
    (folder / "set").rename(folder / "sets" / "train")


HUGE = str(10**20)
CASES = [
    *number("world", "drives", "1000000000000"),
    *number("world", "drives", HUGE),
    *number("world", "height_px", "40000"),
    *number("world", "height_px", "0"),
    *number("index", "split_seed", "-1"),
    *number("index", "workers", "-1"),
    *number("index", "shares", "1.5 -0.25 -0.25"),
    *number("prepare", "size_px", "100000"),
    *number("prepare", "size_px", HUGE),
    *number("prepare", "max_per_class", "-3"),
    *number("encode", "batch_size", "0"),
    *number("encode", "batch_size", "-1"),
    *number("generate", "per_class", "10000000000"),
    *number("generate", "label_rows", "-1 0"),
    *number("select", "per_class", "0"),
    *number("train", "looks", "-1"),
    *number("train", "seed", HUGE),
    *number("compare", "seeds", "1000000"),
    *number("audit", "false_alarms", "0"),
    *number("audit", "frames", "-1"),
    *number("audit", "shown", HUGE),
    *number("share", "shard_mb", "0"),
    *number("run", "workers", HUGE),
    elsewhere("bashrc", "out: ../../.bashrc", "select", "set", "mine", "--per_class", 1),
    elsewhere("absolute", "out: /tmp/roadstill-esc", "world"),
    elsewhere("ledger", "ledger: ../ledger.jsonl", "evaluate", "agent", "judged"),
    elsewhere("run", "out: ../../run", "run", "demo", "--size", "toy"),
    options("agent-list", "agent: [1]", "agent is \\[1\\]; it holds settings by name", *VERBS["train"]),
    options("agent-number", "agent: 3", "agent is 3; it holds settings by name", *VERBS["train"]),
    options("filter-list", "filter: [1]", "filter is \\[1\\]; it holds settings by name", *VERBS["index"]),
    options("csv-list", "csv: [1]", "csv is \\[1\\]; it holds settings by name", *VERBS["index"]),
    options("sampling-list", "sampling: [1]", "sampling is \\[1\\]; it holds settings by name", *VERBS["generate"]),
    options("refinement-list", "refinement: [1]", "refinement is \\[1\\]; it holds", "refine", "set", "other", "out"),
    options("unknown", "per_clas: 1", "there is no option --per_clas; did you mean --per_class", *VERBS["select"]),
    Case("options-pipe", lambda folder, good: os.mkfifo(folder / "pipe") or ("generate", "out", "--config", "pipe"),
         r"pipe is no file that holds options"),
    Case("processes", lambda folder, good: ("generate", "out", "--processes", "1000000"), r"--processes is '1000000'"),
    Case("config-none", lambda folder, good: ("generate", "out", "--config"), r"--config needs a file"),
    output("device", r"/dev/null is a pipe or a device", "select", "set", "/dev/null", "--per_class", 1),
    output("device-of-a-file", r"/dev/null is a pipe or a device|is no comparison", "compare", "set", "other", "--test",
           "judged", "--out", "/dev/null"),
    output("pipe", r"pipe is a pipe or a device", "train", "set", "pipe",
           make=lambda folder: os.mkfifo(folder / "pipe")),
    output("its-input", r"set is what the call reads", "select", "set", "set", "--per_class", 1),
    output("its-other-input", r"other is what the call reads", "refine", "set", "other", "other"),
    output("its-input-by-a-link", r"is what the call reads", "encode", "set", "link",
           make=lambda folder: (folder / "link").symlink_to("set")),
    output("other-things", r"home holds other things, such as thesis\.tex", "select", "set", "home", "--per_class", 1,
           make=precious),
    output("a-script", r"setup\.py is no comparison", "compare", "set", "other", "--test", "judged", "--out",
           "setup.py", make=script),
    output("a-script-too", r"setup\.py is unknown data, not a safetensors file", "export", "setup.py", "--layout",
           "original", make=script),
    output("of-finetune", r"sets holds several image sets, which is kept", "finetune", "latents", "sets",
           make=sets_in),
    output("of-prepare", r"set holds an image set, which is kept", "prepare", "index", "set"),
    output("of-index", r"set holds an image set, which is kept", "index", "world", "set"),
    output("of-run", r"set holds an image set, which is kept", "run", "demo", "--size", "toy", "--out", "set"),
    Case("prepare-a-set", lambda folder, good: placed(folder, good) or ("prepare", "set", "out"),
         r"set holds an image set, which is neither an index nor folders"),
    Case("prepare-a-world", lambda folder, good: placed(folder, good) or ("prepare", "world", "out"),
         r"world holds a world.*: index it first"),
    output("of-audit", r"home holds other things", "audit", "set", "--against", "other", "--out", "home",
           make=precious),
    output("link-out", r"out.pictures is a link that leads out", "prepare", "index", "out", make=leads_out),
]  # fmt: skip


@each(CASES)
def test_a_bad_option(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)


def test_a_file_may_say_where_to_write_below_the_working_folder_but_what_is_typed_wins(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copied(good, "set", tmp_path)
    (tmp_path / "theirs.yaml").write_text("out: theirs/set\nper_class: 1\n")
    assert main(["select", "set", "mine", "--config", "theirs.yaml", "--per_class", "2"]) == 0
    assert len(list((tmp_path / "mine").rglob("*.png"))) == 4
    assert not (tmp_path / "theirs").exists()


@pytest.mark.parametrize("field", ["data", "codec", "base", "like"])
def test_no_text_of_a_recipe_reaches_the_terminal_raw(field, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arms = '{random: {kind: random, label: "a\\x1b[31mb"}, b: {kind: medoids, label: c}}'
    (tmp_path / "r.yaml").write_text(
        f'name: m\narms: {arms}\n{field}: "gone\\nroadstill: all is well\\e]0;x\\a\\u202e"\n'
    )
    assert main(["run", "r.yaml", "--out", "o"]) == 2
    said = capsys.readouterr()
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())
    assert [line for line in said.err.splitlines() if line.startswith("roadstill:")] == said.err.splitlines()[-1:]


def test_a_refused_evaluation_opens_nothing(good, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("agent", "set", "other", "judged"):
        copied(good, name, tmp_path)
    assert main(["evaluate", "agent", "judged", "--dev", "judged"]) == 2
    assert "judged is the test part, on which nothing may be chosen" in capsys.readouterr().err
    assert main(["compare", "set", "other", "--test", "judged", "--dev", "judged"]) == 2
    assert "judged is the test part, on which nothing may be chosen" in capsys.readouterr().err
    assert not (tmp_path / "test_ledger.jsonl").exists()
