import json

import numpy as np
import pytest
from made import frame_table as table
from made import unsealed

from roadstill.errors import UserError
from roadstill.frames import FrameTable
from roadstill.frames.filters import FrameFilter, Funnel, SceneFilter, Sieve


def sieved(frames, decisions=None, scenes=()):
    sieve = Sieve(scenes, decisions or FrameFilter())
    kept = sieve(frames)
    return kept, sieve.funnel()


def rows_of(rows):
    return [(row.rule, row.left, *row.classes.values()) for row in rows]


def test_bounds_of_the_rules():
    """The closed interval [-1, 1] goes (thesis table 4.2); a speed of exactly 3 stays."""
    frames = table([-1.0, 1.0, -1.001, 1.001, 2.0, 2.0, 2.0], vx=[9, 9, 9, 9, 3, 2.999, 9], command=[1] * 6 + [0])
    kept, funnel = sieved(frames)
    assert kept.column("accel_mps2").tolist() == [-1.001, 1.001, 2.0]
    assert rows_of(funnel.rows) == [
        ("all frames", 7, 5, 2),
        ("command == straight", 6, 4, 2),
        ("|accel_mps2| > 1", 4, 3, 1),
        ("speed_mps >= 3", 3, 2, 1),
    ]
    assert rows_of(funnel.other_rows) == [
        ("|accel_mps2| > 1", 5, 4, 1),
        ("speed_mps >= 3", 4, 3, 1),
        ("command == straight", 3, 2, 1),
    ]


def test_order_changes_the_funnel_but_not_the_result():
    frames = table([-1.0, 1.0, -1.5, 1.5, 2.0], vx=[9, 1, 9, 1, 9], command=[1, 1, 0, 1, 1])
    kept, one = sieved(frames)
    again, other = sieved(frames, FrameFilter(order=("speed", "accel", "command")))
    assert kept.table.equals(again.table)
    assert [row.left for row in one.rows] == [5, 4, 2, 1]
    assert [row.left for row in other.rows] == [5, 3, 2, 1]
    assert [row.left for row in other.other_rows] == [4, 2, 1]  # the command first


def test_pieces_count_like_the_whole():
    rng = np.random.default_rng(0)
    frames = table(rng.normal(0, 2, 300), vx=rng.uniform(0, 9, 300), command=rng.integers(0, 4, 300))
    whole, pieces = Sieve((), FrameFilter()), Sieve((), FrameFilter())
    kept = whole(frames)
    parts = [pieces(frames.take(rows)) for rows in np.array_split(np.arange(300), 7)]
    assert sum(map(len, parts)) == len(kept)
    assert pieces.funnel() == whole.funnel()
    np.testing.assert_array_equal(pieces.motion, whole.motion)


def test_speed_is_the_norm_or_forward():
    frames = table([2.0, 2.0], vx=[2.9, 3.1], vy=[2.0, 0.0])
    assert len(sieved(frames)[0]) == 2
    assert len(sieved(frames, FrameFilter(speed="vx"))[0]) == 1


def test_rules_can_be_off():
    frames = table([0.1, 2.0], vx=0.0, command=[3, 0])
    off = FrameFilter(command=None, min_abs_accel_mps2=None, min_speed_mps=None)
    _, funnel = sieved(frames, off)
    assert rows_of(funnel.rows) == [("all frames", 2, 2, 0)]
    assert funnel.other_rows == ()


@pytest.mark.parametrize(
    ("frames", "rule"),
    [
        (table([2.0, -2.0], command=0), "command == straight` removed all of the 2 frames"),
        (table([0.5, -1.0]), r"\|accel_mps2\| > 1"),
        (table([0.5, -2.0], vx=[9.0, 1.0]), "speed_mps >= 3` removed all of the 1 frames"),
        (table([]), "no readable frame"),
    ],
)
def test_an_empty_result_names_the_rule(frames, rule):
    with pytest.raises(UserError, match=rule):
        sieved(frames)


@pytest.mark.parametrize("wrong", [{"command": "ahead"}, {"speed": "v"}, {"order": ("speed",)}])
def test_unknown_filter_settings(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        FrameFilter(**wrong)


@pytest.mark.parametrize("wrong", [{"history_frames": 0}, {"future_frames": -1}, {"interval": 0}, {"gaps": "x"}])
def test_unknown_scene_settings(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        SceneFilter(**wrong)


def log_of(entries, **columns):
    """One log in which nothing is broken."""
    place = np.arange(entries, dtype=np.int32)
    steady = {"steady_before": place, "steady_after": entries - 1 - place}
    return table(np.full(entries, 2.0), drive=[0] * entries, position=place, remaining=entries - 1 - place,
                 **(steady | columns))  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "settings", "current"),
    [
        (20, {}, [3, 4, 5, 6, 7, 8, 9]),
        (14, {}, [3]),
        (13, {}, []),
        (45, {"interval": 14}, [3, 17, 31]),
        (8, {"history_frames": 1, "future_frames": 0, "interval": 3}, [0, 3, 6]),
        (8, {"history_frames": 2, "future_frames": 5}, [1, 2]),
    ],
)
def test_windows(entries, settings, current):
    """NAVSIM's rule: windows start at 0, interval, 2 * interval ...; short ones at the end count nothing."""
    frames = log_of(entries)
    (whole, _) = SceneFilter(**settings).rules()
    assert np.flatnonzero(whole.stays(frames)).tolist() == current


