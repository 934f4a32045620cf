import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from roadstill.errors import UserError
from roadstill.runs import (
    Stage,
    atomic_path,
    check_groups,
    class_names_in,
    digest_file,
    digest_of,
    folder_name,
    group,
    grouped_name,
    later,
    plain,
    read_json,
    read_metrics,
    regrouped,
    require_folder,
    seed_of,
    versions,
    write_json,
)


def test_seeds_depend_on_every_part_and_no_process():
    seeds = {
        seed_of(*parts) for parts in [(), ("a",), ("a", 0), (0, "a"), ("a", 1), ("a0",), ("a", "0", ""), ("a", 0, 0)]
    }
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    code = "from roadstill.runs import seed_of; print(seed_of('generate', 3, 7))"
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert int(other.stdout) == seed_of("generate", 3, 7)


@dataclass
class Config:
    steps: int
    where: Path


@dataclass
class Other:
    steps: int
    where: Path


def test_plain_keeps_the_type_of_a_dataclass():
    assert plain({"config": Config(3, Path("a/b")), "pair": (1, None)}) == {
        "config": {"type": "Config", "steps": 3, "where": "a/b"},
        "pair": [1, None],
    }
    assert plain(json.dumps) == "json.dumps"


@dataclass(frozen=True)
class Average:
    mode: str = "on"
    decay: float = 0.9
    late: int = later(0)


@dataclass(frozen=True)
class Grouped:
    steps: int = 5
    ema: Average = group(Average(), mode="ema", decay="ema_decay")


@dataclass(frozen=True)
class Flattened:
    ema: Average = group(Average())


@dataclass(frozen=True)
class Flat:
    steps: int = 5
    ema: str = "on"
    ema_decay: float = 0.9


def test_settings_in_groups_are_recorded_as_before_they_were_grouped():
    assert plain(Grouped()) == plain(Flat()) | {"type": "Grouped"}
    assert plain(Grouped(ema=Average(decay=0.5, late=2)))["late"] == 2
    assert plain(Grouped(), grouped=True)["ema"] == {"type": "Average", "mode": "on", "decay": 0.9, "late": 0}


def test_settings_are_read_with_and_without_their_group():
    for given in ({"ema": "off", "ema_decay": 0.5}, {"ema": {"mode": "off"}, "ema_decay": 0.5}):
        assert regrouped(Grouped, given | {"steps": 1}) == {"steps": 1, "ema": {"mode": "off", "decay": 0.5}}
    assert regrouped(Grouped, {"steps": 1, "other": 2}) == {"steps": 1, "other": 2}
    with pytest.raises(UserError, match=r"^ema.decay is given twice, once without its group; leave one out$"):
        regrouped(Grouped, {"ema_decay": 0.5, "ema": {"decay": 0.6}})


def test_null_groups_are_left_out_and_yaml_s_booleans_are_texts_where_texts_are_wanted():
    assert regrouped(Grouped, {"ema": None, "steps": 1}) == {"steps": 1}
    assert regrouped(Grouped, {"ema": None, "ema_decay": 0.5}) == {"ema": {"decay": 0.5}}
    for off in ({"ema": False}, {"ema": {"mode": False}}):
        assert regrouped(Grouped, off) == {"ema": {"mode": "off"}}
    with pytest.raises(UserError, match=r"^ema is 3; it holds settings by name: mode, decay, late$"):
        regrouped(Flattened, {"ema": 3})


def test_a_group_of_another_type_is_refused_at_once():
    check_groups(Grouped())
    with pytest.raises(UserError, match=r"^ema is 'off'; give a Average, as ema=Average\(...\)$"):
        check_groups(Grouped(ema="off"))


def test_the_name_that_a_setting_has_now():
    names = {"ema": "ema.mode", "ema_decay": "ema.decay", "steps": "steps", "ema.decay": "ema.decay", "x": "x"}
    assert {name: grouped_name(Grouped, name) for name in names} == names
    assert grouped_name(Grouped, "ema", is_group=True) == "ema"


def test_digest_of_content():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of(Config(3, Path("a"))) != digest_of(Config(4, Path("a")))
    assert digest_of(Config(3, Path("a"))) != digest_of(Other(3, Path("a")))
    assert len(digest_of([])) == 16


def test_digest_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_bytes(b"x" * 3_000_000)
    (tmp_path / "c").write_bytes(b"x" * 2_999_999 + b"y")
    assert digest_file(tmp_path / "a") == digest_file(tmp_path / "b") != digest_file(tmp_path / "c")


