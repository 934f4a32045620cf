"""`FrameTable.of`: a few columns make a whole table, and what cannot be one is said in one line."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstill.errors import UserError
from roadstill.frames import COMMANDS, SCHEMA, BrakeLabel, FrameTable


def few(rows=4, **columns):
    """The columns that are needed, and others by name."""
    return {
        "token": [f"t{row}" for row in range(rows)],
        "log": "monday",
        "timestamp_us": np.arange(rows) * 500_000,
        "image": [f"monday/{row}.jpg" for row in range(rows)],
        "vx_mps": np.full(rows, 3.0),
        "accel_mps2": np.linspace(-1, 1, rows),
    } | columns


def test_what_is_not_given_follows_from_the_rest():
    frames = FrameTable.of(**few(vy_mps=4.0))
    assert frames.table.schema == SCHEMA
    row = frames.table.to_pylist()[1]
    assert row == {
        "token": "t1", "log": "monday", "drive": "monday", "timestamp_us": 500_000, "image": "monday/1.jpg",
        "vx_mps": 3.0, "vy_mps": 4.0, "speed_mps": 5.0, "accel_mps2": pytest.approx(-1 / 3),
        "command": COMMANDS.index("unknown"), "location": "unknown", "position": 1, "remaining": 2,
        "steady_before": 1, "steady_after": 2, "has_route": False,
    }  # fmt: skip


def test_what_is_given_stays():
    given_ = {"drive": "outing", "speed_mps": 7.0, "location": "Bonn", "position": 9, "has_route": True}
    frames = FrameTable.of(**few(2, command=["left", "straight"], **given_), label=BrakeLabel(2.0))
    assert {name: frames.column(name).tolist() for name in given_} == {name: [v, v] for name, v in given_.items()}
    assert frames.column("command").tolist() == [0, 1]
    assert frames.labels.tolist() == [1, 1]
    assert FrameTable.of(**few(2, command=[2, 0])).column("command").tolist() == [2, 0]


def by_hand(logs, times, usual_us):
    """The places of every row in its log, and in its stretch without a gap, counted one by one."""
    found = []
    for row in range(len(logs)):
        mine = [other for other in range(len(logs)) if logs[other] == logs[row]]
        place = mine.index(row)
        before = after = 0
        while before < place and times[row - before] - times[row - before - 1] <= 1.5 * usual_us:
            before += 1
        while after < len(mine) - 1 - place and times[row + after + 1] - times[row + after] <= 1.5 * usual_us:
            after += 1
        found.append([place, len(mine) - 1 - place, before, after])
    return found


@given(st.lists(st.lists(st.sampled_from([50, 100, 140, 160, 1000]), min_size=1, max_size=8), max_size=4))
def test_places_in_a_log_are_as_counted_by_hand(steps):
    logs = [f"log{number}" for number, part in enumerate(steps) for _ in part]
    times = [int(time) for part in steps for time in np.cumsum(part)]
    names = [f"{row}" for row in range(len(logs))]
    frames = FrameTable.of(
        token=names, log=logs, timestamp_us=np.array(times, int), image=names, vx_mps=1.0, accel_mps2=1.0, step_s=1e-4
    )
    columns = ("position", "remaining", "steady_before", "steady_after")
    assert np.stack([frames.column(name) for name in columns], 1).tolist() == by_hand(logs, times, 100)


def test_the_usual_step_is_the_median_of_the_steps_within_logs():
    times = np.array([0, 100, 200, 500, 600, 0, 100]) * 1000
    logs = ["a"] * 5 + ["b"] * 2
    frames = FrameTable.of(**few(7, log=logs, timestamp_us=times))
    assert frames.column("steady_before").tolist() == [0, 1, 2, 0, 1, 0, 1]
    assert frames.column("steady_after").tolist() == [2, 1, 0, 1, 0, 1, 0]


def test_an_empty_table_is_one():
    assert len(FrameTable.of(**few(0))) == 0


def test_columns_may_be_lists_arrays_or_arrow():
    columns = few(3)
    arrow = columns | {"token": pa.array(columns["token"]), "vx_mps": pa.array([3.0, 3.0, 3.0])}
    assert FrameTable.of(**arrow).table.equals(FrameTable.of(**columns).table)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"speed": [1.0] * 4}, "a frame has no 'speed'; did you mean 'speed_mps'"),
        ({"vx_mps": [1.0]}, r"the column vx_mps has the shape \(1,\), but timestamp_us has 4 rows"),
        ({"vx_mps": ["fast"] * 4}, "the column vx_mps holds <U4, which should be double"),
        ({"accel_mps2": [0, 1, np.nan, 2]}, "the column accel_mps2 holds nan in row 2"),
        ({"timestamp_us": [0.0, 0.5, 1.0, 1.5]}, r"timestamp_us holds float64.*\(1e6 \* seconds\)"),
        ({"timestamp_us": [0, 2, 1, 3]}, r"row 2: the time does not increase within the log 'monday' \(1 us after 2"),
        ({"timestamp_us": [0, 1, 1, 3]}, "row 2: the time does not increase"),
        ({"log": ["a", "b", "a", "a"]}, "row 2: the log 'a' comes back after others; sort the rows by log"),
        ({"token": ["a", "b", "a", "c"]}, "the token 'a' is in more than one row"),
        ({"token": ["a", None, "b", "c"]}, "the column token holds None in row 1"),
        ({"log": ["a", "", "b", "c"]}, "the column log holds '' in row 1"),
        ({"image": ["0.jpg", "../1.jpg", "2.jpg", "3.jpg"]}, "row 1: the image '../1.jpg' is not a path below"),
        ({"image": ["0.jpg", "/1.jpg", "2.jpg", "3.jpg"]}, "row 1: the image '/1.jpg'"),
        ({"command": ["left", "ahead", "left", "left"]}, "the column command holds 'ahead'; it should be one of left"),
        ({"command": [0, 1, 2, 4]}, "the column command holds 0 to 4, beyond 0 to 3"),
        ({"has_route": [1, 0, 1, 0]}, "the column has_route holds int64, which should be bool"),
    ],
)
def test_what_is_wrong_is_one_line(wrong, line):
    with pytest.raises(UserError, match=line) as raised:
        FrameTable.of(**(few() | wrong))
    assert "\n" not in str(raised.value)


def test_missing_columns_are_named():
    columns = few()
    del columns["image"], columns["accel_mps2"]
    with pytest.raises(UserError, match="also needs image, accel_mps2"):
        FrameTable.of(**columns)
