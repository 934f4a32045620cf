"""Chains: what was added is read, and what was done to a line since is named."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstill.errors import UserError
from roadstill.evaluation.chain import append, read

ROWS = [{"opening": number, "what": f"run {number}"} for number in range(1, 6)]


@pytest.fixture
def path(tmp_path):
    for row in ROWS:
        append(tmp_path / "c.jsonl", [row])
    return tmp_path / "c.jsonl"


def edit(path, change):
    lines = path.read_text().splitlines(keepends=True)
    change(lines)
    path.write_text("".join(lines))


def test_what_is_added_is_read(path):
    found = read(path)
    assert [{name: row[name] for name in ("opening", "what")} for row in found.rows] == ROWS
    assert (found.faults, found.unchained) == ([], 0)
    assert found.rows[0]["before"] == ""
    assert [row["before"] for row in found.rows[1:]] == [row["digest"] for row in found.rows[:-1]]


def test_several_lines_at_once_are_the_same_as_one_by_one(path, tmp_path):
    append(tmp_path / "at once.jsonl", ROWS)
    assert (tmp_path / "at once.jsonl").read_bytes() == path.read_bytes()


def change_word(lines):
    lines[2] = lines[2].replace("run 3", "run 9")


def change_last(lines):
    lines[4] = lines[4].replace("run 5", "run 9")


def with_new_digest(lines):
    from roadstill.runs import digest_of

    row = json.loads(lines[2]) | {"what": "better"}
    row["digest"] = digest_of({name: value for name, value in row.items() if name != "digest"})
    lines[2] = json.dumps(row) + "\n"


def insert(lines):
    lines.insert(2, '{"opening": 9}\n')


def remove(lines):
    del lines[1]


def remove_first(lines):
    del lines[0]


def swap(lines):
    lines[1], lines[2] = lines[2], lines[1]


def nonsense(lines):
    lines[3] = "nonsense\n"


def a_list(lines):
    lines[3] = "[1]\n"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (change_word, "line 3 was changed after"),
        (change_last, "line 5 was changed after"),
        (with_new_digest, "line 4 does not follow"),
        (insert, "line 3 was added by other means"),
        (remove, "line 2 does not follow"),
        (remove_first, "line 1 does not follow"),
        (swap, "line 2 does not follow"),
        (nonsense, "line 4 is no record"),
        (a_list, "line 4 is no record"),
    ],
)
def test_what_was_done_to_a_line_is_named(path, change, says):
    edit(path, change)
    assert says in read(path).faults[0]


@given(st.data())
def test_no_changed_byte_goes_unnoticed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("chain") / "c.jsonl"
    append(path, ROWS)
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 2))  # the last line's end may be missing
    byte = data.draw(st.integers(32, 126).filter(lambda byte: byte != whole[place]))
    path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
    found = read(path)
    assert (
        found.faults
        or [row["what"] for row in found.rows] != [row["what"] for row in ROWS]
        or found.rows == [json.loads(line) for line in whole.splitlines()]
    )
    assert found.faults


def test_what_a_killed_process_left_of_a_line_is_cut_off(path):
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"opening": 6, "wh')
    assert (len(read(path).rows), read(path).faults) == (5, [])
    append(path, [{"opening": 6}])
    assert [row["opening"] for row in read(path).rows] == [1, 2, 3, 4, 5, 6]
    assert read(path).faults == []
    path.write_bytes(whole[:-1])  # an editor that leaves out the end of the last line
    append(path, [{"opening": 6}])
    assert ([row["opening"] for row in read(path).rows], read(path).faults) == ([1, 2, 3, 4, 5, 6], [])


def test_lines_from_before_there_were_chains_are_read_and_sealed(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"opening": 1}\n{"opening": 2}\n')
    assert (read(path).unchained, read(path).faults) == (2, [])
    append(path, [{"opening": 3}])
    assert (read(path).unchained, read(path).faults) == (2, [])
    path.write_text(path.read_text().replace('{"opening": 2}', '{"opening": 7}'))
    assert "line 3 does not follow" in read(path).faults[0]


def test_no_file_is_an_empty_chain(tmp_path):
    assert read(tmp_path / "none").rows == []


def test_several_at_once_make_one_chain(tmp_path):
    path = tmp_path / "c.jsonl"

    def add_twenty(name):
        for number in range(20):
            append(path, [{"name": name, "number": number}])

    with ThreadPoolExecutor(4) as threads:  # a lock is of an open file, so threads stand for processes
        list(threads.map(add_twenty, range(4)))
    assert (len(read(path).rows), read(path).faults) == (80, [])


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/c\.jsonl cannot be written"):
        append(tmp_path / "file" / "c.jsonl", [{"opening": 6}])
