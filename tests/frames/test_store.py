"""The store of all frames: one file per log, whole or not at all, and what is known of each."""

import pyarrow.dataset
import pytest
from made import frame_table

from roadstill.errors import UserError
from roadstill.frames.store import FrameStore, LogRecord, can_store


@pytest.fixture
def store(tmp_path):
    return FrameStore(tmp_path / "frames")


def frames_of(log, rows=3):
    return frame_table([1.0] * rows, logs=[log] * rows)


@pytest.mark.parametrize("log", ["2021.05.12_veh-1", "a/b", "..", "log=x", "with space", "straße", "100%"])
def test_a_log_comes_back_under_its_own_name(store, log):
    frames = frames_of(log)
    record = LogRecord(12, entries=4, broken_entries=1, problems=["entry 3: no speed"])
    store.write(log, frames, record)
    assert store.logs() == [log]
    assert store.record(log) == record
    assert store.read(log).table.equals(frames.table)
    assert store.path(log).resolve().parent.parent == store.root.resolve()


def test_logs_are_sorted_and_read_one_by_one(store):
    for log in ("b", "a"):
        store.write(log, frames_of(log), LogRecord(1))
    assert store.logs() == ["a", "b"]
    assert [set(table.column("log")) for table in store.tables(["b", "a"])] == [{"b"}, {"a"}]


def test_a_broken_log_is_stored_without_frames(store):
    store.write("torn", None, LogRecord(9, broken=True, problems=["ends early"]))
    assert len(store.read("torn")) == 0
    assert store.record("torn").broken


def test_other_tools_read_the_folder_as_one_data_set(store):
    for log in ("a", "b"):
        store.write(log, frames_of(log, 2), LogRecord(1))
    whole = pyarrow.dataset.dataset(store.root, partitioning="hive").to_table()
    assert sorted(whole.column("log").to_pylist()) == ["a", "a", "b", "b"]


def test_what_is_not_stored_or_damaged(store):
    assert store.logs() == []
    assert store.record("a") is None
    store.write("a", frames_of("a"), LogRecord(1))
    store.path("a").write_bytes(b"PAR1 torn")
    assert store.record("a") is None
    with pytest.raises(UserError, match=r"cannot be read as Parquet: .*; run `roadstill index` again"):
        store.read("a")


def test_a_later_write_takes_the_place_of_an_earlier_one(store):
    store.write("a", frames_of("a", 2), LogRecord(1))
    store.write("a", frames_of("a", 5), LogRecord(2))
    assert len(store.read("a")) == 5
    assert store.record("a").source_bytes == 2


def test_names_that_no_folder_can_have():
    assert can_store("x" * 200)
    assert not can_store("x" * 300)
    assert not can_store("ü" * 60)  # each letter takes six of them in the folder's name
    assert not can_store("torn\udcff")
