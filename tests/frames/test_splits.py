import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import frame_table as table

from roadstill.errors import UserError
from roadstill.frames import BrakeLabel, open_frames
from roadstill.frames.filters import FrameFilter
from roadstill.frames.splits import Cut, deal_drives, write_index

OFF = FrameFilter(command=None, min_abs_accel_mps2=None, min_speed_mps=None)


def split(frames, folder, **cut):
    write_index([frames], folder, Cut(decisions=OFF, **cut))
    return {name: open_frames(folder / f"{name}.parquet") for name in cut.get("shares", ("train", "dev", "test"))}


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), min_size=3, max_size=12),
    seed=st.integers(0, 5),
)
def test_deal_keeps_drives_whole_and_parts_filled(sizes, seed):
    counts = {(f"d{number}", label): pair[label] for number, pair in enumerate(sizes) for label in (0, 1)}
    part = deal_drives(counts, seed=seed)
    assert sorted(part) == sorted({drive for drive, _ in counts})
    assert set(part.values()) == {0, 1, 2}


def test_split_meets_the_shares_and_depends_on_the_seed(tmp_path):
    drive = np.arange(4000) % 60
    frames = table(np.where(np.arange(4000) % 3, 2.0, -2.0), drive=drive)
    parts = {seed: split(frames, tmp_path / str(seed), seed=seed) for seed in (1, 2)}
    for part in parts.values():
        np.testing.assert_allclose([len(rows) / 4000 for rows in part.values()], [0.7, 0.15, 0.15], atol=0.02)
        np.testing.assert_allclose([rows.labels.mean() for rows in part.values()], 1334 / 4000, atol=0.05)
        tokens = np.concatenate([rows.column("token") for rows in part.values()])
        assert sorted(tokens) == frames.column("token").tolist()
    assert set(parts[1]["test"].column("drive")) != set(parts[2]["test"].column("drive"))


def test_pieces_give_the_same_parts_as_the_whole(tmp_path):
    """The order of the frames stays, whatever pieces they come in."""
    frames = table(np.where(np.arange(400) % 3, 2.0, -2.0), drive=np.arange(400) // 20)
    pieces = [frames.take(rows) for rows in np.array_split(np.arange(400), 9)]
    whole, _ = write_index([frames], tmp_path / "whole", Cut(decisions=OFF))
    parts, _ = write_index(pieces, tmp_path / "pieces", Cut(decisions=OFF))
    assert whole == parts
    for name in whole:
        one, other = (open_frames(tmp_path / each / f"{name}.parquet") for each in ("whole", "pieces"))
        assert one.table.equals(other.table)
    assert not list(tmp_path.glob("*/.*"))


def test_split_balances_the_classes_too(tmp_path):
    """Drives of equal size, half of them all brake: no part may be of one class."""
    frames = table(np.where(np.arange(200) % 20 < 10, 2.0, -2.0), drive=np.arange(200) % 20)
    for part in split(frames, tmp_path).values():
        assert 0.3 <= part.labels.mean() <= 0.7


def test_too_few_drives(tmp_path):
    with pytest.raises(UserError, match="2 drives cannot fill 3 parts"):
        split(table([1.0, -1.0], drive=[0, 1]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == []
    parts = split(table([1.0, -1.0], drive=[0, 1]), tmp_path, shares={"train": 0.5, "test": 0.5})
    assert [len(part) for part in parts.values()] == [1, 1]
    with pytest.raises(UserError, match="above 0"):
        split(table([1.0, -1.0]), tmp_path, shares={"train": 1.0, "test": 0.0})


def test_the_test_part_can_be_given_as_logs(tmp_path):
    frames = table([2.0, -2.0] * 20, drive=np.arange(40) % 8)
    held = frames.column("log")[5]
    parts = split(frames, tmp_path, test_logs=frozenset([held, "another"]))
    assert set(parts["test"].column("log")) == {held}
    assert held not in set(parts["train"].column("log")) | set(parts["dev"].column("log"))
    with pytest.raises(UserError, match="no frame of the test part"):
        split(frames, tmp_path, test_logs=frozenset(["another"]))


def test_the_label_rule_decides_the_classes(tmp_path):
    frames = table([2.0, 5.0] * 20, drive=np.arange(40) // 4)
    counts, funnel = write_index([frames], tmp_path, Cut(decisions=OFF, label=BrakeLabel(3.0)))
    assert funnel.rows[0].classes["brake"] == 20
    train = open_frames(tmp_path / "train.parquet")
    assert (len(train), int(train.labels.sum())) == (counts["train"], counts["train"] // 2)


def test_memory_does_not_grow_with_the_frames(tmp_path):
    rng = np.random.default_rng(0)
    piece = table(rng.normal(0, 1.5, 2000), drive=np.arange(2000) // 40)

    def peak(pieces):
        tracemalloc.start()
        write_index((piece for _ in range(pieces)), tmp_path / str(pieces), Cut())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = peak(5), peak(100)
    assert many < few + 40e6  # Python's own; Arrow's pools are measured by `roadstill bench index`
    assert Counter(open_frames(tmp_path / "100" / "train.parquet").column("drive")).total() > 10_000
