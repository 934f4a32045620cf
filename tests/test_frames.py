import json
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstill.errors import UserError
from roadstill.frames import (
    SCHEMA,
    FrameFilter,
    FrameTable,
    apply_filters,
    brake_label,
    heatmap,
    leaves_folder,
    open_frames,
    split_by_drive,
)


def table(accel, *, vx=8.0, vy=0.0, command=1, drive=None):
    accel = np.asarray(accel, np.float64)
    rows = len(accel)
    vx, vy = np.broadcast_to(vx, rows).astype(float), np.broadcast_to(vy, rows).astype(float)
    drive = np.arange(rows) % 4 if drive is None else np.asarray(drive)
    log = [f"2021.05.{day:02d}.10.00.00_veh-1_00000_00001" for day in drive]
    return FrameTable(
        pa.table(
            {
                "token": [f"{row:016x}" for row in range(rows)],
                "log": log,
                "drive": [name[:27] for name in log],
                "timestamp_us": np.arange(rows) * 500_000,
                "image": [f"{name}/CAM_F0/{row:016x}.jpg" for row, name in enumerate(log)],
                "vx_mps": vx,
                "vy_mps": vy,
                "speed_mps": np.hypot(vx, vy),
                "accel_mps2": accel,
                "command": np.broadcast_to(command, rows).astype(np.int8),
                "location": ["us-ma-boston"] * rows,
            }
        )
    )


def rows_of(funnel):
    return [(row.rule, row.left, row.not_brake, row.brake) for row in funnel.rows]


def test_label_is_brake_below_zero():
    assert brake_label([-2.0, -1e-9, 0.0, 1e-9]).tolist() == [1, 1, 0, 0]
    assert brake_label([0.5], threshold_mps2=1.0).tolist() == [1]


def test_bounds_of_the_rules():
    """The closed interval [-1, 1] goes (thesis table 4.2); a speed of exactly 3 stays."""
    frames = table([-1.0, 1.0, -1.001, 1.001, 2.0, 2.0, 2.0], vx=[9, 9, 9, 9, 3, 2.999, 9], command=[1] * 6 + [0])
    kept, funnel = apply_filters(frames, FrameFilter())
    assert kept.column("accel_mps2").tolist() == [-1.001, 1.001, 2.0]
    assert rows_of(funnel) == [
        ("all scenes", 7, 5, 2),
        ("command == straight", 6, 4, 2),
        ("|accel_mps2| > 1", 4, 3, 1),
        ("speed_mps >= 3", 3, 2, 1),
    ]


def test_order_changes_the_funnel_but_not_the_result():
    frames = table([-1.0, 1.0, -1.5, 1.5, 2.0], vx=[9, 1, 9, 1, 9], command=[1, 1, 0, 1, 1])
    kept, one = apply_filters(frames, FrameFilter())
    again, other = apply_filters(frames, FrameFilter(order=("speed", "accel", "command")))
    assert kept.table.equals(again.table)
    assert [row.left for row in one.rows] == [5, 4, 2, 1]
    assert [row.left for row in other.rows] == [5, 3, 2, 1]


def test_speed_is_the_norm_or_forward():
    frames = table([2.0, 2.0], vx=[2.9, 3.1], vy=[2.0, 0.0])
    assert len(apply_filters(frames, FrameFilter())[0]) == 2
    assert len(apply_filters(frames, FrameFilter(speed="vx"))[0]) == 1


def test_rules_can_be_off():
    frames = table([0.1, 2.0], vx=0.0, command=[3, 0])
    off = FrameFilter(command=None, min_abs_accel_mps2=None, min_speed_mps=None)
    assert rows_of(apply_filters(frames, off)[1]) == [("all scenes", 2, 2, 0)]


@pytest.mark.parametrize(
    ("frames", "rule"),
    [
        (table([2.0, -2.0], command=0), "command == straight"),
        (table([0.5, -1.0]), r"\|accel_mps2\| > 1"),
        (table([0.5, -2.0], vx=[9.0, 1.0]), "speed_mps >= 3"),
    ],
)
def test_an_empty_result_names_the_rule(frames, rule):
    with pytest.raises(UserError, match=rule):
        apply_filters(frames, FrameFilter())


