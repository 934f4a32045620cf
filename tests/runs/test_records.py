import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from roadstill.errors import UserError
from roadstill.runs import Digest, Pixels, Record, WithClasses, read_json, read_record, read_rows, typed, write_json


@dataclass
class Config:
    steps: int
    where: Path


def test_json(tmp_path):
    write_json(tmp_path / "a.json", {"config": Config(1, Path("x"))})
    assert read_json(tmp_path / "a.json") == {"config": {"type": "Config", "steps": 1, "where": "x"}}
    with pytest.raises(UserError, match=r"none\.json does not exist"):
        read_json(tmp_path / "none.json")
    for content in (b"{", b"\xff\xfe\x00"):
        (tmp_path / "broken.json").write_bytes(content)
        with pytest.raises(UserError, match=r"broken\.json cannot be read"):
            read_json(tmp_path / "broken.json")


def test_a_record_that_was_changed_is_named_until_its_seal_is_taken_off(tmp_path):
    path = tmp_path / "a.json"
    value = {"b": [1, 2.5, None], "a": {"ü": True, "3": -1e-9}}
    write_json(path, value | {"c": Path("x")})
    assert read_json(path) == value | {"c": "x"}
    text = path.read_text()
    for old, new in (("2.5", "2.6"), ("true", "false"), ('"b"', '"d"'), ("-1e-09", "-1e-08")):
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(
            UserError, match=r"a\.json was changed after it was written; put it back .*remove its 'seal'"
        ):
            read_json(path)
        path.write_text(
            json.dumps({name: part for name, part in json.loads(path.read_text()).items() if name != "seal"})
        )
        assert read_json(path) != value
    write_json(path, value, sealed=False)
    assert json.loads(path.read_text()) == value
    path.write_text('{"seal": "of wax"}')
    assert read_json(path) == {"seal": "of wax"}


@pytest.mark.parametrize("names", [None, "ab", [], ["a", "a"], ["a", 1], ["a", "../b"], {"a": 1}, ["a"] * 20_000])
def test_class_names_of_a_file_are_a_list_of_different_names(names):
    assert typed({"class_names": ["a", "b"]}, WithClasses, "set.json", "make it again").class_names == ("a", "b")
    with pytest.raises(UserError, match=r"^set\.json(, class_names.*)?: .*; make it again$"):
        typed({"class_names": names}, WithClasses, "set.json", "make it again")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 65 + "]" * 65,
        '{"a":' * 65 + "1" + "}" * 65,
        f"[{'9' * 6000}]",
        "{",
        "[1,]",
        '{"a": 1, "a": 2}',
        '[{"b": {"a": 1, "a": 1}}]',
        "[NaN]",
        "[-Infinity]",
        "\ufeff{}",
        "",
    ],
)
def test_json_that_cannot_be_read_is_one_short_line(tmp_path, text):
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"x.json cannot be read as JSON: ") as refused:
        read_json(tmp_path / "x.json")
    assert len(str(refused.value)) < 500
    assert str(refused.value).isprintable()


def test_what_is_no_text_file_is_not_read(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\xff\xfe")
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("x.json", "pipe.json", "."):
        with pytest.raises(UserError, match=r"cannot be read|is not a file"):
            read_json(tmp_path / name)


def test_a_file_that_is_too_long_is_not_held(tmp_path):
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(2**40)  # a hole: nothing lies on the disk
    with pytest.raises(UserError, match=r"x\.json is longer than 64 MiB"):
        read_json(tmp_path / "x.json")
    with pytest.raises(UserError, match=r"x\.json, line 1: more than 64 MiB; make it again"):
        next(read_rows(tmp_path / "x.json", dict, "make it again"))


class Inner(Record, kw_only=True, frozen=True):
    size_px: Pixels
    digest: Digest = "0" * 16


class Outer(Record, kw_only=True, frozen=True):
    parts: dict[str, list[Inner]]
    share: float


def test_a_record_has_its_type(tmp_path):
    write_json(tmp_path / "x.json", {"format": "f-1", "parts": {"a": [{"size_px": 64}]}, "share": 1, "new": None})
    found = read_record(tmp_path / "x.json", Outer, "make it again", format="f-1")
    assert found == Outer(parts={"a": [Inner(size_px=64)]}, share=1.0)
    with pytest.raises(UserError, match=r"x\.json is not of format f-2; make it again with this version"):
        read_record(tmp_path / "x.json", Outer, "make it again", format="f-2")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], r"^x: Expected `object`, got `array`; make it again$"),
        ({"share": 1}, r"^x: Object missing required field `parts`; make it again$"),
        ({"parts": {}, "share": "1"}, r"^x, share: Expected `float`, got `str`; make it again$"),
        ({"parts": {}, "share": True}, r"^x, share: "),
        ({"parts": {"a": [{"size_px": 0}]}, "share": 1}, r"^x, parts\[\.\.\.\]\[0\]\.size_px: Expected `int` >= 1"),
        ({"parts": {"a": [{"size_px": 1.5}]}, "share": 1}, r"^x, parts"),
        ({"parts": {"a": [{"size_px": 10**30}]}, "share": 1}, r"^x, parts"),
        ({"parts": {"a": [{"size_px": 1, "digest": "\x1b[2J"}]}, "share": 1}, r"^x, parts.*digest: "),
        ({"\ud800": 1}, r"^x: 'utf-8' codec can't encode character '\\ud800'.*; make it again$"),  # half a letter
    ],
)
def test_a_field_of_another_type_is_named(value, says):
    with pytest.raises(UserError, match=says) as refused:
        typed(value, Outer, "x", "make it again")
    assert str(refused.value).isprintable()


def test_rows_are_read_one_at_a_time_and_named_by_their_number(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"size_px": 1}\n{"size_px": 2}\n{"size_px": "x"}\n', encoding="utf-8")
    rows = read_rows(path, Inner, "make it again")
    assert [next(rows).size_px, next(rows).size_px] == [1, 2]
    with pytest.raises(UserError, match=r"rows\.jsonl, line 3, size_px: Expected `int`, got `str`; make it again"):
        next(rows)
    with pytest.raises(UserError, match=r"rows\.jsonl, line 1 cannot be read as JSON"):
        list(read_rows(_written(path, "{\n"), Inner, "make it again"))
    with pytest.raises(UserError, match=r"none\.jsonl does not exist"):
        list(read_rows(tmp_path / "none.jsonl", Inner, "make it again"))


def _written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_one_value_is_json_too_and_numbers_beyond_all_are_not(tmp_path):
    for text, value in (("3", 3), ("null", None), ('"x"', "x"), ("1e300", 1e300), ("[-0.5]", [-0.5])):
        assert read_json(_written(tmp_path / "x.json", text)) == value
    for text in ("1e999", "[-1e999]", '{"a": 1e400}'):
        with pytest.raises(UserError, match=r"cannot be read as JSON: it holds -?1e\d+, which is beyond all numbers"):
            read_json(_written(tmp_path / "x.json", text))