def test_scenes_without_route_and_with_gaps():
    frames = log_of(20, has_route=np.arange(20) != 4, steady_after=np.minimum(19 - np.arange(20), 8).astype(np.int32))
    scenes = SceneFilter()
    sieve = Sieve(scenes.rules(), FrameFilter(), scenes)
    sieve(frames)
    funnel = sieve.funnel()
    assert [(row.rule, row.left) for row in funnel.rows[:3]] == [
        ("all frames", 20), ("in a window of 14 frames", 7), ("with a route", 6),
    ]  # fmt: skip
    assert funnel.rows[funnel.scenes].rule == "with a route"
    assert funnel.with_gap == 6
    assert "6 of the scenes have a gap" in str(funnel)
    dropped = Sieve(SceneFilter(gaps="drop").rules(), FrameFilter())
    dropped(frames)
    with pytest.raises(UserError, match="no gap in time"):
        dropped.funnel()
    assert "with a route" not in [rule.text for rule in SceneFilter(needs_route=False).rules()]


def test_lists_of_logs_and_tokens():
    frames = table([2.0] * 4)
    rules = SceneFilter().rules(logs=[frames.column("log")[1]], tokens=[f"{row:016x}" for row in (1, 2, 99)])
    assert [rule.text for rule in rules[-2:]] == ["one of 1 logs", "one of 3 tokens"]
    assert [np.flatnonzero(rule.stays(frames)).tolist() for rule in rules[-2:]] == [[1], [1, 2]]


def test_funnel_is_stored_and_shown(tmp_path):
    _, funnel = sieved(table([2.0, -2.0, 0.0]))
    funnel.save(tmp_path / "funnel.json")
    stored = json.loads((tmp_path / "funnel.json").read_text())
    classes = {"not_brake": 1, "brake": 1}
    assert stored["rows"][2] == {"rule": "|accel_mps2| > 1", "left": 2, "classes": classes}
    assert stored["other_rows"][0] == stored["rows"][2]
    lines = str(funnel).splitlines()
    assert lines[3].split()[-3:] == ["2", "1", "1"]
    assert lines[5] == "the same rules in another order:"


def test_funnels_are_read_back_those_of_before_too(tmp_path):
    _, funnel = sieved(table([2.0, -2.0, 0.0]))
    funnel.save(tmp_path / "funnel.json")
    assert Funnel.load(tmp_path / "funnel.json") == funnel
    record = unsealed(tmp_path / "funnel.json")
    for rows in (record["rows"], record["other_rows"]):
        rows[:] = [{"rule": row["rule"], "left": row["left"]} | row["classes"] for row in rows]
    (tmp_path / "old.json").write_text(json.dumps(record))
    assert Funnel.load(tmp_path / "old.json") == funnel
    for text in ("[]", '{"rows": [{"left": 1}]}', '{"rows": 1}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(UserError, match="holds no funnel"):
            Funnel.load(tmp_path / "bad.json")


class Turns:
    """A label of three classes, one of them of a name that funnels use themselves."""

    class_names = ("left", "straight ahead", "right")

    def of(self, accel_mps2):
        return np.digitize(accel_mps2, [-1, 1])


def test_a_funnel_counts_as_many_classes_as_the_label_has(tmp_path):
    frames = FrameTable(table([-2.0, 0.0, 0.5, 1.5, 3.0, 3.5]).table, Turns())
    sieve = Sieve((), FrameFilter(min_abs_accel_mps2=0.2), class_names=Turns.class_names)
    sieve(frames)
    funnel = sieve.funnel()
    assert rows_of(funnel.rows)[0] == ("all frames", 6, 1, 2, 3)
    assert rows_of(funnel.rows)[-1] == ("speed_mps >= 3", 5, 1, 1, 3)
    assert str(funnel).splitlines()[0].split() == ["rule", "left", "left", "straight", "ahead", "right"]
    assert len({len(line) for line in str(funnel).splitlines()[:5]}) == 1
    funnel.save(tmp_path / "funnel.json")
    assert Funnel.load(tmp_path / "funnel.json") == funnel


def test_motion_counts_every_scene_once_also_beyond_the_axes(tmp_path):
    sieve = Sieve((), FrameFilter())
    sieve(table([-50.0, 50.0, 0.1], vx=[0.1, 100.0, 5.0]))
    assert (sieve.motion[0, 0], sieve.motion[-1, -1], sieve.motion.sum()) == (1, 1, 3)
    sieve.save_motion(tmp_path / "motion.json")
    assert np.sum(json.loads((tmp_path / "motion.json").read_text())["counts"]) == 3
