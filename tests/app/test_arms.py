"""Arms compared: the report's table, and the sets that can stand side by side."""

from pathlib import Path

import pytest
from hostile import edited
from made_run import fake_run

from roadstill.app.arms import first_pair, pairs_of, table_of
from roadstill.app.browse import Entry
from roadstill.errors import UserError


def test_the_table_is_the_report_s_and_follows_the_run(tmp_path):
    run = fake_run(tmp_path / "run")
    table = table_of(run)
    assert table is not None
    assert {row["label"]: row["verdict"]["word"] for row in table["rows"] if row["verdict"]}[
        "DiffFit + LoRA"
    ] == "better"
    assert table_of(run) is table
    edited(run / "comparison.json", lambda record: record["about"]["labels"].update(base="Plain"))
    again = table_of(run)
    assert again is not None
    assert "Plain" in {row["label"] for row in again["rows"]}


def test_a_run_without_comparison_has_no_table_and_a_damaged_one_is_named(tmp_path):
    assert table_of(tmp_path) is None
    (tmp_path / "comparison.json").write_text("{}")
    with pytest.raises(UserError, match=r"comparison\.json"):
        table_of(tmp_path)


def test_sets_of_arms_and_the_training_part_stand_side_by_side(tmp_path):
    titles = list(pairs_of(fake_run(tmp_path / "run")))
    assert titles[0] == "Training part"
    assert "Dev part" not in titles
    assert len(titles) == 9


@pytest.mark.parametrize(
    ("arms", "pair"),
    [(["", "a", "a", "b", "c"], (1, 3)), (["", "a", "a"], (1, 0)), (["a", "b"], (0, 1)), ([""], (0, 0))],
)
def test_one_set_of_each_of_two_arms_is_shown_first(arms, pair):
    assert first_pair([Entry("", Path(), arm) for arm in arms]) == pair
