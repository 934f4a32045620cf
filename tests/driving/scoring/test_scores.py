"""Every term by hand, and the products."""

from dataclasses import fields

import numpy as np
import pytest
import shapely
from made_scenes import ROUTE, STEPS, TIMES, both, drive, scene, track

from roadstill.driving.scoring import Red, Scores, score
from roadstill.driving.scoring.scene import Past
from roadstill.driving.vehicle import MIDDLE_M, Motion
from roadstill.errors import UserError


def only(name, motion, around=None, **given):
    """One term of one drive."""
    return getattr(score(scene() if around is None else around, motion, **given), name).tolist()[0]


def moving(x_m, y_m, speed_mps=10.0):
    """A drive whose middle is at these places, always to the east."""
    zeros = np.zeros(STEPS)
    rows = (x_m - MIDDLE_M, y_m, zeros, zeros + speed_mps, zeros, zeros)
    return Motion(*(np.broadcast_to(row, STEPS).astype(float)[None] for row in rows))


def test_a_drive_like_the_humans_has_everything():
    for v1 in (False, True):
        found = score(scene(), drive(), v1=v1)
        terms = {field.name: np.asarray(getattr(found, field.name)).ravel().tolist() for field in fields(found)}
        assert terms.pop("v1") == [v1]
        for name in ("ade_m", "fde_m", "speed_error_mps"):
            assert terms.pop(name) == [0]
        for name in ("progress_m", "reference_m"):
            assert terms.pop(name) == [pytest.approx(40)]
        assert terms == {name: [1] for name in terms}
        assert found.progress.tolist() == found.pdm_like.tolist() == [pytest.approx(1)]


def test_one_corner_off_the_road_is_enough():
    assert only("drivable", drive(y_m=-0.6)) is True
    assert only("drivable", drive(y_m=-0.61)) is False
    y = np.zeros(STEPS)
    y[-1] = -0.61
    assert only("drivable", moving(10 * TIMES, y)) is False


@pytest.mark.parametrize(
    ("speed_mps", "worth"),
    # 1.1 s off the route: eleven steps of a tenth of the speed.
    [(1.8, 1), (1.9, 0.5), (5.4, 0.5), (5.5, 0)],
)
def test_direction_by_the_metres_of_a_second(speed_mps, worth):
    assert only("direction", drive(y_m=7, speed_mps=speed_mps)) == worth
    assert only("direction", drive(y_m=3.5, speed_mps=speed_mps)) == 1


def test_direction_when_it_comes_back():
    y = np.where((TIMES > 1) & (TIMES < 1.55), 7.0, 0.0)  # five steps, the first of them from beside
    assert only("direction", moving(0 * TIMES, y)) == 0  # 7 m across
    assert only("direction", moving(0 * TIMES, y / 7 * 5.3)) == 0.5
    assert only("direction", moving(0 * TIMES, y / 7 * 5.2)) == 1


def test_on_a_crossroads_direction_is_free_but_in_v1():
    around = scene(route=("1", "3"))
    driven = both(drive(x_m=101, speed_mps=4), drive(x_m=60, speed_mps=4))
    assert score(around, driven).direction.tolist() == [1, 1]
    assert score(around, driven, v1=True).direction.tolist() == [0.5, 1]


def test_red_lights_close_what_they_close_while_they_are_red():
    area = shapely.box(100, -1.75, 120, 1.75)
    closed = np.zeros((1, STEPS), bool)
    closed[:, 20:30] = True
    around = scene(red=Red((area,), closed))
    assert only("lights", drive(x_m=60), around) is True  # its front is there from 3.8 s on
    assert only("lights", drive(x_m=68.4), around) is True  # at 2.9 s it is 0.01 m before
    assert only("lights", drive(x_m=68.42), around) is False
    assert only("lights", drive(x_m=110, speed_mps=0), around) is False
    assert only("lights", drive(x_m=104, y_m=3.5), around) is True


@pytest.mark.parametrize(
    ("y_m", "kept"),
    [
        (0.5, True),
        (0.51, False),
        (-0.51, False),
        (np.where(np.arange(STEPS) < 19, 0.6, 0), True),
        (np.where(np.arange(STEPS) < 20, 0.6, 0), False),
        (np.where(np.arange(STEPS) % 15 == 0, 0, 0.6), True),
    ],
)
def test_lane_keeping_by_hand(y_m, kept):
    assert only("lane_keeping", moving(10 * TIMES, y_m)) is kept


def test_lane_keeping_waits_on_crossroads():
    # Ten steps beside before, twenty on it, eleven after it.
    x = np.where(np.arange(STEPS) < 10, 95.0, np.where(np.arange(STEPS) < 30, 110.0, 125.0))
    beside = np.full(STEPS, 0.6)
    assert only("lane_keeping", moving(x, beside)) is False
    assert only("lane_keeping", moving(x, np.where(np.arange(STEPS) == 20, 0, beside))) is False  # met where none looks
    assert only("lane_keeping", moving(x, np.where(np.arange(STEPS) == 30, 0, beside))) is True
    assert only("lane_keeping", moving(np.full(STEPS, 110.0), beside)) is True


@pytest.mark.parametrize(
    ("speed_mps", "reference_m", "share"),
    [
        (10, None, 1),
        (5, None, 0.5),
        (15, None, 1),
        (5, 80, 0.25),
        (5, 10, 1),
        (1, 5, 1),  # nobody comes farther than 5 m
        (1, 5.1, 4 / 5.1),
        (-10, None, 0),
    ],
)
@pytest.mark.parametrize("v1", [False, True])
def test_progress_by_hand(speed_mps, reference_m, share, v1):
    motion = moving(10 + speed_mps * TIMES, 0, abs(speed_mps))
    assert score(scene(), motion, reference_m=reference_m, v1=v1).progress.tolist() == [pytest.approx(share)]


