"""Who is at fault, and who comes too near."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_scenes import ROUTE, STEPS, both, drive, ground, track, tracks

from roadstill.driving.boxes import box_corners, touching
from roadstill.driving.scoring.collisions import keeps_away, no_collision
from roadstill.driving.scoring.drives import Drives

# The car is 5.176 m long and 2.297 m wide: its front is 2.588 m ahead of its middle.


def judged(motion, *some):
    """Both terms."""
    drives, around = Drives(motion), tracks(*some)
    places = ground().places(drives, ROUTE)
    return no_collision(drives, around, places).tolist(), keeps_away(drives, around, places).tolist()


@pytest.mark.parametrize(
    ("motion", "other", "worth"),
    [
        (drive(), track(60, 0), 1),  # 4 s at 10 m/s and 2.588 m: up to x 42.6
        (drive(), track(44, 0), 0),
        (drive(), track(44, 0, agent=False), 0.5),  # a thing
        (drive(), track(44, 2.2), 1),
        (drive(), track(44, 2.1), 0),  # beside it, but it stands
        (drive(), track(44, 0, seen=slice(0, 20)), 1),  # gone in time
        (drive(), track(30, 0, speed_mps=3), 0),  # driven into from behind
        (drive(), track(80, 0, speed_mps=10, yaw_rad=math.pi), 0),  # against each other
        (drive(speed_mps=5), track(-20, 0, speed_mps=12), 1),  # hit from behind
        (drive(speed_mps=0), track(-20, 0, speed_mps=12), 1),
        (drive(speed_mps=0.05), track(20, 0, speed_mps=12, yaw_rad=math.pi), 1),  # it stands
        (drive(speed_mps=0.06), track(20, 0, speed_mps=12, yaw_rad=math.pi), 0),
        (drive(), track(4, 0), 1),  # touches from the begin
        (drive(), track(2, 0, speed_mps=5, agent=False), 1),
        (drive(speed_mps=5), track(5, 8, speed_mps=4, yaw_rad=-math.pi / 2), 1),  # hit in the side, in its lane
        (drive(y_m=1, speed_mps=5), track(5, 8, speed_mps=4, yaw_rad=-math.pi / 2), 0),  # in two lanes
        (drive(y_m=-1, speed_mps=5), track(5, 8, speed_mps=4, yaw_rad=-math.pi / 2), 0),  # off the road
        (drive(y_m=1, speed_mps=5), track(-20, 1, speed_mps=12), 1),  # in two lanes, but from behind
        (drive(), track(19, 2, seen=slice(20, None)), 0),  # its side touches what stands
        (drive(), track(17, 2, speed_mps=0.06, seen=slice(20, None)), 1),
    ],
)  # fmt: skip
def test_collisions_by_hand(motion, other, worth):
    assert judged(motion, other)[0] == [worth]


def test_only_the_first_touch_of_a_track_counts():
    # It comes from the side at 1.5 s and is in front later, where to drive into it would be at fault.
    boxes = track(5, 8, speed_mps=4, yaw_rad=-math.pi / 2)
    boxes.boxes[0, 25:, :2] = [27.0, 0.0]
    assert judged(drive(speed_mps=6), boxes)[0] == [1]
    boxes.there[0, :25] = False
    assert judged(drive(speed_mps=6), boxes)[0] == [0]


def test_the_worst_of_several_counts_and_drives_are_judged_apart():
    cone, car = track(20, 0, agent=False), track(30, 0)
    assert judged(drive(), cone, car)[0] == [0]
    assert judged(both(drive(), drive(speed_mps=6), drive(speed_mps=2), drive(y_m=3.5)), cone, car)[0] == [0, 0.5, 1, 1]


@pytest.mark.parametrize(
    ("motion", "other", "keeps"),
    [
        # Up to 3.1 s steps are looked at, and from there 0.9 s on: x 40 and the front at 42.588.
        (drive(), track(44.6, 0), True),
        (drive(), track(44.5, 0), False),
        (drive(speed_mps=10, accel_mps2=-4), track(14.5, 0), False),  # stops at 12.5, but looked ahead
        (drive(speed_mps=0), track(10, 0, speed_mps=12, yaw_rad=math.pi), True),  # stands
        (drive(speed_mps=0.004), track(10, 0, speed_mps=12, yaw_rad=math.pi), True),
        (drive(speed_mps=0.006), track(10, 0, speed_mps=12, yaw_rad=math.pi), False),
        (drive(speed_mps=1), track(-20, 0, speed_mps=12), True),  # from behind
        (drive(speed_mps=5), track(-20, 0, speed_mps=12), False),  # then it is where the car looks to now
        (drive(speed_mps=5), track(5, 8, speed_mps=4, yaw_rad=-math.pi / 2), True),  # beside
        (drive(y_m=1, speed_mps=5), track(5, 8, speed_mps=4, yaw_rad=-math.pi / 2), False),  # in two lanes
        (drive(x_m=2, speed_mps=4), track(6.5, 9, speed_mps=4, yaw_rad=-math.pi / 2), True),
        (drive(x_m=102, speed_mps=4), track(106.5, 9, speed_mps=4, yaw_rad=-math.pi / 2), False),  # on a crossroads
        (drive(), track(4, 0), True),  # touches from the begin
        (drive(speed_mps=0, accel_mps2=1), track(4, 0), True),  # also where it stands then
        (drive(y_m=1, speed_mps=1), track(-20, 1, speed_mps=12), True),  # in two lanes, but from behind
    ],
)
def test_nearness_by_hand(motion, other, keeps):
    assert judged(motion, other)[1] == [keeps]


def test_tracks_that_are_known_longer_are_looked_at_longer():
    # From the last step on, 0.9 s ahead: x 49 and the front at 51.588.
    assert judged(drive(), track(53.5, 0))[1] == [True]
    drives = Drives(drive())
    places = ground().places(drives, ROUTE)
    assert keeps_away(drives, track(53.5, 0, steps=STEPS + 9), places).tolist() == [False]
    assert keeps_away(drives, track(53.7, 0, steps=STEPS + 9), places).tolist() == [True]
    assert keeps_away(drives, track(5.0, 0, steps=9), places).tolist() == [True]  # never far enough


def test_touches_from_the_begin_count_where_they_shall():
    motion, other = both(drive(), drive(speed_mps=0.003, accel_mps2=1), drive(speed_mps=0)), track(4, 0)
    drives = Drives(motion)
    places = ground().places(drives, ROUTE)
    assert no_collision(drives, other, places).tolist() == [1, 1, 1]
    # The second stands when they touch first, which is nobody's fault.
    assert no_collision(drives, other, places, from_begin=True).tolist() == [0, 1, 1]
    assert keeps_away(drives, other, places).tolist() == [True, True, True]
    assert keeps_away(drives, other, places, from_begin=True).tolist() == [False, False, True]


def test_a_car_that_rolls_back_moves_and_looks_ahead():
    towards = track(20, 0, speed_mps=12, yaw_rad=math.pi)
    for speed_mps, worth, keeps in ((-0.06, 0, False), (-0.04, 1, False), (-0.004, 1, True)):
        rolling = drive(speed_mps=0)._replace(speed_mps=np.full((1, STEPS), speed_mps))
        assert judged(rolling, towards) == ([worth], [keeps])


def test_an_empty_road():
    assert judged(both(drive(), drive())) == ([1, 1], [True, True])


@given(st.integers(0, 10_000))
def test_a_collision_needs_a_touch_and_order_means_nothing(seed):
    rng = np.random.default_rng(seed)
    motion = both(*(drive(y_m=rng.uniform(-1, 8), yaw_rad=rng.uniform(-0.2, 0.2), speed_mps=rng.uniform(0, 15))
                    for _ in range(3)))  # fmt: skip
    some = [
        track(rng.uniform(-10, 60), rng.uniform(-4, 9), speed_mps=rng.choice([0, 6.0]), yaw_rad=rng.uniform(-3, 3),
              agent=rng.random() < 0.7)
        for _ in range(6)
    ]  # fmt: skip
    worth, keeps = judged(motion, *some)
    assert judged(motion, *some[::-1]) == (worth, keeps)
    alone = [judged(motion, other) for other in some]
    np.testing.assert_array_equal(worth, np.min([each[0] for each in alone], axis=0))
    np.testing.assert_array_equal(keeps, np.all([each[1] for each in alone], axis=0))
    around = tracks(*some)
    met = touching(Drives(motion).corners_m[:, None], box_corners(around.boxes))
    never = ~met.any((1, 2))
    assert (np.array(worth)[never] == 1).all()
