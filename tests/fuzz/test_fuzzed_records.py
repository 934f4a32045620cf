"""Records and recipes with any value at any place end in a value or in one line."""

import json

import fuzz_recipes
import fuzz_sets
import pytest
from fuzz_sets import READERS, read_file, whole
from hypothesis import given, settings
from hypothesis import strategies as st

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**70), 10**400])
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=40)
    | st.sampled_from(["../../x", "/etc/passwd", "a\nb", "\x1b[2J", "0" * 16]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("whole")
    whole(made)
    return made


def places(value, path=()):
    """Paths of all values within a JSON value."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def changed(value, path, new):
    if not path:
        return new
    if isinstance(value, dict):
        return value | {path[0]: changed(value[path[0]], path[1:], new)}
    return [changed(part, path[1:], new) if place == path[0] else part for place, part in enumerate(value)]


@settings(max_examples=150)
@given(file=st.sampled_from([*READERS]), data=st.data())
def test_any_value_at_any_place(folder, file, data):
    lines = whole(folder)[file].decode().splitlines() if file.endswith("l") else [whole(folder)[file].decode()]
    number = data.draw(st.integers(0, len(lines) - 1))
    record = json.loads(lines[number])
    path = data.draw(st.sampled_from(list(places(record))))
    lines[number] = json.dumps(changed(record, path, data.draw(VALUES)))
    read_file(file, "\n".join([*lines, ""]).encode(), folder)


@settings(max_examples=100)
@given(file=st.sampled_from([*READERS]), data=st.binary(max_size=60))
def test_any_bytes(folder, file, data):
    read_file(file, data, folder)


@settings(max_examples=40)
@given(
    seed=st.sampled_from(fuzz_recipes.SEEDS),
    place=st.integers(0, 200),
    put=st.text(alphabet="abc:{}[]&*!-\n ,\"'01.~%@\x00é", max_size=6),
)
def test_recipes_with_other_letters(tmp_path_factory, seed, place, put):
    at = place % (len(seed) + 1)
    fuzz_recipes.read((seed[:at] + put + seed[at:]).encode(), tmp_path_factory.mktemp("recipe"))


FIELDS = [
    "name", "arms", "world", "data", "source", "source_settings", "group", "index", "protocol", "test_index",
    "image_px", "hook", "hook_settings", "max_per_class", "per_class", "budgets", "seeds", "sampling", "codec",
    "decoder", "base", "pretrain", "agent", "full_agent", "others", "judged_on", "looks", "features", "baseline",
    "cluster_by", "thesis", "sizes", "like", "finetune",
]  # fmt: skip


@settings(max_examples=30)
@given(field=st.sampled_from(FIELDS), value=VALUES)
def test_recipes_with_any_value_in_a_field(tmp_path_factory, field, value):
    fields = {"name": "m", "arms": {"random": {"kind": "random", "label": "x"}}}
    fuzz_recipes.read(json.dumps(fields | {field: value}).encode(), tmp_path_factory.mktemp("recipe"))


def test_the_harness_reads_what_is_whole(folder):
    for file, data in whole(folder).items():
        read_file(file, data, folder)
    assert fuzz_sets.read(b"", folder) is None