def test_progress_of_worthless_drives():
    # Off the road from the begin: no reference of its own, and in v1 nothing at all.
    pair = both(drive(y_m=-3, speed_mps=20), drive(speed_mps=20))
    assert score(scene(), pair, reference_m=40.0).progress.tolist() == [1, 1]
    assert score(scene(), pair, reference_m=40.0, v1=True).progress.tolist() == [0, 1]
    assert score(scene(), drive(y_m=-3), reference_m=0.0, v1=True).progress.tolist() == [0]
    # Half a score: the share is of what it is worth.
    for v1 in (False, True):
        found = score(scene(track(20, 0, agent=False)), drive(speed_mps=20), reference_m=20.0, v1=v1)
        assert found.no_collision.tolist() == [0.5]
        assert found.progress.tolist() == [1]


def test_distances_to_the_human():
    found = score(scene(), both(drive(), drive(y_m=3), drive(speed_mps=8), drive(accel_mps2=-2)))
    np.testing.assert_allclose(found.ade_m, [0, 3, 2 * 2.25, np.mean((np.arange(1, 9) / 2) ** 2)], atol=1e-9)
    np.testing.assert_allclose(found.fde_m, [0, 3, 8, 16], atol=1e-9)
    np.testing.assert_allclose(found.speed_error_mps, [0, 0, 2, 2 * 2.25], atol=1e-9)


def test_comfort_begins_where_it_is_told():
    def before(accel_mps2, lateral_mps2=0.0):
        count = 14
        zeros = np.zeros(count)
        motion = Motion(10.0 * np.arange(-count, 0) / 10, zeros, zeros, zeros + 10, zeros + accel_mps2, zeros)
        return scene(past=Past(motion, np.full(count + 1, lateral_mps2)))

    for around, expected in (
        (scene(), (True, True)),
        (before(0.0), (True, True)),
        (before(3.0), (True, False)),
        (before(-5.0), (True, False)),
        (before(0.0, 6.0), (True, False)),
        (before(0.0, 1.0), (True, True)),
        (before(0.0, 26.0), (False, False)),  # all of it at first
    ):
        assert tuple(score(around, drive(), v1=v1).comfort[0] for v1 in (True, False)) == expected


def test_comfort_of_v1_looks_at_four_seconds_at_once():
    motion = drive()._replace(accel_mps2=np.where((TIMES > 1.45) & (TIMES < 2.45), 3.0, 0.0)[None])
    assert [score(scene(), motion, v1=v1).comfort[0] for v1 in (False, True)] == [False, True]


def test_products_by_hand():
    terms = {
        "no_collision": np.array([0.5, 1.0, 1.0]),
        "drivable": np.array([True, False, True]),
        "direction": np.array([1.0, 1.0, 0.5]),
        **{name: np.array([True, True, True]) for name in ("lights", "keeps_away", "lane_keeping", "comfort")},
        "progress_m": np.array([30.0, 30.0, 30.0]),
        "reference_m": 60.0,
        **{name: np.zeros(3) for name in ("ade_m", "fde_m", "speed_error_mps")},
    }
    found = Scores(**terms)
    np.testing.assert_allclose(found.pdm_like, [0.5 * (2.5 + 9) / 14, 0, 0.5 * (2.5 + 9) / 14])
    np.testing.assert_allclose(Scores(**terms, v1=True).pdm_like, [0.5 * (1.25 + 7) / 12, 0, (2.5 + 7) / 12])
    terms |= {"keeps_away": np.zeros(3, bool), "comfort": np.zeros(3, bool)}
    np.testing.assert_allclose(Scores(**terms).pdm_like, [0.5 * (2.5 + 2) / 14, 0, 0.5 * (2.5 + 2) / 14])
    np.testing.assert_allclose(Scores(**terms, v1=True).pdm_like, [0.5 * 1.25 / 12, 0, 2.5 / 12])
    dark = Scores(**terms | {"lights": np.array([False, True, False])})
    assert dark.pdm_like.tolist() == [0, 0, 0]


def test_many_drives_are_judged_as_each_alone():
    around = scene(track(30, 0, speed_mps=2), track(10, 9, speed_mps=3, yaw_rad=-1.5), track(50, 3.5, agent=False))
    rng = np.random.default_rng(0)
    some = [
        drive(y_m=rng.uniform(-2, 8), yaw_rad=rng.uniform(-0.1, 0.1), speed_mps=rng.uniform(0, 14)) for _ in range(20)
    ]
    together = score(around, both(*some))
    for row, each in enumerate(some):
        alone = score(around, each)
        for field in fields(Scores):
            values = getattr(together, field.name)
            mine = values if field.name in ("reference_m", "v1") else values[row]
            assert mine == pytest.approx(np.asarray(getattr(alone, field.name)).item(), abs=1e-9), field.name
    assert ROUTE


@pytest.mark.parametrize("way_m", [-1.0, np.nan, np.inf])
def test_a_reference_that_is_no_way_is_refused(way_m):
    with pytest.raises(UserError, match="reference_m is"):
        score(scene(), drive(), reference_m=way_m)


def test_a_drive_of_another_length_is_refused():
    with pytest.raises(UserError, match="drives of 40 steps; 41 are needed"):
        score(scene(), Motion(*(values[:, :-1] for values in drive())))