def test_atomic_file_appears_only_when_done(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_atomic_failure_keeps_the_old(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_folder_takes_the_place_of_a_folder(tmp_path):
    path = tmp_path / "folder"
    for number in (1, 2):
        with atomic_path(path) as temporary:
            temporary.mkdir()
            (temporary / f"{number}.txt").touch()
        assert [entry.name for entry in path.iterdir()] == [f"{number}.txt"]
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_a_killed_run_do_not_matter(tmp_path):
    path = tmp_path / "folder"
    leftover = tmp_path / f".folder.{os.getpid()}.part"
    leftover.mkdir()
    (leftover / "old").touch()
    with atomic_path(path) as temporary:
        assert not temporary.exists()
        temporary.mkdir()
    assert list(path.iterdir()) == []


def test_a_block_that_writes_nothing_removes_nothing(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "precious").touch()
    with pytest.raises(OSError, match="folder"), atomic_path(path):
        pass
    assert (path / "precious").exists()


def test_json(tmp_path):
    write_json(tmp_path / "a.json", {"config": Config(1, Path("x"))})
    assert read_json(tmp_path / "a.json") == {"config": {"type": "Config", "steps": 1, "where": "x"}}
    with pytest.raises(UserError, match=r"none\.json does not exist"):
        read_json(tmp_path / "none.json")
    for content in (b"{", b"\xff\xfe\x00"):
        (tmp_path / "broken.json").write_bytes(content)
        with pytest.raises(UserError, match=r"broken\.json cannot be read as JSON"):
            read_json(tmp_path / "broken.json")


def test_require_folder(tmp_path):
    with pytest.raises(UserError, match="none does not exist; it should be a log folder"):
        require_folder(tmp_path / "none", "a log folder")
    with pytest.raises(UserError, match="is empty"):
        require_folder(tmp_path, "a log folder")
    (tmp_path / "file").touch()
    assert require_folder(tmp_path, "a log folder") == tmp_path
    with pytest.raises(UserError, match="is not a folder"):
        require_folder(tmp_path / "file", "a log folder")


def test_a_stage_is_done_for_equal_work_only(tmp_path):
    stage = Stage(tmp_path / "s", Config(3, Path("a")), {"images": "d1"})
    assert not stage.done
    stage.log(step=1, loss=0.5)
    assert not stage.done
    stage.finish(path=Path("out"))
    assert stage.done
    assert Stage(tmp_path / "s", Config(3, Path("a")), {"images": "d1"}).done
    assert not Stage(tmp_path / "s", Config(4, Path("a")), {"images": "d1"}).done
    assert not Stage(tmp_path / "s", Config(3, Path("a")), {"images": "d2"}).done
    record = read_json(tmp_path / "s" / "stage.json")
    assert record["outputs"] == {"path": "out"}
    assert record["config"]["steps"] == 3
    assert record["versions"]["python"] == versions()["python"]


def test_metrics_survive_a_torn_line(tmp_path):
    stage = Stage(tmp_path, {})
    assert read_metrics(tmp_path / "metrics.jsonl") == []
    stage.log(step=1, loss=0.5)
    stage.log(step=2, loss=0.25)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 3, "lo')
    assert read_metrics(path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]


@pytest.mark.parametrize("name", ["brake", "not_brake", "0.5 m-s", "Straße", "a" * 100, "dreißig km", "x.y"])
def test_a_name_of_letters_digits_and_a_few_signs_may_name_a_folder(name):
    assert folder_name(name, "class name") == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            ".hidden",
            "../x",
            "a/b",
            "/abs",
            "a\\b",
            "a:b",
            "C:x",
            "a|b",
            "a\nb",
            "a\x00b",
            "\u202eb",
            "\udcff",
        ),
        *("a" * 101, "\u4e2d" * 80, " a", "a ", "a.", "<b>", "~", "$HOME", "-;", 3, None, ["a"]),
    ],
)
def test_any_other_name_is_refused_in_one_printable_line(name):
    with pytest.raises(UserError, match=r"^arm .* cannot name a folder; take up to 100 letters") as refused:
        folder_name(name, "arm")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("names", [None, "ab", [], ["a", "a"], ["a", 1], ["a", "../b"], {"a": 1}, ["a"] * 20_000])
def test_class_names_of_a_file_are_a_list_of_different_names(names, tmp_path):
    assert class_names_in({"class_names": ["a", "b"]}, tmp_path) == ("a", "b")
    with pytest.raises(UserError, match=str(tmp_path)):
        class_names_in({"class_names": names}, tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, f"[{'9' * 6000}]", "{", "\udcff", "[1,]"])
def test_json_that_cannot_be_read_is_one_short_line(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=r"x.json cannot be read as JSON: ") as refused:
        read_json(path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < len(str(path)) + 300