@pytest.mark.parametrize("wrong", [{"command": "ahead"}, {"speed": "v"}, {"order": ("speed",)}])
def test_unknown_filter_settings(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        FrameFilter(**wrong)


def test_funnel_is_stored_and_shown(tmp_path):
    _, funnel = apply_filters(table([2.0, -2.0, 0.0]), FrameFilter())
    funnel.save(tmp_path / "funnel.json")
    stored = json.loads((tmp_path / "funnel.json").read_text())["rows"]
    assert stored[2] == {"rule": "|accel_mps2| > 1", "left": 2, "not_brake": 1, "brake": 1}
    assert str(funnel).splitlines()[3].split()[-3:] == ["2", "1", "1"]


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


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=3, max_size=12),
    seed=st.integers(0, 5),
)
def test_split_keeps_drives_whole_and_parts_filled(sizes, seed):
    drive = np.repeat(np.arange(len(sizes)), sizes)
    frames = table(np.where(np.arange(len(drive)) % 2, 2.0, -2.0), drive=drive)
    parts = split_by_drive(frames, seed=seed)
    assert list(parts) == ["train", "dev", "test"]
    assert all(len(part) for part in parts.values())
    drives = [set(part.column("drive")) for part in parts.values()]
    assert sum(map(len, drives)) == len(set.union(*drives)) == len(sizes)
    tokens = np.concatenate([part.column("token") for part in parts.values()])
    assert sorted(tokens) == frames.column("token").tolist()


def test_split_meets_the_shares_and_depends_on_the_seed():
    drive = np.arange(4000) % 60
    frames = table(np.where(np.arange(4000) % 3, 2.0, -2.0), drive=drive)
    parts = {seed: split_by_drive(frames, seed=seed) for seed in (1, 2)}
    for part in parts.values():
        np.testing.assert_allclose([len(rows) / 4000 for rows in part.values()], [0.7, 0.15, 0.15], atol=0.02)
        np.testing.assert_allclose([rows.labels.mean() for rows in part.values()], 1334 / 4000, atol=0.05)
    again = split_by_drive(frames, seed=1)
    assert all(again[name].table.equals(parts[1][name].table) for name in again)
    assert set(parts[1]["test"].column("drive")) != set(parts[2]["test"].column("drive"))


def test_split_balances_the_classes_too():
    """Drives of equal size, half of them all brake: no part may be of one class."""
    frames = table(np.where(np.arange(200) % 20 < 10, 2.0, -2.0), drive=np.arange(200) % 20)
    for part in split_by_drive(frames, seed=0).values():
        assert 0.3 <= part.labels.mean() <= 0.7


def test_too_few_drives():
    with pytest.raises(UserError, match="2 drives cannot fill 3 parts"):
        split_by_drive(table([1.0, -1.0], drive=[0, 1]))
    parts = split_by_drive(table([1.0, -1.0], drive=[0, 1]), {"train": 0.5, "test": 0.5})
    assert [len(part) for part in parts.values()] == [1, 1]
    with pytest.raises(UserError, match="above 0"):
        split_by_drive(table([1.0, -1.0]), {"train": 1.0, "test": 0.0})


def test_heatmap_counts_every_frame_once():
    frames = table([-9.0, -0.05, 0.05, 9.0], vx=[0.1, 0.1, 99.0, 5.0])
    found = heatmap(frames, max_speed_mps=10.0, max_accel_mps2=1.0, cells=(2, 2))
    assert found.counts.tolist() == [[2, 0], [0, 2]]
    assert found.speed_edges_mps.tolist() == [0, 5, 10]
    assert found.counts.dtype == np.int64


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


def test_a_million_rows_take_seconds():
    rows = 1_000_000
    rng = np.random.default_rng(0)
    accel = rng.normal(0, 1.5, rows)
    small = table(accel[:1000], drive=np.arange(1000) // 5).table
    big = pa.concat_tables([small] * (rows // 1000)).set_column(8, "accel_mps2", pa.array(accel))
    start = time.process_time()
    frames, funnel = apply_filters(FrameTable(big), FrameFilter())
    parts = split_by_drive(frames, seed=0)
    assert heatmap(frames).counts.sum() == funnel.rows[-1].left == sum(map(len, parts.values()))
    assert time.process_time() - start < 15
