"""At most so many frames of a class: spread over logs, by seed."""

import numpy as np
from made import frame_table as frames_of

from roadstill.data.choosing import choose_frames


def test_cap_is_spread_over_logs_and_seeded():
    logs = ["long"] * 100 + [f"short{number}" for number in range(10)]
    frames = frames_of([2.0, -2.0] * 55, logs=logs)
    chosen = choose_frames(frames, 8, seed=0)
    assert np.bincount(chosen.labels).tolist() == [8, 8]
    assert (chosen.column("log") == "long").sum() >= 2
    not_brake = chosen.take(chosen.labels == 0).column("log").tolist()
    assert sorted(not_brake)[-5:] == ["short0", "short2", "short4", "short6", "short8"]
    assert chosen.column("timestamp_us").tolist() == sorted(chosen.column("timestamp_us"))
    assert choose_frames(frames, 8, seed=0).table.equals(chosen.table)
    assert not choose_frames(frames, 8, seed=1).table.equals(chosen.table)
    assert choose_frames(frames, None) is frames
    assert len(choose_frames(frames, 10_000)) == 110


def test_a_smaller_cap_takes_a_part_of_a_larger_one():
    frames = frames_of([2.0, -2.0] * 55)
    small, large = (set(choose_frames(frames, cap, seed=3).column("image")) for cap in (5, 20))
    assert len(small) == 10
    assert small < large
