"""The book of records: edited runs are refused, removed and unlisted ones are told."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made import runs_of_two_arms

from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.evaluation import RECORDS, check_runs, enter, list_runs, open_runs, read_book
from roadstill.evaluation.chain import append
from roadstill.runs import digest_file


@pytest.fixture
def folder(tmp_path):
    runs_of_two_arms(tmp_path / "runs")
    return tmp_path / "runs"


def test_runs_as_they_were_written(folder):
    book = read_book(folder / RECORDS)
    assert (book.broken, book.changed, book.removed, len(book.known)) == ([], [], [], 12)
    assert check_runs(folder, list_runs(folder)) == []
    assert sorted(open_runs(folder)) == ["other", "random"]
    size = (folder / RECORDS).stat().st_size
    path = folder / "other-0" / "run.json"
    enter(folder / RECORDS, {path: digest_file(path)})
    assert (folder / RECORDS).stat().st_size == size  # nothing new


def edit_record(folder):
    path = folder / "other-1" / "run.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 7'))
    return r"other-1/run\.json was changed after"


def edit_predictions(folder):
    path = folder / "random-2" / "predictions.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(2, "p0", pa.array([0.0] * len(table), pa.float32())), path)
    return r"random-2/predictions\.parquet was changed after"


def edit_book(folder):
    lines = (folder / RECORDS).read_text().splitlines(keepends=True)
    del lines[3]
    (folder / RECORDS).write_text("".join(lines))
    return r"records\.jsonl, line 4 does not follow"


def name_elsewhere(folder):
    append(folder / RECORDS, [{"path": "../../secret", "content": "0" * 16}])
    return r"records\.jsonl, record 13.* leaves the folder"


@pytest.mark.parametrize("change", [edit_record, edit_predictions, edit_book, name_elsewhere])
def test_what_was_edited_is_refused_by_name(folder, change, capsys):
    says = change(folder)
    with pytest.raises(UserError, match=says):
        open_runs(folder)
    assert main(["compare", str(folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_gone_or_in_no_book_is_told(folder, capsys):
    shutil.rmtree(folder / "other-2")
    shutil.copytree(folder / "other-1", folder / "other-3")
    record = json.loads((folder / "other-3" / "run.json").read_text())
    (folder / "other-3" / "run.json").write_text(json.dumps(record | {"seed": 3, "set_seed": 3}))
    gone, loose = check_runs(folder, list_runs(folder))
    assert "names records that are gone: other-2/run.json and 1 more" in gone
    assert "1 of 6 runs are in no book of records" in loose
    assert check_runs(folder / "random-0", [folder / "random-0"]) == []


def test_a_run_that_is_evaluated_again_is_entered_again(folder):
    edit_record(folder)
    path = folder / "other-1" / "run.json"
    enter(folder / RECORDS, {path: digest_file(path)})
    assert read_book(folder / RECORDS).changed == []


def test_runs_without_a_book_are_read(folder):
    (folder / RECORDS).unlink()
    assert sorted(open_runs(folder)) == ["other", "random"]
    assert "6 of 6 runs are in no book" in check_runs(folder, list_runs(folder))[0]
