import pytest
import yaml

from roadstill.errors import UserError
from roadstill.runs import parse_yaml, read_yaml, yamls


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: no", {"a": "no"}),
        ("[yes, on, off, y, n]", ["yes", "on", "off", "y", "n"]),
        ("[true, False, TRUE]", [True, False, True]),
        ("[null, ~, Null, ]", [None, None, None]),
        ("a:", {"a": None}),
        ("[1, -2, +3, 010, 0x1f, 0o17]", [1, -2, 3, 10, 31, 15]),
        ("[1e-3, 1.5, .5, 1., -2E+3, 1e30]", [0.001, 1.5, 0.5, 1.0, -2000.0, 1e30]),
        ("[.inf, -.INF]", [float("inf"), float("-inf")]),
        ("[1_000, 1:30, 2024-01-01, 1e, ., -, v1]", ["1_000", "1:30", "2024-01-01", "1e", ".", "-", "v1"]),
        ("['5', \"no\", !!str 5]", ["5", "no", "5"]),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}", {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}),
        ("", None),
        ("[{a: 1}, {a: 2}]", [{"a": 1}, {"a": 2}]),
        ("{a: b, b: a, c: [a, a]}", {"a": "b", "b": "a", "c": ["a", "a"]}),
    ],
)
@pytest.mark.parametrize("base", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
def test_values_are_those_of_yaml_1_2(text, value, base, monkeypatch):
    monkeypatch.setattr(yamls, "_Loader", yamls.loader_over(base))
    assert parse_yaml(text, "x") == value
    assert str(parse_yaml("a: .nan", "x")["a"]) == "nan"


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, r"^x, line \d: more than 20,000 values"),
        ("a: &a [*a]", r"^x, line 1: \*a names what it lies in"),
        ("a: *b", r"^x, line 1: \*b names"),
        ("[" * 65 + "]" * 65, r"^x, line 1: more than 64 lists"),
        ("[" * 100_000, r"^x"),
        ("- " * 1000 + "1", r"^x, line 1: more than 64 lists"),
        ("a: 1\nb: 2\na: 3", r"^x, line 3: 'a' stands twice"),
        ("a:\n  b: 1\n  c: {b: 2}\n  b: [3]", r"^x, line 4: 'b' stands twice"),
        ("a: &x [1]\nb: *x\nb: *x", r"^x, line 3: 'b' stands twice"),
        ("!!python/object/apply:os.system [x]", r"^x cannot be read as YAML: .*constructor"),
        ("!!python/name:os.system", r"^x cannot be read as YAML: .*constructor"),
        ("a: " + "9" * 6000, r"^x cannot be read as YAML: .*digits"),
        ("a: !!int no", r"^x cannot be read as YAML"),
        ("a: !!bool maybe", r"^x cannot be read as YAML"),
        ("a: !!timestamp 2024-99-99", r"^x cannot be read as YAML"),
        ("a: &x 1\nb: &x 2", r"^x cannot be read as YAML"),
        ("{[a]: 1}", r"^x cannot be read as YAML"),
        ("a: b: c", r"^x cannot be read as YAML"),
        ("a: 1\n---\nb: 1", r"^x cannot be read as YAML"),
        ("a: \0", r"^x cannot be read as YAML"),
    ],
)
@pytest.mark.parametrize("base", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
def test_what_is_out_of_bounds_or_no_yaml_is_one_line(text, says, base, monkeypatch):
    monkeypatch.setattr(yamls, "_Loader", yamls.loader_over(base))
    with pytest.raises(UserError, match=says) as refused:
        parse_yaml(text, "x")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


def test_numbers_may_be_the_texts_that_stand_there():
    text = "{a: [12e5, 0012, 0x1f, 1.50], b: true, c: null}"
    assert parse_yaml(text, "x", numbers=False) == {"a": ["12e5", "0012", "0x1f", "1.50"], "b": True, "c": None}


def test_a_file_is_named(tmp_path):
    (tmp_path / "r.yaml").write_text("a: 1\na: 2\n")
    with pytest.raises(UserError, match=r"r\.yaml, line 2: 'a' stands twice; leave one out"):
        read_yaml(tmp_path / "r.yaml")
    (tmp_path / "r.yaml").write_bytes(b"a" * (2**20 + 1))
    with pytest.raises(UserError, match=r"r\.yaml is longer than 1 MiB"):
        read_yaml(tmp_path / "r.yaml")
