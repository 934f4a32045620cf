import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made import frame_table as table

from roadstill.errors import UserError
from roadstill.frames import (
    SCHEMA,
    BrakeLabel,
    FrameTable,
    frame_writers,
    leaves_folder,
    open_frames,
    stream_frames,
)


def test_label_is_brake_below_the_threshold():
    assert BrakeLabel().of([-2.0, -1e-9, 0.0, 1e-9]).tolist() == [1, 1, 0, 0]
    assert BrakeLabel(1.0).of([0.5]).tolist() == [1]


def test_the_label_rule_travels_with_the_frames(tmp_path):
    frames = FrameTable(table([0.5, 1.5]).table, BrakeLabel(1.0))
    assert frames.labels.tolist() == frames.take(np.array([0, 1])).labels.tolist() == [1, 0]
    frames.save(tmp_path / "f.parquet")
    assert open_frames(tmp_path / "f.parquet").label == BrakeLabel(1.0)
    assert next(stream_frames(tmp_path / "f.parquet")).labels.tolist() == [1, 0]
    strange = frames.table.replace_schema_metadata(
        {b"roadstill.label": b'{"rule": "brake", "version": 2, "threshold_mps2": 0}'}
    )
    pq.write_table(strange, tmp_path / "f.parquet")
    with pytest.raises(UserError, match="label rule, 'brake', version 2, is not of this version"):
        open_frames(tmp_path / "f.parquet")
    pq.write_table(strange.replace_schema_metadata({b"roadstill.label": b"{"}), tmp_path / "f.parquet")
    with pytest.raises(UserError, match="label rule cannot be read as JSON"):
        open_frames(tmp_path / "f.parquet")


def test_writers_grow_piece_by_piece_and_appear_together(tmp_path):
    frames = table([2.0, -2.0, 0.0])
    paths = [tmp_path / name for name in ("a.parquet", "b.parquet")]
    with frame_writers(paths, frames.label) as (first, second):
        for row in range(3):
            first(frames.take(np.array([row])))
        second(frames.take(np.array([], np.int64)))
        assert not any(path.exists() for path in paths)
    assert open_frames(paths[0]).table.equals(frames.table)
    assert (first.count, second.count, len(open_frames(paths[1]))) == (3, 0, 0)
    assert [len(part) for part in stream_frames(paths[0], rows=2)] == [2, 1]
    with pytest.raises(UserError, match="lacks"), frame_writers(paths, frames.label) as (first, _):
        first(FrameTable(frames.table.drop(["token"])))
    assert len(open_frames(paths[0])) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_save_and_open(tmp_path):
    frames = table([2.0, -2.0, 0.0])
    assert open_frames(frames.save(tmp_path / "deep" / "frames.parquet")).table.equals(frames.table)
    assert frames.table.schema == SCHEMA
    assert frames.column("command").dtype == np.int8
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["frames.parquet"]


def test_open_names_what_is_wrong(tmp_path):
    frames = table([2.0, -2.0])
    with pytest.raises(UserError, match="does not exist"):
        open_frames(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(UserError, match=r"text\.parquet cannot be read"):
        open_frames(tmp_path / "text.parquet")
    pq.write_table(frames.table.drop(["accel_mps2"]), tmp_path / "lacks.parquet")
    with pytest.raises(UserError, match=r"lacks\.parquet: .*accel_mps2"):
        open_frames(tmp_path / "lacks.parquet")
    words = frames.table.set_column(8, "accel_mps2", pa.array(["fast", "slow"]))
    pq.write_table(words, tmp_path / "words.parquet")
    with pytest.raises(UserError, match="wrong type"):
        open_frames(tmp_path / "words.parquet")
    holes = frames.table.set_column(8, "accel_mps2", pa.array([None, 1.0]))
    with pytest.raises(UserError, match=r"empty cells in \['accel_mps2'\]"):
        FrameTable(holes)
    with pytest.raises(UserError, match="no 'colour'"):
        frames.column("colour")


def test_take_by_mask_and_by_index():
    frames = table([0.0, 1.0, 2.0])
    assert frames.take(np.array([True, False, True])).column("accel_mps2").tolist() == [0, 2]
    assert frames.take(np.array([2, 0])).column("accel_mps2").tolist() == [2, 0]
    assert len(frames.take(np.array([], np.int64))) == 0


@pytest.mark.parametrize(
    ("path", "bad"),
    [
        ("log/CAM_F0/1.jpg", False),
        ("log/..name/1.jpg", False),
        ("/etc/passwd", True),
        ("log/../../secret.jpg", True),
        ("..", True),
        ("", True),
        ("log\0.jpg", True),
        ("log\\..\\x.jpg", True),
        ("C:/x.jpg", True),
        ("a\nb.jpg", True),
    ],
)
def test_paths_that_leave_the_folder(path, bad):
    assert leaves_folder(path) is bad
